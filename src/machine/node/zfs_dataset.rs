//! `zfs_dataset`: a dataset with its properties.

use super::zfs::Properties;
use super::zfs_pool::FIXED_OF_DATASETS;
use crate::machine::change::difference;
use crate::machine::{Change, Machine, MachineError};

/// A dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZfsDataset {
    /// Its properties: `mountpoint`, `quota`, `recordsize`; those that are not named stay as they are.
    pub properties: Properties,
}

impl Machine {
    /// Brings a dataset about, with those above it. One that is there keeps what is in it; its properties are set.
    ///
    /// # Errors
    /// When there is no such pool, or a property differs that only a new dataset can have.
    pub fn zfs_dataset(&self, name: &str, dataset: &ZfsDataset) -> Result<Change, MachineError> {
        self.on_the_node("zfs_dataset")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-/".contains(&byte);
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() < 2 || parts.iter().any(|part| part.is_empty()) || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` is no dataset: `POOL/NAME`")));
        }
        let what = format!("ZFS dataset {name}");
        if let Some(present) = self.zfs_get("zfs", name, &dataset.properties)? {
            let differences = self.zfs_set("zfs", name, &present, &dataset.properties, &FIXED_OF_DATASETS)?;
            return Ok(self.done(Change::of(what, differences)));
        }
        let mut words = vec!["zfs".to_owned(), "create".to_owned(), "-p".to_owned()];
        words.extend(dataset.properties.iter().flat_map(|(key, value)| ["-o".to_owned(), format!("{key}={value}")]));
        words.push(name.to_owned());
        self.node_tool(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(self.done(Change::of(what.clone(), vec![difference(what, None, Some("made".to_owned()))])))
    }
}
