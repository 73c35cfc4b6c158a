//! `dns_record`: a name that the node's dnsmasq answers for.

use std::net::IpAddr;

use super::readable;
use crate::machine::change::difference;
use crate::machine::{Change, File, Machine, MachineError, Service};
use crate::op::{Attributes, Op, UnitAction};
use crate::secret::Sealed;

/// The drop-in, and the records that it names. dnsmasq reads the records again at a reload, the drop-in at a start only.
const DROP_IN: &str = "/etc/dnsmasq.d/phoenix.conf";
const RECORDS: &str = "/etc/phoenix/dns.hosts";
const UNIT: &str = "dnsmasq.service";

impl Machine {
    /// Brings a record about, or takes it away (`ip` absent): in a file of records of its own, which a drop-in names to
    /// dnsmasq. The server is restarted for the drop-in, reloaded for records.
    ///
    /// # Errors
    /// When the name is none, or dnsmasq is not there or refuses its configuration.
    pub fn dns_record(&self, name: &str, ip: Option<IpAddr>) -> Result<Change, MachineError> {
        self.on_the_node("dns_record")?;
        if !is_host_name(name) {
            return Err(MachineError::Invalid(format!("`{name}` is no host name")));
        }
        let what = format!("DNS record {name}");
        let directory = Attributes { mode: Some(0o755), ..Attributes::default() };
        let drop_in = File {
            attributes: readable(),
            validate: ["dnsmasq", "--test"].map(str::to_owned).to_vec(),
            ..File::text(Sealed::plain(format!("# Written by phoenix.\naddn-hosts={RECORDS}\n")))
        };
        let mut change = self.dir("/etc/phoenix", &directory)?
            | self.edit(what.clone(), RECORDS, &readable(), |old| {
                Ok(Sealed::plain(records(old.unwrap_or_default(), name, ip)))
            })?
            | self.file(DROP_IN, &drop_in)?
            | self.service(UNIT, &Service::default())?;
        let (settings, records) = (
            self.watch("dns_record-settings", &[DROP_IN.to_owned()])?,
            self.watch("dns_record", &[RECORDS.to_owned()])?,
        );
        let action = if settings.differs() { UnitAction::Restart } else { UnitAction::Reload };
        if settings.differs() || records.differs() {
            self.one(Op::Unit { name: UNIT.to_owned(), action })?;
            self.keep_watch(&records)?;
            self.keep_watch(&settings)?;
            let done = difference(format!("unit {UNIT}"), None, Some(format!("{}ed", action.word())));
            change = change | self.done(Change::of("", vec![done]));
        }
        Ok(Change { what, ..change })
    }
}

/// The records with this one as the only one of its name and family, or without any of its name.
fn records(old: &str, name: &str, ip: Option<IpAddr>) -> String {
    let head = "# Written by phoenix.\n";
    let mut kept = Vec::new();
    let mut wanted = ip.map(|ip| format!("{ip} {name}"));
    for line in old.lines().filter(|line| !line.starts_with('#')) {
        let (address, names) = line.split_once(' ').unwrap_or((line, ""));
        let family = |ip: IpAddr| address.parse::<IpAddr>().is_ok_and(|found| found.is_ipv4() == ip.is_ipv4());
        match names.trim() == name && ip.is_none_or(family) {
            // In the place of the old one, so that the order stays.
            true => kept.extend(wanted.take()),
            false => kept.push(line.to_owned()),
        }
    }
    kept.extend(wanted);
    std::iter::once(head.to_owned()).chain(kept.iter().map(|line| format!("{line}\n"))).collect()
}

/// RFC 1123: labels of letters, digits and hyphens.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_record_of_each_family() {
        let first = records("", "a.example.org", Some("192.0.2.1".parse().expect("an address")));
        let both = records(&first, "a.example.org", Some("2001:db8::1".parse().expect("an address")));
        let other = records(&both, "b.example.org", Some("192.0.2.2".parse().expect("an address")));
        let moved = records(&other, "a.example.org", Some("192.0.2.9".parse().expect("an address")));
        let lines = "192.0.2.9 a.example.org\n2001:db8::1 a.example.org\n192.0.2.2 b.example.org\n";
        assert_eq!(moved, format!("# Written by phoenix.\n{lines}"));
        assert_eq!(records(&moved, "a.example.org", None), "# Written by phoenix.\n192.0.2.2 b.example.org\n");
    }
}
