//! A lab for a configuration: real containers that know each other's names.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::Globals;
use crate::host::interrupt::Interrupt;
use crate::lab::Lab;
use crate::model::{Address, Guest, Role, Site};
use crate::ui;

/// The lab in this directory, with the declared names.
///
/// # Errors
/// When this machine lacks something, or another process uses the lab.
pub fn open(dir: &Path, site: Option<&Site>, globals: &Globals, interrupt: &Interrupt) -> Result<Arc<Lab>> {
    let quiet = globals.quiet || globals.json;
    let tell = move |words: &str| {
        if !quiet {
            ui::print::note(&format!("{words}\n"));
        }
    };
    let lab = Lab::open(dir, interrupt.clone(), tell)?;
    if let Some(site) = site {
        lab.know(&names(site))?;
    }
    Ok(Arc::new(lab))
}

/// Names that a platform's machines ask for: what is declared, the guests, and published services by the gateway.
fn names(site: &Site) -> Vec<(IpAddr, String)> {
    let address = |guest: &Guest| {
        guest.nics.iter().find_map(|nic| match nic.address {
            Address::Static(cidr) => Some(cidr.address),
            Address::Dhcp | Address::Manual => None,
        })
    };
    let gateway = site.with_role(&Role::Gateway).find_map(address);
    let full = |name: &str| format!("{name}.{}", site.domain);
    let mut names: Vec<(IpAddr, String)> = Vec::new();
    let mut know = |address: Option<IpAddr>, name: String| {
        if !names.iter().any(|(_, known)| *known == name) {
            names.extend(address.map(|address| (address, name)));
        }
    };
    for record in site.guests.values().flat_map(|guest| &guest.dns_records) {
        know(record.ip.parse().ok(), record.hostname.clone());
    }
    for guest in site.guests.values() {
        know(address(guest), guest.name.clone());
        know(address(guest), full(&guest.name));
    }
    for service in site.guests.values().filter_map(|guest| guest.traefik_service.as_ref()) {
        know(gateway, full(&service.name));
    }
    names
}
