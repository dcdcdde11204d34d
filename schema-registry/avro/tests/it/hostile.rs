//! Texts that mean harm: an error or an answer, in bounded time, memory and stack.

use millstream_schema_registry_avro::{
    MAX_TEXT_BYTES, Schema, SchemaError, Strictness,
    compat::{self, FindingKind},
};

/// Half of what a thread of the server has.
const STACK_BYTES: usize = 1 << 20;

/// Runs on a small stack, on which it also drops what it has made.
fn small_stack<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(scope, f).expect("a thread starts");
        thread.join().expect("it neither panics nor overflows its stack")
    })
}

fn parse(text: &str) -> Result<Schema, SchemaError> {
    Schema::parse(text, &[], Strictness::New)
}

#[test]
fn depth_bombs_are_refused() {
    for (open, close) in [
        ("[", "]"),
        ("{\"type\":\"array\",\"items\":", "}"),
        ("{\"type\":\"map\",\"values\":", "}"),
        ("{\"type\":", "}"),
        ("{\"type\":\"int\",\"p\":[", "]}"),
        (
            "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\",\"type\":",
            "}]}",
        ),
    ] {
        small_stack(|| {
            for levels in [2_000, 100_000] {
                let half = open.repeat(levels);
                let error = parse(&half).expect_err("unclosed");
                assert!(
                    error.message.contains("nested deeper than 1000 levels"),
                    "{open}: {error}"
                );
                let error = parse(&format!("{half}\"int\"{}", close.repeat(levels))).expect_err("closed");
                assert!(
                    error.message.contains("nested deeper than 1000 levels"),
                    "{open}: {error}"
                );
            }
        });
    }
}

#[test]
fn the_deepest_text_that_is_read_is_handled_on_a_small_stack() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("{}\"int\"{}", open.repeat(levels), close.repeat(levels))
    };
    let arrays = nested("{\"type\":\"array\",\"items\":", "}", 1_000);
    let maps = nested("{\"type\":\"map\",\"values\":", "}", 1_000);
    let unions = nested("[{\"type\":\"array\",\"items\":", "}]", 500);
    let value = nested("[", "]", 995);
    let default = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":[{{"type":"array","items":"int"}},"R","int"],"default":{value}}}],"p":{value}}}"#
    );
    small_stack(|| {
        for text in [&arrays, &maps, &unions] {
            let schema = parse(text).expect("as deep as may be");
            assert_eq!(schema.text(), text);
            assert!(schema.parsing_canonical_form().len() >= text.len());
            assert!(compat::check(&schema, &schema).is_empty());
            assert_eq!(schema.normalized().expect("as deep").text(), text);
        }
        assert!(parse(&default).is_err());
        let stored = Schema::parse(&default, &[], Strictness::Stored).expect("defaults are not looked at");
        assert_eq!(stored.text().matches('[').count(), default.matches('[').count());
        assert!(stored.normalized().is_ok());
    });
}

/// Records that each hold the next, the last the first: `links` long, and no deeper than a few levels of text.
fn ring(links: usize, leaf: &str) -> String {
    let link = |index: usize| {
        let next = (index + 1) % links;
        format!(
            r#"{{"type":"record","name":"n{index}.L","fields":[{{"name":"next","type":["null","n{next}.L"]}},{{"name":"v","type":"{leaf}"}}]}}"#
        )
    };
    format!("[{}]", (0..links).map(link).collect::<Vec<_>>().join(","))
}

#[test]
fn chains_of_names_longer_than_any_stack_are_refused_or_walked() {
    small_stack(|| {
        // Each record is spelled out where its name is used first: within all before.
        let error = parse(&ring(20_000, "int")).expect_err("too deep to be printed");
        assert!(
            error
                .message
                .contains("nested deeper than 1000 levels when its names are written out"),
            "{error}"
        );
        // The other way round the names are known when they are used, and each text is short.
        let link = |index: usize| match index {
            0 => r#"{"type":"record","name":"L0","fields":[{"name":"v","type":"int"}]}"#.to_owned(),
            _ => format!(
                r#"{{"type":"record","name":"L{index}","fields":[{{"name":"next","type":"L{}"}}]}}"#,
                index - 1
            ),
        };
        let links: Vec<_> = (0..10_000).map(link).collect();
        let (last, references) = links.split_last().expect("there are links");
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        let schema = Schema::parse(last, &references, Strictness::New).expect("short texts");
        assert_eq!(schema.text(), last);
        assert!(compat::check(&schema, &schema).is_empty());
        assert!(schema.parsing_canonical_form().len() > 10_000 * 50);
        assert!(schema.normalized().is_ok());
        assert!(schema.resolved_text().is_err(), "deeper than may be printed");
    });
}

#[test]
fn rings_whose_pairs_are_many_are_compared_without_a_stack() {
    small_stack(|| {
        // 241 and 239 have no common divisor: the pairs of links form one ring of 57,599.
        let (reader, writer) = (parse(&ring(241, "long")), parse(&ring(239, "int")));
        let (reader, writer) = (reader.expect("deep enough"), writer.expect("deep enough"));
        assert!(compat::check(&reader, &writer).is_empty());
        assert!(!compat::check(&writer, &reader).is_empty());
    });
}

#[test]
fn a_comparison_without_end_is_given_up() {
    let wide = |prefix: &str| {
        let branch = |index: usize| {
            format!(
                r#"{{"type":"record","name":"{prefix}{index}","fields":[{{"name":"f{index}","type":"int"}}]}}"#
            )
        };
        parse(&format!(
            "[{}]",
            (0..8_000).map(branch).collect::<Vec<_>>().join(",")
        ))
        .expect("wide")
    };
    let findings = compat::check(&wide("A"), &wide("B"));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].kind, FindingKind::TooComplex);
}

#[test]
fn a_default_that_fits_in_too_many_ways_is_refused() {
    // Every level of the value is tried as each record, which is a union of all of them again.
    let names: Vec<_> = (0..300).map(|index| format!("\"D{index}\"")).collect();
    let union = format!("[{}]", names.join(","));
    let record = |index: usize| {
        format!(
            r#"{{"type":"record","name":"D{index}","fields":[{{"name":"n","type":{union}}},{{"name":"x{index}","type":"int"}}]}}"#
        )
    };
    let records = (0..300).map(record).collect::<Vec<_>>().join(",");
    let value = format!("{}1{}", "{\"n\":".repeat(900), "}".repeat(900));
    let text = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"all","type":[{records}]}},{{"name":"f","type":{union},"default":{value}}}]}}"#
    );
    let error = small_stack(|| parse(&text).expect_err("no verdict"));
    assert!(error.message.contains("Invalid default for field f"), "{error}");
}

#[test]
fn long_texts_are_refused_before_they_are_read() {
    let error = parse(&"[".repeat(MAX_TEXT_BYTES + 1)).expect_err("too long");
    assert!(error.message.contains("at most 8388608 are read"), "{error}");
    let doc = "x".repeat(MAX_TEXT_BYTES - 100);
    let text = format!(r#"{{"type":"fixed","name":"F","size":1,"doc":"{doc}"}}"#);
    assert!(parse(&text).is_ok(), "just short enough");
    let error = Schema::parse("\"int\"", &[&format!("{text}{text}")], Strictness::New)
        .expect_err("a reference counts");
    assert_eq!(error.pointer, "/references/0");
}

#[test]
fn many_of_everything_is_read_in_time() {
    let many =
        |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let symbols = many(200_000, &|i| format!("\"S{i}\""));
    parse(&format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#)).expect("symbols");
    let aliases = many(200_000, &|i| format!("\"S{i}\""));
    parse(&format!(
        r#"{{"type":"fixed","name":"F","size":1,"aliases":[{aliases}]}}"#
    ))
    .expect("aliases");
    let fields = many(100_000, &|i| format!(r#"{{"name":"f{i}","type":"int"}}"#));
    let record = parse(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).expect("fields");
    assert!(compat::check(&record, &record).is_empty());
    let properties = many(100_000, &|i| format!("\"p{i}\":12345678901234567890123"));
    parse(&format!(r#"{{"type":"int",{properties}}}"#)).expect("properties");
    let keys = many(100_000, &|i| format!("\"p{}\":12345678901234567890123", i % 50));
    parse(&format!(r#"{{"type":"int",{keys}}}"#)).expect("keys that come again");
}
