//! Builders of `pvesm` commands that change which storages there are, named after the subcommands.

use std::collections::BTreeMap;

use crate::command::{Claim, Command, Resource};

/// `add`: a storage of this type.
pub fn add(kind: &str, id: &str, options: &BTreeMap<String, String>) -> Command {
    of(["add", kind, id].map(str::to_owned).to_vec(), id, options)
}

/// `set`: options of a storage that is there.
pub fn set(id: &str, options: &BTreeMap<String, String>) -> Command {
    of(["set", id].map(str::to_owned).to_vec(), id, options)
}

fn of(words: Vec<String>, id: &str, options: &BTreeMap<String, String>) -> Command {
    let options = options.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]);
    let command = Command::change("pvesm", words.into_iter().chain(options));
    command.claim(Claim::exclusive(Resource::Storage(id.to_owned())))
}
