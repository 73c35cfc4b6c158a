//! Opaque values: they can be carried and handed over, but not shown.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// The name of a secret in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SecretName(pub String);

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<secret {}>", self.0)
    }
}

/// Text that may contain secrets: the real text, and the same text as it may be shown.
#[derive(Clone)]
pub struct Sealed {
    real: Arc<SecretString>,
    shown: Arc<str>,
}

impl Sealed {
    /// Text with secrets in it, and what stands for it in plans, logs and diffs.
    pub fn new(real: impl Into<String>, shown: impl Into<Arc<str>>) -> Sealed {
        Sealed { real: Arc::new(SecretString::from(real.into())), shown: shown.into() }
    }

    /// The secret itself, named.
    pub fn named(name: &SecretName, value: impl Into<String>) -> Sealed {
        Sealed::new(value, name.to_string())
    }

    /// Text without any secret.
    pub fn plain(text: impl Into<String>) -> Sealed {
        let text = text.into();
        Sealed { shown: text.as_str().into(), real: Arc::new(SecretString::from(text)) }
    }

    /// The real text. Only for handing it to the machine, a request or the store.
    pub fn expose(&self) -> &str {
        self.real.expose_secret()
    }

    /// The text as it may be shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it holds anything that may not be shown.
    pub fn is_secret(&self) -> bool {
        self.expose() != self.shown()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({:?})", self.shown)
    }
}

impl PartialEq for Sealed {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Sealed {}
