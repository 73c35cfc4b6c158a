//! A host that emulates a Proxmox node, true enough that what works here works there.
//!
//! | file | what |
//! |---|---|
//! | `host` | [`Sandbox`]: the node as a [`crate::host::Host`] |
//! | `rehearsal` | a sandbox seeded from a real node, which only looks at that node |
//! | `core`, `session` | what all handles share; one command at work |
//! | `time`, `clock`, `pace`, `random` | the node's time, the emulated one and its actors, durations, seeded numbers |
//! | [`bodies`] | real insides for containers, where there are any |
//! | `world`, `record`, `file`, `fresh` | everything there is, what changed, where it is kept, how it begins |
//! | `config`, `storage`, `disk` | configuration files, volumes and drives as Proxmox keeps them |
//! | `fault` | what goes wrong on purpose |
//! | `gpu` | GPUs of a fresh node: device files, their numbers, the driver's version |
//! | `node_files` | `/etc/pve`, `/proc/net/unix` and the like, rendered from the world |
//! | `neighbours` | who answers on the node's networks |
//! | `vm`, `seed`, `image` | virtual machines at work, what their cloud-init drives hold, cloud images |
//! | `guest`, `start_files`, `pending` | a guest's inside: how it is reached, started and stopped, what a start writes and applies |
//! | `tools` | `pct`, `pvesm`, `pveam`, `pvesh`, `qm` |
//! | [`body`], [`programs`] | the modelled inside of a machine and what its programs do |
//! | `requests`, [`double`] | who answers HTTP requests, and the services that do |
//!
//! `docs/sandbox.md` describes the world file and says what is not modelled.

pub mod bodies;
pub mod body;
mod clock;
mod config;
mod core;
mod disk;
pub mod double;
mod fault;
mod file;
mod fresh;
mod gpu;
mod guest;
mod ha;
mod home;
mod host;
mod image;
mod locale;
mod mount_point;
mod neighbours;
mod node_files;
mod pace;
mod pending;
pub mod programs;
mod random;
mod record;
mod rehearsal;
mod requests;
mod seed;
mod session;
mod start_files;
mod storage;
mod time;
mod tools;
mod vm;
mod world;

pub use bodies::{Bodies, Boot, BootNic};
pub use fault::{Fault, InvalidFault};
pub use file::{WorldFileError, parse as parse_world};
pub use ha::Resource as HaResource;
pub use host::{GuestStatus, Options, Sandbox, Status};
pub use neighbours::Neighbour;
pub use programs::Programs;
pub use start_files::StartFile;
pub use storage::{Storage, Volume};
pub use world::{Bridge, Cluster, Guest, NodeFile, Running, Template, TemplateOs, World};
