//! Proxmox VE's own words: values in, commands out; text in, values out. Nothing here touches a node.
//!
//! | file | what |
//! |---|---|
//! | [`table`] | the option table `options.json`: commands, options, formats, since when |
//! | [`schema`], [`mod@format`] | Proxmox's checks of one value, with its messages |
//! | [`argv`] | argv understood (or refused) as the real tools do |
//! | [`property`], [`size`] | property strings, disk sizes |
//! | [`guest_config`], [`storage`], [`firewall`], [`firewall_file`] | the files under `/etc/pve` |
//! | [`ha`] | which guests the HA manager looks after |
//! | [`version`] | versions of Proxmox VE, and what an older one lacks |
//! | [`refusal`] | what the tools say when they refuse, sorted by what it means |
//! | [`inventory`] | the state of a whole node from files, without a process |
//! | [`usage`] | how full storages are |
//! | [`tool`], [`pct`], [`qm`], [`pvesm`] | builders of commands, named after the subcommands they build |
//! | [`guest`], [`difference`] | what a declared guest should look like, and how the present one differs |
//! | [`effect`] | which keys a running guest takes at once |
//! | [`lxc`], [`vm`] | the same of containers and of virtual machines |
//!
//! A kind of guest differs only in its builders and in what it desires; the lifecycle that uses them is one.

pub mod argv;
mod comparison;
pub mod difference;
pub mod effect;
pub mod firewall;
pub mod firewall_file;
pub mod format;
pub mod guest;
pub mod guest_config;
pub mod ha;
pub mod inventory;
pub mod lxc;
pub mod pct;
pub mod property;
pub mod pvesm;
pub mod qm;
pub mod refusal;
pub mod schema;
pub mod size;
pub mod storage;
pub mod table;
pub mod tool;
pub mod usage;
pub mod version;
pub mod vm;

/// The tag that marks guests made by phoenix.
pub const MARK: &str = "phoenix";

/// Proxmox VE's own programs. Each of them is Perl that loads the whole API: about half a second before it begins.
const TOOLS: [&str; 15] = [
    "ha-manager",
    "pct",
    "pve-firewall",
    "pveam",
    "pveceph",
    "pvecm",
    "pvenode",
    "pvesh",
    "pvesm",
    "pvesr",
    "pveum",
    "pveversion",
    "qm",
    "qmrestore",
    "vzdump",
];

/// Whether a program, by name or path, is one of Proxmox VE's.
pub fn is_tool(program: &str) -> bool {
    TOOLS.contains(&program.rsplit('/').next().unwrap_or(program))
}
