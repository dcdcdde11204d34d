//! A request taken apart: its path with contexts and aliases resolved, its parameters, its body.

use std::{borrow::Cow, collections::HashMap};

use axum::{
    extract::Query,
    http::{Method, StatusCode, request::Parts},
};
use millstream_schema_registry_core::{DEFAULT_CONTEXT, QualifiedSubject, names_a_context, normal_context};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::answer::Error;
use crate::Registry;

/// Deeper paths are nothing here.
const MAX_SEGMENTS: usize = 8;

pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// The path, decoded, without the context that it began with.
    pub(super) path: Vec<String>,
    query: HashMap<String, Vec<String>>,
    /// `.` unless the path began with one.
    context: String,
    body: &'a [u8],
}

impl<'a> Call<'a> {
    pub(super) fn of(registry: &Registry, parts: &Parts, body: &'a [u8]) -> Result<Self, Error> {
        let bad = |message: &str| Error::plain(StatusCode::BAD_REQUEST, message);
        let pairs = match parts.uri.query() {
            Some(_) => {
                Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
                    .map_err(|_| bad("the query is not valid"))?
                    .0
            }
            None => Vec::new(),
        };
        let mut query: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in pairs {
            query.entry(name).or_default().push(value);
        }
        let path = segments(parts.uri.path())?;
        let method = match parts.method {
            Method::HEAD => Method::GET,
            ref other => other.clone(),
        };
        let mut call = Self {
            method,
            path,
            query,
            context: DEFAULT_CONTEXT.to_owned(),
            body,
        };
        call.enter_context()?;
        call.resolve_alias(registry);
        Ok(call)
    }

    /// `/contexts/staging/subjects/orders` is `/subjects/:.staging:orders`.
    fn enter_context(&mut self) -> Result<(), Error> {
        if self.path.first().map(String::as_str) != Some("contexts") || self.path.len() < 3 {
            return Ok(());
        }
        let bad = || Error::plain(StatusCode::BAD_REQUEST, "Context name cannot contain a colon");
        self.context = normal_context(&self.path[1]).ok_or_else(bad)?;
        self.path.drain(..2);
        let is_setting = matches!(self.path.first().map(String::as_str), Some("config" | "mode"));
        let all = QualifiedSubject::of_context(&self.context);
        if is_setting && self.path.len() == 1 && !all.as_str().is_empty() {
            self.path.push(all.to_string());
        }
        if let Some(at) = self.subject_place()
            && !names_a_context(&self.path[at])
        {
            self.path[at] = QualifiedSubject::within(&self.context, &self.path[at]).to_string();
        }
        Ok(())
    }

    /// Where the path has a subject.
    fn subject_place(&self) -> Option<usize> {
        let names: Vec<_> = self.path.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["subjects" | "config" | "mode", _, ..] => Some(1),
            ["compatibility", "subjects", _, ..] => Some(2),
            _ => None,
        }
    }

    /// A subject that is another name of one: what is asked for it is answered for that one. Its settings are its own.
    fn resolve_alias(&mut self, registry: &Registry) {
        let is_setting = matches!(self.path.first().map(String::as_str), Some("config" | "mode"));
        if let Some(at) = self.subject_place().filter(|_| !is_setting)
            && let Some(target) = alias(registry, &self.path[at])
        {
            self.path[at] = target;
        }
    }

    /// The subject that the call names beside the path, within the context of the path.
    pub(super) fn subject_parameter(&self, registry: &Registry) -> QualifiedSubject {
        let text = self.text("subject").unwrap_or_default();
        let text = self.within_context(text);
        match alias(registry, &text) {
            Some(target) => QualifiedSubject::new(&target),
            None => QualifiedSubject::new(&text),
        }
    }

    /// A subject or a prefix of subjects, within the context of the path unless it names one.
    pub(super) fn within_context<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if names_a_context(text) || self.context == DEFAULT_CONTEXT {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(QualifiedSubject::within(&self.context, text).to_string())
        }
    }

    pub(super) fn is_in_a_context(&self) -> bool {
        self.context != DEFAULT_CONTEXT
    }

    /// The value of a parameter; of several, the first.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).first().map(String::as_str)
    }

    pub(super) fn texts(&self, name: &str) -> &[String] {
        self.query.get(name).map_or(&[], Vec::as_slice)
    }

    /// Anything but `true` is not.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Error> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().map_err(|_| Error::not_found()))
            .transpose()
    }

    /// Which part of a listing is wanted: that many are left out, and that many at most are shown.
    pub(super) fn page(&self, most: usize) -> Result<(usize, usize), Error> {
        let offset = self
            .number("offset")?
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(0);
        let limit = self.number("limit")?.and_then(|n| usize::try_from(n).ok());
        let limit = limit.filter(|limit| (1..=most).contains(limit)).unwrap_or(most);
        Ok((offset, limit))
    }

    /// The body as that type of request.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.body.is_empty() {
            let message = "the request must not be null";
            return Err(Error::plain(StatusCode::UNPROCESSABLE_ENTITY, message));
        }
        // Arrays would be taken for objects, member by member.
        let first = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            return Err(Error::plain(
                StatusCode::BAD_REQUEST,
                "the request must be an object",
            ));
        }
        let value: Option<T> = serde_json::from_slice(self.body)
            .map_err(|error| Error::plain(StatusCode::BAD_REQUEST, error.to_string()))?;
        value.ok_or_else(|| Error::plain(StatusCode::UNPROCESSABLE_ENTITY, "the request must not be null"))
    }
}

fn segments(path: &str) -> Result<Vec<String>, Error> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let decoded = parts.map(|part| percent_decode_str(part).decode_utf8().map(Cow::into_owned));
    let decoded: Result<Vec<_>, _> = decoded.take(MAX_SEGMENTS + 1).collect();
    let decoded = decoded.map_err(|_| Error::plain(StatusCode::BAD_REQUEST, "the path is not UTF-8"))?;
    if decoded.len() > MAX_SEGMENTS {
        return Err(Error::not_found());
    }
    Ok(decoded)
}

fn alias(registry: &Registry, subject: &str) -> Option<String> {
    if subject.is_empty() {
        return None;
    }
    let subject = QualifiedSubject::new(subject);
    registry.read(|state| {
        let target = state.config(Some(&subject))?.alias.as_deref()?;
        Some(subject.sibling(target).to_string())
    })
}
