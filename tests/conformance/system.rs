//! What a machine says about itself.

use phoenix::op::{Op, OpValue};

use super::Case;
use super::Expect::Shows;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("the system")
            .op(
                Op::Os,
                Shows("Debian 12", |value| {
                    matches!(value, OpValue::Os { id, version, codename, arch }
                        if (&**id, &**version, &**codename, &**arch) == ("debian", "12", "bookworm", "amd64"))
                }),
            )
            .op(
                Op::SystemState,
                // Another case leaves a failed unit behind.
                Shows(
                    "a finished boot",
                    |value| matches!(value, OpValue::SystemState(state) if state == "running" || state == "degraded"),
                ),
            )
            .op(
                Op::Network,
                Shows("one address and a way out", |value| {
                    matches!(value, OpValue::Network { addresses, default_route: true }
                        if addresses.len() == 1 && addresses[0].contains('/'))
                }),
            )
            .op(Op::Listening, Shows("ports", |value| matches!(value, OpValue::Ports(_)))),
    ]
}
