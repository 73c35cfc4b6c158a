//! Who else is on the node's networks. The kernel is made to ask (a datagram to the discard port of each address), and
//! its table of neighbours tells who answered: no process, no raw socket, and a firewall at the other end hides nobody.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::op::{OpError, OpErrorKind};

/// The kernel's table.
const TABLE: &str = "/proc/net/arp";
/// Machines on a local network answer within milliseconds; the kernel repeats its question every second.
const PATIENCE: Duration = Duration::from_millis(1200);
/// So long an answer of long ago may stay in the table before the kernel has found out that nobody is there any more.
const DOUBT: Duration = Duration::from_secs(9);
/// Between two looks at the table.
const PAUSE: Duration = Duration::from_millis(100);
/// The port that throws everything away.
const DISCARD: u16 = 9;

/// Who answers for these addresses, by address.
///
/// # Errors
/// When the system gives no socket or no table.
pub(super) fn ask(addresses: &[Ipv4Addr]) -> Result<BTreeMap<Ipv4Addr, String>, OpError> {
    let failed = |error: std::io::Error| OpError::new(OpErrorKind::Failed, format!("{TABLE}: {error}"));
    let table = || fs::read_to_string(TABLE).map(|text| complete(&text)).map_err(failed);
    if addresses.is_empty() {
        return Ok(BTreeMap::new());
    }
    let before = table()?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
    for address in addresses {
        // An address without a route has no neighbour either.
        drop(socket.send_to(&[0], (*address, DISCARD)));
    }
    let doubtful = addresses.iter().any(|address| before.contains_key(address));
    let asked = Instant::now();
    loop {
        thread::sleep(PAUSE);
        let mut found = table()?;
        found.retain(|address, _| addresses.contains(address));
        let waits = asked.elapsed() < PATIENCE && found.len() < addresses.len();
        let doubts = doubtful && asked.elapsed() < DOUBT && found.keys().any(|address| before.contains_key(address));
        if !waits && !doubts {
            return Ok(found);
        }
    }
}

/// The entries of the table that have an answer: `ADDRESS TYPE FLAGS HARDWARE-ADDRESS MASK DEVICE`.
fn complete(table: &str) -> BTreeMap<Ipv4Addr, String> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        let flags = u32::from_str_radix(words.nth(1)?.trim_start_matches("0x"), 16).ok()?;
        let hardware = words.next()?;
        (flags & 2 != 0).then(|| (address, hardware.to_uppercase()))
    };
    table.lines().skip(1).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_answered_are_in_the_table() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.0.2.1        0x1         0x2         bc:24:11:00:00:01     *        vmbr0\n\
                     192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        vmbr0\n";
        let found = complete(table);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [([192, 0, 2, 1].into(), "BC:24:11:00:00:01".to_owned())]);
    }

    #[test]
    fn an_address_without_a_route_has_no_neighbour() {
        let began = Instant::now();
        assert!(ask(&[Ipv4Addr::new(127, 1, 2, 3)]).unwrap().is_empty());
        assert!(began.elapsed() < DOUBT);
    }
}
