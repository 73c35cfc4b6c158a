//! Firewalls that filter nothing: a guest is filtered when the node's firewall, its own and that of its interface are on.

use crate::config::guest::Draft;
use crate::finding::{Finding, did_you_mean};
use crate::model::Site;

/// The switches of every guest, and the interfaces that its rules name.
pub fn check(site: &Site, drafts: &[Draft]) {
    for draft in drafts {
        switches(site, draft);
        interfaces(draft);
    }
}

fn switches(site: &Site, draft: &Draft) {
    let guest = &draft.guest;
    let wanted = guest.firewall.enabled;
    if wanted && !site.node.firewall.enabled {
        let finding = Finding::warning("not-filtered", "nothing of this guest is filtered: the node's firewall is off")
            .hint("`firewall.enabled` of the node; its policies and rules decide who still reaches the node then");
        draft.report(finding, "firewall.enabled");
    }
    for (number, nic) in guest.nics.iter().enumerate() {
        let place = match number.checked_sub(1) {
            None => "network_config.firewall".to_owned(),
            Some(at) => format!("additional_networks.{at}.firewall"),
        };
        let finding = match (wanted, nic.firewall) {
            (true, false) => Finding::warning("not-filtered", format!("net{number} of this guest is not filtered"))
                .hint("leave `firewall` of the interface out: it follows `firewall.enabled` of the guest"),
            (false, true) => Finding::warning(
                "not-filtered",
                format!("net{number} is to be filtered, but the guest's firewall is off"),
            )
            .hint("`firewall.enabled` of the guest"),
            _ => continue,
        };
        draft.report(finding, &place);
    }
}

/// Rules name interfaces as Proxmox does: `net0`, whatever they are called inside.
fn interfaces(draft: &Draft) {
    let guest = &draft.guest;
    let known: Vec<String> = (0..guest.nics.len()).map(|number| format!("net{number}")).collect();
    // A stack's rules are not in the entry.
    let declared = draft.fields.value.at("firewall.rules").map_or(0, |rules| rules.items().len());
    for (at, rule) in guest.firewall.rules.iter().take(declared).enumerate() {
        let Some(named) = rule.interface.as_ref().filter(|named| !known.contains(named)) else { continue };
        let inside = guest.nics.iter().position(|nic| nic.name == *named).map(|number| format!("net{number}"));
        let near = inside.or_else(|| did_you_mean(named, known.iter().map(String::as_str)).map(str::to_owned));
        let mut finding = Finding::error("bad-rule", format!("this guest has no interface `{named}`"));
        finding.hint = near.map(|near| format!("did you mean `{near}`? Proxmox's rules count a guest's interfaces"));
        draft.report(finding, &format!("firewall.rules.{at}.iface"));
    }
}
