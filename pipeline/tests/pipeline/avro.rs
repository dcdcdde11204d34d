//! Topics whose values are Avro.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use millstream_pipeline::Plan;
use millstream_sdk::{SchemaText, StreamSchema, ValueFormat};

use crate::fakes::{people, plan, plan_of, read, shown};

fn planned(text: &str) -> Plan {
    let text = format!("version: 1\npipeline: shop\n{text}");
    plan(&text).map_err(|d| shown(&d)).expect("the file is right")
}

/// Subject, record and whether the schema is given.
fn avro(schema: &StreamSchema) -> (String, String, bool) {
    let ValueFormat::Avro(format) = &schema.format else {
        panic!("{schema:?}");
    };
    (
        format.subject.to_string(),
        format.record.clone(),
        format.schema.is_some(),
    )
}

#[test]
fn a_source_s_values_are_rewritten_and_its_topics_have_schemas_of_its_columns() {
    let plan = planned(
        "sources:\n  db: { type: shelf, path: a, streams: [orders, customers], into: { topic: 'cdc.{table}', key: id, format: avro } }\n",
    );
    let source = &plan.sources[0];
    assert_eq!(
        (source.output.key.as_deref(), source.output.format.as_ref()),
        (Some("id"), None)
    );
    let conversions: Vec<_> = source.conversions.iter().flatten().collect();
    assert_eq!(conversions.len(), 2);
    for (conversion, topic) in conversions.iter().zip(["cdc.orders", "cdc.customers"]) {
        assert_eq!(conversion.from, people());
        assert_eq!(conversion.to.columns, people().columns);
        assert_eq!(
            avro(&conversion.to),
            (format!("{topic}-value"), topic.into(), false)
        );
    }
    let written: Vec<_> = plan
        .avro
        .iter()
        .map(|topic| (topic.name.as_str(), topic.path.to_string()))
        .collect();
    assert_eq!(
        written,
        [
            ("cdc.customers", "sources.db.into.topic".to_owned()),
            ("cdc.orders", "sources.db.into.topic".to_owned())
        ]
    );
}

#[test]
fn other_formats_stay_as_the_source_yields_them() {
    let plan = planned("sources:\n  a: { type: tap, into: { topic: t, format: json } }\n");
    assert_eq!(plan.sources[0].conversions, [None]);
    assert_eq!(plan.avro, []);
}

#[test]
fn a_processor_reads_and_writes_avro() {
    let plan = planned(
        "sources:\n  a: { type: tap, into: { topic: t, format: avro } }\nprocessors:\n  \
         p: { sql: SELECT id FROM t, into: { topic: u, format: avro } }\nsinks:\n  k: { type: bucket, path: x, from: u }\n",
    );
    assert_eq!(
        avro(plan.processors[0].plan.output()),
        ("u-value".into(), "u".into(), false)
    );
    let written: Vec<_> = plan.avro.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(written, ["t", "u"]);
    let columns: Vec<_> = plan.avro[1]
        .columns
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(columns, ["id"]);
}

#[test]
fn columns_of_topics_that_others_write_are_asked_of_the_registry() {
    const TEXT: &str = "version: 1\npipeline: shop\nstreams:\n  clicks: { topic: web.clicks, format: avro }\n  \
                        told: { format: avro, columns: { id: BIGINT } }\nsinks:\n  \
                        k: { type: bucket, path: x, from: [clicks, told] }\n";
    let mut pipeline = read(TEXT).map_err(|d| shown(&d)).unwrap();
    let unknown: Vec<_> = pipeline
        .unknown_columns()
        .map(|unknown| (unknown.subject.clone(), unknown.path.to_string()))
        .collect();
    let [(subject, path)] = &unknown[..] else {
        panic!("{unknown:?}");
    };
    assert_eq!(
        (subject.as_str(), path.as_str()),
        ("web.clicks-value", "streams.clicks")
    );
    let found = plan_of(&pipeline).err().map(|d| shown(&d));
    assert_eq!(
        found.unwrap(),
        [
            "4:3 the columns of 'web.clicks' are those of its schema, which is not known (say them: columns: { id: BIGINT, \
             name: VARCHAR })"
        ]
    );

    let columns = Arc::new(Schema::new(vec![Field::new("url", DataType::Utf8, false)]));
    let schema = Arc::new(SchemaText {
        text: "{}".into(),
        referenced: Vec::new(),
    });
    pipeline.learn(subject, &schema, &columns);
    assert_eq!(pipeline.unknown_columns().count(), 0);
    let plan = plan_of(&pipeline).map_err(|d| shown(&d)).unwrap();
    assert_eq!(plan.sinks[0].inputs.len(), 2);
    assert_eq!(plan.avro, [], "what is only read needs no registration");
}

#[test]
fn a_name_for_a_topic_of_the_pipeline_asks_nobody() {
    let text = "version: 1\npipeline: shop\nstreams:\n  x: { topic: t, format: avro }\nsources:\n  \
                a: { type: tap, into: { topic: t, format: avro } }\nsinks:\n  k: { type: bucket, path: x, from: x }\n";
    assert_eq!(
        read(text)
            .map_err(|d| shown(&d))
            .unwrap()
            .unknown_columns()
            .count(),
        0
    );
    plan(text).map_err(|d| shown(&d)).unwrap();
}

#[test]
fn a_topic_has_one_format() {
    let text = "version: 1\npipeline: shop\nsources:\n  a: { type: tap, into: { topic: t, format: avro } }\n  \
                b: { type: tap, into: t }\n";
    assert_eq!(
        plan(text).err().map(|d| shown(&d)).unwrap(),
        [
            "5:25 the topic 't' is given another type by 'a': the formats differ (all that is written to one topic must have \
             the same columns and format)"
        ]
    );
}
