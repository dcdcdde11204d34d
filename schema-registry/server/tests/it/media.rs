use serde_json::json;

use crate::support::{Served, V1};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_type_it_accepts() {
    let registry = Served::start().await;
    for (accept, media) in [
        ("*/*", V1),
        ("application/json", "application/json"),
        (
            "application/vnd.schemaregistry+json",
            "application/vnd.schemaregistry+json",
        ),
        (
            "application/vnd.schemaregistry.v1+json, application/json; q=0.9, */*; q=0.8",
            V1,
        ),
    ] {
        let reply = registry
            .send("GET", "/subjects", &[("Accept", accept)], Vec::new())
            .await;
        assert_eq!((reply.status, reply.media.as_str()), (200, media), "{accept}");
    }
    let reply = registry
        .send("GET", "/subjects", &[("Accept", "text/html")], Vec::new())
        .await;
    assert_eq!(reply.status, 406);
    assert_eq!(reply.json()["error_code"], 406);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_other_types_are_not_taken() {
    let registry = Served::start().await;
    let body = || json!({"schema": "\"int\""}).to_string().into_bytes();
    for media in [
        V1,
        "application/vnd.schemaregistry+json",
        "application/json; charset=utf-8",
        "application/octet-stream",
    ] {
        let reply = registry
            .send("POST", "/subjects/s/versions", &[("Content-Type", media)], body())
            .await;
        assert_eq!(reply.status, 200, "{media}: {reply:?}");
    }
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
    ] {
        let reply = registry
            .send("POST", "/subjects/s/versions", &[("Content-Type", media)], body())
            .await;
        assert_eq!(
            (reply.status, reply.json()["error_code"].clone()),
            (415, json!(415)),
            "{media}"
        );
    }
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_answers_what_get_does_without_the_body() {
    let registry = Served::start().await;
    registry.register("s", "\"int\"").await;
    let reply = registry
        .send("HEAD", "/subjects/s/versions/1", &[], Vec::new())
        .await;
    assert_eq!(
        (reply.status, reply.text.as_str(), reply.media.as_str()),
        (200, "", V1)
    );
    let reply = registry
        .send("HEAD", "/subjects/s/versions/2", &[], Vec::new())
        .await;
    assert_eq!((reply.status, reply.text.as_str()), (404, ""));
    registry.stop().await;
}
