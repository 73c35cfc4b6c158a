//! What containers and virtual machines declare alike.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::Kind;
use super::decode::Fields;
use super::json::Data;
use super::{legacy, options, secrets};
use crate::finding::Finding;
use crate::model::{
    Boot, DnsRecord, Guest, GuestId, GuestKind, HealthCheck, LifecycleSnapshots, LxcSettings, Origin, Role, RootDisk,
    TraefikService, VmSettings,
};

/// A guest as one entry declares it, with the entry: later checks point into it.
pub struct Draft<'a> {
    /// What was read.
    pub guest: Guest,
    /// Its entry.
    pub fields: Fields<'a>,
}

impl Draft<'_> {
    /// Where the value at a path of the entry stands; of an absent one, where the entry begins.
    pub fn span(&self, path: &str) -> std::ops::Range<usize> {
        let value = self.fields.value.at(path).filter(|value| !matches!(value.data, Data::Map(_) | Data::List(_)));
        value.map_or_else(|| self.key_span(path), |value| value.span.clone())
    }

    /// Where the last key of a path stands, as far as it exists.
    fn key_span(&self, path: &str) -> std::ops::Range<usize> {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let member = self.fields.value.at(parent).and_then(|value| value.member(key));
        member.map_or_else(|| self.fields.place.clone(), |member| member.key_span.clone())
    }

    /// Adds a finding at a path of the entry.
    pub fn report(&self, finding: Finding, path: &str) {
        self.fields.file.report(finding, self.span(path));
    }

    /// Adds an error that the predecessor let pass.
    pub fn lapse(&self, finding: Finding, path: &str) {
        self.fields.file.lapse(finding, self.span(path));
    }
}

/// The fields that both kinds have, with kind, origin, disk and everything special left to the caller.
pub fn common(fields: &Fields, id: GuestId, kind: GuestKind) -> Guest {
    fields.require("name", "the guest's name, also its host name");
    let config = secrets::plain(fields.value);
    Guest {
        id,
        kind,
        name: fields.string("name").unwrap_or_default(),
        roles: fields.texts("roles").into_iter().map(|(word, _)| role(word)).collect(),
        node: fields.string("node"),
        tags: fields.strings("tags").into_iter().map(|tag| tag.to_lowercase()).collect::<BTreeSet<_>>(),
        is_template: fields.flag_or("is_template", false),
        origin: Origin::Template(String::new()),
        cores: 0,
        memory_mb: 0,
        swap_mb: None,
        root: RootDisk::default(),
        nics: Vec::new(),
        nameservers: Vec::new(),
        search_domain: None,
        options: options::declared(fields, kind),
        boot: Boot {
            start_at_boot: fields.flag_or("start_at_boot", false),
            order: fields.whole("boot_order", 0..=u64::from(u32::MAX)),
            delay: fields.whole("boot_delay", 0..=u64::from(u32::MAX)),
            shutdown_timeout: fields.whole("shutdown_timeout", 0..=u64::from(u32::MAX)),
        },
        dependencies: ids(fields, "dependencies"),
        features: features(fields),
        app: None,
        params: params(fields),
        firewall: super::firewall::of_guest(fields),
        volumes: Vec::new(),
        mounts: Vec::new(),
        snapshots: LifecycleSnapshots { template: fields.string("template_snapshot_name"), ..Default::default() },
        health_checks: fields.maps("health_checks").into_iter().filter_map(health_check).collect(),
        traefik_service: fields.map("traefik_service").and_then(traefik_service),
        dns_records: fields.maps("dns_records").into_iter().filter_map(dns_record).collect(),
        portainer_role: fields.choice_or_first("portainer_role", &legacy::PORTAINER_ROLES),
        trigger_sync: fields.flag_or("trigger_sync_on_completion", false),
        lxc: LxcSettings::default(),
        vm: VmSettings::default(),
        config,
    }
}

/// Whether somebody else made the guest, so that nothing else says what it is made from.
pub fn is_imported(fields: &Fields, has_origin: bool) -> bool {
    let imported = fields.flag_or("imported", false);
    if imported && has_origin {
        fields.reject("two-origins", "imported", "says that somebody else made it: a guest has one origin");
    }
    imported && !has_origin
}

fn role(word: &str) -> Role {
    match word {
        "ca" => Role::Ca,
        "router" => Role::Router,
        "gateway" => Role::Gateway,
        "portainer" => Role::Portainer,
        "docker" => Role::Docker,
        other => Role::Other(other.to_owned()),
    }
}

/// The number of a guest, as a number or as digits in quotes.
pub fn id_of(value: &super::json::Value) -> Option<GuestId> {
    match &value.data {
        Data::Number(number) => number.as_u64().and_then(|id| u32::try_from(id).ok()).and_then(|id| id.try_into().ok()),
        Data::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// A field with the id of a guest.
pub fn id(fields: &Fields, name: &'static str) -> Option<GuestId> {
    let member = fields.member(name, Kind::GuestId)?;
    if member.value.text() == Some("") {
        return None;
    }
    let id = id_of(&member.value);
    if id.is_none() {
        fields.reject("bad-id", name, "must be a guest id: a whole number from 100 to 999999999");
    }
    id
}

fn ids(fields: &Fields, name: &'static str) -> Vec<GuestId> {
    let mut ids: Vec<GuestId> = Vec::new();
    for item in fields.list(name, Kind::GuestIds) {
        match id_of(item) {
            Some(id) if ids.contains(&id) => {
                let finding = Finding::warning("duplicate-item", format!("{id} stands twice in `{name}`"));
                fields.file.report(finding, item.span.clone());
            }
            Some(id) => ids.push(id),
            None => fields.file.report(
                Finding::error("bad-id", format!("`{name}` must hold guest ids, found {}", item.kind()))
                    .hint("a whole number from 100 to 999999999"),
                item.span.clone(),
            ),
        }
    }
    ids
}

/// Features, each once.
fn features(fields: &Fields) -> Vec<String> {
    let mut features: Vec<String> = Vec::new();
    for (feature, span) in fields.texts("features") {
        if features.iter().any(|known| known == feature) {
            let finding = Finding::warning("duplicate-item", format!("`{feature}` stands twice in `features`"));
            fields.file.report(finding.hint("a feature runs once"), span);
        } else {
            features.push(feature.to_owned());
        }
    }
    features
}

/// Parameters of scripts, by script and name. They are checked against what the scripts declare in
/// [`super::check`].
fn params(fields: &Fields) -> BTreeMap<String, BTreeMap<String, serde_json::Value>> {
    let mut params = BTreeMap::new();
    fields.key("params", Kind::Map);
    for script in fields.table("params") {
        match &script.value.data {
            Data::Map(given) => {
                let given = given.iter().filter(|param| param.key != "comment");
                params
                    .insert(script.key.clone(), given.map(|param| (param.key.clone(), param.value.plain())).collect());
            }
            _ => {
                let finding = Finding::error(
                    "wrong-type",
                    format!("`params.{}` must be a map, found {}", script.key, script.value.kind()),
                );
                fields.file.report(finding, script.key_span.clone());
            }
        }
    }
    params
}

/// The command of a health check: a list of words, or one text that is split as a shell does.
fn health_check(fields: Fields) -> Option<HealthCheck> {
    let command = match fields.member("command", Kind::TextOrTexts).map(|member| &member.value.data) {
        Some(Data::List(_)) => fields.strings("command"),
        Some(Data::Text(text)) => shlex::split(text).unwrap_or_else(|| {
            fields.reject("bad-value", "command", "has an open quote");
            Vec::new()
        }),
        Some(_) => {
            fields.reject("wrong-type", "command", "must be text or a list of text");
            Vec::new()
        }
        None => Vec::new(),
    };
    fields.unused("script", Kind::Text);
    fields.unused("args", Kind::Text);
    let check = HealthCheck {
        name: fields.string("name").or_else(|| command.first().cloned()).unwrap_or_default(),
        retries: fields.whole_or("retries", 0..=1000, 0),
        interval: fields.whole_or("interval", 0..=3600, 5),
        command,
    };
    let is_foreign = check.command.first().is_some_and(|program| legacy::is_foreign_script(program));
    let only_script = fields.value.get("script").is_some() && check.command.is_empty();
    if is_foreign || only_script {
        let finding =
            Finding::warning("foreign-script", "this health check runs a script of the predecessor and is left out")
                .hint("features check their own health; else write a `command` that runs inside the guest");
        fields.file.report(finding, fields.place.clone());
    } else {
        fields.require("command", "a program and its arguments, run inside the guest");
    }
    fields.finish();
    (!check.command.is_empty() && !is_foreign).then_some(check)
}

/// `health_check`, the predecessor's name for a single check.
pub fn single_health_check(fields: &Fields) -> Option<HealthCheck> {
    fields.map("health_check").and_then(health_check)
}

fn traefik_service(fields: Fields) -> Option<TraefikService> {
    fields.require("name", "the first label of the public name");
    fields.require("port", "the port the service listens on");
    let schemes = [("http", "http".to_owned()), ("https", "https".to_owned())];
    let scheme = fields.choice("scheme", &schemes);
    let named = fields.string("name").zip(fields.whole("port", 1..=65535));
    fields.finish();
    named.map(|(name, port)| TraefikService { name, port, scheme })
}

fn dns_record(fields: Fields) -> Option<DnsRecord> {
    fields.require("hostname", "the full name");
    fields.require("ip", "the address it stands for");
    let ip = fields.parsed::<std::net::IpAddr>("ip", Kind::Address);
    let record = fields.string("hostname").zip(ip).map(|(hostname, ip)| DnsRecord { hostname, ip: ip.to_string() });
    fields.finish();
    record
}
