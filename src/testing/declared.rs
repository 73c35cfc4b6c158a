//! The guest that a test describes, as data.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::event::Failure;
use crate::finding::did_you_mean;
use crate::model::{
    Address, Boot, Firewall, Guest, GuestId, GuestKind, Image, LifecycleSnapshots, LxcSettings, Nic, Node, Origin, Os,
    PortainerRole, Role, RootDisk, Site, TraefikService, VmSettings,
};

/// The id of the first guest that has none.
const FIRST: u32 = 200;

/// A guest of a test, and what is around it. Everything has a fallback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// Container, virtual machine, or the node itself.
    pub kind: Kind,
    /// Its operating system.
    pub os: Os,
    /// Id; 0: the next one from 200 on.
    pub id: u32,
    /// Host name; empty: `guest`, and `guest-ID` of further ones.
    pub name: String,
    /// Address with prefix; empty: 192.0.2.0/24 with the id's last digits.
    pub ip: String,
    /// Template or cloud image that it is made from, as a volume id; empty: that of its operating system.
    pub template: String,
    /// Features that it is declared with.
    pub features: Vec<String>,
    /// Its app.
    pub app: Option<String>,
    /// Parameters by script.
    pub params: BTreeMap<String, BTreeMap<String, Value>>,
    /// Numbers of the node's GPUs that are shared with it.
    pub gpus: Vec<u32>,
    /// Its declaration as `guest.config` shows it.
    pub config: Value,
    /// Roles.
    pub roles: Vec<String>,
    /// Name that the router publishes it as.
    pub service: Option<String>,
    /// Packages that are installed already.
    pub packages: Vec<String>,
    /// Users that are there already.
    pub users: BTreeMap<String, User>,
    /// Files that are there already.
    pub files: BTreeMap<String, File>,
    /// Units that are there already.
    pub units: BTreeMap<String, Unit>,
    /// Features that were applied to it before, with their `params`.
    pub applied: Vec<String>,
    /// Artifacts that somebody has published: name -> value.
    pub artifacts: BTreeMap<String, String>,
    /// Secrets that the node keeps: name -> value.
    pub secrets: BTreeMap<String, String>,
    /// Whether it runs.
    pub running: bool,
    /// Other declared guests; they do not exist on the node.
    pub others: Vec<Declared>,
    /// Internal DNS suffix.
    pub domain: String,
    /// A program that nobody models fails; otherwise it is taken to succeed.
    pub strict: bool,
}

/// What a test's guest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A container.
    #[default]
    Lxc,
    /// A virtual machine.
    Vm,
    /// The node.
    Node,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// Groups beside its own; they are made.
    pub groups: Vec<String>,
    /// Home directory.
    pub home: Option<String>,
    /// Shell.
    pub shell: Option<String>,
    /// One of the system's.
    pub system: bool,
}

/// A file: its text, or `#{ text, mode, owner, group }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct File {
    /// Content.
    pub text: String,
    /// Permission bits.
    pub mode: Option<String>,
    /// User.
    pub owner: Option<String>,
    /// Group.
    pub group: Option<String>,
}

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<File, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Whole {
            text: String,
            mode: Option<String>,
            owner: Option<String>,
            group: Option<String>,
        }
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(File { text, ..File::default() }),
            whole => {
                let Whole { text, mode, owner, group } = serde_json::from_value(whole).map_err(D::Error::custom)?;
                Ok(File { text, mode, owner, group })
            }
        }
    }
}

/// A unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unit {
    /// Its file; absent: a package has brought it, or a service that does nothing is made.
    pub content: Option<String>,
    /// Whether it runs.
    pub running: bool,
    /// Whether it starts at boot.
    pub enabled: bool,
}

impl Default for Unit {
    fn default() -> Unit {
        Unit { content: None, running: true, enabled: true }
    }
}

impl Default for Declared {
    fn default() -> Declared {
        Declared {
            kind: Kind::Lxc,
            os: Os::default(),
            id: 0,
            name: String::new(),
            ip: String::new(),
            template: String::new(),
            features: Vec::new(),
            app: None,
            params: BTreeMap::new(),
            gpus: Vec::new(),
            config: Value::Null,
            roles: Vec::new(),
            service: None,
            packages: Vec::new(),
            users: BTreeMap::new(),
            files: BTreeMap::new(),
            units: BTreeMap::new(),
            applied: Vec::new(),
            artifacts: BTreeMap::new(),
            secrets: BTreeMap::new(),
            running: true,
            others: Vec::new(),
            domain: "example.org".to_owned(),
            strict: true,
        }
    }
}

impl Declared {
    /// The guest that data describe.
    ///
    /// # Errors
    /// What is not understood, with what may have been meant.
    pub fn read(described: Value) -> Result<Declared, Failure> {
        serde_json::from_value(described).map_err(|error| not_understood(&error.to_string()))
    }

    /// The declaration as the configuration would hold it.
    ///
    /// # Errors
    /// What is wrong with the id or the address.
    pub fn guest(&self) -> Result<Guest, String> {
        let number = if self.id == 0 { FIRST } else { self.id };
        let id = GuestId::try_from(number).map_err(|error| error.to_string())?;
        let name = match self.name.as_str() {
            "" if number == FIRST => "guest".to_owned(),
            "" => format!("guest-{number}"),
            name => name.to_owned(),
        };
        let ip = if self.ip.is_empty() { format!("192.0.2.{}/24", number % 250) } else { self.ip.clone() };
        let address: Address = ip.parse().map_err(|error| format!("`ip` of {name}: {error}"))?;
        let gateway = address.cidr().map(|cidr| match cidr.network().address {
            std::net::IpAddr::V4(network) => std::net::Ipv4Addr::from(u32::from(network) + 1).into(),
            std::net::IpAddr::V6(network) => std::net::Ipv6Addr::from(u128::from(network) + 1).into(),
        });
        let kind = if self.kind == Kind::Vm { GuestKind::Vm } else { GuestKind::Lxc };
        Ok(Guest {
            id,
            name,
            kind,
            roles: self.roles.iter().map(|role| role_of(role)).collect(),
            node: None,
            tags: BTreeSet::new(),
            is_template: false,
            origin: self.origin(),
            cores: 1,
            memory_mb: if kind == GuestKind::Vm { 1024 } else { 512 },
            swap_mb: None,
            root: RootDisk { storage: "local-zfs".to_owned(), size_gb: 8, ..RootDisk::default() },
            nics: vec![Nic { gateway, ..Nic::new("eth0", "vmbr0", address) }],
            nameservers: Vec::new(),
            search_domain: None,
            options: BTreeMap::new(),
            boot: Boot { start_at_boot: true, ..Boot::default() },
            dependencies: Vec::new(),
            features: self.features.clone(),
            app: self.app.clone(),
            params: self.params.clone(),
            firewall: Firewall::default(),
            volumes: Vec::new(),
            mounts: Vec::new(),
            snapshots: LifecycleSnapshots::default(),
            health_checks: Vec::new(),
            traefik_service: self.service.clone().map(|name| TraefikService { name, port: 80, scheme: None }),
            dns_records: Vec::new(),
            portainer_role: PortainerRole::None,
            trigger_sync: false,
            lxc: LxcSettings { unprivileged: true, gpus: self.gpus.clone(), ..LxcSettings::default() },
            vm: VmSettings::default(),
            config: self.config.clone(),
        })
    }

    /// What it is made from.
    pub(super) fn origin(&self) -> Origin {
        let of_os = match (self.kind, self.os) {
            (Kind::Vm, Os::Debian12) => "local:import/debian-12-generic-amd64.qcow2",
            (Kind::Vm, Os::Debian13) => "local:import/debian-13-generic-amd64.qcow2",
            (Kind::Vm, Os::Ubuntu2404) => "local:import/noble-server-cloudimg-amd64.img",
            (_, Os::Debian12) => "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst",
            (_, Os::Debian13) => "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
            (_, Os::Ubuntu2404) => "local:vztmpl/ubuntu-24.04-standard_24.04-2_amd64.tar.zst",
        };
        let from = if self.template.is_empty() { of_os.to_owned() } else { self.template.clone() };
        match self.kind {
            Kind::Vm => Origin::Image(Image { source: from, sha256: None }),
            Kind::Lxc | Kind::Node => Origin::Template(from),
        }
    }

    /// The whole site: this guest first, then the others.
    ///
    /// # Errors
    /// As [`Declared::guest`].
    pub fn site(&self) -> Result<Site, String> {
        site(std::slice::from_ref(self))
    }
}

/// Gives guests that have no id the next free one.
pub(super) fn number(guests: &mut [Declared]) {
    let mut taken: BTreeSet<u32> =
        guests.iter().flat_map(|guest| [guest].into_iter().chain(&guest.others)).map(|guest| guest.id).collect();
    let mut give = |guest: &mut Declared| {
        if guest.id == 0 {
            guest.id = (FIRST..).find(|id| !taken.contains(id)).unwrap_or(FIRST);
            taken.insert(guest.id);
        }
    };
    for guest in guests {
        give(guest);
        guest.others.iter_mut().for_each(&mut give);
    }
}

/// The site that these guests and those around them are declared in.
///
/// # Errors
/// As [`Declared::guest`].
pub(super) fn site(guests: &[Declared]) -> Result<Site, String> {
    let all = guests.iter().flat_map(|guest| std::iter::once(guest).chain(&guest.others));
    let declared = all.filter(|guest| guest.kind != Kind::Node).map(|declared| {
        let guest = declared.guest()?;
        Ok((guest.id, guest))
    });
    Ok(Site {
        domain: guests.first().map_or_else(|| Declared::default().domain, |guest| guest.domain.clone()),
        node: Node { name: Some("pve".to_owned()), ..Node::default() },
        guests: declared.collect::<Result<_, String>>()?,
        ..Site::default()
    })
}

fn role_of(word: &str) -> Role {
    serde_json::from_value(Value::String(word.to_owned())).unwrap_or_else(|_| Role::Other(word.to_owned()))
}

/// serde's words for a key or a word that is not known, with the one that may have been meant.
fn not_understood(problem: &str) -> Failure {
    let problem = problem.split(" at line ").next().unwrap_or(problem);
    let mut quoted = problem.split('`').skip(1).step_by(2);
    let hint = match (quoted.next(), quoted.collect::<Vec<_>>()) {
        (Some(word), known) if problem.starts_with("unknown ") && !known.is_empty() => {
            Some(match did_you_mean(word, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", known.join(", ")),
            })
        }
        _ => None,
    };
    let problem = problem.split(", expected").next().unwrap_or(problem);
    let problem = problem.replacen("unknown field", "there is no", 1).replacen("unknown variant", "there is no", 1);
    Failure { hint, ..Failure::new(format!("`guest`: {problem}")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_told_wherever_it_stands() {
        let told = |described| {
            let failure = Declared::read(described).unwrap_err();
            format!("{}; {}", failure.message, failure.hint.unwrap_or_default())
        };
        assert_eq!(told(json!({"packges": []})), "`guest`: there is no `packges`; did you mean `packages`?");
        assert_eq!(told(json!({"others": [{"nam": "x"}]})), "`guest`: there is no `nam`; did you mean `name`?");
        assert_eq!(told(json!({"files": {"/x": {"mod": "0644"}}})), "`guest`: there is no `mod`; did you mean `mode`?");
        assert_eq!(told(json!({"os": "debian12"})), "`guest`: there is no `debian12`; did you mean `debian-12`?");
        assert_eq!(told(json!({"kind": "pod"})), "`guest`: there is no `pod`; known: lxc, vm, node");
        assert!(told(json!({"packages": 3})).contains("invalid type: integer `3`"));
    }

    #[test]
    fn guests_without_an_id_get_the_next_free_one() {
        let mut guests = vec![
            Declared { id: 201, ..Declared::default() },
            Declared { others: vec![Declared::default()], ..Declared::default() },
        ];
        number(&mut guests);
        assert_eq!((guests[0].id, guests[1].id, guests[1].others[0].id), (201, 200, 202));
    }
}
