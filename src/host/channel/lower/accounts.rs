//! Users and groups.

use std::time::Duration;

use crate::host::channel::call::Call;
use crate::host::channel::lower::seconds;
use crate::host::facts;
use crate::op::OpValue;

const LIMIT: Duration = Duration::from_secs(60);
/// Homes are nobody else's, whatever a distribution's own default is.
const HOME_MODE: &str = "HOME_MODE=0700";

pub(super) fn list() -> Call {
    Call::new("read_files").arg("/etc/passwd").arg("/etc/group").reads(|_, answer| {
        Some(OpValue::Accounts { users: facts::users(&answer.bytes(0)?), groups: facts::groups(&answer.bytes(1)?) })
    })
}

pub(super) fn add_user(name: &str, uid: Option<u32>, system: bool, home: Option<&str>, shell: Option<&str>) -> Call {
    let shell = shell.unwrap_or(if system { "/usr/sbin/nologin" } else { "/bin/bash" });
    let mut call = Call::new("program")
        .arg(seconds(LIMIT))
        .arg("useradd")
        .arg("--user-group")
        .arg("--key")
        .arg(HOME_MODE)
        .arg("--shell")
        .arg(shell);
    call = call.arg(if system { "--system" } else { "--create-home" });
    if let Some(uid) = uid {
        call = call.arg("--uid").arg(uid);
    }
    if let Some(home) = home {
        call = call.arg("--home-dir").arg(home);
    }
    call.arg("--").arg(name)
}

pub(super) fn add_group(name: &str, gid: Option<u32>, system: bool) -> Call {
    let mut call = Call::new("program").arg(seconds(LIMIT)).arg("groupadd");
    if system {
        call = call.arg("--system");
    }
    if let Some(gid) = gid {
        call = call.arg("--gid").arg(gid);
    }
    call.arg("--").arg(name)
}

pub(super) fn add_to_group(user: &str, group: &str) -> Call {
    Call::new("program").arg(seconds(LIMIT)).arg("usermod").arg("-a").arg("-G").arg(group).arg("--").arg(user)
}
