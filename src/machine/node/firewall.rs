//! `firewall`: rules and options of the cluster's or the node's own firewall, beside those of others.

use std::collections::BTreeMap;

use super::readable;
use crate::machine::{Change, Exec, File, Machine, MachineError, PROBE_TIMEOUT};
use crate::pve::firewall_file::{FirewallFile, Rule};
use crate::secret::Sealed;

/// Ports by which an operator reaches a node: SSH, and Proxmox's own interface.
const MANAGEMENT: [u16; 2] = [22, 8006];

/// Whose firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/etc/pve/firewall/cluster.fw`: all nodes, and the switch of everything.
    Cluster,
    /// `/etc/pve/local/host.fw`: this node.
    Node,
}

impl Scope {
    const fn path(self) -> &'static str {
        match self {
            Scope::Cluster => "/etc/pve/firewall/cluster.fw",
            Scope::Node => "/etc/pve/local/host.fw",
        }
    }
}

/// Rules that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFirewall {
    /// Whose firewall.
    pub scope: Scope,
    /// Options by Proxmox's names: `enable`, `policy_in`; those that are not named stay.
    pub options: BTreeMap<String, String>,
    /// Rules as they stand in the file: `IN ACCEPT -source 192.0.2.0/24 -p tcp -dport 22`.
    pub rules: Vec<String>,
}

impl Machine {
    /// Brings the rules of this name about: those, in their order, and no others of the name. Rules, options, aliases and
    /// sets of others stay. A firewall that is on and lets nobody in who is not named is refused without a rule (or the set
    /// `management`) that keeps the operator in.
    ///
    /// # Errors
    /// When a rule makes no sense, the operator would be locked out, or Proxmox cannot compile the result.
    pub fn firewall(&self, name: &str, wanted: &NodeFirewall) -> Result<Change, MachineError> {
        self.on_the_node("firewall")?;
        let path = wanted.scope.path();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` cannot name rules of the firewall")));
        }
        let rules = rules(name, &wanted.rules)?;
        let before = self.read(path)?.unwrap_or_default();
        let mut file = FirewallFile::parse(&before);
        let what = format!("firewall {name}");
        let ours = |rule: &Rule| rule.comment.as_deref().is_some_and(|comment| is_of(comment, name));
        let at = file.rules.iter().position(ours).unwrap_or(file.rules.len());
        let present: Vec<Rule> = file.rules.iter().filter(|rule| ours(rule)).cloned().collect();
        let differs = |(key, value): (&String, &String)| file.options.get(key) != Some(value);
        if present == rules && !wanted.options.iter().any(differs) {
            return Ok(Change::none(what));
        }
        file.rules.retain(|rule| !ours(rule));
        file.rules.splice(at..at, rules);
        file.options.extend(wanted.options.clone());
        if wanted.scope == Scope::Cluster && locks_out(&file) {
            return Err(MachineError::Conflict {
                what,
                reason: "would let nobody in: the firewall is on, drops what no rule accepts, and no rule accepts SSH or \
                         port 8006"
                    .to_owned(),
                hint: Some(
                    "declare with it a rule such as `IN ACCEPT -source NETWORK -p tcp -dport 22`, or the IP set `management`"
                        .to_owned(),
                ),
            });
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.dir(above, &Default::default())?;
        }
        let text = |text: String| File::text(Sealed::plain(text));
        let change = self.file(path, &text(file.render()))?;
        if let Some(complaint) = self.compiled()? {
            self.file(path, &File { attributes: readable(), ..text(before) })?;
            return Err(MachineError::Conflict {
                what,
                reason: format!("Proxmox cannot compile it, so it was taken back: {complaint}"),
                hint: Some(format!("`pve-firewall compile` tells more once it is in {path} again")),
            });
        }
        Ok(Change { what, ..change })
    }

    /// What `pve-firewall` says against its files, where it is there.
    fn compiled(&self) -> Result<Option<String>, MachineError> {
        let words = ["pve-firewall", "compile"].map(str::to_owned);
        match self.probe(&words, &Exec { timeout: PROBE_TIMEOUT, ..Exec::default() }) {
            // 127: not installed. A rehearsal does not know.
            Ok(output) if output.code == 127 => Ok(None),
            Ok(output) if output.ok() && output.stderr.is_empty() => Ok(None),
            Ok(output) => Ok(Some(output.tail(3))),
            Err(error) if error.is_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a remark is that of a rule of this name.
fn is_of(comment: &str, name: &str) -> bool {
    let rest = comment.strip_prefix("phoenix ").and_then(|rest| rest.strip_prefix(name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// The rules, marked as of this name.
fn rules(name: &str, lines: &[String]) -> Result<Vec<Rule>, MachineError> {
    let marked = |line: &String| {
        let invalid = || MachineError::Invalid(format!("firewall {name}: `{line}` is no rule"));
        let mut rule = Rule::parse(line).ok_or_else(invalid)?;
        let known = match rule.direction.as_str() {
            "in" | "out" | "forward" => ["ACCEPT", "DROP", "REJECT"].contains(&rule.action.as_str()),
            "group" => true,
            _ => false,
        };
        if !known {
            return Err(invalid());
        }
        rule.comment = Some(match rule.comment.take() {
            Some(comment) => format!("phoenix {name}: {comment}"),
            None => format!("phoenix {name}"),
        });
        Ok(rule)
    };
    lines.iter().map(marked).collect()
}

/// Whether the firewall is on, drops what no rule accepts, and no rule accepts a way of management.
fn locks_out(file: &FirewallFile) -> bool {
    let on = file.options.get("enable").is_some_and(|value| value == "1");
    // Without a policy Proxmox drops.
    let drops = file.options.get("policy_in").is_none_or(|policy| policy != "ACCEPT");
    let set = file.sets.get("management").is_some_and(|set| set.entries.iter().any(|entry| !entry.nomatch));
    let accepts = |rule: &Rule| {
        let ports = rule.parts.get("dport");
        let way = match (&rule.macro_name, ports) {
            (Some(name), _) => name.eq_ignore_ascii_case("ssh"),
            (None, Some(ports)) => MANAGEMENT.iter().any(|port| covers(ports, *port)),
            (None, None) => rule.parts.get("proto").is_none_or(|proto| proto == "tcp"),
        };
        rule.enabled && rule.direction == "in" && rule.action == "ACCEPT" && way
    };
    on && drops && !set && !file.rules.iter().any(accepts)
}

/// Whether a list of ports and ranges holds a port.
fn covers(ports: &str, port: u16) -> bool {
    ports.split(',').any(|part| match part.split_once(':') {
        Some((from, to)) => {
            let bound = |text: &str| text.parse::<u16>().ok();
            matches!((bound(from), bound(to)), (Some(from), Some(to)) if (from..=to).contains(&port))
        }
        None => part.parse() == Ok(port),
    })
}
