//! Schemas as pipelines ask for them, without HTTP.

use millstream_schema_registry_server::{AvroSchemas, RegistryError, SchemaText};
use millstream_types::{SchemaId, Subject};
use uuid::Uuid;

use crate::support::Served;

fn subject() -> Subject {
    Subject::new("orders-value").unwrap()
}

fn order(fields: &str) -> SchemaText {
    SchemaText::new(format!(
        r#"{{"type":"record","name":"Order","fields":[{fields}]}}"#
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_registered_found_and_compared() {
    let served = Served::start().await;
    let schemas = AvroSchemas::of(served.registry.clone());
    let (id, city) = (
        r#"{"name":"id","type":"long"}"#,
        r#"{"name":"city","type":"string","default":""}"#,
    );
    let (first, second) = (order(id), order(&format!("{id},{city}")));
    assert_eq!(schemas.latest(&subject()), Ok(None));
    assert_eq!(schemas.lookup(&subject(), &first), Ok(None));
    assert_eq!(schemas.check(&subject(), &first), Ok(vec![]));
    let registered = schemas.register(&subject(), &first).await.unwrap();
    assert_eq!((registered.id, registered.version), (SchemaId(1), 1));
    assert_eq!(
        schemas.register(&subject(), &first).await.as_ref(),
        Ok(&registered)
    );
    assert_eq!(schemas.lookup(&subject(), &first), Ok(Some(registered)));

    assert_eq!(schemas.check(&subject(), &second), Ok(vec![]));
    let registered = schemas.register(&subject(), &second).await.unwrap();
    assert_eq!(schemas.latest(&subject()), Ok(Some(registered)));
    assert_eq!(schemas.by_id(SchemaId(2)).await.unwrap().text, second.text);

    let guid = served.get("/schemas/ids/2").await["guid"].to_string();
    let guid = Uuid::parse_str(guid.trim_matches('"')).unwrap();
    let found = schemas.by_guid(guid.into_bytes()).await.unwrap();
    assert_eq!(found.unwrap().text, second.text);

    let bad = order(r#"{"name":"must","type":"int"}"#);
    let findings = schemas.check(&subject(), &bad).unwrap();
    assert!(
        findings[0].contains("READER_FIELD_MISSING_DEFAULT_VALUE"),
        "{findings:?}"
    );
    let refused = schemas.register(&subject(), &bad).await.unwrap_err();
    assert!(
        matches!(&refused, RegistryError::Incompatible { .. }),
        "{refused:?}"
    );
    assert!(!refused.is_retriable());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_or_a_guid_that_is_not_there_is_said_to_be() {
    let served = Served::start().await;
    let schemas = AvroSchemas::of(served.registry.clone());
    let id = SchemaId(7);
    assert_eq!(schemas.by_id(id).await, Err(RegistryError::UnknownId { id }));
    assert_eq!(schemas.by_guid([7; 16]).await, Ok(None));
    served.stop().await;
}
