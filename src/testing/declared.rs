//! The guest that a test describes, as a declaration.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::model::{
    Address, Boot, Firewall, Guest, GuestId, GuestKind, LifecycleSnapshots, LxcSettings, Nic, Node, Origin,
    PortainerRole, Role, RootDisk, Site, TraefikService, VmSettings,
};

/// The archive that guests of tests are made from.
const TEMPLATE: &str = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";

/// A guest of a test, and what is around it. Everything has a fallback.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// Id.
    pub id: u32,
    /// Host name.
    pub name: String,
    /// Address with prefix.
    pub ip: String,
    /// Template that it is made from, as a volume id.
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
    /// Files that are there already: path -> text.
    pub files: BTreeMap<String, String>,
    /// Artifacts that somebody has published: name -> value.
    pub artifacts: BTreeMap<String, String>,
    /// Other declared guests; they do not run.
    pub others: Vec<Declared>,
    /// Internal DNS suffix.
    pub domain: String,
}

impl Default for Declared {
    fn default() -> Declared {
        Declared {
            id: 200,
            name: "guest".to_owned(),
            ip: "192.0.2.200/24".to_owned(),
            template: TEMPLATE.to_owned(),
            features: Vec::new(),
            app: None,
            params: BTreeMap::new(),
            gpus: Vec::new(),
            config: Value::Null,
            roles: Vec::new(),
            service: None,
            packages: Vec::new(),
            files: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            others: Vec::new(),
            domain: "example.org".to_owned(),
        }
    }
}

impl Declared {
    /// The declaration as the configuration would hold it.
    ///
    /// # Errors
    /// What is wrong with the id or the address.
    pub fn guest(&self) -> Result<Guest, String> {
        let address: Address = self.ip.parse().map_err(|error| format!("`ip` of {}: {error}", self.name))?;
        let gateway = address.cidr().map(|cidr| match cidr.network().address {
            std::net::IpAddr::V4(network) => std::net::Ipv4Addr::from(u32::from(network) + 1).into(),
            std::net::IpAddr::V6(network) => std::net::Ipv6Addr::from(u128::from(network) + 1).into(),
        });
        Ok(Guest {
            id: GuestId::try_from(self.id).map_err(|error| error.to_string())?,
            name: self.name.clone(),
            kind: GuestKind::Lxc,
            roles: self.roles.iter().map(|role| role_of(role)).collect(),
            node: None,
            tags: BTreeSet::new(),
            is_template: false,
            origin: Origin::Template(self.template.clone()),
            cores: 1,
            memory_mb: 512,
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

    /// The whole site: this guest first, then the others.
    ///
    /// # Errors
    /// As [`Declared::guest`].
    pub fn site(&self) -> Result<Site, String> {
        let guests = std::iter::once(self).chain(&self.others).map(|declared| {
            let guest = declared.guest()?;
            Ok((guest.id, guest))
        });
        Ok(Site {
            domain: self.domain.clone(),
            node: Node { name: Some("pve".to_owned()), ..Node::default() },
            guests: guests.collect::<Result<_, String>>()?,
            ..Site::default()
        })
    }
}

fn role_of(word: &str) -> Role {
    serde_json::from_value(Value::String(word.to_owned())).unwrap_or_else(|_| Role::Other(word.to_owned()))
}
