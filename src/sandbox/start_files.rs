//! What Proxmox writes into a managed container at every start: host name, hosts, resolver, interfaces.

use super::body::{Around, Body};
use super::config::Section;
use super::guest::{mount, nic};
use crate::op::{Attributes, Op, OpValue};

/// Where Proxmox's part of a file of the guest begins and ends.
const BEGIN: &str = "# --- BEGIN PVE ---";
const END: &str = "# --- END PVE ---";

/// Writes all of it; what the kernel shows is put there too, as the modelled machine has no kernel.
pub(super) fn write(body: &mut Body, around: &mut Around, config: &Section, resolv_conf: &str) {
    show(body, around, config);
    write_files(body, around, config, resolv_conf);
}

/// The files alone.
pub(super) fn write_files(body: &mut Body, around: &mut Around, config: &Section, resolv_conf: &str) {
    if config.get("ostype") == Some("unmanaged") {
        return;
    }
    let name = around.identity.name.clone();
    let short = name.split('.').next().unwrap_or(&name).to_owned();
    put(body, around, "/etc/hostname", format!("{short}\n"));

    let domain = config.get("searchdomain").and_then(|domains| domains.split([' ', ',', ';']).next());
    let names = match (name.contains('.'), domain) {
        (true, _) => format!("{name} {short}"),
        (false, Some(domain)) => format!("{short}.{domain} {short}"),
        (false, None) => short,
    };
    let lines: Vec<String> = around.addresses.iter().map(|cidr| format!("{} {names}", cidr.address)).collect();
    let lines = if lines.is_empty() { vec![format!("127.0.1.1 {names}")] } else { lines };
    put_section(body, around, "/etc/hosts", &lines);

    let mut lines: Vec<String> = Vec::new();
    match (config.get("nameserver"), config.get("searchdomain")) {
        (None, None) => lines.extend(resolv_conf.lines().map(str::to_owned)),
        (servers, domains) => {
            lines.extend(domains.map(|domains| format!("search {}", domains.replace([',', ';'], " "))));
            let servers = servers.unwrap_or_default().split([' ', ',', ';']).filter(|server| !server.is_empty());
            lines.extend(servers.map(|server| format!("nameserver {server}")));
        }
    }
    put_section(body, around, "/etc/resolv.conf", &lines);

    let mut text = "auto lo\niface lo inet loopback\n".to_owned();
    for (_, value) in config.numbered("net") {
        let nic = nic(value);
        let name = nic.get("name").unwrap_or("eth0");
        let stanza = match nic.get("ip") {
            Some("dhcp") => "dhcp\n".to_owned(),
            Some("manual") | None => "manual\n".to_owned(),
            Some(address) => {
                let gateway = nic.get("gw").map(|gw| format!("\tgateway {gw}\n")).unwrap_or_default();
                format!("static\n\taddress {address}\n{gateway}")
            }
        };
        text += &format!("\nauto {name}\niface {name} inet {stanza}");
    }
    put(body, around, "/etc/network/interfaces", text);
}

/// Replaces a file, unless a `.pve-ignore.NAME` beside it says to leave it alone.
fn put(body: &mut Body, around: &mut Around, path: &str, text: String) {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let ignore = Op::Stat { path: format!("{directory}/.pve-ignore.{name}") };
    let present = |body: &mut Body, around: &mut Around, op: &Op| {
        matches!(body.perform(op, around).result, Ok(OpValue::Stat(Some(_))))
    };
    if present(body, around, &ignore) || !present(body, around, &Op::Stat { path: directory.to_owned() }) {
        return;
    }
    // The directory is there, so only a directory in the file's place could be in the way; Proxmox fails there too.
    let _ = body.place(path, 0o644, text.into_bytes());
}

/// Replaces Proxmox's part of a file, or puts it at the file's end.
fn put_section(body: &mut Body, around: &mut Around, path: &str, lines: &[String]) {
    let read = Op::Read { path: path.to_owned(), limit: 1 << 20 };
    let old = match body.perform(&read, around).result {
        Ok(OpValue::Bytes(Some(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    };
    let section = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
    let text = match (old.find(BEGIN), old.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            let rest = old[end + END.len()..].trim_start_matches('\n');
            format!("{}{section}{rest}", &old[..begin])
        }
        _ => format!("{old}{section}"),
    };
    put(body, around, path, text);
}

/// What a machine sees of its configuration without any file being written: mount points, interfaces, its id mapping.
pub(super) fn show(body: &mut Body, around: &mut Around, config: &Section) {
    for (key, text) in config.mount_points() {
        if let Some(path) = mount(key, text).get("mp") {
            // A file in the way shows at the real start, too late for this model.
            let attributes = Attributes::default();
            body.perform(&Op::MakeDir { path: path.to_owned(), attributes }, around);
        }
    }
    // Nothing there before the first start.
    let _ = body.perform(&Op::Remove { path: "/sys/class/net".to_owned(), recursive: true }, around);
    let nics = config.numbered("net");
    let nics = nics.iter().map(|(_, text)| nic(text));
    let own = nics
        .map(|nic| (nic.get("name").unwrap_or("eth0").to_owned(), nic.get("hwaddr").unwrap_or_default().to_owned()));
    for (name, address) in own.chain([("lo".to_owned(), "00:00:00:00:00:00".to_owned())]) {
        let address = address.to_ascii_lowercase() + "\n";
        // A template with a file in the directory's place shows no interfaces; so with the mapping below.
        let _ = body.place(&format!("/sys/class/net/{name}/address"), 0o444, address.into_bytes());
    }
    let (host, count) = if config.is_on("unprivileged") { (100_000, 65_536) } else { (0, u32::MAX) };
    let mapping = format!("{:>10} {host:>10} {count:>10}\n", 0);
    let _ = body.place("/proc/self/uid_map", 0o444, mapping.into_bytes());
}
