//! A virtual machine as a declaration.

use serde_json::{Map, Value, json};

use super::{lxc, network, options};
use crate::model::{GuestId, GuestKind};
use crate::pve::guest_config::decode;
use crate::pve::inventory::Present;
use crate::pve::property::Properties;
use crate::pve::vm::ROOT;

/// Keys that say which machine it is, and nothing that anybody would declare.
const IDENTITY: [&str; 3] = ["vmgenid", "smbios1", "meta"];

/// Its entry in `vms`.
pub(super) fn entry(id: GuestId, present: &Present) -> Map<String, Value> {
    let config = &present.config.current;
    let mut entry = Map::new();
    entry.insert("vmid".to_owned(), id.get().into());
    entry.insert("name".to_owned(), config.get("name").unwrap_or_default().into());
    entry.insert("imported".to_owned(), true.into());
    lxc::common(present, &mut entry);
    if let Some(root) = config.get(ROOT).and_then(|text| Properties::of_option("qm set", ROOT, text))
        && root.get("media") != Some("cdrom")
        && lxc::disk(&root, "file", &mut entry, ("storage_pool", "disk_size_gb"))
    {
        let of_itself = ["file", "size", "format", "media"];
        let others = root.iter().filter(|(part, _)| !of_itself.contains(part));
        let others: Vec<Value> = others.map(|(part, value)| format!("{part}={value}").into()).collect();
        if !others.is_empty() {
            entry.insert("disk_options".to_owned(), others.into());
        }
    }
    network::add(GuestKind::Vm, config, &mut entry);
    let mut user = Map::new();
    user.extend(config.get("ciuser").map(|name| ("username".to_owned(), name.into())));
    if let Some(keys) = config.get("sshkeys") {
        let text = decode(keys);
        let keys: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        user.insert("ssh_keys".to_owned(), json!(keys));
    }
    if !user.is_empty() {
        entry.insert("user_config".to_owned(), Value::Object(user));
    }
    options::add(GuestKind::Vm, config, |key| IDENTITY.contains(&key), &mut entry);
    entry
}
