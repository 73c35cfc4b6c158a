//! The secret store: one file per secret on the node, readable by root alone.
//!
//! A secret is looked for in the environment of phoenix (`PHOENIX_SECRET_NAME`), among its systemd credentials, where the
//! configuration declares it, and in the store, in this order. Only the store is ever written to, and what is in it is
//! never overwritten.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};

use super::error::MachineError;
use super::provisioner::ProvisionerKey;
use crate::host::HostHandle;
use crate::model::{SecretRef, SecretSource};
use crate::op::{Attributes, Content, Op, OpError, OpResult, OpValue, Place};
use crate::secret::{Sealed, SecretName};

/// Where secrets are kept on the node.
pub const SECRETS_DIR: &str = "/var/lib/phoenix/secrets";

/// Largest secret: a key with its chain, not data.
const LIMIT: u64 = 64 * 1024;

/// A place outside of the store that may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This variable of the environment.
    Environment(String),
    /// The systemd credential of this name (`$CREDENTIALS_DIRECTORY/NAME`).
    Credential(String),
}

/// Looks into the environment and the credentials of the process: given by whoever may.
pub type Outside = Arc<dyn Fn(&Origin) -> Option<String> + Send + Sync>;

/// What a generated secret is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generate {
    /// Number of characters.
    pub length: usize,
    /// ASCII characters, each as likely as the others.
    pub charset: String,
}

impl Default for Generate {
    /// 32 letters and digits: 190 bits, and safe in any kind of file.
    fn default() -> Generate {
        let charset = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".to_owned();
        Generate { length: 32, charset }
    }
}

impl Generate {
    /// As many letters and digits as hold the randomness of so many bytes.
    fn bytes(bytes: u32) -> Generate {
        // A letter or digit of 62 holds a little more than 5 bits.
        Generate { length: (bytes as usize * 8).div_ceil(5), ..Generate::default() }
    }
}

/// The secret store of one node, as one actor reaches it. Clones know of each other's new secrets.
#[derive(Clone)]
pub struct SecretStore {
    host: HostHandle,
    outside: Outside,
    /// Where the configuration says that secrets are, by name.
    declared: Arc<BTreeMap<String, SecretSource>>,
    /// Made in this run: two guests that ask for the same new secret at once get the same one.
    made: Arc<Mutex<BTreeMap<String, Sealed>>>,
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretStore").finish_non_exhaustive()
    }
}

impl SecretStore {
    /// The store of the node that `host` reaches.
    pub fn new(host: HostHandle, outside: Outside) -> SecretStore {
        SecretStore { host, outside, declared: Arc::default(), made: Arc::default() }
    }

    /// The same store, with what the configuration declares.
    pub fn declared(self, sources: BTreeMap<String, SecretSource>) -> SecretStore {
        SecretStore { declared: Arc::new(sources), ..self }
    }

    /// The same store as another actor reaches it.
    pub fn through(&self, host: HostHandle) -> SecretStore {
        SecretStore { host, ..self.clone() }
    }

    /// A secret that must exist, or that the configuration declares as generated.
    ///
    /// # Errors
    /// [`MachineError::Secret`] when it is nowhere, or its name is none.
    pub fn get(&self, name: &SecretName) -> Result<Sealed, MachineError> {
        if let Some(SecretSource::Generate(bytes)) = self.declared.get(&name.0) {
            return self.get_or_generate(name, &Generate::bytes(*bytes));
        }
        self.find(name)?.ok_or_else(|| {
            let hint = match self.declared.get(&name.0) {
                Some(source) => format!("the configuration says that it is in {}", place(source)),
                None => format!(
                    "write it to {} on the node (mode 0600), or set {} in the environment",
                    path(name),
                    variable(&name.0)
                ),
            };
            MachineError::Secret { name: name.clone(), reason: "is not known".to_owned(), hint: Some(hint) }
        })
    }

    /// A secret that is made and kept if it is nowhere.
    ///
    /// # Errors
    /// As [`SecretStore::get`], and when it cannot be written or what is asked for is too weak to be a secret.
    pub fn get_or_generate(&self, name: &SecretName, generate: &Generate) -> Result<Sealed, MachineError> {
        self.get_or_make(name, || generated(generate).map_err(|reason| refused(name, reason)))
    }

    /// The key that vouches for phoenix at the certificate authority; made on first use.
    ///
    /// # Errors
    /// As [`SecretStore::get_or_generate`], and when the secret `provisioner` holds something else.
    pub fn provisioner_key(&self) -> Result<ProvisionerKey, MachineError> {
        let name = SecretName("provisioner".to_owned());
        let pem = self.get_or_make(&name, || ProvisionerKey::generate().map_err(|reason| refused(&name, reason)))?;
        ProvisionerKey::parse(&pem).map_err(|reason| refused(&name, reason))
    }

    fn find(&self, name: &SecretName) -> Result<Option<Sealed>, MachineError> {
        checked(name)?;
        let origins = [Origin::Environment(variable(&name.0)), Origin::Credential(name.0.clone())];
        let value = match (origins.iter().find_map(|origin| (self.outside)(origin)), self.declared.get(&name.0)) {
            (Some(value), _) => Some(value),
            (None, Some(SecretSource::File(path))) => self.read(name, path)?,
            (None, Some(SecretSource::Env(variable))) => (self.outside)(&Origin::Environment(variable.clone())),
            (None, Some(SecretSource::Credential(credential))) => {
                (self.outside)(&Origin::Credential(credential.clone()))
            }
            (None, Some(SecretSource::Generate(_)) | None) => self.read(name, &path(name))?,
        };
        match value.as_deref().map(|value| value.strip_suffix('\n').unwrap_or(value)) {
            Some("") => Err(refused(name, "is empty")),
            Some(value) => Ok(Some(Sealed::named(name, value))),
            None => Ok(self.made().get(&name.0).cloned()),
        }
    }

    fn read(&self, name: &SecretName, path: &str) -> Result<Option<String>, MachineError> {
        match self.perform(&[Op::Read { path: path.to_owned(), limit: LIMIT }])?.pop() {
            Some(OpValue::Bytes(None)) => Ok(None),
            Some(OpValue::Bytes(Some(bytes))) => {
                // The error of a failed conversion would hold the bytes.
                String::from_utf8(bytes).map(Some).map_err(|_| refused(name, "is no UTF-8 text"))
            }
            _ => Err(refused(name, "the node gave another answer than asked for")),
        }
    }

    fn get_or_make(
        &self,
        name: &SecretName,
        make: impl FnOnce() -> Result<String, MachineError>,
    ) -> Result<Sealed, MachineError> {
        if let Some(found) = self.find(name)? {
            return Ok(found);
        }
        match self.declared.get(&name.0) {
            None | Some(SecretSource::Generate(_)) => {}
            Some(source) => {
                return Err(refused(
                    name,
                    format!("is not in {}, where the configuration says that it is", place(source)),
                ));
            }
        }
        let new = Sealed::named(name, make()?);
        let kept = self.made().entry(name.0.clone()).or_insert(new).clone();
        let attributes =
            |mode| Attributes { mode: Some(mode), owner: Some("root".to_owned()), group: Some("root".to_owned()) };
        self.perform(&[
            Op::MakeDir { path: SECRETS_DIR.to_owned(), attributes: attributes(0o700) },
            Op::Write {
                path: path(name),
                content: Content::Text(kept.clone()),
                attributes: attributes(0o600),
                guard: None,
            },
        ])?;
        Ok(kept)
    }

    /// Never held across a call of the host: a parked actor must not keep others out.
    fn made(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Sealed>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, ops: &[Op]) -> Result<Vec<OpValue>, MachineError> {
        let results = self.host.perform(Place::Node, ops)?;
        let failed = |(op, result): (&Op, OpResult)| {
            result.map_err(|source: OpError| MachineError::Op { op: op.to_string(), source })
        };
        ops.iter().zip(results).map(failed).collect()
    }
}

fn path(name: &SecretName) -> String {
    format!("{SECRETS_DIR}/{}", name.0)
}

/// Where a declared secret is, for people.
fn place(source: &SecretSource) -> String {
    match source {
        SecretSource::File(path) => format!("{path} on the node"),
        SecretSource::Env(variable) => format!("the variable {variable} of the environment"),
        SecretSource::Credential(name) => format!("the systemd credential {name}"),
        SecretSource::Generate(_) => "the store".to_owned(),
    }
}

fn variable(name: &str) -> String {
    let upper = |byte: char| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { '_' };
    format!("PHOENIX_SECRET_{}", name.chars().map(upper).collect::<String>())
}

fn refused(name: &SecretName, reason: impl Into<String>) -> MachineError {
    MachineError::Secret { name: name.clone(), reason: reason.into(), hint: None }
}

fn checked(name: &SecretName) -> Result<(), MachineError> {
    match SecretRef::new(name.0.clone()) {
        Some(_) => Ok(()),
        None => Err(refused(name, "is no secret name: letters, digits, `_`, `-` and `.`, a letter or digit first")),
    }
}

fn generated(generate: &Generate) -> Result<String, String> {
    let charset = generate.charset.as_bytes();
    let bits = (charset.len() as f64).log2() * generate.length as f64;
    if !generate.charset.is_ascii() || charset.is_empty() || bits < 64.0 {
        return Err(
            "what is to be generated has less than 64 bits of randomness, or characters beyond ASCII".to_owned()
        );
    }
    // Bytes beyond the last whole multiple of the charset would make its first characters more likely.
    let limit = 256 - 256 % charset.len();
    let random = SystemRandom::new();
    let mut text = String::with_capacity(generate.length);
    let mut bytes = [0u8; 64];
    while text.len() < generate.length {
        random.fill(&mut bytes).map_err(|_| "the system gives no randomness".to_owned())?;
        let usable = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < limit);
        text.extend(usable.take(generate.length - text.len()).map(|byte| char::from(charset[byte % charset.len()])));
    }
    Ok(text)
}
