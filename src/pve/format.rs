//! The named formats of the option table, each with Proxmox's message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::size;
use crate::model::{Cidr, MacAddress};

type Check = fn(&str) -> bool;

/// Whether the value has this format; `-list` formats are checked item by item.
///
/// # Errors
/// Proxmox's message, without `invalid format - `.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    match (simple(name), name.strip_suffix("-list")) {
        (Some((holds, message)), _) => one(holds, message, value),
        (None, Some(item)) => match simple(item) {
            Some((holds, message)) => split_list(value).into_iter().try_for_each(|item| one(holds, message, item)),
            None => Ok(()),
        },
        (None, None) => Ok(()),
    }
}

/// Whether the format has a check here.
pub fn is_known(name: &str) -> bool {
    simple(name).is_some() || name.strip_suffix("-list").is_some_and(|item| simple(item).is_some())
}

fn one(holds: Check, message: &str, value: &str) -> Result<(), String> {
    if holds(value) { Ok(()) } else { Err(message.replace("{}", value)) }
}

/// The items of a list: separated by comma, semicolon or blanks, or by NUL when there is any.
pub fn split_list(value: &str) -> Vec<&str> {
    if value.contains('\0') {
        return value.split('\0').filter(|item| !item.is_empty()).collect();
    }
    value.split(|c: char| matches!(c, ',' | ';') || c.is_ascii_whitespace()).filter(|item| !item.is_empty()).collect()
}

/// Check and message of a format; `{}` in the message stands for the value.
fn simple(name: &str) -> Option<(Check, &'static str)> {
    Some(match name {
        "pve-vmid" => (is_vmid, "value does not look like a valid VM ID"),
        "dns-name" => (is_dns_name, "value does not look like a valid DNS name"),
        "ipv4" => (|v| v.parse::<Ipv4Addr>().is_ok(), "value does not look like a valid IPv4 address"),
        "ipv6" => (|v| v.parse::<Ipv6Addr>().is_ok(), "value does not look like a valid IPv6 address"),
        "CIDR" => (is_cidr, "value does not look like a valid CIDR network"),
        "pve-ipv4-config" => (is_ipv4_config, "value does not look like a valid ipv4 network configuration"),
        "pve-ipv6-config" => (is_ipv6_config, "value does not look like a valid ipv6 network configuration"),
        "mac-addr" => (|v| v.parse::<MacAddress>().is_ok(), "value does not look like a valid unicast MAC address"),
        "lxc-ip-with-ll-iface" => (is_ip_with_interface, "value does not look like a valid IP address"),
        "address" | "pve-storage-server" | "pve-storage-portal-dns" => {
            (is_address, "value does not look like a valid address: {}")
        }
        "pve-configid" => (is_config_id, "invalid configuration ID '{}'"),
        "pve-node" | "pve-ha-node" => (is_node, "value does not look like a valid node name"),
        "pve-bridge-id" => (is_bridge, "invalid bridge ID '{}'"),
        "pve-tag" => (is_tag, "invalid characters in tag"),
        "pve-startup-order" => (is_startup, "unable to parse startup options"),
        "pve-ct-timezone" => (is_time_zone, "invalid time zone '{}'"),
        "pve-lxc-mp-string" => (is_mount_path, "{} contains illegal character sequences"),
        "pve-lxc-dev-string" => (is_device_path, "{} is not a valid device path"),
        "disk-size" => (|v| size::parse(v).is_some(), "value does not look like a valid disk size: {}"),
        "urlencoded" => (is_urlencoded, "invalid urlencoded string: {}"),
        "pve-volume-id" => (is_volume_id, "unable to parse volume ID '{}'"),
        "pve-volume-id-or-absolute-path" => {
            (|v| v.starts_with('/') || is_volume_id(v), "unable to parse volume ID '{}'")
        }
        "pve-volume-id-or-qm-path" => (
            |v| matches!(v, "none" | "cdrom") || v.starts_with('/') || is_volume_id(v),
            "unable to parse volume ID '{}'",
        ),
        "pve-storage-id" => (is_storage_id, "storage ID '{}' contains illegal characters"),
        "pve-poolid" => (is_pool_id, "pool name '{}' contains invalid characters"),
        "pve-storage-content" => (is_content, "invalid content type '{}'"),
        "pve-storage-path" => (|v| v.starts_with('/'), "value does not look like a valid absolute path"),
        "pve-storage-vgname" => (is_bridge, "lvm volume group name '{}' contains illegal characters"),
        "pve-storage-zfs-blocksize" => (is_block_size, "illegal block size '{}'"),
        "pve-storage-options" => (|v| !v.contains(char::is_whitespace), "value does not look like valid options"),
        "pve-dir-override" => (|v| v.contains('='), "unable to parse content-dir override '{}'"),
        "pve-qm-bootdisk" | "pve-qm-bootdev" => (is_boot_device, "invalid boot device '{}'"),
        "pve-hotplug-features" => (is_hotplug, "unable to parse hotplug option"),
        "pve-phys-bits" => (is_phys_bits, "value must be an integer between 8 and 64 or 'host'"),
        "pve-cpuset" => (is_cpu_set, "unable to parse cpu-set '{}'"),
        "pve-ha-resource-id" | "pve-ha-resource-or-vm-id" => {
            (|v| is_vmid(v.rsplit(':').next().unwrap_or(v)), "value does not look like a valid ha resource or VM id")
        }
        "bridge-pair" | "storage-pair" => (|v| v.split(':').count() <= 2, "value does not look like a valid pair: {}"),
        "email-or-username" => (|v| !v.contains(char::is_whitespace), "value does not look like a valid email address"),
        "string" => (|_| true, ""),
        _ => return None,
    })
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_vmid(value: &str) -> bool {
    (3..=9).contains(&value.len()) && all(value, |b| b.is_ascii_digit()) && !value.starts_with('0')
}

fn is_label(label: &str) -> bool {
    all(label, |b| b.is_ascii_alphanumeric() || b == b'-') && !label.starts_with('-') && !label.ends_with('-')
}

fn is_dns_name(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_cidr(value: &str) -> bool {
    value.parse::<Cidr>().is_ok_and(|cidr| cidr.prefix >= 8)
}

fn is_ipv4_config(value: &str) -> bool {
    matches!(value, "dhcp" | "manual") || value.parse::<Cidr>().is_ok_and(|c| c.address.is_ipv4() && c.prefix >= 8)
}

fn is_ipv6_config(value: &str) -> bool {
    matches!(value, "auto" | "dhcp" | "manual")
        || value.parse::<Cidr>().is_ok_and(|c| c.address.is_ipv6() && c.prefix >= 8)
}

/// An address; link-local ones of IPv6 may name their interface: `fe80::1%eth0`.
fn is_ip_with_interface(value: &str) -> bool {
    match value.split_once('%') {
        Some((address, interface)) => address.parse::<Ipv6Addr>().is_ok() && is_bridge(interface),
        None => value.parse::<IpAddr>().is_ok(),
    }
}

fn is_address(value: &str) -> bool {
    let host = value.rsplit_once(':').filter(|(host, port)| !host.contains(':') && all(port, |b| b.is_ascii_digit()));
    let host = host.map_or(value, |(host, _)| host);
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || is_dns_name(host)
}

/// A name in configuration files, among them snapshots: a letter, then at least one of letters, digits, `_` and `-`.
pub fn is_config_id(value: &str) -> bool {
    value.len() >= 2
        && value.starts_with(|c: char| c.is_ascii_alphabetic())
        && all(value, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_node(value: &str) -> bool {
    is_label(value)
}

fn is_bridge(value: &str) -> bool {
    all(value, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_tag(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && all(value, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'.' | b'-'))
}

fn is_startup(value: &str) -> bool {
    let number = |text: &str| all(text, |b| b.is_ascii_digit());
    value.split(',').all(|part| match part.trim().split_once('=') {
        Some((key, count)) => matches!(key, "order" | "up" | "down") && number(count),
        None => number(part.trim()),
    })
}

/// `host`, or a zone of one of the areas of the tz database.
fn is_time_zone(value: &str) -> bool {
    const AREAS: [&str; 10] =
        ["Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"];
    match value.split_once('/') {
        Some((area, place)) => (AREAS.contains(&area) || area == "Etc") && !place.is_empty(),
        None => matches!(value, "host" | "UTC"),
    }
}

fn is_mount_path(value: &str) -> bool {
    let bad = ["/./", "/../"].iter().any(|part| value.contains(part));
    !bad && !value.starts_with("..") && !value.ends_with("/..") && !value.ends_with("/.")
}

fn is_device_path(value: &str) -> bool {
    value.strip_prefix("/dev/").is_some_and(|rest| !rest.is_empty()) && is_mount_path(value)
}

fn is_urlencoded(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-%_.!~*'()".contains(&b))
}

fn is_volume_id(value: &str) -> bool {
    value.split_once(':').is_some_and(|(storage, name)| is_storage_id(storage) && !name.is_empty())
}

fn is_storage_id(value: &str) -> bool {
    value.len() >= 2
        && value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.ends_with(|c: char| c.is_ascii_alphanumeric())
        && is_bridge(value)
}

fn is_pool_id(value: &str) -> bool {
    value.split('/').count() <= 3 && value.split('/').all(is_bridge)
}

fn is_content(value: &str) -> bool {
    const CONTENT: [&str; 8] = ["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"];
    CONTENT.contains(&value)
}

fn is_block_size(value: &str) -> bool {
    let digits = value.trim_end_matches(['k', 'K']);
    digits.parse::<u64>().is_ok_and(u64::is_power_of_two)
}

fn is_boot_device(value: &str) -> bool {
    let stem = value.trim_end_matches(|c: char| c.is_ascii_digit());
    stem != value && matches!(stem, "ide" | "sata" | "scsi" | "virtio" | "net" | "usb" | "hostpci")
}

fn is_hotplug(value: &str) -> bool {
    matches!(value, "0" | "1")
        || value.split(',').all(|part| matches!(part, "network" | "disk" | "cpu" | "memory" | "usb" | "cloudinit"))
}

fn is_phys_bits(value: &str) -> bool {
    value == "host" || value.parse::<u8>().is_ok_and(|bits| (8..=64).contains(&bits))
}

fn is_cpu_set(value: &str) -> bool {
    all(value, |b| b.is_ascii_digit() || b == b',' || b == b'-')
}
