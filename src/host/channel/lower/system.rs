//! Network, ports, init, and what the operating system calls itself.

use crate::host::channel::call::Call;
use crate::host::facts;
use crate::op::OpValue;

pub(super) fn listening() -> Call {
    Call::new("read_files").arg("/proc/net/tcp").arg("/proc/net/tcp6").reads(|_, answer| {
        let mut ports = facts::listening(&answer.bytes(0)?);
        ports.append(&mut facts::listening(&answer.bytes(1)?));
        Some(OpValue::Ports(ports))
    })
}

pub(super) fn network() -> Call {
    Call::new("network").reads(|_, answer| Some(facts::network(&answer.text(0)?, &answer.text(1)?)))
}

pub(super) fn state() -> Call {
    Call::new("system_state").reads(|_, answer| Some(OpValue::SystemState(answer.text(0)?)))
}

pub(super) fn os() -> Call {
    Call::new("operating_system").reads(|_, answer| Some(facts::os(&answer.bytes(0)?, answer.text(1)?.trim())))
}
