//! One declared guest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    BindMount, Boot, Device, DnsRecord, Firewall, GuestId, GuestKind, NfsVolume, Nic, RootDisk, StackUse,
    TraefikService, Volume,
};

/// What a guest is for the platform. Code knows roles, never ids or addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The private certificate authority.
    Ca,
    /// The internal router (Traefik).
    Router,
    /// The TLS entry for browsers (nginx).
    Gateway,
    /// The Portainer server.
    Portainer,
    /// A Docker host.
    Docker,
    /// Any other word of the operator.
    #[serde(untagged)]
    Other(String),
}

/// Where a guest comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Container template: a volume id (`local:vztmpl/x.tar.zst`) or an absolute path.
    Template(String),
    /// Another declared guest of the same kind.
    Clone(GuestId),
    /// A cloud image.
    Image(Image),
    /// Somebody else made it: it is there, or there is none. What is not declared of it is left as it is.
    Existing,
}

/// A cloud image: a disk with an operating system that cloud-init sets up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `https://...`, a volume id (`local:import/x.qcow2`), or an absolute path on the node.
    pub source: String,
    /// SHA-256 of the file in hex, lower case.
    pub sha256: Option<String>,
}

/// `pre-configured` and `final-form`, and the snapshot that clones come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleSnapshots {
    /// Taken once before the first feature ever.
    pub before_features: Option<String>,
    /// Taken at the end, retaken when a run changed the guest.
    pub after_features: Option<String>,
    /// The snapshot that children clone from.
    pub template: Option<String>,
}

/// A health check of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Shown name.
    pub name: String,
    /// Program and arguments, run inside the guest.
    pub command: Vec<String>,
    /// Further tries.
    pub retries: u32,
    /// Seconds between tries.
    pub interval: u32,
}

/// A hole in the id mapping of an unprivileged container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// `u`, `g` or both.
    pub kind: String,
    /// First id on the node.
    pub host_id: u32,
    /// First id inside.
    pub container_id: u32,
    /// How many.
    pub size: u32,
}

/// Role of a guest towards Portainer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortainerRole {
    /// Not part of it.
    #[default]
    None,
    /// Runs the server.
    Server,
    /// Runs an agent.
    Agent,
    /// Infrastructure that Portainer only shows.
    Infrastructure,
}

/// NVIDIA's driver inside a container; the kernel's part must be of the same version on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nvidia {
    /// Exact version.
    pub driver_version: Option<String>,
    /// Package repository of the toolkit.
    pub repo_url: Option<String>,
    /// Where the installer is downloaded from.
    pub runfile_url: Option<String>,
}

/// The settings of a vLLM server (`vllm_engine_config`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VllmEngine {
    /// Model, `ORGANISATION/NAME`.
    pub model: String,
    /// Runs code that comes with the model.
    pub trust_remote_code: bool,
    /// Number format of weights.
    pub dtype: Option<String>,
    /// Tokens of context.
    pub max_model_len: Option<u32>,
    /// Quantisation.
    pub quantization: Option<String>,
    /// Share of the GPU's memory, above 0 and at most 1.
    pub gpu_memory_utilization: Option<f64>,
    /// GPUs used together.
    pub tensor_parallel_size: Option<u32>,
    /// Address it listens on.
    pub host: Option<String>,
    /// Port it listens on.
    pub port: Option<u16>,
    /// Name clients ask for.
    pub served_model_name: Option<String>,
    /// Words of its command line beside these.
    pub arguments: Vec<String>,
}

/// What only containers have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LxcSettings {
    /// Root inside is an ordinary user of the node. Cannot be changed after creation.
    pub unprivileged: bool,
    /// `features` of Proxmox: nesting, keyctl, fuse, mknod, mount, force_rw_sys.
    pub features: BTreeMap<String, String>,
    /// Raw `lxc.*` lines (key, value) in order.
    pub raw: Vec<(String, String)>,
    /// Indices of the GPUs shared with the guest.
    pub gpus: Vec<u32>,
    /// Devices of the node.
    pub devices: Vec<Device>,
    /// Holes in the id mapping.
    pub id_maps: Vec<IdMap>,
    /// NVIDIA's driver, for containers with GPUs.
    pub nvidia: Option<Nvidia>,
    /// vLLM server, for the app of that name.
    pub vllm: Option<VllmEngine>,
}

/// What only virtual machines have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSettings {
    /// User that cloud-init creates.
    pub username: Option<String>,
    /// Public SSH keys that may log in as this user, as in `authorized_keys`.
    pub ssh_keys: Vec<String>,
    /// NFS exports mounted inside.
    pub nfs: Vec<NfsVolume>,
    /// Docker stacks deployed here.
    pub stacks: Vec<StackUse>,
    /// Name of the environment in Portainer; absent: the guest's name.
    pub portainer_environment: Option<String>,
    /// Name under which the agent is reached; absent: the guest's address.
    pub portainer_agent_hostname: Option<String>,
}

/// One declared guest, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    /// Id.
    pub id: GuestId,
    /// Name; also the host name.
    pub name: String,
    /// Container or virtual machine.
    pub kind: GuestKind,
    /// Roles, declared or derived.
    pub roles: BTreeSet<Role>,
    /// Node it belongs on; absent: the node phoenix runs against.
    pub node: Option<String>,
    /// Tags beside phoenix's own.
    pub tags: BTreeSet<String>,
    /// Converted to a template at the end.
    pub is_template: bool,
    /// Where it comes from.
    pub origin: Origin,
    /// CPU cores; 0: not declared, of guests that somebody else made.
    pub cores: u32,
    /// Memory in MiB; 0: not declared, of guests that somebody else made.
    pub memory_mb: u32,
    /// Swap in MiB (containers).
    pub swap_mb: Option<u32>,
    /// Root disk.
    pub root: RootDisk,
    /// Network interfaces; the first one is `net0`.
    pub nics: Vec<Nic>,
    /// Name servers.
    pub nameservers: Vec<std::net::IpAddr>,
    /// Search domain.
    pub search_domain: Option<String>,
    /// Other keys of its Proxmox configuration, by Proxmox's name: `cpulimit` -> `1.5`, `description` -> any text.
    pub options: BTreeMap<String, String>,
    /// Start order.
    pub boot: Boot,
    /// Guests that must be healthy first, as declared.
    pub dependencies: Vec<GuestId>,
    /// Features as declared, in order.
    pub features: Vec<String>,
    /// The app, by script name.
    pub app: Option<String>,
    /// Parameters per feature or app.
    pub params: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// Firewall rules.
    pub firewall: Firewall,
    /// Volumes of its own.
    pub volumes: Vec<Volume>,
    /// Directories of the node.
    pub mounts: Vec<BindMount>,
    /// Lifecycle snapshots.
    pub snapshots: LifecycleSnapshots,
    /// Health checks of the configuration.
    pub health_checks: Vec<HealthCheck>,
    /// Name published by the router.
    pub traefik_service: Option<TraefikService>,
    /// Additional DNS records.
    pub dns_records: Vec<DnsRecord>,
    /// Role towards Portainer.
    pub portainer_role: PortainerRole,
    /// `up` ends with a sync if this guest asks for it.
    pub trigger_sync: bool,
    /// What only containers have; empty for virtual machines.
    pub lxc: LxcSettings,
    /// What only virtual machines have; empty for containers.
    pub vm: VmSettings,
    /// The declaration as read, for its own app (`guest.config`).
    pub config: serde_json::Value,
}

impl Guest {
    /// The first declared address, without prefix.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.nics.iter().find_map(|nic| nic.address.cidr()).map(|cidr| cidr.address)
    }

    /// Whether somebody else made it.
    pub fn is_imported(&self) -> bool {
        self.origin == Origin::Existing
    }

    /// Whether a running guest is wanted: not a template, and no clone source that is not started at boot.
    /// `is_clone_source` comes from the plan, which sees all guests.
    pub fn meant_to_run(&self, is_clone_source: bool) -> bool {
        !self.is_template && (!is_clone_source || self.boot.start_at_boot)
    }
}
