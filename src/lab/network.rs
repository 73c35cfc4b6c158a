//! The links of containers, and their way out.
//!
//! A throw-away container has a link of its own to this machine (`phxN`), routed. Whatever comes from a container goes on
//! under the machine's own address where the machine has a way out.

use std::fs;
use std::path::Path;

use super::program::{LabError, shell};

/// Addresses of throw-away containers.
const ROUTED: &str = "198.51.100";
/// Every throw-away container's next hop, an address of this machine on each link.
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
    way_out()
}

/// Containers go out under this machine's own address.
pub(super) fn way_out() -> Result<(), LabError> {
    let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
    fs::write(forward, "1").map_err(LabError::at(forward))?;
    // Declared anew each time, in one transaction: adding what is there would add it twice.
    let table = format!(
        "table ip phoenix\n\
         delete table ip phoenix\n\
         table ip phoenix {{\n\
         chain out {{\n\
         type nat hook postrouting priority 100\n\
         ip saddr {ROUTED}.0/24 oifname != \"phx*\" masquerade\n\
         }}\n\
         }}\n"
    );
    shell("the way out of containers", "printf %s \"$1\" | nft -f -", &[&table]).map(drop)
}
