//! An HTTP request as the node sees the network, as a value.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::Effect;
use crate::secret::Sealed;

/// HTTP methods that phoenix uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    Get,
    /// Read headers.
    Head,
    /// Create.
    Post,
    /// Replace.
    Put,
    /// Remove.
    Delete,
}

impl Method {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// Whom to believe over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// The node's own trust store.
    System,
    /// These roots (PEM) and no others.
    Roots(String),
    /// Anybody; the answer still carries the chain. Only to look, never to hand over a secret.
    Anybody,
}

/// One request. Redirects are never followed, cookies never kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute `http://` or `https://` URL.
    pub url: String,
    /// Connect here instead of where the URL's name resolves to; name checks stay with the URL.
    pub connect_to: Option<SocketAddr>,
    /// Headers; values may be secret.
    pub headers: Vec<(String, Sealed)>,
    /// Body.
    pub body: Option<Sealed>,
    /// Whom to believe.
    pub trust: Trust,
    /// Limit for the whole exchange.
    pub timeout: Duration,
    /// Read for GET and HEAD; a POST that only asks says so here.
    pub effect: Effect,
}

impl Request {
    /// A GET believing the system's roots, limited to 10 s.
    pub fn get(url: impl Into<String>) -> Request {
        Request {
            method: Method::Get,
            url: url.into(),
            connect_to: None,
            headers: Vec::new(),
            body: None,
            trust: Trust::System,
            timeout: Duration::from_secs(10),
            effect: Effect::Read,
        }
    }

    /// A POST of JSON text.
    pub fn post_json(url: impl Into<String>, body: Sealed) -> Request {
        Request {
            method: Method::Post,
            headers: vec![("content-type".to_owned(), Sealed::plain("application/json"))],
            body: Some(body),
            effect: Effect::Change,
            ..Request::get(url)
        }
    }

    /// The same request with other trust.
    pub fn trust(mut self, trust: Trust) -> Request {
        self.trust = trust;
        self
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.word(), self.url)
    }
}

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// The peer's certificates (DER), leaf first; empty without TLS.
    pub chain: Vec<Vec<u8>>,
}
