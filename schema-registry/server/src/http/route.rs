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

        ("POST", ["subjects", of, "versions", version, "tags"]) => {
            versions::tag(registry, call, &subject(of), version).await
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
        ("DELETE", ["mode"]) => mode::delete(registry, call, None).await,
        ("GET", ["mode", of]) => mode::get(registry, call, scope(of)),
        ("PUT", ["mode", of]) => mode::set(registry, call, scope(of)).await,
        ("DELETE", ["mode", of]) => mode::delete(registry, call, scope(of)).await,

        ("GET", ["contexts"]) => contexts::list(registry, call),
        ("DELETE", ["contexts", context]) => contexts::delete(registry, context).await,

        ("GET", []) => Ok(server::root()),
        ("GET", ["v1", "metadata", "id"]) => Ok(server::id()),
        ("GET", ["v1", "metadata", "version"]) => Ok(server::version()),
        ("GET", ["v1", "metadata", "deployment"]) => Ok(server::deployment()),

        (_, path) if !get && template(path).is_some() => {
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

/// A call for those who count: the method and the path, of which there are as many as there are calls.
pub(super) type Label = (&'static str, &'static str);

/// Of a request that is not understood.
pub(super) const UNREADABLE: Label = (OTHER, OTHER);
const OTHER: &str = "other";

pub(super) fn label(call: &Call<'_>) -> Label {
    let path: Vec<_> = call.path.iter().map(String::as_str).collect();
    let method = match call.method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => OTHER,
    };
    (method, template(&path).unwrap_or(OTHER))
}

/// Paths at which some method does something.
fn template(path: &[&str]) -> Option<&'static str> {
    Some(match path {
        [] => "/",
        ["schemas"] => "/schemas",
        ["schemas", "types"] => "/schemas/types",
        ["schemas", "ids", _] => "/schemas/ids/{id}",
        ["schemas", "ids", _, "schema"] => "/schemas/ids/{id}/schema",
        ["schemas", "ids", _, "subjects"] => "/schemas/ids/{id}/subjects",
        ["schemas", "ids", _, "versions"] => "/schemas/ids/{id}/versions",
        ["schemas", "guids", _] => "/schemas/guids/{guid}",
        ["schemas", "guids", _, "ids"] => "/schemas/guids/{guid}/ids",
        ["subjects"] => "/subjects",
        ["subjects", _] => "/subjects/{subject}",
        ["subjects", _, "metadata"] => "/subjects/{subject}/metadata",
        ["subjects", _, "versions"] => "/subjects/{subject}/versions",
        ["subjects", _, "versions", _] => "/subjects/{subject}/versions/{version}",
        ["subjects", _, "versions", _, "schema"] => "/subjects/{subject}/versions/{version}/schema",
        ["subjects", _, "versions", _, "referencedby"] => {
            "/subjects/{subject}/versions/{version}/referencedby"
        }
        ["subjects", _, "versions", _, "tags"] => "/subjects/{subject}/versions/{version}/tags",
        ["compatibility", "subjects", _, "versions"] => "/compatibility/subjects/{subject}/versions",
        ["compatibility", "subjects", _, "versions", _] => {
            "/compatibility/subjects/{subject}/versions/{version}"
        }
        ["config"] => "/config",
        ["config", _] => "/config/{subject}",
        ["mode"] => "/mode",
        ["mode", _] => "/mode/{subject}",
        ["contexts"] => "/contexts",
        ["contexts", _] => "/contexts/{context}",
        ["v1", "metadata", "id"] => "/v1/metadata/id",
        ["v1", "metadata", "version"] => "/v1/metadata/version",
        ["v1", "metadata", "deployment"] => "/v1/metadata/deployment",
        _ => return None,
    })
}
