//! systemd's units.

use phoenix::op::OpErrorKind::Failed;
use phoenix::op::UnitAction::{Disable, Enable, Reload, Restart, Start, Stop};
use phoenix::op::{Op, OpValue, UnitAction, UnitState};

use super::Case;
use super::Expect::{Fails, Is};

pub fn cases() -> Vec<Case> {
    vec![a_service(), failures()]
}

fn states(units: &[(&str, [&str; 4])]) -> (Op, super::Expect) {
    let state = |(name, [load, active, sub, enabled]): &(&str, [&str; 4])| UnitState {
        name: (*name).to_owned(),
        load: (*load).to_owned(),
        active: (*active).to_owned(),
        sub: (*sub).to_owned(),
        enabled: (*enabled).to_owned(),
    };
    let names = units.iter().map(|(name, _)| (*name).to_owned()).collect();
    (Op::Units { names }, Is(OpValue::Units(units.iter().map(state).collect())))
}

fn act(name: &str, action: UnitAction) -> Op {
    Op::Unit { name: name.to_owned(), action }
}

fn unit(name: &str, text: &str) -> Op {
    super::write(&format!("/etc/systemd/system/{name}"), text)
}

fn a_service() -> Case {
    let text = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecReload=/bin/true\n\n\
                [Install]\nWantedBy=multi-user.target\n";
    let is = |state| states(&[("conform.service", state)]);
    let (absent, off, on) = (
        ["not-found", "inactive", "dead", ""],
        ["loaded", "inactive", "dead", "disabled"],
        ["loaded", "active", "exited", "disabled"],
    );
    Case::new("a service")
        .batch([states(&[]), is(absent)])
        .does(unit("conform.service", text))
        .does(Op::ReloadUnits)
        .batch([is(off)])
        .does(act("conform.service", Start))
        .batch([is(on)])
        .does(act("conform.service", Start))
        .does(act("conform.service", Reload))
        .does(act("conform", Enable))
        .batch([states(&[
            ("nothing.service", absent),
            ("conform", ["loaded", "active", "exited", "enabled"]),
            ("multi-user.target", ["loaded", "active", "active", "static"]),
        ])])
        .does(act("conform.service", Restart))
        .does(act("conform.service", Stop))
        .does(act("conform.service", Disable))
        .batch([is(off)])
        .does(act("conform.service", Stop))
}

fn failures() -> Case {
    Case::new("units that fail")
        .op(act("nothing.service", Start), Fails(Failed))
        .op(act("nothing.service", Enable), Fails(Failed))
        .does(unit("broken.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n"))
        .does(Op::ReloadUnits)
        .op(act("broken.service", Start), Fails(Failed))
        .batch([states(&[("broken.service", ["loaded", "failed", "failed", "static"])])])
        .op(act("broken.service", Reload), Fails(Failed))
        .does(super::remove("/etc/systemd/system/broken.service"))
        .does(Op::ReloadUnits)
}
