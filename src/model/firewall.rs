//! Firewall rules as declared; [`crate::pve`] renders them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which way traffic goes, seen from the filtered machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Incoming.
    #[default]
    In,
    /// Outgoing.
    Out,
}

/// What happens to matching traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FirewallAction {
    /// Let through.
    Accept,
    /// Dropped silently.
    #[default]
    Drop,
    /// Refused with an answer.
    Reject,
}

/// One rule. All text fields are in the syntax of Proxmox's firewall (addresses, ranges, lists).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Direction.
    pub direction: Direction,
    /// Action.
    pub action: FirewallAction,
    /// A security group of the node instead: its rules count here. Of the rest only interface, comment and whether it
    /// is disabled count then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// A macro of Proxmox (`SSH`), which says protocol and ports.
    #[serde(default, rename = "macro", skip_serializing_if = "Option::is_none")]
    pub macro_name: Option<String>,
    /// Interface (`net0`).
    pub interface: Option<String>,
    /// Source addresses.
    pub source: Option<String>,
    /// Destination addresses.
    pub dest: Option<String>,
    /// Protocol (`tcp`, `udp`, `icmp` ...).
    pub protocol: Option<String>,
    /// Destination ports.
    pub port: Option<String>,
    /// Source ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<String>,
    /// Type of ICMP messages (`echo-request`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<String>,
    /// How matching traffic is logged (`info`); absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Kept in the file, but without effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Remark that travels with the rule.
    pub comment: Option<String>,
}

/// The firewall of a guest or of the whole node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// Filtered at all.
    pub enabled: bool,
    /// Policy for incoming traffic that no rule matches; absent: Proxmox's default (DROP).
    pub policy_in: Option<FirewallAction>,
    /// Policy for outgoing traffic that no rule matches; absent: Proxmox's default (ACCEPT).
    pub policy_out: Option<FirewallAction>,
    /// Other options by Proxmox's name: `dhcp` -> `1`, `log_level_in` -> `info`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Names for an address or a network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Named sets of addresses, networks and aliases; one that begins with `!` is excepted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ipsets: BTreeMap<String, Vec<String>>,
    /// Rules in order; the first match counts.
    pub rules: Vec<FirewallRule>,
}
