//! Whatever the text is: a plan or diagnostics with places inside of it, never a panic.

use proptest::prelude::*;

use crate::{
    fakes::plan,
    whole::{SHOP as VALID, check},
};

#[test]
fn the_starting_point_is_right() {
    let found: Vec<String> = plan(VALID)
        .err()
        .map(|d| crate::fakes::shown(&d))
        .unwrap_or_default();
    assert_eq!(found, [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn any_yaml_like_text(text in "[a-z0-9:\\- \n\t\\[\\]{}&*!|>'\"%@`#,?~<$.\r]{0,200}") {
        check(&text);
        check(&format!("version: 1\npipeline: p\n{text}"));
    }

    #[test]
    fn a_valid_text_with_a_piece_replaced(
        start in 0..VALID.len(),
        length in 0..60_usize,
        piece in prop_oneof![
            Just(String::new()),
            "[a-z0-9:\\- \n\\[\\]{}&*!|>'\"#,?~<$.ñ€]{0,12}",
            (0..VALID.len(), 0..80_usize).prop_map(|(at, n)| VALID.chars().skip(at).take(n).collect()),
        ],
    ) {
        let end = (start + length).min(VALID.len());
        check(&format!("{}{piece}{}", &VALID[..start], &VALID[end..]));
    }
}
