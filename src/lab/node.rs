//! A lab: real containers as the insides of an emulated node's guests ([`Bodies`]).
//!
//! ```text
//! DIR/world                 the emulated node, as in a sandbox
//! DIR/insides, DIR/layers   what containers are made of (`store`)
//! DIR/machines/ID           LXC's: configuration, log, addresses of the machine that was booted last
//! DIR/node                  files that the node fetched, and directories of it that guests see
//! DIR/names                 names that are answered in the lab, one address per line (hosts(5))
//! DIR/base                  where root file systems of releases are kept, if it is there; else /var/lib/phoenix/lab/base
//! DIR/lock                  held by whoever uses the lab
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::base::{Base, FIRST_ID};
use super::container::{Container, Settings, overlayable};
use super::network::{self, Network};
use super::program::LabError;
use super::store::Store;
use super::within::within;
use crate::host::interrupt::Interrupt;
use crate::host::local::{Local, Paths};
use crate::host::lock::FileLock;
use crate::host::{Host, HostError};
use crate::model::{Cidr, GuestId};
use crate::request::{Request, Response};
use crate::sandbox::{Bodies, Boot, StartFile};

/// Where root file systems are kept that all labs share.
const BASES: &str = "/var/lib/phoenix/lab/base";
/// Releases of Debian, by how the names of Proxmox's templates begin.
const RELEASES: [(&str, &str); 2] = [("debian-12-", "bookworm"), ("debian-13-", "trixie")];

/// A lab that this process uses.
pub struct Lab {
    dir: PathBuf,
    store: Store,
    network: Network,
    local: Local,
    tell: Box<dyn Fn(&str) + Send + Sync>,
    /// Held as long as the lab is used.
    _lock: File,
}

impl Lab {
    /// The lab in this directory, which is made if need be. Whatever takes long is told.
    ///
    /// # Errors
    /// When this machine lacks something, or another process uses the lab.
    pub fn open(
        dir: &Path,
        interrupt: Interrupt,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Lab, LabError> {
        super::check(&[("dnsmasq", "dnsmasq-base")])?;
        fs::create_dir_all(dir).map_err(LabError::at(dir))?;
        let dir = overlayable(dir)?;
        let lock = lock(&dir)?;
        let network = Network::of(&dir);
        let machines = dir.join("machines");
        let paths = Paths { attach: Container::way_in(&machines, Some(&network.namespace())), ..Paths::default() };
        let local = Local::with_paths(interrupt, paths).map_err(|error| LabError::failed("a lab", error))?;
        Ok(Lab { store: Store::open(&dir)?, network, local, tell: Box::new(tell), _lock: lock, dir })
    }

    /// Names that the lab answers, with their addresses.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub fn know(&self, names: &[(IpAddr, String)]) -> Result<(), LabError> {
        let lines: String = names.iter().map(|(address, name)| format!("{address} {name}\n")).collect();
        let path = self.dir.join("names");
        fs::write(&path, lines).map_err(LabError::at(&path))
    }

    /// Removes a lab: its machines, its network, its files. Answers whether there was one.
    ///
    /// # Errors
    /// When another process uses it, or something cannot be removed.
    pub fn reset(dir: &Path) -> Result<bool, LabError> {
        let Ok(dir) = dir.canonicalize() else { return Ok(false) };
        // Nothing but a lab is believed to be one.
        if !dir.join("lock").is_file() || !Store::is_in(&dir) {
            return Ok(false);
        }
        let _lock = lock(&dir)?;
        let network = Network::of(&dir);
        let machines = machines(&dir, &network)?;
        for (_, machine) in machines {
            machine.kill()?;
        }
        network.remove()?;
        let mut found = false;
        for name in ["insides", "layers", "machines", "node", "names", "names.pid", "world", "world.lock", "world.new"]
        {
            let path = dir.join(name);
            if path.is_dir() {
                fs::remove_dir_all(&path).map_err(LabError::at(&path))?;
            } else if path.exists() {
                fs::remove_file(&path).map_err(LabError::at(&path))?;
                found |= name == "world";
            }
        }
        // What else is in there is not the lab's; without it, nothing is left.
        let _others = fs::remove_file(dir.join("lock")).and_then(|()| fs::remove_dir(&dir));
        Ok(found)
    }

    fn machine(&self, id: GuestId) -> Container {
        let namespace = self.network.namespace();
        Container::new(&self.dir.join("machines"), &id.to_string(), Some(&namespace))
    }

    /// Addresses of all machines that were booted and not removed since.
    fn addresses(&self) -> Result<Vec<IpAddr>, LabError> {
        let mut found = BTreeSet::new();
        for (id, _) in machines(&self.dir, &self.network)? {
            let path = self.dir.join("machines").join(id.to_string()).join("addresses");
            let text = fs::read_to_string(path).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<IpAddr>().ok()));
        }
        Ok(found.into_iter().collect())
    }

    fn unpack(&self, name: &str, template: &str) -> Result<(), LabError> {
        let file = template.rsplit('/').next().unwrap_or(template);
        let Some((_, release)) = RELEASES.iter().find(|(start, _)| file.starts_with(start)) else {
            let reason = "a lab makes its machines from Debian 12 and 13 only (`debian-12-...`, `debian-13-...`)";
            return Err(LabError::failed(format!("template {template}"), reason));
        };
        self.store.unpack(name, release)
    }

    fn fork(&self, from: &str, to: &str) -> Result<(), LabError> {
        let machine = from.parse().ok().map(|id| self.machine(id));
        let running =
            machine.map(|machine| machine.is_running().map(|running| running.then_some(machine))).transpose()?;
        self.store.fork(from, to, running.flatten().as_ref())
    }

    fn forget(&self, name: &str) -> Result<(), LabError> {
        if let Ok(id) = name.parse::<GuestId>() {
            self.machine(id).kill()?;
            let dir = self.dir.join("machines").join(name);
            if dir.exists() {
                fs::remove_dir_all(&dir).map_err(LabError::at(&dir))?;
            }
        }
        self.store.forget(name)
    }

    fn boot(&self, boot: &Boot) -> Result<(), LabError> {
        let name = boot.id.to_string();
        let absent = || LabError::failed(format!("start of {name}"), "it has no inside in this lab");
        let mut inside = self.store.get(&name)?.ok_or_else(absent)?;
        let bases = self.dir.join("base");
        let bases = if bases.exists() { bases } else { PathBuf::from(BASES) };
        let base = Base::of(&bases, &inside.release, boot.unprivileged, &self.tell)?;
        let owner = if boot.unprivileged { FIRST_ID } else { 0 };

        let machine = self.machine(boot.id);
        let kept = self.dir.join("machines").join(&name);
        fs::create_dir_all(&kept).map_err(LabError::at(&kept))?;
        let own: Vec<IpAddr> = boot.nics.iter().flat_map(|nic| &nic.addresses).map(|cidr| cidr.address).collect();
        let lines: String = own.iter().map(|address| format!("{address}\n")).collect();
        fs::write(kept.join("addresses"), lines).map_err(LabError::at(&kept))?;
        for nic in &boot.nics {
            let net = nic.bridge_address.or_else(|| nic.addresses.iter().find(|cidr| cidr.address.is_ipv4()).copied());
            // The way out of the declared network has no machine behind it in a lab: the node stands in for it.
            let gateways = nic.gateways.iter().filter_map(|gateway| {
                net.filter(|net| net.contains(*gateway)).map(|net| Cidr { address: *gateway, prefix: net.prefix })
            });
            let addresses: Vec<Cidr> = nic.bridge_address.into_iter().chain(gateways).collect();
            self.network.bridge(&nic.bridge, &addresses)?;
        }
        self.network.reach(&network::v4(self.addresses()?))?;
        self.network.answer_names()?;

        let mut binds = Vec::new();
        for bind in &boot.binds {
            if bind.from.starts_with("/dev/") || bind.from.starts_with("/proc/") {
                let reason = format!("a lab's machines have no devices of the node: {} is declared", bind.from);
                return Err(LabError::failed(format!("start of {name}"), reason));
            }
            let from = PathBuf::from(self.node_path(&bind.from));
            if !from.exists() {
                fs::create_dir_all(&from).map_err(LabError::at(&from))?;
            }
            binds.push((from, bind.at.clone(), bind.read_only));
        }
        let settings = Settings {
            hostname: boot.hostname.clone(),
            stack: self.store.stack(&inside, base.root()),
            unprivileged: boot.unprivileged,
            nesting: boot.nesting,
            binds,
            network: boot.nics.iter().enumerate().map(|(at, nic)| nic_lines(at, nic)).collect(),
        };
        machine.boot(&settings, |root| {
            if inside.is_new {
                replace(root, "/etc/machine-id", owner, "")?;
                // What systemd would take its identity from otherwise.
                let _absent = fs::remove_file(root.join("var/lib/dbus/machine-id"));
            }
            for directory in &boot.directories {
                make_dirs(root, directory, owner)?;
            }
            boot.files.iter().try_for_each(|file| put(root, file, owner))
        })?;
        if inside.is_new {
            inside.is_new = false;
            self.store.put(&name, &inside)?;
        }
        Ok(())
    }

    fn settle(&self, names: &BTreeSet<String>, running: &BTreeSet<GuestId>) -> Result<BTreeSet<GuestId>, LabError> {
        let mut alive = BTreeSet::new();
        for (id, machine) in machines(&self.dir, &self.network)? {
            if !machine.is_running()? {
                continue;
            }
            if !running.contains(&id) {
                machine.kill()?;
                continue;
            }
            machine.thaw()?;
            alive.insert(id);
        }
        for name in self.store.names()?.iter().filter(|name| !names.contains(*name)) {
            self.forget(name)?;
        }
        if !alive.is_empty() {
            self.network.reach(&network::v4(self.addresses()?))?;
            self.network.answer_names()?;
        }
        Ok(alive)
    }

    /// A request goes to where this machine reaches the address.
    fn mapped(&self, request: &Request) -> Result<Request, LabError> {
        let mut request = request.clone();
        let Some(target) = request.connect_to.or_else(|| literal(&request.url)) else { return Ok(request) };
        let IpAddr::V4(address) = target.ip() else { return Ok(request) };
        let addresses = network::v4(self.addresses()?);
        if let Some(seen) = self.network.seen(&addresses)?.get(&address) {
            request.connect_to = Some(SocketAddr::new(IpAddr::V4(*seen), target.port()));
        }
        Ok(request)
    }
}

impl Bodies for Lab {
    fn unpack(&self, name: &str, template: &str) -> Result<(), HostError> {
        told(Lab::unpack(self, name, template))
    }

    fn fork(&self, from: &str, to: &str) -> Result<(), HostError> {
        told(Lab::fork(self, from, to))
    }

    fn forget(&self, name: &str) -> Result<(), HostError> {
        told(Lab::forget(self, name))
    }

    fn boot(&self, boot: &Boot) -> Result<(), HostError> {
        told(Lab::boot(self, boot))
    }

    fn halt(&self, id: GuestId, patience: Duration) -> Result<(), HostError> {
        let machine = self.machine(id);
        told(if patience.is_zero() { machine.kill() } else { machine.stop(patience) })
    }

    fn settle(&self, names: &BTreeSet<String>, running: &BTreeSet<GuestId>) -> Result<BTreeSet<GuestId>, HostError> {
        told(Lab::settle(self, names, running))
    }

    fn request(&self, request: &Request) -> Result<Response, HostError> {
        let mapped = told(self.mapped(request))?;
        self.local.request(&mapped)
    }

    fn node_path(&self, path: &str) -> String {
        self.dir.join("node").join(path.trim_start_matches('/')).display().to_string()
    }

    fn host(&self) -> &dyn Host {
        &self.local
    }
}

fn told<T>(result: Result<T, LabError>) -> Result<T, HostError> {
    result.map_err(|error| HostError::Unsupported(error.to_string()))
}

fn lock(dir: &Path) -> Result<File, LabError> {
    let path = dir.join("lock");
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(LabError::at(&path))?;
    let held = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    let used = || {
        let by = FileLock::holder(&dir.join("world.lock")).map(|by| format!(": {by}")).unwrap_or_default();
        LabError::failed(format!("lab {}", dir.display()), format!("in use by another process{by}"))
    };
    held.map(|()| file).map_err(|_| used())
}

/// All machines of a lab that were ever booted.
fn machines(dir: &Path, network: &Network) -> Result<Vec<(GuestId, Container)>, LabError> {
    let home = dir.join("machines");
    let mut found = Vec::new();
    if !network.namespace().exists() {
        return Ok(found);
    }
    let Ok(entries) = fs::read_dir(&home) else { return Ok(found) };
    for entry in entries {
        let name = entry.map_err(LabError::at(&home))?.file_name().to_string_lossy().into_owned();
        if let Ok(id) = name.parse::<GuestId>() {
            found.push((id, Container::new(&home, &name, Some(&network.namespace()))));
        }
    }
    Ok(found)
}

/// LXC's lines about an interface.
fn nic_lines(at: usize, nic: &crate::sandbox::BootNic) -> String {
    let mut text = format!(
        "lxc.net.{at}.type = veth\n\
         lxc.net.{at}.link = {}\n\
         lxc.net.{at}.name = {}\n\
         lxc.net.{at}.flags = up\n",
        nic.bridge, nic.name
    );
    for (key, value) in nic.mac.iter().map(|mac| ("hwaddr".to_owned(), mac.clone())) {
        text += &format!("lxc.net.{at}.{key} = {value}\n");
    }
    let family = |address: &IpAddr| if address.is_ipv4() { "ipv4" } else { "ipv6" };
    for cidr in &nic.addresses {
        text += &format!("lxc.net.{at}.{}.address = {cidr}\n", family(&cidr.address));
    }
    for gateway in &nic.gateways {
        text += &format!("lxc.net.{at}.{}.gateway = {gateway}\n", family(gateway));
    }
    text
}

/// The address in a URL that names one.
fn literal(url: &str) -> Option<SocketAddr> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, if scheme == "https" { "443" } else { "80" }));
    Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
}

/// Writes one of Proxmox's files, unless the container keeps it.
fn put(root: &Path, file: &StartFile, owner: u32) -> Result<(), LabError> {
    let below = |path: &str| within(root, Path::new(path));
    if below(&file.ignored_by())?.exists() || !below(file.directory())?.is_dir() {
        return Ok(());
    }
    // A link itself is replaced.
    let there = entry(root, file.path)?;
    let is_file = there.symlink_metadata().is_ok_and(|found| found.is_file());
    let old = if is_file { fs::read_to_string(&there).unwrap_or_default() } else { String::new() };
    replace(root, file.path, owner, &file.over(&old))
}

fn replace(root: &Path, path: &str, owner: u32, text: &str) -> Result<(), LabError> {
    let there = entry(root, path)?;
    let _absent = fs::remove_file(&there);
    fs::write(&there, text).map_err(LabError::at(&there))?;
    chown(&there, Some(owner), Some(owner)).map_err(LabError::at(&there))
}

/// Where the directory entry of this path is.
fn entry(root: &Path, path: &str) -> Result<PathBuf, LabError> {
    let path = Path::new(path);
    let above = within(root, path.parent().unwrap_or(Path::new("/")))?;
    Ok(above.join(path.file_name().unwrap_or_default()))
}

fn make_dirs(root: &Path, path: &str, owner: u32) -> Result<(), LabError> {
    let mut there = PathBuf::from("/");
    for name in path.split('/').filter(|name| !name.is_empty()) {
        there.push(name);
        let below = within(root, &there)?;
        if !below.exists() {
            fs::create_dir(&below).map_err(LabError::at(&below))?;
            chown(&below, Some(owner), Some(owner)).map_err(LabError::at(&below))?;
        }
    }
    Ok(())
}
