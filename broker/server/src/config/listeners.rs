//! `listeners` and `advertised.listeners`: `NAME://host:port`, separated by commas.

use std::fmt;

/// One place to listen, or to be found at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case.
    pub name: String,
    /// Empty: all interfaces.
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// Reads a list; the error is the part that is none.
    pub(super) fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| Self::parse(part).ok_or_else(|| part.to_owned()))
            .collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, address) = text.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!name.is_empty()).then_some(Self {
            name: name.to_ascii_uppercase(),
            host: host.into(),
            port: port.parse().ok()?,
        })
    }

    /// `host:port`, as sockets want it.
    pub fn address(&self) -> String {
        match self.host.as_str() {
            "" => format!("0.0.0.0:{}", self.port),
            host if host.contains(':') => format!("[{host}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.address())
    }
}
