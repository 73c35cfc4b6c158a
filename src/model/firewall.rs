//! Firewall rules as declared; [`crate::pve`] renders them.

use serde::{Deserialize, Serialize};

/// Which way traffic goes, seen from the filtered machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Incoming.
    In,
    /// Outgoing.
    Out,
}

/// What happens to matching traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FirewallAction {
    /// Let through.
    Accept,
    /// Dropped silently.
    Drop,
    /// Refused with an answer.
    Reject,
}

/// One rule. All text fields are in the syntax of Proxmox's firewall (addresses, ranges, lists).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Direction.
    pub direction: Direction,
    /// Action.
    pub action: FirewallAction,
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
    /// Rules in order; the first match counts.
    pub rules: Vec<FirewallRule>,
}
