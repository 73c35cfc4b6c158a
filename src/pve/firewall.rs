//! Firewall files of guests: `/etc/pve/firewall/ID.fw`, written whole.

use std::fmt::Write;

use crate::model::{Direction, Firewall, FirewallAction, FirewallRule, GuestId};

/// Where the firewall file of a guest is.
pub fn path(id: GuestId) -> String {
    format!("/etc/pve/firewall/{id}.fw")
}

/// A firewall file taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What the model can say.
    pub firewall: Firewall,
    /// Lines that it cannot: aliases, sets, macros, disabled rules, other options.
    pub foreign: Vec<String>,
}

/// The whole file.
pub fn render(firewall: &Firewall) -> String {
    let mut text = format!("[OPTIONS]\n\nenable: {}\n", u8::from(firewall.enabled));
    for (key, policy) in [("policy_in", firewall.policy_in), ("policy_out", firewall.policy_out)] {
        if let Some(policy) = policy {
            let _ = writeln!(text, "{key}: {}", word(policy));
        }
    }
    text.push_str("\n[RULES]\n\n");
    for rule in &firewall.rules {
        text.push_str(&line(rule));
        text.push('\n');
    }
    text
}

/// Takes a file apart.
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut section = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.to_ascii_lowercase();
            if !matches!(section.as_str(), "[options]" | "[rules]") {
                parsed.foreign.push(line.to_owned());
            }
            continue;
        }
        let known = match section.as_str() {
            "[options]" => option(&mut parsed.firewall, line),
            "[rules]" => rule(line).map(|rule| parsed.firewall.rules.push(rule)),
            _ => None,
        };
        if known.is_none() {
            parsed.foreign.push(line.to_owned());
        }
    }
    parsed
}

/// Whether a file says exactly what is declared, however it is laid out.
pub fn says(text: &str, declared: &Firewall) -> bool {
    // Both sides take the same way, so that comments and spellings that the file cannot hold do not count.
    parse(text) == parse(&render(declared))
}

fn word(action: FirewallAction) -> &'static str {
    match action {
        FirewallAction::Accept => "ACCEPT",
        FirewallAction::Drop => "DROP",
        FirewallAction::Reject => "REJECT",
    }
}

fn action(word: &str) -> Option<FirewallAction> {
    [FirewallAction::Accept, FirewallAction::Drop, FirewallAction::Reject]
        .into_iter()
        .find(|action| self::word(*action).eq_ignore_ascii_case(word))
}

/// A rule in the order in which Proxmox writes its parts.
fn line(rule: &FirewallRule) -> String {
    let direction = match rule.direction {
        Direction::In => "IN",
        Direction::Out => "OUT",
    };
    let mut line = format!("{direction} {}", word(rule.action));
    let parts = [
        ("-i", &rule.interface),
        ("-source", &rule.source),
        ("-dest", &rule.dest),
        ("-p", &rule.protocol),
        ("-dport", &rule.port),
    ];
    for (flag, value) in parts.into_iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?))) {
        let _ = write!(line, " {flag} {}", value.replace(' ', ""));
    }
    if let Some(comment) = rule.comment.as_deref().map(one_line).filter(|comment| !comment.is_empty()) {
        let _ = write!(line, " # {comment}");
    }
    line
}

fn one_line(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn option(firewall: &mut Firewall, line: &str) -> Option<()> {
    let (key, value) = line.split_once(':')?;
    match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
        ("enable", "1") => firewall.enabled = true,
        ("enable", "0") => firewall.enabled = false,
        ("policy_in", value) => firewall.policy_in = Some(action(value)?),
        ("policy_out", value) => firewall.policy_out = Some(action(value)?),
        _ => return None,
    }
    Some(())
}

fn rule(line: &str) -> Option<FirewallRule> {
    let (line, comment) = match line.split_once('#') {
        Some((line, comment)) => (line, Some(one_line(comment)).filter(|comment| !comment.is_empty())),
        None => (line, None),
    };
    let mut words = line.split_whitespace();
    let direction = match words.next()?.to_ascii_uppercase().as_str() {
        "IN" => Direction::In,
        "OUT" => Direction::Out,
        _ => return None,
    };
    let mut rule = FirewallRule {
        direction,
        action: action(words.next()?)?,
        interface: None,
        source: None,
        dest: None,
        protocol: None,
        port: None,
        comment,
    };
    while let Some(flag) = words.next() {
        let field = match flag.trim_start_matches('-') {
            "i" | "iface" => &mut rule.interface,
            "source" => &mut rule.source,
            "dest" => &mut rule.dest,
            "p" | "proto" => &mut rule.protocol,
            "dport" => &mut rule.port,
            _ => return None,
        };
        *field = Some(words.next()?.to_owned());
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Firewall {
        Firewall {
            enabled: true,
            policy_in: Some(FirewallAction::Drop),
            policy_out: None,
            rules: vec![FirewallRule {
                direction: Direction::In,
                action: FirewallAction::Accept,
                interface: Some("net0".into()),
                source: Some("192.0.2.0/24, 198.51.100.7".into()),
                dest: None,
                protocol: Some("tcp".into()),
                port: Some("80,443".into()),
                comment: Some("browsers\nand others".into()),
            }],
        }
    }

    #[test]
    fn the_whole_file_is_rendered() {
        let expected = "[OPTIONS]\n\nenable: 1\npolicy_in: DROP\n\n[RULES]\n\n\
             IN ACCEPT -i net0 -source 192.0.2.0/24,198.51.100.7 -p tcp -dport 80,443 # browsers and others\n";
        assert_eq!(render(&declared()), expected);
    }

    #[test]
    fn what_is_rendered_says_what_is_declared() {
        assert!(says(&render(&declared()), &declared()));
        assert!(says(
            "[options]\nenable: 1\npolicy_in: drop\n[RULES]\nIN ACCEPT --iface net0 -source 192.0.2.0/24,198.51.100.7 -p tcp -dport 80,443 # browsers and others",
            &declared()
        ));
    }

    #[test]
    fn whatever_else_stands_there_is_a_difference() {
        let changed = render(&declared()) + "|IN DROP\nGROUP web\n";
        assert!(!says(&changed, &declared()));
        assert_eq!(parse(&changed).foreign, ["|IN DROP", "GROUP web"]);
    }
}
