//! The links of containers, and their way out.
//!
//! A throw-away container has a link of its own to this machine (`phxN`), routed. A lab's containers hang on the bridges
//! that their node declares, inside a network namespace that is the node's: there two labs may use the same addresses. One
//! link (`phxlN`) leads from it to this machine. Over it containers go out, and this machine reaches them: as `198.18.N.X`,
//! where X is the last part of the container's address; they see the node's address then, as on a real node.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::program::{LabError, run, shell};
use crate::model::Cidr;

/// Addresses of throw-away containers.
const ROUTED: &str = "198.51.100";
/// The next hop of containers and namespaces, an address of this machine on each link.
pub const NEXT_HOP: &str = "169.254.0.1";

/// LXC's lines about a routed link.
pub(super) fn routed(slot: u32) -> String {
    format!(
        "lxc.net.0.type = veth\n\
         lxc.net.0.veth.mode = router\n\
         lxc.net.0.veth.pair = phx{slot}\n\
         lxc.net.0.name = eth0\n\
         lxc.net.0.mtu = 1400\n\
         lxc.net.0.flags = up\n\
         lxc.net.0.ipv4.address = {}/32\n\
         lxc.net.0.ipv4.gateway = {NEXT_HOP}\n",
        routed_address(slot)
    )
}

/// The address at the far end of a routed link.
pub(super) fn routed_address(slot: u32) -> String {
    format!("{ROUTED}.{}", slot + 2)
}

/// Whether this machine has the link of a slot.
pub(super) fn is_linked(slot: u32) -> bool {
    Path::new(&format!("/sys/class/net/phx{slot}")).exists()
}

/// The machine's end of a routed link, and the way out.
pub(super) fn route(slot: u32) -> Result<(), LabError> {
    let address = format!("{NEXT_HOP}/32");
    shell("a container's link", "ip addr add \"$1\" dev \"$2\"", &[&address, &format!("phx{slot}")])?;
    way_out("phoenix", &format!("{ROUTED}.0/24"))
}

/// What comes from these addresses goes out under this machine's own. Each kind has a table of its own.
fn way_out(table: &str, from: &str) -> Result<(), LabError> {
    let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
    fs::write(forward, "1").map_err(LabError::at(forward))?;
    // Declared anew each time, in one transaction: adding what is there would add it twice.
    let table = format!(
        "table ip {table}\n\
         delete table ip {table}\n\
         table ip {table} {{\n\
         chain out {{\n\
         type nat hook postrouting priority 100\n\
         ip saddr {from} oifname != \"phx*\" masquerade\n\
         }}\n\
         }}\n"
    );
    shell("the way out of containers", "printf %s \"$1\" | nft -f -", &[&table]).map(drop)
}

/// The network of a lab's node.
pub(super) struct Network {
    /// Name of the namespace.
    name: String,
    dir: PathBuf,
}

/// Links a namespace with this machine, if that is not done yet; answers the number of the link.
const LINK: &str = "
    [ -e /run/netns/$1 ] || ip netns add $1
    ip -n $1 link set lo up
    number=$(ip -n $1 -o -4 addr show dev up0 2>/dev/null | sed -n 's/.* 198\\.18\\.\\([0-9]*\\)\\.1\\/.*/\\1/p')
    if [ -z \"$number\" ]; then
        ip -n $1 link del up0 2>/dev/null || true
        number=0
        until ip link add phxl$number type veth peer name up0 netns $1 2>/dev/null; do
            # Whatever else is in the way says so itself.
            [ -e /sys/class/net/phxl$number ] || { ip link add phxl$number type veth peer name up0 netns $1; exit 1; }
            number=$((number + 1))
            if [ $number -gt 255 ]; then echo '256 labs run already' >&2; exit 1; fi
        done
        ip addr add $2/32 dev phxl$number
        ip link set phxl$number mtu 1400 up
        ip -n $1 link set up0 mtu 1400 up
        ip -n $1 addr add 198.18.$number.1/32 dev up0
        ip -n $1 route replace $2/32 dev up0
        ip -n $1 route replace default via $2 dev up0
        ip route replace 198.18.$number.1/32 dev phxl$number src $2
        ip route replace 198.18.$number.0/24 via 198.18.$number.1 dev phxl$number src $2
        ip netns exec $1 sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    fi
    echo $number";

/// Makes a bridge, if it is not there yet, with these addresses.
const BRIDGE: &str = "
    namespace=$1 bridge=$2; shift 2
    ip -n $namespace link show dev $bridge >/dev/null 2>&1 || ip -n $namespace link add $bridge type bridge
    for address in \"$@\"; do ip -n $namespace addr replace $address dev $bridge; done
    ip -n $namespace link set $bridge up";

impl Network {
    /// The network of the lab in this directory.
    pub(super) fn of(dir: &Path) -> Network {
        let digest = ring::digest::digest(&ring::digest::SHA256, dir.as_os_str().as_encoded_bytes());
        let name: String = digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Network { name: format!("phoenix-{name}"), dir: dir.to_owned() }
    }

    /// Where its namespace is.
    pub(super) fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A bridge with the node's address on it, and the address of the network's way out.
    pub(super) fn bridge(&self, name: &str, addresses: &[Cidr]) -> Result<(), LabError> {
        self.link()?;
        let addresses: Vec<String> = addresses.iter().map(Cidr::to_string).collect();
        let mut arguments = vec![self.name.as_str(), name];
        arguments.extend(addresses.iter().map(String::as_str));
        shell(&format!("bridge {name}"), BRIDGE, &arguments).map(drop)
    }

    /// Reaches these addresses from this machine, and lets them ask for names.
    pub(super) fn reach(&self, addresses: &[Ipv4Addr]) -> Result<(), LabError> {
        let seen: Vec<String> =
            self.seen(addresses)?.into_iter().map(|(inside, outside)| format!("{outside} : {inside}")).collect();
        let elements = if seen.is_empty() { String::new() } else { format!("elements = {{ {} }}\n", seen.join(", ")) };
        let table = format!(
            "table ip lab\n\
             delete table ip lab\n\
             table ip lab {{\n\
             map seen {{\n\
             type ipv4_addr : ipv4_addr\n\
             {elements}}}\n\
             chain in {{\n\
             type nat hook prerouting priority -100\n\
             iifname \"up0\" dnat to ip daddr map @seen\n\
             iifname != \"up0\" udp dport 53 redirect to :53\n\
             iifname != \"up0\" tcp dport 53 redirect to :53\n\
             }}\n\
             chain out {{\n\
             type nat hook postrouting priority 100\n\
             oifname \"up0\" masquerade\n\
             ip saddr {NEXT_HOP} masquerade\n\
             }}\n\
             chain through {{\n\
             type filter hook forward priority 0\n\
             oifname \"up0\" tcp flags syn tcp option maxseg size set rt mtu\n\
             }}\n\
             }}\n"
        );
        let script = "printf %s \"$2\" | ip netns exec $1 nft -f -";
        shell("the network of the lab", script, &[&self.name, &table]).map(drop)
    }

    /// Addresses in the lab, and those by which this machine reaches them.
    pub(super) fn seen(&self, addresses: &[Ipv4Addr]) -> Result<BTreeMap<Ipv4Addr, Ipv4Addr>, LabError> {
        let number = self.link()?;
        let mut taken = BTreeMap::new();
        let mut free: Vec<u8> = (2..=254).rev().collect();
        for address in addresses {
            let wanted = address.octets()[3];
            let last = free.iter().position(|one| *one == wanted).map(|at| free.remove(at)).or_else(|| free.pop());
            taken.extend(last.map(|last| (*address, Ipv4Addr::new(198, 18, number, last))));
        }
        Ok(taken)
    }

    /// The answerer for names: these first, everything else from this machine's own resolver.
    pub(super) fn answer_names(&self) -> Result<(), LabError> {
        let (pid_file, names) = (self.dir.join("names.pid"), self.dir.join("names"));
        if !names.exists() {
            fs::write(&names, "").map_err(LabError::at(&names))?;
        }
        if let Some(pid) = self.answerer(&pid_file) {
            return shell("reading names again", "kill -HUP $1", &[&pid.to_string()]).map(drop);
        }
        self.link()?;
        let own =
            ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"].into_iter().find(|path| Path::new(path).exists());
        let mut answerer = Command::new("nsenter");
        answerer.arg(format!("--net={}", self.namespace().display()));
        answerer.args(["dnsmasq", "--conf-file=/dev/null", "--no-hosts", "--user=root", "--cache-size=1000"]);
        answerer.arg(format!("--resolv-file={}", own.unwrap_or("/dev/null")));
        answerer.arg(format!("--addn-hosts={}", names.display())).arg(format!("--pid-file={}", pid_file.display()));
        run(answerer.stdin(Stdio::null())).map(drop)
    }

    /// Nothing of it is left.
    pub(super) fn remove(&self) -> Result<(), LabError> {
        if let Some(pid) = self.answerer(&self.dir.join("names.pid")) {
            shell("the end of the answerer for names", "kill $1", &[&pid.to_string()])?;
        }
        if self.namespace().exists() {
            // The link ends with the namespace, though not at once: two labs might meet.
            shell("the lab's network", "ip -n $1 link del up0 2>/dev/null || true; ip netns del $1", &[&self.name])?;
        }
        Ok(())
    }

    /// The answerer's process, if it is this lab's own.
    fn answerer(&self, pid_file: &Path) -> Option<u32> {
        let pid: u32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
        let argv = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        argv.contains(&*pid_file.to_string_lossy()).then_some(pid)
    }

    fn link(&self) -> Result<u8, LabError> {
        let number = shell("the lab's link to this machine", LINK, &[&self.name, NEXT_HOP])?;
        way_out("phoenix_labs", "198.18.0.0/16")?;
        number.trim().parse().map_err(|error| LabError::failed("the lab's link to this machine", error))
    }
}

/// The IPv4 ones of these.
pub(super) fn v4(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<Ipv4Addr> {
    let only = |address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    addresses.into_iter().filter_map(only).collect()
}
