use super::*;
use crate::model::{Schema, Strictness};

fn schema(text: &str) -> Schema {
    Schema::parse(text, &[], Strictness::New).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn record(fields: &str) -> Schema {
    schema(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#))
}

/// Each version and way with what is found first.
fn found(new: &Schema, previous: &[Schema], level: Level) -> Vec<(usize, Direction, String)> {
    let first = |f: VersionFindings| (f.version, f.direction, f.findings[0].location.clone());
    check_level(new, previous, level).into_iter().map(first).collect()
}

#[test]
fn a_level_says_which_versions_are_compared_and_which_way() {
    use Direction::{Backward, Forward};
    let a = record(r#"{"name":"a","type":"int"}"#);
    let ab = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#);
    let b = record(r#"{"name":"b","type":"int"}"#);
    let previous = [a, ab];
    let check = |level: Level, expected: &[(usize, Direction, &str)]| {
        let expected: Vec<_> = expected
            .iter()
            .map(|(v, d, l)| (*v, *d, (*l).to_owned()))
            .collect();
        assert_eq!(found(&b, &previous, level), expected, "{level}");
    };
    // The new version reads the last one, and not the first; neither of them reads the new one.
    check(Level::None, &[]);
    check(Level::Backward, &[]);
    check(Level::BackwardTransitive, &[(0, Backward, "/fields/0")]);
    check(Level::Forward, &[(1, Forward, "/fields/0")]);
    check(
        Level::ForwardTransitive,
        &[(1, Forward, "/fields/0"), (0, Forward, "/fields/0")],
    );
    check(Level::Full, &[(1, Forward, "/fields/0")]);
    check(
        Level::FullTransitive,
        &[
            (1, Forward, "/fields/0"),
            (0, Backward, "/fields/0"),
            (0, Forward, "/fields/0"),
        ],
    );
    assert!(check_level(&b, &[] as &[Schema], Level::FullTransitive).is_empty());
    assert!(found(&b, std::slice::from_ref(&b), Level::FullTransitive).is_empty());
}

#[test]
fn a_level_is_read_in_any_case() {
    for level in Level::ALL {
        assert_eq!(level.as_str().parse(), Ok(level));
        assert_eq!(level.as_str().to_lowercase().parse(), Ok(level));
    }
    let error = "SIDEWAYS".parse::<Level>().expect_err("no level");
    assert_eq!(
        error.to_string(),
        "\"SIDEWAYS\" is none of NONE, BACKWARD, BACKWARD_TRANSITIVE, FORWARD, FORWARD_TRANSITIVE, FULL, FULL_TRANSITIVE"
    );
}

#[test]
fn the_strict_policy_keeps_the_meaning_of_logical_types() {
    let check = |reader: &str, writer: &str, expected: Option<(&str, &str)>| {
        let (reader, writer) = (schema(reader), schema(writer));
        assert!(
            check(&reader, &writer).is_empty(),
            "Java does not look at logical types"
        );
        let findings = check_with(&reader, &writer, Policy::LogicalStrict);
        let found = findings
            .first()
            .map(|f| (f.location.as_str(), f.message.as_str()));
        assert_eq!(found, expected, "{reader:?} reads {writer:?}");
        assert!(
            findings
                .iter()
                .all(|f| f.kind == FindingKind::LogicalTypeMismatch || reader.text().starts_with('['))
        );
    };
    let decimal = |precision: u32, scale: u32| {
        format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#)
    };
    check(&decimal(9, 2), &decimal(9, 2), None);
    check(&decimal(10, 2), &decimal(9, 2), None);
    check(
        &decimal(9, 2),
        &decimal(10, 2),
        Some(("/precision", "reader: decimal(9, 2), writer: decimal(10, 2)")),
    );
    check(
        &decimal(10, 3),
        &decimal(9, 2),
        Some(("/scale", "reader: decimal(10, 3), writer: decimal(9, 2)")),
    );
    check(
        &decimal(9, 0),
        "\"bytes\"",
        Some(("/logicalType", "reader: decimal(9, 0), writer: no logical type")),
    );
    let of = |kind: &str, logical: &str| format!(r#"{{"type":"{kind}","logicalType":"{logical}"}}"#);
    let unit = "reader: timestamp-millis, writer: timestamp-micros";
    check(
        &of("long", "timestamp-millis"),
        &of("long", "timestamp-micros"),
        Some(("/logicalType", unit)),
    );
    check(
        &of("long", "time-micros"),
        &of("int", "time-millis"),
        Some(("/logicalType", "reader: time-micros, writer: time-millis")),
    );
    check(&of("string", "uuid"), "\"string\"", None);
    check("\"string\"", &of("string", "uuid"), None);
    check(
        "\"bytes\"",
        &of("string", "uuid"),
        Some(("/logicalType", "reader: no logical type, writer: uuid")),
    );
    check(
        &format!("[\"null\",{}]", decimal(9, 2)),
        &format!("[\"null\",{}]", decimal(9, 3)),
        Some(("/1", "reader union lacking writer type: BYTES (decimal(9, 3))")),
    );
}

#[test]
fn a_field_that_is_two_fields_is_the_only_finding() {
    let reader = record(r#"{"name":"x","type":"int"},{"name":"a","type":"int","aliases":["b"]}"#);
    let writer = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#);
    let findings = check(&reader, &writer);
    let [finding] = findings.as_slice() else {
        panic!("one finding: {findings:?}");
    };
    assert_eq!(
        (finding.kind, finding.location.as_str()),
        (FindingKind::AmbiguousField, "/fields/1")
    );
    let message = format!(
        "Reader record field a type:INT pos:1 matches multiple fields in writer record schema {writer:?}"
    );
    assert_eq!(finding.message, message);
}

/// Records that each have two fields of the one before: the findings in the first double with every other.
fn doubling(levels: usize, leaf: &str) -> Schema {
    let mut fields = format!(
        r#"{{"name":"r0","type":{{"type":"record","name":"R0","fields":[{{"name":"v","type":"{leaf}"}}]}}}}"#
    );
    for level in 1..levels {
        let before = level - 1;
        fields.push_str(&format!(
            r#",{{"name":"r{level}","type":{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":"R{before}"}},{{"name":"b","type":"R{before}"}}]}}}}"#
        ));
    }
    record(&fields)
}

#[test]
fn findings_that_multiply_without_end_are_bounded() {
    let findings = check(&doubling(60, "int"), &doubling(60, "string"));
    assert_eq!(findings.len(), MAX_FINDINGS);
    assert_eq!(findings[0].location, "/fields/0/type/fields/0/type");
    assert!(check(&doubling(60, "long"), &doubling(60, "int")).is_empty());
}
