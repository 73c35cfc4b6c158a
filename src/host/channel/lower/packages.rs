//! Debian packages.

use std::time::Duration;

use crate::host::channel::call::Call;
use crate::host::channel::lower::seconds;
use crate::host::facts;
use crate::op::OpValue;

/// Limit of `apt-get update`.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// Limit of one transaction.
const TRANSACTION: Duration = Duration::from_secs(30 * 60);

pub(super) fn list() -> Call {
    Call::new("read_file").arg(facts::DPKG_STATUS).arg(u32::MAX).reads(|_, answer| {
        // A machine without dpkg has no packages of this kind.
        let status = if answer.len() == 0 { Vec::new() } else { answer.bytes(0)? };
        Some(OpValue::Packages(facts::packages(&status)))
    })
}

pub(super) fn refresh() -> Call {
    apt(REFRESH).arg("-o").arg("APT::Update::Error-Mode=any").arg("update")
}

pub(super) fn install(names: &[String], recommends: bool) -> Call {
    let recommends = if recommends { "--install-recommends" } else { "--no-install-recommends" };
    apt(TRANSACTION).arg("install").arg(recommends).arg("--").args(names)
}

pub(super) fn remove(names: &[String]) -> Call {
    apt(TRANSACTION).arg("remove").arg("--").args(names)
}

fn apt(limit: Duration) -> Call {
    Call::new("apt").arg(seconds(limit)).takes(limit)
}
