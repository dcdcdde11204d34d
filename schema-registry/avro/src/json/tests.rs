use serde_json::Value;

use super::*;

fn root(text: &str) -> Result<Value, String> {
    match read(text) {
        Ok(Some(document)) => Ok(document.root),
        Ok(None) => Err("nothing".into()),
        Err(error) => Err(format!("{}: {}", error.pointer, error.message)),
    }
}

#[test]
fn a_text_comes_out_as_jackson_prints_it() {
    let check = |text: &str, expected: &str| {
        let document = read(text)
            .map_err(|error| error.message)
            .expect("JSON")
            .expect("a value");
        let exact = exact_text(&document.root, String::new(), &document.long_integers);
        let mut plain = String::new();
        write(&mut plain, &document.root);
        assert_eq!(exact.as_deref().unwrap_or(&plain), expected, "{text}");
    };
    check(" [ 1 , -0, 0 ,12 ]\n", "[1,0,0,12]");
    check("{ \"a\" : { } , \"b\":[ ]}", "{\"a\":{},\"b\":[]}");
    check("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
    check("/* one */ [ // two\n 1 /**/ , /***/ 2]", "[1,2]");
    check(
        r#""\u00e9\n\t\b\f\r\"\\\/\u0001\u001f\u007f\ud83d\ude00""#,
        "\"é\\n\\t\\b\\f\\r\\\"\\\\/\\u0001\\u001F\u{7f}😀\"",
    );
    check("9223372036854775808", "9223372036854775808");
    check(
        "[-170141183460469231731687303715884105728]",
        "[-170141183460469231731687303715884105728]",
    );
    check(
        "{\"a\":{\"b\":123456789012345678901234567890},\"a\":[1.5],\"a-b\":{\"b\":[98765432109876543210]}}",
        "{\"a\":[1.5],\"a-b\":{\"b\":[98765432109876543210]}}",
    );
    check(
        "[1.0,1e3,1E7,12345678.9,0.001,0.0001,-0.0,1.5e-10]",
        "[1.0,1000.0,1.0E7,1.23456789E7,0.001,1.0E-4,-0.0,1.5E-10]",
    );
    check("[1e999,-1e999]", "[\"Infinity\",\"-Infinity\"]");
}

#[test]
fn what_is_not_json_says_where_and_what() {
    let check = |text: &str, expected: &str| {
        let error = root(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("", "nothing");
    check(" // only a comment", "nothing");
    check(
        "{\"a\":[1,{\"b/~\":x}]}",
        "/a/1/b~1~0: unexpected character 'x' at line 1, column 16",
    );
    check(
        "[\n 1,\n 01]",
        "/1: unexpected character '1' at line 3, column 3: expected a number without leading zeros",
    );
    check("[1", "/1: unexpected end of the text");
    check("{\"a\"", "expected a colon");
    check("{a:1}", "expected a field name in double quotes");
    check("[1 2]", "expected a comma or the end");
    check("[1,]", "expected a value");
    check("[+1]", "expected a value");
    check("[.5]", "expected a value");
    check("[1.]", "expected a digit");
    check("[1e]", "expected a digit");
    check("[NaN]", "expected a value");
    check("[nullx]", "expected a value");
    check("\"a\nb\"", "control characters must be escaped");
    check("\"\\x\"", "after a backslash");
    check("\"\\u12g4\"", "four hex digits");
    check("\"\\ud800\"", "surrogate");
    check("\"\\udc00\"", "surrogate");
    check("\"\\ud800\\u0041\"", "surrogate");
    check("[] []", "dangling content after end of schema: []");
    check("[] // after", "dangling content");
    check("[1 /* never ends", "expected a whole comment");
    check("\u{feff}[]", "expected a value");
    check(&"[".repeat(1001), "nested deeper than 1000 levels");
    check(&format!("[{}]", "9".repeat(1001)), "longer than 1000 characters");
}

#[test]
fn blanks_and_control_characters_may_follow_the_value() {
    assert_eq!(root("\"a\" \n\0\t"), Ok("a".into()));
}
