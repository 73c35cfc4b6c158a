//! Property strings: `name=eth0,bridge=vmbr0,ip=dhcp`. One value may stand bare, for the grammar's default key.

use std::fmt::Write;

use super::schema::normal_boolean;
use super::table::{Grammar, grammar_of};

/// A property string taken apart: keys in the order written, aliases resolved, booleans as digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

/// Why a property string cannot be taken apart, in Proxmox's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// The same key twice.
    #[error("duplicate key in comma-separated list property: {0}")]
    Duplicate(String),
    /// A bare value where none is allowed.
    #[error("value without key, but schema does not define a default key")]
    NoDefaultKey,
    /// `=value` or `key=`.
    #[error("missing key in comma-separated list property")]
    MissingKey,
}

impl Properties {
    /// Takes a property string apart. Keys unknown to the grammar are kept: [`super::schema::check`] objects to them.
    ///
    /// # Errors
    /// In Proxmox's words.
    pub fn parse(text: &str, grammar: &Grammar) -> Result<Properties, PropertyError> {
        let mut properties = Properties::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            match part.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() => properties.add(key, value, grammar)?,
                Some(_) => return Err(PropertyError::MissingKey),
                None => {
                    let default = grammar.iter().find(|(_, schema)| schema.default_key);
                    let (key, _) = default.ok_or(PropertyError::NoDefaultKey)?;
                    properties.push(key, part)?;
                }
            }
        }
        Ok(properties)
    }

    /// Takes apart the value of an option, e.g. of `net0` of `pct set`. `None` when the option is no property string
    /// or the text none of its grammar.
    pub fn of_option(command: &str, option: &str, text: &str) -> Option<Properties> {
        Properties::parse(text, grammar_of(command, option)?).ok()
    }

    fn add(&mut self, key: &str, value: &str, grammar: &Grammar) -> Result<(), PropertyError> {
        let schema = grammar.get(key);
        let Some(name) = schema.and_then(|schema| schema.alias.as_deref()) else {
            return self.push(key, &normal_boolean(schema, value));
        };
        if let Some(also) = schema.and_then(|schema| schema.key_alias.as_deref()) {
            self.push(also, key)?;
        }
        self.push(name, &normal_boolean(grammar.get(name), value))
    }

    fn push(&mut self, key: &str, value: &str) -> Result<(), PropertyError> {
        if self.get(key).is_some() {
            return Err(PropertyError::Duplicate(key.to_owned()));
        }
        self.0.push((key.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Whether a boolean key says yes.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    /// Sets a key, in its old place if it had one.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Sets a key, or removes it.
    pub fn put(&mut self, key: &str, value: Option<String>) {
        match value {
            Some(value) => self.set(key, value),
            None => self.remove(key),
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The property string as Proxmox prints `netN`, `rootfs` and `mpN`: default key bare and first, then required
    /// keys, then the others, each group by name.
    pub fn print(&self, grammar: &Grammar) -> String {
        let rank = |key: &str| match grammar.get(key) {
            Some(schema) if schema.default_key => 0,
            Some(schema) if !schema.optional => 1,
            _ => 2,
        };
        let mut pairs: Vec<(&str, &str)> = self.iter().collect();
        pairs.sort_by_key(|(key, _)| (rank(key), *key));
        // `model=virtio` and `macaddr=MAC` are written together as `virtio=MAC`.
        let joined = pairs.iter().find_map(|(key, value)| {
            let schema = grammar.get(*value).filter(|schema| schema.key_alias.as_deref() == Some(key))?;
            let address = self.get(schema.alias.as_deref()?)?;
            Some((*key, schema.alias.clone()?, format!("{value}={address}")))
        });
        let mut text = String::new();
        for (key, value) in pairs {
            if joined.as_ref().is_some_and(|(_, alias, _)| alias == key) {
                continue;
            }
            let comma = if text.is_empty() { "" } else { "," };
            let written = match &joined {
                Some((name, _, together)) if *name == key => write!(text, "{comma}{together}"),
                _ if rank(key) == 0 => write!(text, "{comma}{value}"),
                _ => write!(text, "{comma}{key}={value}"),
            };
            written.expect("writing to a String cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::table::table;

    fn round(format: &str, text: &str) -> String {
        let grammar = table().grammar(format).unwrap();
        Properties::parse(text, grammar).unwrap().print(grammar)
    }

    #[test]
    fn network_interfaces_are_printed_as_proxmox_stores_them() {
        assert_eq!(
            round("ct-net", "bridge=vmbr0,ip=192.0.2.10/24,name=eth0,gw=192.0.2.1,type=veth,firewall=yes"),
            "name=eth0,bridge=vmbr0,firewall=1,gw=192.0.2.1,ip=192.0.2.10/24,type=veth"
        );
        assert_eq!(
            round("vm-net", "firewall=1,bridge=vmbr0,virtio=BC:24:11:00:00:01"),
            "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"
        );
        assert_eq!(round("vm-net", "virtio,bridge=vmbr0"), "virtio,bridge=vmbr0");
    }

    #[test]
    fn volumes_are_printed_as_proxmox_stores_them() {
        assert_eq!(
            round("ct-mp", "mp=/data,volume=tank:subvol-101-disk-1,size=8G,backup=1"),
            "tank:subvol-101-disk-1,mp=/data,backup=1,size=8G"
        );
    }

    #[test]
    fn what_cannot_be_taken_apart_is_said_in_proxmox_s_words() {
        let net = table().grammar("ct-net").unwrap();
        let refused = |text| Properties::parse(text, net).unwrap_err().to_string();
        assert_eq!(refused("name=a,name=b"), "duplicate key in comma-separated list property: name");
        assert_eq!(refused("eth0"), "value without key, but schema does not define a default key");
        assert_eq!(refused("name="), "missing key in comma-separated list property");
    }
}
