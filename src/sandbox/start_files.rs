//! What Proxmox writes into a managed container at every start: host name, hosts, resolver, interfaces.

use super::body::{Around, Body};
use super::config::Section;
use super::guest::{mount, nic};
use crate::model::Cidr;
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
    for file in files(&around.identity.name, &around.addresses, config, resolv_conf) {
        let read = Op::Read { path: file.path.to_owned(), limit: 1 << 20 };
        let old = match body.perform(&read, around).result {
            Ok(OpValue::Bytes(Some(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        };
        let mut is_there =
            |path: String| matches!(body.perform(&Op::Stat { path }, around).result, Ok(OpValue::Stat(Some(_))));
        if is_there(file.ignored_by()) || !is_there(file.directory().to_owned()) {
            continue;
        }
        // The directory is there, so only a directory in the file's place could be in the way; Proxmox fails there too.
        let _ = body.place(file.path, 0o644, file.over(&old).into_bytes());
    }
}

/// A file that Proxmox writes into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFile {
    /// Its path.
    pub path: &'static str,
    text: String,
    /// Only a part of the file is Proxmox's.
    part: bool,
}

impl StartFile {
    /// The whole file, from what it was before.
    pub fn over(&self, old: &str) -> String {
        if !self.part {
            return self.text.clone();
        }
        let section = format!("{BEGIN}\n{}\n{END}\n", self.text);
        match (old.find(BEGIN), old.find(END)) {
            (Some(begin), Some(end)) if begin < end => {
                let rest = old[end + END.len()..].trim_start_matches('\n');
                format!("{}{section}{rest}", &old[..begin])
            }
            _ => format!("{old}{section}"),
        }
    }

    /// The file beside it that says to leave it alone.
    pub fn ignored_by(&self) -> String {
        let (directory, name) = self.path.rsplit_once('/').unwrap_or(("", self.path));
        format!("{directory}/.pve-ignore.{name}")
    }

    /// The directory that it is in; where that is missing, nothing is written.
    pub fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// What Proxmox writes into a container of this name with these addresses.
pub(super) fn files(name: &str, addresses: &[Cidr], config: &Section, resolv_conf: &str) -> Vec<StartFile> {
    if config.get("ostype") == Some("unmanaged") {
        return Vec::new();
    }
    let whole = |path, text| StartFile { path, text, part: false };
    let part = |path, lines: Vec<String>| StartFile { path, text: lines.join("\n"), part: true };
    let short = name.split('.').next().unwrap_or(name);

    let domain = config.get("searchdomain").and_then(|domains| domains.split([' ', ',', ';']).next());
    let names = match (name.contains('.'), domain) {
        (true, _) => format!("{name} {short}"),
        (false, Some(domain)) => format!("{short}.{domain} {short}"),
        (false, None) => short.to_owned(),
    };
    let hosts: Vec<String> = addresses.iter().map(|cidr| format!("{} {names}", cidr.address)).collect();
    let hosts = if hosts.is_empty() { vec![format!("127.0.1.1 {names}")] } else { hosts };

    let mut resolver: Vec<String> = Vec::new();
    match (config.get("nameserver"), config.get("searchdomain")) {
        (None, None) => resolver.extend(resolv_conf.lines().map(str::to_owned)),
        (servers, domains) => {
            resolver.extend(domains.map(|domains| format!("search {}", domains.replace([',', ';'], " "))));
            let servers = servers.unwrap_or_default().split([' ', ',', ';']).filter(|server| !server.is_empty());
            resolver.extend(servers.map(|server| format!("nameserver {server}")));
        }
    }

    let mut interfaces = "auto lo\niface lo inet loopback\n".to_owned();
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
        interfaces += &format!("\nauto {name}\niface {name} inet {stanza}");
    }
    vec![
        whole("/etc/hostname", format!("{short}\n")),
        part("/etc/hosts", hosts),
        part("/etc/resolv.conf", resolver),
        whole("/etc/network/interfaces", interfaces),
    ]
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
