//! What a registry says of itself.

use serde_json::json;

use super::answer::Answer;

pub(super) fn root() -> Answer {
    Answer::json(&json!({}))
}

pub(super) fn id() -> Answer {
    Answer::json(&json!({
        "id": "",
        "scope": { "path": [], "clusters": { "schema-registry-cluster": "millstream" } },
    }))
}

pub(super) fn version() -> Answer {
    Answer::json(&json!({ "version": env!("CARGO_PKG_VERSION"), "commitId": "" }))
}

pub(super) fn deployment() -> Answer {
    Answer::json(&json!({ "attributes": ["deploymentScope:opensource"] }))
}
