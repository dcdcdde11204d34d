//! `${env.X}` in scalar values.

use crate::fakes::{plan, read, shown};

#[test]
fn a_reference_is_read_like_a_scalar_in_its_place() {
    let file = |partitions: &str| {
        let text = "version: 1\npipeline: shop\nsources:\n  a: { type: tap, into: '${env.TOPIC}.v1' }\n";
        format!("{text}defaults:\n  partitions: {partitions}\n")
    };
    let found = shown(&plan(&file("\"${env.RECORDS}\"")).err().unwrap());
    assert_eq!(
        found,
        ["6:15 expected a whole number, found the text '17' (remove the quotes)"]
    );

    let plan = plan(&file("${env.RECORDS}")).map_err(|d| shown(&d)).unwrap();
    let topic = plan
        .topics
        .iter()
        .find(|topic| topic.name.as_str() == "from-env.v1");
    assert_eq!(topic.map(|topic| topic.partitions), Some(17));
}

#[test]
fn an_unquoted_reference_in_flow_style_is_explained() {
    let found = shown(
        &read("version: 1\npipeline: p\nlog: { embedded: { dir: ${env.TOPIC} } }\n")
            .err()
            .unwrap(),
    );
    assert!(found[0].contains("not valid YAML"), "{found:?}");
    assert!(found[0].contains("a reference is quoted"), "{found:?}");
}

#[test]
fn a_missing_variable_is_said_once_at_its_place() {
    let text = "version: 1\npipeline: shop\nsinks:\n  b:\n    type: bucket\n    from: t\n    path: ${env.HOEM}\n    roll:\n      records: ${secrets.x}\n";
    let found = shown(&read(text).err().unwrap());
    assert_eq!(
        found,
        [
            "7:11 the environment variable HOEM is not set (set it, or give a default: ${env.HOEM:-value})",
            "9:16 secrets are not available in this version (take it from the environment: ${env.NAME})",
        ]
    );
}

#[test]
fn a_value_from_outside_never_becomes_structure() {
    let env = |_: &str| Some("x, path: /etc/passwd }\nlog: {".to_owned());
    let text = "version: 1\npipeline: shop\nsinks:\n  b: { type: bucket, from: t, path: \"${env.X}\" }\n";
    let path = std::path::Path::new("p.yaml");
    let pipeline = millstream_pipeline::parse(text, path, &crate::fakes::catalog(), &env).unwrap();
    let sink = pipeline.sinks().next().unwrap();
    assert_eq!(sink.config.value()["path"], "x, path: /etc/passwd }\nlog: {");
}

#[test]
fn keys_hold_no_references() {
    let found = shown(
        &read("version: 1\npipeline: shop\n${env.TOPIC}: 1\n")
            .err()
            .unwrap(),
    );
    assert_eq!(
        found[0],
        "3:1 references are replaced in values, not in keys (write the key out)"
    );
}
