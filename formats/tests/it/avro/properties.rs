use arrow_array::{Array, UInt32Array};
use arrow_select::take::take_record_batch;
use millstream_formats::avro::{Decoder, Encoder, JsonEncoder, Layout, Types, derive};
use millstream_schema_registry_avro::{
    binary::Validator,
    compat,
    testing::{self, Random},
};

use super::{as_json, decode, evolve, parse, rows};

const SEEDS: u64 = 300;

#[test]
fn every_datum_of_every_schema_decodes_and_comes_back_from_columns_and_from_json() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let schema = parse(&testing::schema_text(&mut random));
        let data: Vec<_> = (0..5).map(|_| testing::datum(&schema, &mut random)).collect();
        let json: Vec<_> = data
            .iter()
            .map(|datum| as_json(&schema, &schema, datum).unwrap())
            .collect();
        for types in [Types::Arrow, Types::Plain] {
            let decoded = decode(&schema, &schema, types, &data);
            assert_eq!(decoded.failed, [], "seed {seed}: {schema:?}");
            let columns = decoded.batch.schema();
            let encoder = Encoder::new(&schema, &columns)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}, {schema:?}"));
            let encoded = encoder.encode(&decoded.batch, &[]).unwrap();
            assert_eq!(encoded.failed, [], "seed {seed}: {schema:?}");
            let back: Vec<_> = encoded
                .values
                .iter()
                .map(|datum| as_json(&schema, &schema, datum).unwrap())
                .collect();
            assert_eq!(back, json, "seed {seed}: {schema:?}");
        }
        let encoder = JsonEncoder::new(&schema);
        for value in &json {
            let datum = encoder
                .encode(value.as_bytes(), &[])
                .unwrap_or_else(|reason| panic!("seed {seed}: {reason}, {value}, {schema:?}"));
            assert_eq!(
                as_json(&schema, &schema, &datum).as_ref(),
                Ok(value),
                "seed {seed}: {schema:?}"
            );
        }
    }
}

#[test]
fn columns_are_the_same_after_their_own_schema() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let schema = parse(&testing::schema_text(&mut random));
        let data: Vec<_> = (0..5).map(|_| testing::datum(&schema, &mut random)).collect();
        let batch = decode(&schema, &schema, Types::Arrow, &data).batch;
        let derived = parse(&derive("a.b", &batch.schema()).unwrap());
        let encoded = Encoder::new(&derived, &batch.schema())
            .unwrap()
            .encode(&batch, &[])
            .unwrap();
        let data: Vec<_> = encoded.values.iter().map(|datum| datum.to_vec()).collect();
        let again = decode(&derived, &derived, Types::Arrow, &data).batch;
        assert_eq!(again.schema(), batch.schema(), "seed {seed}");
        assert_eq!(rows(&again), rows(&batch), "seed {seed}");
    }
}

#[test]
fn data_is_read_with_every_compatible_schema() {
    for seed in 0..2 * SEEDS {
        let mut random = Random::new(seed);
        let text = testing::schema_text(&mut random);
        let later = evolve::compatible(&text, &mut random);
        let (writer, reader) = (parse(&text), parse(&later));
        assert_eq!(
            compat::check(&reader, &writer),
            [],
            "seed {seed}: {text} as {later}"
        );
        let data: Vec<_> = (0..5).map(|_| testing::datum(&writer, &mut random)).collect();
        for types in [Types::Arrow, Types::Plain] {
            let decoded = decode(&writer, &reader, types, &data);
            assert_eq!(decoded.failed, [], "seed {seed}: {text} as {later}");
        }
        for datum in &data {
            as_json(&writer, &reader, datum)
                .unwrap_or_else(|reason| panic!("seed {seed}: {reason}: {text} as {later}"));
        }
    }
}

#[test]
fn data_is_read_whenever_the_compatibility_rules_say_so() {
    let mut compatible = 0;
    let mut other = 0;
    for seed in 0..2 * SEEDS {
        let mut random = Random::new(seed);
        // Two that come from a common ancestor: some fit, some do not.
        let text = testing::schema_text(&mut random);
        let siblings = [0, 1].map(|_| evolve::compatible(&text, &mut random));
        let [writer, reader] = siblings.each_ref().map(|text| parse(text));
        if !compat::check(&reader, &writer).is_empty() {
            other += 1;
            continue;
        }
        compatible += 1;
        let data: Vec<_> = (0..5).map(|_| testing::datum(&writer, &mut random)).collect();
        for types in [Types::Arrow, Types::Plain] {
            let mut decoded = decode(&writer, &reader, types, &data);
            // The rules let bytes be read as strings; those that are no text are the only data that cannot be.
            decoded
                .failed
                .retain(|(_, reason)| !reason.ends_with("a string that is not UTF-8"));
            assert_eq!(decoded.failed, [], "seed {seed}: {siblings:?}");
        }
    }
    assert!(
        compatible > 150 && other > 100,
        "{compatible} fit, {other} do not"
    );
}

#[test]
fn damaged_data_fails_alone_and_exactly_when_it_is_not_valid() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let schema = parse(&testing::schema_text(&mut random));
        let validator = Validator::compile(&schema);
        let data: Vec<_> = (0..30)
            .map(|_| {
                let mut datum = testing::datum(&schema, &mut random);
                if !datum.is_empty() && random.one_in(3) {
                    let at = random.below(datum.len() as u64) as usize;
                    match random.below(2) {
                        0 => datum.truncate(at),
                        _ => datum[at] ^= 1 << random.below(8),
                    }
                }
                datum
            })
            .collect();
        let valid: Vec<_> = data
            .iter()
            .filter(|datum| validator.validate(datum).is_ok())
            .cloned()
            .collect();
        for types in [Types::Arrow, Types::Plain] {
            let decoded = decode(&schema, &schema, types, &data);
            for (index, reason) in &decoded.failed {
                let error = validator.validate(&data[*index]).unwrap_err();
                assert_eq!(*reason, error.to_string(), "seed {seed}: {schema:?}");
            }
            assert_eq!(decoded.rows.len(), valid.len(), "seed {seed}");
            assert_eq!(
                decoded.batch,
                decode(&schema, &schema, types, &valid).batch,
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_projection_is_the_same_columns() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let schema = parse(&testing::schema_text(&mut random));
        let data: Vec<_> = (0..5).map(|_| testing::datum(&schema, &mut random)).collect();
        let all = decode(&schema, &schema, Types::Arrow, &data).batch;
        let mut wanted: Vec<_> = (0..all.num_columns()).filter(|_| random.one_in(2)).collect();
        wanted.reverse();
        let layout = Layout::new(&schema, Types::Arrow)
            .unwrap()
            .project(&wanted)
            .unwrap();
        let decoder = Decoder::of_writer(&schema, &layout).unwrap();
        let values = data.iter().map(|datum| Some(datum.as_slice()));
        let some = decoder.decode_values(values).unwrap().batch;
        assert_eq!(
            some,
            all.project(&wanted).unwrap(),
            "seed {seed}: {wanted:?} of {schema:?}"
        );
    }
}

#[test]
fn slices_and_chosen_rows_are_encoded_as_they_are() {
    for seed in 0..SEEDS / 4 {
        let mut random = Random::new(seed);
        let schema = parse(&testing::schema_text(&mut random));
        let data: Vec<_> = (0..8).map(|_| testing::datum(&schema, &mut random)).collect();
        let batch = decode(&schema, &schema, Types::Arrow, &data).batch;
        let encoder = Encoder::new(&schema, &batch.schema()).unwrap();
        let all = encoder.encode(&batch, &[]).unwrap().values;
        assert_eq!(
            encoder.encode(&batch.slice(3, 4), &[]).unwrap().values,
            all[3..7],
            "seed {seed}"
        );
        if batch.num_columns() == 0 {
            continue;
        }
        let chosen = take_record_batch(&batch, &UInt32Array::from(vec![6, 0])).unwrap();
        let chosen = encoder.encode(&chosen, &[]).unwrap().values;
        assert_eq!(chosen, [all[6].clone(), all[0].clone()], "seed {seed}");
    }
}

#[test]
fn noise_is_never_more_than_refused() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let text = testing::schema_text(&mut random);
        let reader = parse(&evolve::compatible(&text, &mut random));
        let noise: Vec<_> = (0..50)
            .map(|_| (0..random.below(40)).map(|_| random.bits() as u8).collect())
            .collect();
        let decoded = decode(&parse(&text), &reader, Types::Arrow, &noise);
        assert_eq!(decoded.rows.len() + decoded.failed.len(), noise.len());
        assert_eq!(decoded.batch.num_rows(), decoded.rows.len());
        assert!(
            decoded
                .batch
                .columns()
                .iter()
                .all(|column| column.len() == decoded.rows.len())
        );
    }
}
