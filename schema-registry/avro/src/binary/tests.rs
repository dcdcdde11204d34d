use apache_avro::reader::datum::GenericDatumReader;

use super::*;
use crate::{
    Kind, Strictness,
    testing::{self, Random, write_long},
};

fn schema(text: &str) -> Schema {
    Schema::parse(text, &[], Strictness::Stored).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn validate(text: &str, datum: &[u8]) -> Result<(), String> {
    let validator = Validator::compile(&schema(text));
    validator.validate(datum).map_err(|error| error.to_string())
}

/// What the specification says, as plainly as it can be said: an independent opinion.
fn read(schema: &Schema, id: NodeId, data: &mut &[u8]) -> Option<()> {
    match schema.kind(id) {
        Kind::Null => {}
        Kind::Boolean => match bytes(data, 1)? {
            [0 | 1] => {}
            _ => return None,
        },
        Kind::Int => _ = i32::try_from(number(data)?).ok()?,
        Kind::Long => _ = number(data)?,
        Kind::Float => _ = bytes(data, 4)?,
        Kind::Double => _ = bytes(data, 8)?,
        Kind::Bytes => {
            let length = usize::try_from(number(data)?).ok()?;
            bytes(data, length)?;
        }
        Kind::String => text(data)?,
        Kind::Fixed(fixed) => _ = bytes(data, fixed.size)?,
        Kind::Enum(symbols) => {
            let index = usize::try_from(i32::try_from(number(data)?).ok()?).ok()?;
            symbols.symbols.get(index)?;
        }
        Kind::Array(items) => blocks(data, |data| read(schema, *items, data))?,
        Kind::Map(values) => blocks(data, |data| {
            text(data)?;
            read(schema, *values, data)
        })?,
        Kind::Union(branches) => {
            let branch = branches.get(usize::try_from(number(data)?).ok()?)?;
            read(schema, *branch, data)?;
        }
        Kind::Record(record) => {
            for field in &record.fields {
                read(schema, field.schema, data)?;
            }
        }
    }
    Some(())
}

fn bytes<'a>(data: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = data.split_at_checked(count)?;
    *data = rest;
    Some(taken)
}

fn number(data: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u128;
    for n in 0..10 {
        let [byte] = *bytes(data, 1)? else { return None };
        value |= u128::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            let value = u64::try_from(value).ok()?;
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn text(data: &mut &[u8]) -> Option<()> {
    let length = usize::try_from(number(data)?).ok()?;
    str::from_utf8(bytes(data, length)?).ok()?;
    Some(())
}

fn blocks(data: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Option<()>) -> Option<()> {
    loop {
        let count = number(data)?;
        let size = if count < 0 { Some(number(data)?) } else { None };
        if count == 0 {
            return Some(());
        }
        if count.unsigned_abs() > data.len() as u64 + MAX_EMPTY_ITEMS {
            return None;
        }
        let before = data.len();
        for _ in 0..count.unsigned_abs() {
            item(data)?;
        }
        if size.is_some_and(|size| size != (before - data.len()) as i64) {
            return None;
        }
    }
}

fn is_datum(schema: &Schema, mut data: &[u8]) -> bool {
    read(schema, schema.root(), &mut data).is_some() && data.is_empty()
}

/// One change somewhere: a flipped bit, a lost or doubled byte, another end.
fn damage(datum: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = datum.to_vec();
    let at = random.below(datum.len().max(1) as u64) as usize;
    match random.below(5) {
        0 => damaged.truncate(at),
        1 => damaged.push(random.bits() as u8),
        2 if at < damaged.len() => _ = damaged.remove(at),
        3 if at < damaged.len() => damaged.insert(at, random.bits() as u8),
        _ if at < damaged.len() => damaged[at] ^= 1 << random.below(8),
        _ => {}
    }
    damaged
}

#[test]
fn what_a_schema_describes_is_valid() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let schema = schema(&testing::schema_text(&mut random));
        let validator = Validator::compile(&schema);
        for _ in 0..20 {
            let datum = testing::datum(&schema, &mut random);
            assert_eq!(validator.validate(&datum), Ok(()), "seed {seed}: {schema:?}");
        }
    }
}

#[test]
fn damaged_data_is_judged_as_the_specification_does() {
    let mut refused = 0;
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let schema = schema(&testing::schema_text(&mut random));
        let validator = Validator::compile(&schema);
        for _ in 0..50 {
            let datum = damage(&testing::datum(&schema, &mut random), &mut random);
            let verdict = validator.validate(&datum);
            let expected = is_datum(&schema, &datum);
            assert_eq!(
                verdict.is_ok(),
                expected,
                "seed {seed}: {verdict:?} for {datum:?} of {schema:?}"
            );
            if let Err(error) = verdict {
                refused += 1;
                assert!(error.offset <= datum.len(), "seed {seed}: {error}");
            }
        }
    }
    assert!(
        refused > 5_000,
        "only {refused} of 20,000 were damaged in a way that shows"
    );
}

/// Not the other way round: apache-avro takes the end of the data for null, and reads on where a block is not as long as it
/// says.
#[test]
fn apache_avro_reads_all_that_is_valid_and_what_it_refuses_is_refused() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let text = testing::schema_text(&mut random);
        let ours = schema(&text);
        let theirs = apache_avro::Schema::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let reader = GenericDatumReader::builder(&theirs).build().unwrap();
        let validator = Validator::compile(&ours);
        for _ in 0..10 {
            let datum = testing::datum(&ours, &mut random);
            let mut rest = datum.as_slice();
            let value = reader.read_value(&mut rest);
            assert!(
                value.is_ok() && rest.is_empty(),
                "seed {seed}: {value:?}, {rest:?} left, {text}"
            );
            let damaged = damage(&datum, &mut random);
            if let Err(error) = reader.read_value(&mut damaged.as_slice()) {
                assert!(
                    validator.validate(&damaged).is_err(),
                    "seed {seed}: {error}, {damaged:?}, {text}"
                );
            }
        }
    }
}

#[test]
fn noise_is_never_more_than_refused() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let schema = schema(&testing::schema_text(&mut random));
        let validator = Validator::compile(&schema);
        for _ in 0..50 {
            let noise: Vec<u8> = (0..random.below(64)).map(|_| random.bits() as u8).collect();
            assert_eq!(
                validator.validate(&noise).is_ok(),
                is_datum(&schema, &noise),
                "seed {seed}"
            );
        }
    }
}

const ORDER: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"},
    {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
        {"name": "sku", "type": "string"},
        {"name": "labels", "type": {"type": "map", "values": ["null", "int", "string"]}}]}}},
    {"name": "gift", "type": ["null", "Item"]},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}}]}"#;

#[test]
fn what_is_wrong_is_named_with_its_byte_and_its_field() {
    let check = |datum: &[u8], expected: &str| {
        assert_eq!(validate(ORDER, datum).unwrap_err(), expected, "{datum:?}");
    };
    check(&[], "byte 0, id: the data ends too early");
    check(
        &[2, 2, 2, 0xff],
        "byte 2, items[0].sku: a string that is not UTF-8",
    );
    check(
        &[2, 2, 2, b'a', 2, 2, b'k', 6],
        r#"byte 7, items[0].labels["k"]: branch 3 of a union that has 3"#,
    );
    check(
        &[2, 4, 2, b'a', 0, 6, b'b'],
        "byte 5, items[1].sku: a length of 3, but only 1 bytes are left",
    );
    check(
        &[2, 0, 2, 2],
        "byte 3, gift.sku: a length of 1, but only 0 bytes are left",
    );
    check(&[2, 0, 0, 4], "byte 3, state: symbol 2 of an enum that has 2");
    check(&[2, 0, 0, 2, 9], "byte 4: 1 bytes after the end of the value");
    check(
        &[2, 1, 6, 0, 0, 0, 0, 0],
        "byte 5, items: a block that says it has 3 bytes has 2",
    );
}

#[test]
fn recursive_data_is_walked_and_its_depth_is_bounded() {
    const LIST: &str = r#"{"type": "record", "name": "List", "fields": [
        {"name": "value", "type": "int"}, {"name": "next", "type": ["null", "List"]}]}"#;
    let list = |length: usize| {
        let mut datum = [2, 2].repeat(length - 1);
        datum.extend([2, 0]);
        datum
    };
    assert_eq!(validate(LIST, &list(1)), Ok(()));
    assert_eq!(validate(LIST, &list(MAX_DEPTH + 1)), Ok(()));
    let error = validate(LIST, &list(MAX_DEPTH + 2)).unwrap_err();
    assert!(
        error.ends_with(".next.next: nested deeper than 1000 levels"),
        "{error}"
    );
    assert!(error.len() < 700, "{error}");
    assert_eq!(
        validate(LIST, &[2, 2, 2, 4]).unwrap_err(),
        "byte 3, next.next: branch 2 of a union that has 2"
    );
}

#[test]
fn ten_bytes_cost_no_more_than_their_share() {
    let items = |count: i64| {
        let mut datum = Vec::new();
        write_long(count, &mut datum);
        datum.push(0);
        datum
    };
    const NULLS: &str = r#"{"type": "array", "items": "null"}"#;
    assert_eq!(validate(NULLS, &items(1_000)), Ok(()));
    for count in [i64::MAX, 1 << 40, 100_000] {
        assert_eq!(
            validate(NULLS, &items(count)).unwrap_err(),
            format!("byte 0: a block of {count} items, more than there can be")
        );
    }
    let many_blocks = [&items(600)[..2], &items(600)].concat();
    assert_eq!(
        validate(NULLS, &many_blocks).unwrap_err(),
        "byte 4: more than 1000 items that take no bytes"
    );
}

#[test]
fn a_schema_that_multiplies_itself_stays_small_and_quick() {
    let mut text = r#"{"type": "record", "name": "R0", "fields": []}"#.to_owned();
    for n in 1..30 {
        text = format!(
            r#"{{"type": "record", "name": "R{n}", "fields": [{{"name": "a", "type": {text}}}, {{"name": "b", "type": "R{}"}}]}}"#,
            n - 1
        );
    }
    let validator = Validator::compile(&schema(&text));
    assert!(validator.program.ops.len() < 1_000);
    let error = validator.validate(&[]).unwrap_err();
    assert_eq!(
        error.message,
        Fault::Calls.to_string(),
        "2^30 records without bytes are not walked"
    );
}

#[test]
fn fields_are_passed_over_without_a_look_at_their_text() {
    let schema = schema(ORDER);
    let validator = Validator::compile(&schema);
    let datum = [2, 2, 2, 0xff, 0, 0, 0, 2];
    let span = validator.span(schema.root(), 0, 2).unwrap();
    let cursor = validator.skip(span, Cursor::new(&datum)).unwrap();
    assert_eq!(cursor.at(), 7);
    let cursor = validator
        .skip(validator.span(schema.root(), 3, 3).unwrap(), cursor)
        .unwrap();
    assert_eq!(cursor.end(), Ok(()));
    assert_eq!(validator.span(schema.root(), 0, 4), None);
}

#[test]
fn a_record_within_itself_is_skipped_to_its_own_end() {
    const TREE: &str = r#"{"type": "record", "name": "Tree", "fields": [
        {"name": "children", "type": {"type": "array", "items": "Tree"}}, {"name": "name", "type": "string"}]}"#;
    let schema = schema(TREE);
    let validator = Validator::compile(&schema);
    let datum = [2, 0, 2, b'x', 0, 2, b'y'];
    assert_eq!(validator.validate(&datum), Ok(()));
    let span = validator.span(schema.root(), 0, 0).unwrap();
    let cursor = validator.skip(span, Cursor::new(&datum)).unwrap();
    assert_eq!(
        cursor.at(),
        5,
        "behind the children of the root, not of the first child"
    );
}
