//! How full storages are. No file tells it: the storages are asked, all at once.

use serde::Deserialize;

use crate::command::Command;

/// What a storage says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its id.
    pub storage: String,
    /// Whether it can be reached and used.
    pub active: bool,
    /// Bytes that it holds in all.
    pub total: u64,
    /// Bytes that are free.
    pub available: u64,
}

/// Asks all storages of a node; [`parse`] understands the answer.
pub fn ask(node: &str) -> Command {
    Command::read("pvesh", ["get", &format!("/nodes/{node}/storage"), "--output-format", "json"])
}

/// What they say; nothing if it is no answer.
pub fn parse(stdout: &[u8]) -> Option<Vec<Usage>> {
    #[derive(Deserialize)]
    struct Said {
        storage: String,
        #[serde(default)]
        active: u64,
        #[serde(default)]
        total: u64,
        #[serde(default)]
        avail: u64,
    }
    let said: Vec<Said> = serde_json::from_slice(stdout).ok()?;
    let usage = |said: Said| Usage {
        storage: said.storage,
        active: said.active == 1,
        total: said.total,
        available: said.avail,
    };
    Some(said.into_iter().map(usage).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_that_is_away_says_nothing_of_its_size() {
        let said = br#"[{"storage":"a","active":1,"total":10,"avail":4},{"storage":"b","active":0,"enabled":1}]"#;
        let usage = parse(said).unwrap();
        assert_eq!((usage[0].active, usage[0].available), (true, 4));
        assert_eq!((usage[1].active, usage[1].total), (false, 0));
        assert_eq!(parse(b"no handler"), None);
    }
}
