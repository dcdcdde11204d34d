use serde_json::{Value, json};

use crate::support::Served;

const ORDER: &str =
    r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"}]}"#;

fn tags(kind: &str, path: &str, tags: &[&str]) -> Value {
    json!([{ "schemaEntity": {"entityPath": path, "entityType": kind}, "tags": tags }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_tags_is_a_new_version() {
    let registry = Served::start().await;
    registry.register("s", ORDER).await;
    let path = "/subjects/s/versions/latest/tags";
    let add = json!({"newVersion": 2, "tagsToAdd": tags("sr_field", "shop.Order.id", &["PII", "KEY"])});
    let answer = registry.ok("POST", path, Some(add)).await;
    assert_eq!((&answer["id"], &answer["version"]), (&json!(2), &json!(2)));
    assert_eq!(
        answer["schema"],
        ORDER.replace(
            r#""type":"string""#,
            r#""type":"string","confluent:tags":["PII","KEY"]"#
        )
    );
    assert_eq!(answer["metadata"]["properties"]["confluent:version"], "2");
    let change = json!({
        "tagsToAdd": tags("SR_RECORD", "shop.Order", &["GDPR"]),
        "tagsToRemove": tags("sr_field", "shop.Order.id", &["KEY"]),
        "metadata": {"properties": {"owner": "x"}},
        "rulesToMerge": {"domainRules": [{"name": "a", "type": "CEL"}, {"name": "b", "type": "CEL"}]},
        "rulesToRemove": ["a"],
    });
    let answer = registry.ok("POST", path, Some(change)).await;
    assert_eq!(answer["version"], 3);
    assert_eq!(
        answer["metadata"]["properties"],
        json!({"confluent:version": "3", "owner": "x"})
    );
    assert_eq!(answer["ruleSet"]["domainRules"].as_array().unwrap().len(), 1);
    assert_eq!(answer["ruleSet"]["domainRules"][0]["name"], "b");

    let all = [
        tags("sr_record", "shop.Order", &["GDPR"]),
        tags("sr_field", "shop.Order.id", &["PII"]),
    ];
    let all = json!([all[0][0], all[1][0]]);
    for path in ["/subjects/s/versions/latest", "/schemas/ids/3"] {
        let found = registry.get(&format!("{path}?findTags=*")).await;
        assert_eq!(found["schemaTags"], all, "{path}");
        let found = registry.get(&format!("{path}?findTags=PII&findTags=X")).await;
        assert_eq!(found["schemaTags"], json!([all[1]]), "{path}");
        assert_eq!(
            registry.get(&format!("{path}?findTags=X")).await["schemaTags"],
            json!([])
        );
        assert_eq!(registry.get(path).await.get("schemaTags"), None);
    }
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_cannot_be_tagged() {
    let registry = Served::start().await;
    let body = |version: i32, path: &str| json!({"newVersion": version, "tagsToAdd": tags("sr_field", path, &["T"])});
    let good = Some(body(2, "shop.Order.id"));
    registry
        .refused("POST", "/subjects/s/versions/1/tags", good.clone(), 40401)
        .await;
    registry.register("s", ORDER).await;
    registry
        .refused("POST", "/subjects/s/versions/2/tags", good.clone(), 40402)
        .await;
    registry
        .refused("POST", "/subjects/s/versions/x/tags", good, 42202)
        .await;
    let late = Some(body(1, "shop.Order.id"));
    registry
        .refused("POST", "/subjects/s/versions/1/tags", late, 42201)
        .await;
    let nowhere = Some(body(2, "shop.Order.name"));
    let message = registry
        .refused("POST", "/subjects/s/versions/1/tags", nowhere, 42201)
        .await;
    assert!(
        message.contains("No matching path 'shop.Order.name'"),
        "{message}"
    );
    let odd = Some(json!({"tagsToAdd": tags("table", "shop.Order", &["T"])}));
    let reply = registry.call("POST", "/subjects/s/versions/1/tags", odd).await;
    assert_eq!(reply.status / 100, 4, "{reply:?}");
    assert_eq!(registry.get("/subjects/s/versions").await, json!([1]));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_listed_by_the_types_of_their_rules() {
    let registry = Served::start().await;
    registry.register("plain", ORDER).await;
    let with_rule =
        json!({"schema": ORDER, "ruleSet": {"domainRules": [{"name": "a", "type": "CEL", "mode": "WRITE"}]}});
    registry
        .ok("POST", "/subjects/ruled/versions", Some(with_rule))
        .await;
    let subjects = |list: Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|version| version["subject"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(subjects(registry.get("/schemas?ruleType=CEL").await), ["ruled"]);
    assert!(subjects(registry.get("/schemas?ruleType=JSONATA").await).is_empty());
    assert_eq!(
        subjects(registry.get("/schemas?ruleType=").await),
        ["plain", "ruled"]
    );
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_go_with_those_of_all_subjects_within_if_that_is_asked_for() {
    let registry = Served::start().await;
    let set = async |of: &str| {
        let mode = Some(json!({"mode": "READONLY"}));
        registry.ok("PUT", &format!("/mode/{of}"), mode).await;
    };
    for of in [":.a:", ":.a:s", ":.a:t", ":.b:s", "s"] {
        set(of).await;
    }
    let answer = registry.ok("DELETE", "/mode/:.a:?recursive=true", None).await;
    assert_eq!(answer["mode"], "READONLY");
    for of in [":.a:", ":.a:s", ":.a:t"] {
        registry.refused("GET", &format!("/mode/{of}"), None, 40409).await;
    }
    registry.get("/mode/:.b:s").await;
    set(":.a:s").await;
    registry.ok("DELETE", "/mode/s?recursive=true", None).await;
    registry.get("/mode/:.a:s").await;
    registry.ok("DELETE", "/mode?recursive=true", None).await;
    for of in [":.a:s", ":.b:s"] {
        registry.refused("GET", &format!("/mode/{of}"), None, 40409).await;
    }
    registry.stop().await;
}
