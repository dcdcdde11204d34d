use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, types::*, *};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use millstream_formats::{Decoder, Encoder, KeyReader, key_texts};
use millstream_sdk::{CsvDialect, StreamSchema, ValueFormat};
use millstream_types::Record;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::record;

const CASES: u32 = 128;

fn formats() -> impl Strategy<Value = ValueFormat> {
    let null = select(vec![
        None,
        Some(""),
        Some("NA"),
        Some("0"),
        Some("true"),
        Some("NaN"),
        Some("-"),
    ]);
    let csv =
        (select(b",;|\t-0".to_vec()), select(b"\"'".to_vec()), null).prop_map(|(delimiter, quote, null)| {
            ValueFormat::Csv(CsvDialect {
                delimiter,
                quote,
                null: null.map(Into::into),
            })
        });
    prop_oneof![Just(ValueFormat::Json), csv]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a,\"'; \n\\\\NA0]{0,6}", Just("NA".to_owned())]
}

/// A column of any supported type, `rows` long.
fn columns(rows: usize) -> BoxedStrategy<ArrayRef> {
    fn primitive<T: ArrowPrimitiveType>(rows: usize) -> BoxedStrategy<ArrayRef>
    where
        T::Native: Arbitrary,
        PrimitiveArray<T>: From<Vec<Option<T::Native>>>,
    {
        vec(any::<Option<T::Native>>(), rows)
            .prop_map(|values| Arc::new(PrimitiveArray::<T>::from(values)) as ArrayRef)
            .boxed()
    }
    fn timestamps<T: ArrowTimestampType>(rows: usize) -> BoxedStrategy<ArrayRef>
    where
        PrimitiveArray<T>: From<Vec<Option<i64>>>,
    {
        (vec(any::<Option<i64>>(), rows), any::<bool>(), 0..40_u32)
            .prop_map(|(values, zone, shift)| {
                let near_now = |value: Option<i64>| value.map(|value| value >> shift);
                let array = PrimitiveArray::<T>::from(values.into_iter().map(near_now).collect::<Vec<_>>());
                Arc::new(array.with_timezone_opt(zone.then_some("UTC"))) as ArrayRef
            })
            .boxed()
    }
    let decimals = (vec(any::<Option<i64>>(), rows), 0..=30_i8).prop_map(|(values, scale)| {
        let values: Vec<_> = values.into_iter().map(|value| value.map(i128::from)).collect();
        let array = Decimal128Array::from(values)
            .with_precision_and_scale(38, scale)
            .unwrap();
        Arc::new(array) as ArrayRef
    });
    prop_oneof![
        vec(any::<Option<bool>>(), rows).prop_map(|values| Arc::new(BooleanArray::from(values)) as ArrayRef),
        primitive::<Int8Type>(rows),
        primitive::<Int16Type>(rows),
        primitive::<Int32Type>(rows),
        primitive::<Int64Type>(rows),
        primitive::<UInt8Type>(rows),
        primitive::<UInt16Type>(rows),
        primitive::<UInt32Type>(rows),
        primitive::<UInt64Type>(rows),
        vec(option::of(any::<f32>()), rows)
            .prop_map(|values| Arc::new(Float32Array::from(values)) as ArrayRef),
        vec(option::of(any::<f64>()), rows)
            .prop_map(|values| Arc::new(Float64Array::from(values)) as ArrayRef),
        primitive::<Date32Type>(rows),
        timestamps::<TimestampSecondType>(rows),
        timestamps::<TimestampMillisecondType>(rows),
        timestamps::<TimestampMicrosecondType>(rows),
        timestamps::<TimestampNanosecondType>(rows),
        decimals,
        vec(option::of(texts()), rows).prop_map(|values| Arc::new(StringArray::from(values)) as ArrayRef),
        vec(option::of(vec(any::<u8>(), 0..8)), rows)
            .prop_map(|values| { Arc::new(BinaryArray::from_iter(values)) as ArrayRef }),
    ]
    .boxed()
}

fn batches() -> impl Strategy<Value = RecordBatch> {
    (0..5_usize, 1..8_usize).prop_flat_map(|(rows, width)| {
        vec(columns(rows), width).prop_map(|columns| {
            let named = columns.into_iter().enumerate();
            RecordBatch::try_from_iter_with_nullable(
                named.map(|(index, column)| (format!("c{index}\"é"), column, true)),
            )
            .unwrap()
        })
    })
}

fn records_of(schema: &StreamSchema, batch: &RecordBatch) -> Vec<Record> {
    let values = Encoder::new(schema).unwrap().encode(batch).unwrap().values;
    values.into_iter().map(record).collect()
}

fn any_schema(format: ValueFormat) -> StreamSchema {
    let types = [
        DataType::Boolean,
        DataType::Int32,
        DataType::UInt64,
        DataType::Float64,
        DataType::Utf8,
        DataType::Binary,
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        DataType::Decimal128(10, 2),
    ];
    let fields: Vec<_> = types
        .into_iter()
        .enumerate()
        .map(|(index, data_type)| Field::new(format!("c{index}"), data_type, index % 2 == 0))
        .collect();
    StreamSchema {
        format,
        columns: Arc::new(Schema::new(fields)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_the_same(format in formats(), batch in batches()) {
        let schema = StreamSchema { format, columns: batch.schema() };
        let all: Vec<_> = (0..batch.num_columns()).collect();
        let decoded = Decoder::new(&schema, &all).unwrap().decode(&records_of(&schema, &batch)).unwrap();
        prop_assert_eq!(decoded.failed, []);
        prop_assert_eq!(decoded.batch, batch);
    }

    #[test]
    fn a_projection_is_a_part_of_the_whole(format in formats(), batch in batches(), seed in any::<usize>()) {
        let schema = StreamSchema { format, columns: batch.schema() };
        let projection: Vec<_> = (0..batch.num_columns()).rev().filter(|column| seed >> column & 1 == 1).collect();
        let decoded = Decoder::new(&schema, &projection).unwrap().decode(&records_of(&schema, &batch)).unwrap();
        prop_assert_eq!(decoded.batch, batch.project(&projection).unwrap());
    }

    #[test]
    fn keys_agree(format in formats(), batch in batches()) {
        let schema = StreamSchema { format, columns: batch.schema() };
        let records = records_of(&schema, &batch);
        let values = || records.iter().map(|record| record.value.as_deref());
        let read = KeyReader::new(&schema, 0).unwrap().read_all(values());
        let expected: Vec<_> = key_texts(batch.column(0)).into_iter().map(Ok).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn every_record_of_garbage_is_accounted_for(
        format in formats(),
        values in vec(option::of(prop_oneof![
            vec(any::<u8>(), 0..40),
            "[{}\\[\\]:,\"c0-9truefalsn.\\\\u -]{0,40}".prop_map(String::into_bytes),
            "(\\{\"c[0-9]\":(1|\"x\"|null|true|1e9|-)(,\"c[0-9]\":[0-9]{1,3})*\\})".prop_map(String::into_bytes),
        ]), 0..12),
    ) {
        let records: Vec<_> = values.into_iter().map(|value| Record {
            value: value.map(Into::into),
            ..Record::default()
        }).collect();
        let schema = any_schema(format);
        let decoded = Decoder::new(&schema, &[0, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap().decode(&records).unwrap();
        let mut seen: Vec<_> = decoded.failed.iter().map(|(index, _)| *index).collect();
        seen.extend(decoded.rows.iter().map(|index| *index as usize));
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..records.len()).collect::<Vec<_>>());
        prop_assert_eq!(decoded.batch.num_rows(), decoded.rows.len());
    }
}
