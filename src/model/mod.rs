//! What the operator declared, valid by construction, and what a script declares about itself.
//!
//! Pure data: nothing here reads a file, runs a command or knows Proxmox's spelling. [`crate::config`] makes a
//! [`Site`] from JSON files; [`crate::script`] makes a [`Catalogue`] from `.rhai` files.

mod boot;
mod catalogue;
mod firewall;
mod guest;
mod id;
mod network;
mod node;
pub mod params;
mod pattern;
mod real_run;
mod secret_ref;
mod service;
mod setup;
mod site;
mod step;
mod storage;

pub use boot::Boot;
pub use catalogue::{Catalogue, LxcNeeds, ParamSpec, ParamType, Prepared, ScriptKind, ScriptSpec, Target};
pub use firewall::{Direction, Firewall, FirewallAction, FirewallRule};
pub use guest::{
    Guest, HealthCheck, IdMap, Image, LifecycleSnapshots, LxcSettings, Nvidia, Origin, PortainerRole, Role, VllmEngine,
    VmSettings,
};
pub use id::{GuestId, GuestKind, InvalidGuestId};
pub use network::{Address, Address6, Cidr, InvalidAddress, InvalidMac, MacAddress, Nic};
pub use node::{Node, NodeStorage};
pub use pattern::fits;
pub use real_run::{Os, RealRun};
pub use secret_ref::{SecretRef, SecretSource};
pub use service::{Certificate, DnsRecord, Stack, StackEnvironment, StackFile, StackUse, StackValue, TraefikService};
pub use setup::{
    AdminUser, DnsServer, NfsExport, NodeSetup, NvidiaDriver, Portainer, Samba, SambaShare, SharedVolume, Zfs,
    ZfsDataset, ZfsPool,
};
pub use site::Site;
pub use step::Step;
pub use storage::{BindMount, Device, NfsVolume, RootDisk, Volume};
