//! What the server keeps in its data directory.

use serde::{Deserialize, Serialize};

use crate::sandbox::body::sha256;
use crate::sandbox::programs::Inside;

/// Everything that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Data {
    /// Names this database.
    pub instance: String,
    /// Version that wrote it.
    pub version: String,
    /// Signs the tokens of sessions.
    pub key: String,
    pub users: Vec<User>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct User {
    pub id: u64,
    pub name: String,
    /// The password, hashed.
    pub password: String,
    /// 1: administrator, 2: ordinary.
    pub role: u64,
}

impl Data {
    /// Opens the database as a start does: made if there is none, an administrator in it if one is given and there is
    /// none.
    ///
    /// # Errors
    /// The server's words about a database that a later version wrote.
    pub fn open(
        inside: &mut dyn Inside,
        directory: &str,
        version: &str,
        password: Option<String>,
    ) -> Result<Data, String> {
        let mut data = match Data::read(inside, directory) {
            Some(data) if ordered(&data.version) > ordered(version) => {
                return Err(format!(
                    "The database schema version does not align with the server version. Please consider reverting to the \
                     previous server version or addressing the database migration issue. (database {}, server {version})",
                    data.version
                ));
            }
            Some(data) => data,
            None => {
                let identity = inside.identity();
                let seed = format!("{} {} {directory}", identity.name, identity.now);
                let digest = sha256(format!("instance {seed}").as_bytes());
                let parts = [&digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]];
                let key = sha256(format!("key {seed}").as_bytes());
                Data { instance: parts.join("-"), version: String::new(), key, users: Vec::new() }
            }
        };
        version.clone_into(&mut data.version);
        if let Some(password) = password.filter(|_| !data.has_administrator()) {
            data.add_administrator("admin", password);
        }
        data.keep(inside, directory)?;
        Ok(data)
    }

    /// What is kept; none before the first start.
    pub fn read(inside: &mut dyn Inside, directory: &str) -> Option<Data> {
        serde_json::from_str(&inside.text(&path(directory))?).ok()
    }

    /// # Errors
    /// The machine's words.
    pub fn keep(&self, inside: &mut dyn Inside, directory: &str) -> Result<(), String> {
        if Data::read(inside, directory).as_ref() == Some(self) {
            return Ok(());
        }
        inside.write(&path(directory), 0o600, &serde_json::to_string(self).unwrap_or_default())
    }

    pub fn has_administrator(&self) -> bool {
        self.users.iter().any(|user| user.role == 1)
    }

    /// Makes the first administrator; answers it.
    pub fn add_administrator(&mut self, name: &str, password: String) -> User {
        let id = self.users.iter().map(|user| user.id).max().unwrap_or_default() + 1;
        let user = User { id, name: name.to_owned(), password, role: 1 };
        self.users.push(user.clone());
        user
    }
}

fn path(directory: &str) -> String {
    format!("{}/portainer.db", directory.trim_end_matches('/'))
}

/// A version's numbers, to be compared.
pub(super) fn ordered(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or_default()).collect()
}
