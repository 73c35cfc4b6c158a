//! IP sets and their members.

use serde_json::{Map, Value};

use super::super::super::{bad_parameter, not_modelled};
use super::{Files, is_address, is_name, named, unmodified, with_digest};
use crate::pve::argv::Call;
use crate::pve::firewall_file::{Entry, FirewallFile, Group, clean};
use crate::sandbox::session::{Done, fail};

/// Answers a request about sets.
pub(super) fn run(files: &mut Files, call: &Call, method: &str, rest: &[&str]) -> Done<Value> {
    match rest {
        [] => sets(&mut files.own, call, method),
        [name, below @ ..] => members(files, call, method, name, below),
    }
}

fn sets(file: &mut FirewallFile, call: &Call, method: &str) -> Done<Value> {
    let objects = file.sets.iter().map(|(name, set)| named(("name", name), set.comment.as_deref())).collect();
    let (list, digest) = with_digest(objects);
    if method == "get" {
        return Ok(list.into());
    }
    let name = call.option("name").unwrap_or_default();
    let comment = call.option("comment").map(str::to_owned);
    let old = call.option("rename");
    if let Some(old) = old {
        unmodified(call, &digest)?;
        if !file.sets.contains_key(old) {
            return Err(bad_parameter(call, "name", &format!("IPSet '{old}' does not exist")));
        }
        if old != name && file.sets.contains_key(name) {
            return Err(bad_parameter(call, "name", &format!("IPSet '{name}' does already exist")));
        }
    } else if file.sets.contains_key(name) {
        return Err(bad_parameter(call, "name", &format!("IPSet '{name}' already exists")));
    }
    let mut set: Group<Entry> = old.and_then(|old| file.sets.remove(old)).unwrap_or_default();
    set.comment = comment.or(set.comment);
    // The file has names in small letters.
    file.sets.insert(name.to_ascii_lowercase(), set);
    Ok(Value::Null)
}

fn object(entry: &Entry) -> Map<String, Value> {
    let mut object = named(("cidr", &entry.cidr), entry.comment.as_deref());
    if entry.nomatch {
        object.insert("nomatch".to_owned(), 1.into());
    }
    object
}

fn members(files: &mut Files, call: &Call, method: &str, name: &str, below: &[&str]) -> Done<Value> {
    let aliases = |alias: &str| {
        let alias = alias.to_ascii_lowercase();
        files.own.aliases.contains_key(&alias)
            || files.cluster.as_ref().is_some_and(|cluster| cluster.aliases.contains_key(&alias))
    };
    let known_alias = call.option("cidr").is_some_and(aliases);
    let Some(set) = files.own.sets.get_mut(name) else { return Err(fail(format!("no such IPSet '{name}'"))) };
    let (list, digest) = with_digest(set.entries.iter().map(object).collect());
    let comment = call.option("comment").filter(|comment| !comment.is_empty()).map(str::to_owned);
    let missing = || bad_parameter(call, "cidr", "no such IP/Network");
    match (method, below) {
        ("get", []) => return Ok(list.into()),
        ("delete", []) => {
            if !set.entries.is_empty() && !call.is_on("force") {
                return Err(fail(format!("IPSet '{name}' is not empty")));
            }
            files.own.sets.remove(name);
        }
        ("create", _) => {
            let given = call.option("cidr").unwrap_or_default();
            if !is_address(given) && !is_name(given) {
                let message = "invalid format - value does not look like a valid IP address or CIDR network\n";
                return Err(bad_parameter(call, "cidr", message));
            }
            if is_name(given) && !known_alias {
                return Err(fail(format!("no such alias '{given}'")));
            }
            let cidr = network(&clean(given));
            if set.entries.iter().any(|entry| entry.cidr == cidr) {
                return Err(bad_parameter(call, "cidr", &format!("address '{cidr}' already exists")));
            }
            if cidr.ends_with("/0") {
                return Err(bad_parameter(call, "cidr", "a zero prefix is not allowed in ipset entries"));
            }
            set.entries.insert(0, Entry { cidr, nomatch: call.is_on("nomatch"), comment });
        }
        ("get", [cidr, ..]) => {
            let found = list.into_iter().find(|entry| entry["cidr"] == *cidr);
            return found.ok_or_else(missing);
        }
        ("set", [cidr, ..]) => {
            unmodified(call, &digest)?;
            let entry = set.entries.iter_mut().find(|entry| entry.cidr == *cidr).ok_or_else(missing)?;
            (entry.nomatch, entry.comment) = (call.is_on("nomatch"), comment);
        }
        ("delete", [cidr, ..]) => {
            unmodified(call, &digest)?;
            set.entries.retain(|entry| entry.cidr != *cidr);
        }
        _ => return Err(not_modelled(call)),
    }
    Ok(Value::Null)
}

/// A network without the bits of a host.
fn network(cidr: &str) -> String {
    match cidr.parse::<crate::model::Cidr>() {
        Ok(parsed) if cidr.contains('/') => parsed.network().to_string(),
        _ => cidr.to_owned(),
    }
}
