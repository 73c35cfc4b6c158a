//! What Proxmox puts on a machine's cloud-init drive: user data, network configuration, the instance's id.

use std::net::IpAddr;

use super::body::hex;
use super::clock::Moment;
use super::config::{Section, number};
use super::core::Core;
use super::guest::node_file;
use super::vm::nic;
use super::world::World;
use crate::model::{Cidr, GuestId};
use crate::pve::guest_config::decode;

/// The drive's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seed {
    /// Another one makes cloud-init set the machine up again.
    pub(super) instance_id: String,
    /// `user-data`.
    pub(super) user: String,
    /// `network-config`.
    pub(super) network: String,
    /// `vendor-data`.
    pub(super) vendor: Option<String>,
}

impl Seed {
    /// What Proxmox generates from the configuration alone.
    pub(super) fn of(world: &World, id: GuestId, config: &Section) -> Seed {
        let (user, network) = (user_data(id, config), network_config(world, config));
        Seed { instance_id: instance_id(&user, &network), user, network, vendor: None }
    }

    /// The same with the files that `cicustom` names in the place of what is generated.
    ///
    /// # Errors
    /// Proxmox's words about a file that is not there.
    pub(super) fn with_own_files(
        world: &mut World,
        core: &Core,
        id: GuestId,
        config: &Section,
        now: Moment,
    ) -> Result<Seed, String> {
        let mut seed = Seed::of(world, id, config);
        let mut meta = None;
        for part in config.get("cicustom").unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
            let Some((kind, volid)) = part.split_once('=') else { continue };
            let text = snippet(world, core, volid, now)?;
            match kind {
                "user" => seed.user = text,
                "network" => seed.network = text,
                "vendor" => seed.vendor = Some(text),
                _ => meta = Some(text),
            }
        }
        let own_id = meta.as_deref().and_then(|meta| {
            meta.lines().find_map(|line| line.strip_prefix("instance-id:")).map(|id| id.trim().to_owned())
        });
        seed.instance_id = own_id.unwrap_or_else(|| instance_id(&seed.user, &seed.network));
        Ok(seed)
    }
}

fn snippet(world: &mut World, core: &Core, volid: &str, now: Moment) -> Result<String, String> {
    if !volid.split_once(':').is_some_and(|(_, name)| name.starts_with("snippets/")) {
        return Err(format!("{volid} is not in the snippets directory"));
    }
    let path = world.path_of(volid);
    let bytes = node_file(world, core, &path, now);
    let bytes = bytes.ok_or_else(|| format!("can't open '{path}' - No such file or directory"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn instance_id(user: &str, network: &str) -> String {
    let text = format!("{user}{network}");
    hex(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

fn user_data(id: GuestId, config: &Section) -> String {
    let name = config.get("name").map_or_else(|| format!("VM{id}"), str::to_owned);
    let domain = config.get("searchdomain").and_then(|domains| domains.split([' ', ',', ';']).next());
    let fqdn = match (name.contains('.'), domain) {
        (true, _) => Some(name.clone()),
        (false, domain) => domain.map(|domain| format!("{name}.{domain}")),
    };
    let short = name.split('.').next().unwrap_or(&name);
    let mut text = format!("#cloud-config\nhostname: {short}\nmanage_etc_hosts: true\n");
    text.extend(fqdn.map(|fqdn| format!("fqdn: {fqdn}\n")));
    let user = config.get("ciuser");
    text.extend(user.map(|user| format!("user: {user}\n")));
    if user == Some("root") {
        text += "disable_root: False\n";
    }
    text.extend(config.get("cipassword").map(|password| format!("password: {password}\n")));
    if let Some(keys) = config.get("sshkeys") {
        text += "ssh_authorized_keys:\n";
        let keys = decode(keys);
        text.extend(keys.lines().filter(|key| !key.trim().is_empty()).map(|key| format!("  - {key}\n")));
    }
    text += "chpasswd:\n  expire: False\n";
    if user != Some("root") {
        text += "users:\n  - default\n";
    }
    if config.get("ciupgrade") != Some("0") {
        text += "package_upgrade: true\n";
    }
    text
}

fn network_config(world: &World, config: &Section) -> String {
    let mut text = "version: 1\nconfig:\n".to_owned();
    for (key, value) in config.numbered("net") {
        let number = number(key, "net").unwrap_or_default();
        let Some(ip) = config.get(&format!("ipconfig{number}")) else { continue };
        let mac = nic(value).get("macaddr").unwrap_or_default().to_ascii_lowercase();
        let of = |name: &str| ip.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        text += &format!("    - type: physical\n      name: eth{number}\n      mac_address: '{mac}'\n      subnets:\n");
        match of("ip") {
            Some("dhcp") => text += "      - type: dhcp4\n",
            Some(address) => text += &static_v4(address, of("gw")),
            None => {}
        }
        match of("ip6") {
            Some("dhcp") => text += "      - type: dhcp6\n",
            Some("auto") => text += "      - type: ipv6_slaac\n",
            Some(address) => {
                text += &format!("      - type: static6\n        address: '{address}'\n");
                text.extend(of("gw6").map(|gateway| format!("        gateway: '{gateway}'\n")));
            }
            None => {}
        }
    }
    let of_node = |key: &str| -> Vec<String> {
        let lines = world.resolv_conf.lines().filter_map(|line| line.strip_prefix(key));
        lines.flat_map(|rest| rest.split_whitespace()).map(str::to_owned).collect()
    };
    let words = |key: &str| -> Option<Vec<String>> {
        let words = config.get(key)?.split([' ', ',', ';']).filter(|word| !word.is_empty());
        Some(words.map(str::to_owned).collect())
    };
    let servers = words("nameserver").unwrap_or_else(|| of_node("nameserver"));
    let domains = words("searchdomain").unwrap_or_else(|| of_node("search"));
    if !servers.is_empty() || !domains.is_empty() {
        text += "    - type: nameserver\n";
        for (key, words) in [("address", servers), ("search", domains)] {
            if !words.is_empty() {
                text += &format!("      {key}:\n");
                text.extend(words.iter().map(|word| format!("      - '{word}'\n")));
            }
        }
    }
    text
}

fn static_v4(address: &str, gateway: Option<&str>) -> String {
    let (ip, mask) = match address.parse::<Cidr>() {
        Ok(Cidr { address: IpAddr::V4(ip), prefix }) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            (ip.to_string(), std::net::Ipv4Addr::from(mask).to_string())
        }
        _ => (address.to_owned(), "255.255.255.255".to_owned()),
    };
    let gateway = gateway.map(|gateway| format!("        gateway: '{gateway}'\n")).unwrap_or_default();
    format!("      - type: static\n        address: '{ip}'\n        netmask: '{mask}'\n{gateway}")
}
