//! `hosts`: a name in `/etc/hosts`.

use std::net::IpAddr;

use super::block::Marks;
use super::{Change, Machine, MachineError};
use crate::op::Attributes;
use crate::secret::Sealed;

const FILE: &str = "/etc/hosts";

impl Machine {
    /// Brings a name about that means `address`, in a region of our own: what Proxmox writes around it stays its own. A
    /// name that means that address already is right wherever it stands.
    ///
    /// # Errors
    /// When the name or the address is none.
    pub fn hosts(&self, name: &str, address: &str) -> Result<Change, MachineError> {
        let address: IpAddr =
            address.parse().map_err(|_| MachineError::Invalid(format!("`{address}` is no address for {name}")))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` is no host name")));
        }
        let marks = Marks::new("hosts", "#");
        self.edit(format!("hosts {name}"), FILE, &Attributes::default(), |old| {
            let old = old.unwrap_or_default();
            if old.lines().any(|line| parse(line).is_some_and(|(at, names)| at == address && names.contains(&name))) {
                return Ok(Sealed::plain(old));
            }
            let conflict = |reason| MachineError::conflict(FILE, reason);
            let inside = marks.split(old).map_err(conflict)?.inside.unwrap_or_default();
            let ours = |line: &&str| parse(line).is_none_or(|(_, names)| !names.contains(&name));
            let mut lines: Vec<String> = inside.into_iter().filter(ours).map(str::to_owned).collect();
            lines.push(format!("{address} {name}"));
            marks.set(old, &Sealed::plain(lines.join("\n"))).map_err(conflict)
        })
    }
}

/// Address and names of a line.
fn parse(line: &str) -> Option<(IpAddr, Vec<&str>)> {
    let line = line.split('#').next()?;
    let mut words = line.split_whitespace();
    Some((words.next()?.parse().ok()?, words.collect()))
}
