use axum::http::{Method, StatusCode};
use millstream_schema_registry_core::QualifiedSubject;

use super::{
    answer::{Answer, Error},
    call::Call,
    compatibility, config, contexts, mode, schemas, server, subjects, versions,
};
use crate::Registry;

/// Every call there is.
pub(super) async fn route(registry: &Registry, call: &Call<'_>) -> Result<Answer, Error> {
    let path: Vec<_> = call.path.iter().map(String::as_str).collect();
    let get = call.method == Method::GET;
    let subject = |text: &str| QualifiedSubject::new(text);
    match (call.method.as_str(), path.as_slice()) {
        ("GET", ["schemas", "ids", id]) => schemas::by_id(registry, call, id).await,
        ("GET", ["schemas", "ids", id, "schema"]) => schemas::text_by_id(registry, call, id),
        ("GET", ["schemas", "ids", id, "subjects"]) => schemas::subjects_of_id(registry, call, id),
        ("GET", ["schemas", "ids", id, "versions"]) => schemas::versions_of_id(registry, call, id),
        ("GET", ["schemas", "guids", guid]) => schemas::by_guid(registry, call, guid),
        ("GET", ["schemas", "guids", guid, "ids"]) => schemas::ids_of_guid(registry, guid),
        ("GET", ["schemas", "types"]) => Ok(schemas::types()),
        ("GET", ["schemas"]) => schemas::list(registry, call),

        ("GET", ["subjects"]) => subjects::list(registry, call),
        ("POST", ["subjects", of]) => subjects::look_up(registry, call, &subject(of)),
        ("DELETE", ["subjects", of]) => subjects::delete(registry, call, &subject(of)).await,
        ("GET", ["subjects", of, "metadata"]) => subjects::with_metadata(registry, call, &subject(of)),

        ("GET", ["subjects", of, "versions"]) => versions::list(registry, call, &subject(of)),
        ("POST", ["subjects", of, "versions"]) => versions::register(registry, call, &subject(of)).await,
        ("GET", ["subjects", of, "versions", version]) => {
            versions::get(registry, call, &subject(of), version)
        }
        ("DELETE", ["subjects", of, "versions", version]) => {
            versions::delete(registry, call, &subject(of), version).await
        }
        ("GET", ["subjects", of, "versions", version, "schema"]) => {
            versions::text(registry, call, &subject(of), version)
        }
        ("GET", ["subjects", of, "versions", version, "referencedby"]) => {
            versions::referrers(registry, call, &subject(of), version)
        }

        ("POST", ["compatibility", "subjects", of, "versions"]) => {
            compatibility::with_history(registry, call, &subject(of))
        }
        ("POST", ["compatibility", "subjects", of, "versions", version]) => {
            compatibility::with_version(registry, call, &subject(of), version)
        }

        ("GET", ["config"]) => config::get(registry, call, None),
        ("PUT", ["config"]) => config::set(registry, call, None).await,
        ("DELETE", ["config"]) => config::delete(registry, None).await,
        ("GET", ["config", of]) => config::get(registry, call, scope(of)),
        ("PUT", ["config", of]) => config::set(registry, call, scope(of)).await,
        ("DELETE", ["config", of]) => config::delete(registry, scope(of)).await,

        ("GET", ["mode"]) => mode::get(registry, call, None),
        ("PUT", ["mode"]) => mode::set(registry, call, None).await,
        ("DELETE", ["mode"]) => mode::delete(registry, None).await,
        ("GET", ["mode", of]) => mode::get(registry, call, scope(of)),
        ("PUT", ["mode", of]) => mode::set(registry, call, scope(of)).await,
        ("DELETE", ["mode", of]) => mode::delete(registry, scope(of)).await,

        ("GET", ["contexts"]) => contexts::list(registry, call),
        ("DELETE", ["contexts", context]) => contexts::delete(registry, context).await,

        ("GET", []) => Ok(server::root()),
        ("GET", ["v1", "metadata", "id"]) => Ok(server::id()),
        ("GET", ["v1", "metadata", "version"]) => Ok(server::version()),
        ("GET", ["v1", "metadata", "deployment"]) => Ok(server::deployment()),

        (_, path) if !get && is_known(path) => {
            let message = "HTTP 405 Method Not Allowed";
            Err(Error::plain(StatusCode::METHOD_NOT_ALLOWED, message))
        }
        _ => Err(Error::not_found()),
    }
}

/// The default context spelled out is the whole registry.
fn scope(of: &str) -> Option<QualifiedSubject> {
    let subject = QualifiedSubject::new(of);
    let is_all = of.starts_with(":.") && subject.as_str().is_empty();
    (!is_all).then_some(subject)
}

/// Whether some method does something there.
fn is_known(path: &[&str]) -> bool {
    matches!(
        path,
        [] | ["schemas" | "subjects" | "config" | "mode" | "contexts"]
            | ["schemas", "types"]
            | ["schemas", "ids" | "guids", _]
            | ["schemas", "ids", _, "schema" | "subjects" | "versions"]
            | ["schemas", "guids", _, "ids"]
            | ["subjects" | "config" | "mode" | "contexts", _]
            | ["subjects", _, "metadata" | "versions"]
            | ["subjects", _, "versions", _]
            | ["subjects", _, "versions", _, "schema" | "referencedby"]
            | ["compatibility", "subjects", _, "versions"]
            | ["compatibility", "subjects", _, "versions", _]
            | ["v1", "metadata", "id" | "version" | "deployment"]
    )
}
