//! The REST interface, as Confluent's: paths, parameters, bodies, error codes.
//!
//! [`route`] is the table of all calls; a file of its own has each resource. A request is taken apart once
//! ([`call`]), its context and its alias put into the subject as Confluent's filters do; the resource answers ([`answer`]).
//! Bodies are bounded, JSON has at most 128 levels, connections are bounded in number and in how long they may say
//! nothing ([`serve`]).

mod answer;
mod body;
mod call;
mod compatibility;
mod config;
mod contexts;
mod media;
mod mode;
mod route;
mod schemas;
mod serve;
mod server;
mod subjects;
mod versions;
mod view;

use std::time::Instant;

use axum::{Router, extract::Request, extract::State as Held, http::Method, response::Response};

pub use serve::{RegistryPort, serve};

use crate::Registry;
use answer::Answer;
use call::Call;

/// The interface as a service, for whoever has a listener.
pub fn router(registry: Registry) -> Router {
    Router::new().fallback(handle).with_state(registry)
}

async fn handle(Held(registry): Held<Registry>, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let mut label = None;
    let answer = match media::wanted(&parts.headers) {
        Some(media) => respond(&registry, &parts, body, &mut label).await.in_media(media),
        None => Answer::not_acceptable(),
    };
    let (status, took) = (answer.status(), began.elapsed());
    let (method, path) = label.unwrap_or(route::UNREADABLE);
    registry.metrics().answered(method, path, status, took);
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (method, path) = (&parts.method, parts.uri.path());
    // Reads of serializers are thousands a second; what changes something, or fails, is told.
    let is_quiet = status < 400 && (method == Method::GET || is_head);
    if is_quiet {
        tracing::debug!(%method, path, status, took_us, "request");
    } else {
        tracing::info!(%method, path, status, took_us, "request");
    }
    answer.into_response(is_head)
}

/// `label`: which call it is, as soon as that is known.
async fn respond(
    registry: &Registry,
    parts: &axum::http::request::Parts,
    body: axum::body::Body,
    label: &mut Option<route::Label>,
) -> Answer {
    let body = match body::read(parts, body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match Call::of(registry, parts, &body) {
        Ok(call) => {
            *label = Some(route::label(&call));
            route::route(registry, &call).await.unwrap_or_else(Answer::from)
        }
        Err(error) => Answer::from(error),
    }
}
