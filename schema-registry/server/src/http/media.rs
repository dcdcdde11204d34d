//! Which type of JSON a client wants and sends.

use axum::http::{HeaderMap, header};

const V1: &str = "application/vnd.schemaregistry.v1+json";
const ANY_VERSION: &str = "application/vnd.schemaregistry+json";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// The types of answers, in the order of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Media {
    #[default]
    V1,
    AnyVersion,
    Json,
}

impl Media {
    /// With what counts between equal wishes.
    const ALL: [(Self, f32); 3] = [(Self::V1, 1.0), (Self::AnyVersion, 0.9), (Self::Json, 0.5)];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1 => V1,
            Self::AnyVersion => ANY_VERSION,
            Self::Json => JSON,
        }
    }
}

/// The best type that is accepted, if one is.
pub(super) fn wanted(headers: &HeaderMap) -> Option<Media> {
    let mut accepts = headers.get_all(header::ACCEPT).iter().peekable();
    if accepts.peek().is_none() {
        return Some(Media::default());
    }
    let ranges = accepts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let ranges: Vec<_> = ranges.map(Range::of).collect();
    let weigh = |(media, weight): (Media, f32)| {
        let of_type = ranges.iter().filter(|range| range.accepts(media.name()));
        let quality = of_type.max_by_key(|range| range.precision())?.quality;
        (quality > 0.0).then_some((media, quality * weight))
    };
    let best = Media::ALL.into_iter().filter_map(weigh);
    best.reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(media, _)| media)
}

/// One part of an `Accept` header.
struct Range<'a> {
    media: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    fn of(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        Self {
            media,
            quality: quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)),
        }
    }

    fn accepts(&self, media: &str) -> bool {
        matches!(self.media, "*/*" | "application/*" | "*") || self.media.eq_ignore_ascii_case(media)
    }

    fn precision(&self) -> u8 {
        match self.media {
            "*/*" | "*" => 0,
            "application/*" => 1,
            _ => 2,
        }
    }
}

/// Whether a body of that type is taken for JSON. Without a type it is bytes, which are.
pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let media = value.to_str().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    [V1, ANY_VERSION, JSON, BYTES]
        .iter()
        .any(|taken| media.eq_ignore_ascii_case(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Option<Media>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        assert_eq!(wanted(&headers), expected, "{accept}");
    }

    #[test]
    fn the_best_type_that_is_accepted_is_taken() {
        assert_eq!(wanted(&HeaderMap::new()), Some(Media::V1));
        check("*/*", Some(Media::V1));
        check("application/json", Some(Media::Json));
        check("application/json, */*;q=0.1", Some(Media::Json));
        check(
            "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json",
            Some(Media::V1),
        );
        check(
            "application/vnd.schemaregistry.v1+json;q=0.1, application/json",
            Some(Media::Json),
        );
        check("application/vnd.schemaregistry+json", Some(Media::AnyVersion));
        check("text/html, application/*;q=0.8", Some(Media::V1));
        check(
            "application/*, application/vnd.schemaregistry.v1+json;q=0",
            Some(Media::AnyVersion),
        );
        check("text/html", None);
        check("", None);
        check("application/json;q=0", None);
        check("application/json;q=x", None);
    }
}
