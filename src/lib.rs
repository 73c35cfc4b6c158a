//! phoenix: a Proxmox VE host, declared in JSON and made so.
//!
//! Rooms and who may import whom are in `docs/architecture.md`; a test holds them apart.
//! Read upwards: [`model`] is what the operator declared, [`command`], [`op`] and [`request`] are things to do
//! as values, a [`host`] is where they are done, [`engine`] runs a [`plan`], [`cli`] puts it all together.

pub mod artifact;
pub mod cli;
pub mod command;
pub mod config;
pub mod declare;
pub mod engine;
pub mod event;
pub mod finding;
pub mod host;
pub mod lab;
pub mod lsp;
pub mod machine;
pub mod manual;
pub mod model;
pub mod op;
pub mod plan;
pub mod pve;
pub mod request;
pub mod sandbox;
pub mod script;
pub mod secret;
pub mod testing;
pub mod ui;
