//! The firewall over the API: options, aliases, IP sets, security groups and rules of the cluster, of the node and of
//! guests. All of it is the text of `.fw` files in the node's `/etc/pve`.

mod rule;
mod set;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{bad_parameter, not_modelled};
use super::route;
use crate::op::{Attributes, Content, Op, OpValue};
use crate::pve::argv::Call;
use crate::pve::firewall_file::{Alias, FirewallFile, Group, Rule, clean, ip_version};
use crate::pve::format::split_list;
use crate::sandbox::guest::node_inside;
use crate::sandbox::session::{Done, Session, fail};

/// Whose firewall it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner<'p> {
    Cluster,
    Node(&'p str),
    Container(&'p str),
    Machine(&'p str),
}

impl Owner<'_> {
    /// Proxmox's word for rules of this owner.
    fn word(self) -> &'static str {
        match self {
            Owner::Cluster => "cluster",
            Owner::Node(_) => "host",
            Owner::Container(_) => "ct",
            Owner::Machine(_) => "vm",
        }
    }

    /// The list of its options.
    pub(super) fn options(self) -> &'static str {
        match self {
            Owner::Cluster => "cluster options",
            Owner::Node(_) => "node options",
            Owner::Container(_) | Owner::Machine(_) => "guest options",
        }
    }

    fn path(self) -> String {
        match self {
            Owner::Cluster => "/etc/pve/firewall/cluster.fw".to_owned(),
            Owner::Node(node) => format!("/etc/pve/nodes/{node}/host.fw"),
            Owner::Container(id) | Owner::Machine(id) => format!("/etc/pve/firewall/{id}.fw"),
        }
    }
}

/// Whose firewall a path is about, and the path below it.
pub(super) fn place<'p, 'a>(parts: &'a [&'p str]) -> Option<(Owner<'p>, &'a [&'p str])> {
    match parts {
        ["cluster", "firewall", rest @ ..] => Some((Owner::Cluster, rest)),
        ["nodes", node, "firewall", rest @ ..] => Some((Owner::Node(node), rest)),
        ["nodes", _, "lxc", id, "firewall", rest @ ..] => Some((Owner::Container(id), rest)),
        ["nodes", _, "qemu", id, "firewall", rest @ ..] => Some((Owner::Machine(id), rest)),
        _ => None,
    }
}

/// The files that a request looks at.
struct Files<'p> {
    owner: Owner<'p>,
    /// The owner's own.
    own: FirewallFile,
    /// The cluster's, where that is another one.
    cluster: Option<FirewallFile>,
}

/// Answers a request; a change answers nothing.
pub(super) fn run(s: &mut Session, call: &Call, method: &str, parts: &[&str]) -> Done<Value> {
    let Some((owner, rest)) = place(parts) else { return Err(not_modelled(call)) };
    let own = read(s, &owner.path());
    let cluster = (owner != Owner::Cluster).then(|| read(s, &Owner::Cluster.path()));
    let mut files = Files { owner, own, cluster };
    let answer = match (method, rest) {
        ("get", []) => return Ok(index(owner)),
        ("get", ["options"]) => return Ok(options(&files.own)),
        ("set", ["options"]) => set_options(&mut files, call)?,
        (_, ["rules", rest @ ..]) => rule::run(&mut files, call, method, &rule::List::Own, rest)?,
        (_, ["aliases", rest @ ..]) => aliases(&mut files.own, call, method, rest)?,
        (_, ["ipset", rest @ ..]) => set::run(&mut files, call, method, rest)?,
        (_, ["groups", rest @ ..]) => groups(&mut files, call, method, rest)?,
        ("get", ["refs"]) => return Ok(references(&files, call)),
        _ => return Err(not_modelled(call)),
    };
    if method != "get" {
        write(s, &owner.path(), &files.own.render())?;
    }
    Ok(answer)
}

fn read(s: &mut Session, path: &str) -> FirewallFile {
    let (core, now) = (s.core(), s.now());
    let op = Op::Read { path: path.to_owned(), limit: 1 << 20 };
    let read = node_inside(s.world_mut(), core, now, |body, around| body.perform(&op, around).result);
    match read {
        Some(Ok(OpValue::Bytes(Some(bytes)))) => FirewallFile::parse(&String::from_utf8_lossy(&bytes)),
        _ => FirewallFile::default(),
    }
}

/// A file that would say nothing is removed.
fn write(s: &mut Session, path: &str, text: &str) -> Done {
    let (core, now) = (s.core(), s.now());
    let op = if text.is_empty() {
        Op::Remove { path: path.to_owned(), recursive: false }
    } else {
        let content = Content::Bytes(text.as_bytes().to_vec().into());
        Op::Write { path: path.to_owned(), content, attributes: Attributes::default(), guard: None }
    };
    let written = node_inside(s.world_mut(), core, now, |body, around| body.perform(&op, around).result);
    match written {
        Some(Err(error)) => Err(fail(error.message)),
        _ => Ok(()),
    }
}

fn index(owner: Owner) -> Value {
    let names: &[&str] = match owner {
        Owner::Cluster => &["aliases", "rules", "options", "groups", "ipset", "macros", "refs"],
        Owner::Node(_) => &["rules", "options", "log"],
        _ => &["rules", "aliases", "ipset", "refs", "options"],
    };
    names.iter().map(|name| json!({"name": name})).collect()
}

/// Objects of a list, each with the digest of all of them. What is no plain value does not count.
fn with_digest(list: Vec<Map<String, Value>>) -> (Vec<Value>, String) {
    let mut text = String::new();
    for object in &list {
        let sorted: BTreeMap<&String, &Value> = object.iter().collect();
        for (key, value) in sorted {
            match value {
                Value::Object(_) => {}
                Value::String(value) => text += &format!("{key}:{value}\n"),
                value => text += &format!("{key}:{value}\n"),
            }
        }
    }
    let digest = sha1(&text);
    let list = list.into_iter().map(|mut object| {
        object.insert("digest".to_owned(), digest.clone().into());
        Value::Object(object)
    });
    (list.collect(), digest)
}

fn sha1(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a change to something else than the caller saw.
fn unmodified(call: &Call, digest: &str) -> Done {
    match call.option("digest") {
        Some(given) if given != digest => {
            Err(fail("detected modified configuration - file changed by other user? Try again."))
        }
        _ => Ok(()),
    }
}

/// Numbers as numbers.
fn typed(value: &str) -> Value {
    value.parse::<i64>().map_or_else(|_| value.into(), Value::from)
}

fn options(file: &FirewallFile) -> Value {
    let object: Map<String, Value> = file.options.iter().map(|(key, value)| (key.clone(), typed(value))).collect();
    let (mut list, digest) = with_digest(vec![object]);
    list.pop().unwrap_or_else(|| json!({ "digest": digest }))
}

fn set_options(files: &mut Files, call: &Call) -> Done<Value> {
    let before = options(&files.own);
    unmodified(call, before["digest"].as_str().unwrap_or_default())?;
    let known = |name: &str| name != "delete" && name != "digest" && route::has(files.owner.options(), name);
    for name in call.option("delete").map(split_list).unwrap_or_default() {
        if !known(name) {
            return Err(bad_parameter(call, "delete", &format!("no such option '{name}'")));
        }
        files.own.options.remove(name);
    }
    for (key, value) in call.options.iter().filter(|(key, _)| known(key)) {
        files.own.options.insert(key.clone(), value.clone());
    }
    Ok(Value::Null)
}

fn alias_object(alias: &Alias) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("cidr".to_owned(), alias.cidr.clone().into());
    if let Some(comment) = &alias.comment {
        object.insert("comment".to_owned(), comment.clone().into());
    }
    if let Some(version) = ip_version(&alias.cidr) {
        object.insert("ipversion".to_owned(), version.into());
    }
    object.insert("name".to_owned(), alias.name.clone().into());
    object
}

fn aliases(file: &mut FirewallFile, call: &Call, method: &str, rest: &[&str]) -> Done<Value> {
    let (list, digest) = with_digest(file.aliases.values().map(alias_object).collect());
    let option = |name: &str| call.option(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let cidr = || -> Done<String> {
        let cidr = option("cidr").unwrap_or_default();
        if is_address(&cidr) {
            return Ok(clean(&cidr));
        }
        let message = "invalid format - value does not look like a valid IP address or CIDR network\n";
        Err(bad_parameter(call, "cidr", message))
    };
    match (method, rest) {
        ("get", []) => return Ok(list.into()),
        ("create", _) => {
            let name = option("name").unwrap_or_default();
            let cidr = cidr()?;
            if file.aliases.contains_key(&name.to_ascii_lowercase()) {
                return Err(bad_parameter(call, "name", &format!("alias '{name}' already exists")));
            }
            file.aliases.insert(name.to_ascii_lowercase(), Alias { name, cidr, comment: option("comment") });
        }
        ("get", [name, ..]) => {
            let alias = file.aliases.get(&name.to_ascii_lowercase());
            let alias = alias.ok_or_else(|| bad_parameter(call, "name", "no such alias"))?;
            return Ok(Value::Object(alias_object(alias)));
        }
        ("set", [name, ..]) => {
            let cidr = cidr()?;
            unmodified(call, &digest)?;
            let key = name.to_ascii_lowercase();
            if !file.aliases.contains_key(&key) {
                return Err(bad_parameter(call, "name", "no such alias"));
            }
            let mut alias = Alias { name: (*name).to_owned(), cidr, comment: option("comment") };
            let renamed = option("rename").filter(|new| new.to_ascii_lowercase() != key);
            if let Some(new) = renamed {
                if file.aliases.contains_key(&new.to_ascii_lowercase()) {
                    return Err(bad_parameter(call, "name", &format!("alias '{new}' already exists")));
                }
                file.aliases.remove(&key);
                alias.name = new;
            }
            file.aliases.insert(alias.name.to_ascii_lowercase(), alias);
        }
        ("delete", [name, ..]) => {
            unmodified(call, &digest)?;
            file.aliases.remove(&name.to_ascii_lowercase());
        }
        _ => return Err(not_modelled(call)),
    }
    Ok(Value::Null)
}

/// An address or a network, not a name.
fn is_address(cidr: &str) -> bool {
    let (address, prefix) = cidr.split_once('/').map_or((cidr, None), |(address, prefix)| (address, Some(prefix)));
    let longest = match ip_version(address) {
        Some(4) => 32,
        Some(_) => 128,
        None => return false,
    };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest))
}

/// A name as Proxmox spells names of aliases, sets and groups.
fn is_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn groups(files: &mut Files, call: &Call, method: &str, rest: &[&str]) -> Done<Value> {
    if let (method, [name, below @ ..]) = (method, rest)
        && !(method == "delete" && below.is_empty())
    {
        return rule::run(files, call, method, &rule::List::Group((*name).to_owned()), below);
    }
    let file = &mut files.own;
    let option = |name: &str| call.option(name).map(str::to_owned);
    let objects = file.groups.iter().map(|(name, group)| named(("group", name), group.comment.as_deref())).collect();
    let (list, digest) = with_digest(objects);
    match (method, rest) {
        ("get", _) => return Ok(list.into()),
        ("create", _) => {
            let name = option("group").unwrap_or_default();
            let old = option("rename");
            if let Some(old) = &old {
                unmodified(call, &digest)?;
                if !file.groups.contains_key(old) {
                    return Err(bad_parameter(call, "group", &format!("Security group '{old}' does not exist")));
                }
            }
            if file.groups.contains_key(&name) && old.as_deref() != Some(&*name) {
                let message = format!("Security group '{name}' already exists");
                return Err(bad_parameter(call, "group", &message));
            }
            let mut group: Group<Rule> = old.and_then(|old| file.groups.remove(&old)).unwrap_or_default();
            group.comment = option("comment").or(group.comment);
            file.groups.insert(name, group);
        }
        ("delete", [name, ..]) => match file.groups.get(*name) {
            Some(group) if !group.entries.is_empty() => {
                return Err(fail(format!("Security group '{name}' is not empty")));
            }
            Some(_) => _ = file.groups.remove(*name),
            None => return Err(fail(format!("no such security group '{name}'"))),
        },
        _ => return Err(not_modelled(call)),
    }
    Ok(Value::Null)
}

/// A name with its comment.
fn named((key, name): (&str, &str), comment: Option<&str>) -> Map<String, Value> {
    let mut object = Map::new();
    if let Some(comment) = comment {
        object.insert("comment".to_owned(), comment.into());
    }
    object.insert(key.to_owned(), name.into());
    object
}

/// Names that a rule can use as addresses.
fn references(files: &Files, call: &Call) -> Value {
    let own = if files.cluster.is_some() { "guest" } else { "dc" };
    let sources = files.cluster.iter().map(|file| (file, "dc")).chain([(&files.own, own)]);
    let mut list = Vec::new();
    for (file, scope) in sources {
        let sets = file.sets.iter().map(|(name, set)| ("ipset", name, format!("+{name}"), &set.comment));
        let aliases = file.aliases.iter().map(|(name, alias)| ("alias", name, name.clone(), &alias.comment));
        let wanted = call.option("type");
        for (kind, name, reference, comment) in sets.chain(aliases) {
            if wanted.is_none_or(|wanted| wanted == kind) {
                let mut item = named(("name", name), comment.as_deref());
                item.insert("type".to_owned(), kind.into());
                item.insert("ref".to_owned(), reference.into());
                item.insert("scope".to_owned(), scope.into());
                list.push(Value::Object(item));
            }
        }
    }
    list.into()
}
