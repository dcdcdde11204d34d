use crate::model::{Schema, Strictness};

fn check(text: &str, expected: &str) {
    let schema = Schema::parse(text, &[], Strictness::New).expect("valid");
    assert_eq!(schema.text(), expected);
    let again = Schema::parse(expected, &[], Strictness::New).expect("valid");
    assert_eq!(again.text(), expected, "the text of a text");
}

#[test]
fn the_text_has_javas_order_and_spelling() {
    check("{\"type\":\"string\"}", "\"string\"");
    check(
        "{\"avro.java.string\":\"String\",\"type\":\"string\"}",
        "{\"type\":\"string\",\"avro.java.string\":\"String\"}",
    );
    check(
        "[{\"type\":\"null\"},{\"default\":[],\"items\":\"int\",\"type\":\"array\"}]",
        "[\"null\",{\"type\":\"array\",\"items\":\"int\",\"default\":[]}]",
    );
    check(
        r#"{"aliases":["a.Old","Older"],"zeta":1e2,"name":"a.R","doc":"\u00e9\u0001","fields":[
            {"p":1,"order":"ignore","aliases":["g"],"default":"x","doc":"of f","type":{"type":"string"},"name":"f","q":2},
            {"order":"ascending","name":"g","type":"double","default":1}],"type":"record","alpha":-0}"#,
        concat!(
            r#"{"type":"record","name":"R","namespace":"a","doc":"é\u0001","fields":["#,
            r#"{"name":"f","type":"string","doc":"of f","default":"x","order":"ignore","aliases":["g"],"p":1,"q":2},"#,
            r#"{"name":"g","type":"double","default":1}],"zeta":100.0,"alpha":0,"aliases":["Old","Older"]}"#,
        ),
    );
    check(
        r#"{"symbols":["A"],"default":"A","q":1,"name":"E","type":"enum","namespace":"x","aliases":["y.F"]}"#,
        r#"{"type":"enum","name":"E","namespace":"x","symbols":["A"],"default":"A","q":1,"aliases":["y.F"]}"#,
    );
    check(
        r#"{"type":"fixed","name":"F","size":8,"p":123456789012345678901234567890}"#,
        r#"{"type":"fixed","name":"F","size":8,"p":123456789012345678901234567890}"#,
    );
}

#[test]
fn a_name_is_written_as_short_as_its_surroundings_allow() {
    check(
        r#"{"type":"record","name":"a.R","fields":[
            {"name":"f","type":{"type":"fixed","name":"a.F","size":1}},
            {"name":"g","type":"a.F"},
            {"name":"h","type":{"type":"fixed","name":"b.F","size":1}},
            {"name":"i","type":"b.F"},
            {"name":"j","type":{"type":"fixed","name":"F","namespace":"","size":1}},
            {"name":"k","type":{"type":"fixed","name":"record","size":1}},
            {"name":"l","type":"a.record"}]}"#,
        concat!(
            r#"{"type":"record","name":"R","namespace":"a","fields":["#,
            r#"{"name":"f","type":{"type":"fixed","name":"F","size":1}},"#,
            r#"{"name":"g","type":"F"},"#,
            r#"{"name":"h","type":{"type":"fixed","name":"F","namespace":"b","size":1}},"#,
            r#"{"name":"i","type":"b.F"},"#,
            r#"{"name":"j","type":{"type":"fixed","name":"F","namespace":"","size":1}},"#,
            r#"{"name":"k","type":{"type":"fixed","name":"record","size":1}},"#,
            r#"{"name":"l","type":"a.record"}]}"#,
        ),
    );
}

#[test]
fn the_canonical_form_has_what_a_reader_of_data_needs() {
    let text = r#"{"type":"error","name":"a.R","doc":"x","p":1,"fields":[
        {"name":"f","type":{"type":"fixed","name":"F","size":1},"default":"x"},
        {"name":"u","type":["null",{"type":"map","values":{"type":"array","items":{"type":"long","logicalType":"date"}}},"R"]},
        {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}}]}"#;
    let schema = Schema::parse(text, &[], Strictness::New).expect("valid");
    assert_eq!(
        schema.parsing_canonical_form(),
        concat!(
            r#"{"name":"a.R","type":"record","fields":[{"name":"f","type":{"name":"a.F","type":"fixed","size":1}},"#,
            r#"{"name":"u","type":["null",{"type":"map","values":{"type":"array","items":"long"}},"a.R"]},"#,
            r#"{"name":"e","type":{"name":"a.E","type":"enum","symbols":["A","B"]}}]}"#,
        )
    );
}
