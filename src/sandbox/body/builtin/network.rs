//! `ip addr`, `ip route`, `ss -ltn`: what there is to see of the network.

use crate::command::Output;
use crate::op::OpValue;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::{lines, words};

/// `ip [-4 | -br] (a | addr | address) [show]`, `ip -o addr show [dev] NAME`, `ip (r | route) [show]`
pub(super) fn ip(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (options, words): (Vec<&str>, Vec<&str>) = words(call).into_iter().partition(|word| word.starts_with('-'));
    if !options.iter().all(|option| matches!(*option, "-4" | "-o" | "-br" | "-brief")) {
        return None;
    }
    let brief = options.iter().any(|option| option.starts_with("-br"));
    let OpValue::Network { addresses, default_route } = within.body.state.network(within.around) else { return None };
    match words[..] {
        ["a" | "addr" | "address"] | ["a" | "addr" | "address", "show"] if brief => Some(lines([
            "lo               UNKNOWN        127.0.0.1/8".to_owned(),
            format!("eth0             UP             {}", addresses.join(" ")),
        ])),
        ["a" | "addr" | "address", "show", "dev", name] | ["a" | "addr" | "address", "show", name]
            if options.contains(&"-o") =>
        {
            let line = |address: &String| format!("2: {name}    inet {address} scope global {name}");
            Some(lines(addresses.iter().map(line)))
        }
        ["a" | "addr" | "address"] | ["a" | "addr" | "address", "show"] => {
            let mut said = vec![
                "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000".to_owned(),
                "    inet 127.0.0.1/8 scope host lo".to_owned(),
                "2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000".to_owned(),
            ];
            said.extend(addresses.iter().map(|address| format!("    inet {address} scope global eth0")));
            Some(lines(said))
        }
        ["r" | "route"] | ["r" | "route", "show"] => {
            let default = default_route.then(|| "default dev eth0".to_owned());
            let networks = within
                .around
                .addresses
                .iter()
                .map(|cidr| format!("{} dev eth0 proto kernel scope link", cidr.network()));
            Some(lines(default.into_iter().chain(networks)))
        }
        _ => None,
    }
}

/// `ss -ltn`, in any order of the letters, with or without `H`.
pub(super) fn ss(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let letters: String = words(call).iter().map(|word| word.trim_start_matches('-')).collect();
    if !letters.chars().all(|letter| "ltnH".contains(letter)) || !letters.contains('l') {
        return None;
    }
    let ports = within.body.listening(within.around);
    let head = (!letters.contains('H')).then(|| "State  Recv-Q Send-Q Local Address:Port Peer Address:Port".to_owned());
    let rows = ports.iter().map(|port| format!("LISTEN 0      4096         0.0.0.0:{port}      0.0.0.0:*"));
    Some(lines(head.into_iter().chain(rows)))
}
