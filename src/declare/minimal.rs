//! One base and one guest: the smallest configuration that does something, in the shape of `examples/minimal`.

use serde_json::{Value, json};

use super::choice::{self, Choices, Unable};
use super::survey::Survey;
use super::{Proposal, Wishes, layout};
use crate::host::Host;
use crate::model::GuestId;
use crate::pve::storage::Capability;

/// Ids of base and guest, where they are free.
const IDS: [u32; 2] = [200, 201];
/// Their host numbers in the subnet, where they are free.
const HOSTS: [u32; 2] = [20, 21];

pub(super) fn propose(survey: &Survey, host: &dyn Host, wishes: &Wishes) -> Result<Proposal, Unable> {
    let mut choices = Choices::default();
    let ground = choice::ground(survey, wishes, &mut choices)?;
    let storage = choice::storage(survey, wishes, &["rootdir"], &mut choices)?;
    let template = choice::template(survey, &mut choices)?;
    let ids = choice::ids(survey, wishes, &IDS, &mut choices);
    let addresses = choice::addresses(survey, host, &ground, &HOSTS, &mut choices)?;
    let domain = choice::domain(survey, &mut choices);
    let [base, guest] = ids[..] else { return Err(no_ids()) };

    let mut network = json!({ "hostname": survey.node() });
    if let Some(own) = ground.own {
        network["interfaces"] = json!({ "name": ground.bridge, "address": own.to_string() });
        if let Some(gateway) = ground.gateway.filter(|gateway| own.address != std::net::IpAddr::from(*gateway)) {
            network["interfaces"]["gateway"] = gateway.to_string().into();
        }
    }
    let hypervisor = json!({
        "$schema": "schema/hypervisor.schema.json",
        "comment": format!("Written by `phoenix init` for node {}: one base and one guest. Everything may be changed.", survey.node()),
        "domain_name": domain,
        "network": network,
    });
    let linked = storage.can(Capability::ContainerLinkedClone);
    let copies = if linked {
        "Clones are linked and take a second."
    } else {
        "Clones are full copies: this storage makes no linked ones."
    };
    let of = |address| ground.network_config(address);
    // A template on a storage that cannot make one would fail at its end.
    let template_able = storage.can(Capability::ContainerTemplate);
    let mut first = json!({
        "comment": format!("The base: everything that all containers have. It never runs after it was made. {copies}"),
        "name": "base",
        "is_template": true,
        "template": template,
        "cores": 1,
        "memory_mb": 512,
        "storage_pool": storage.id,
        "storage_size_gb": 4,
        "network_config": of(addresses[0]),
        "features": ["base_setup"],
    });
    if let (false, Some(members)) = (template_able, first.as_object_mut()) {
        members.shift_remove("is_template");
    }
    let second = json!({
        "comment": "A guest. Give it features (`phoenix feature list`), more memory, a name of its own.",
        "name": "hello",
        "clone_from_ctid": base.get(),
        "cores": 1,
        "memory_mb": 512,
        "storage_pool": storage.id,
        "storage_size_gb": 4,
        "network_config": of(addresses[1]),
        "start_at_boot": true,
    });
    let mut guests = serde_json::Map::new();
    guests.insert(base.to_string(), first);
    guests.insert(guest.to_string(), second);
    let lxc = json!({ "$schema": "schema/lxc.schema.json", "lxc_configs": Value::Object(guests) });
    let files = vec![
        (crate::config::HYPERVISOR.to_owned(), layout::file(&hypervisor)),
        (crate::config::LXC.to_owned(), layout::file(&lxc)),
    ];
    Ok(Proposal { files, chosen: choices.0, guests: vec![base, guest] })
}

pub(super) fn no_ids() -> Unable {
    let most = GuestId::try_from(999_999_999).map_or_else(|_| String::new(), |id| id.to_string());
    Unable::Choose {
        message: format!("there are no free ids up to {most}"),
        hint: "name a smaller `--first-id`".to_owned(),
    }
}
