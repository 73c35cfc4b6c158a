//! Debian packages, from the machine's own sources.

use phoenix::op::OpErrorKind::Failed;
use phoenix::op::{Op, OpValue};

use super::Expect::{Fails, Shows};
use super::{Case, stat};

pub fn cases() -> Vec<Case> {
    vec![installing()]
}

fn install(names: &[&str]) -> Op {
    Op::InstallPackages { names: names.iter().map(|name| (*name).to_owned()).collect(), recommends: false }
}

fn uninstall(names: &[&str]) -> Op {
    Op::RemovePackages { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

fn has(value: &OpValue, name: &str) -> bool {
    matches!(value, OpValue::Packages(packages) if packages.get(name).is_some_and(|version| !version.is_empty()))
}

fn installing() -> Case {
    Case::new("packages")
        .does(Op::RefreshPackages)
        .op(Op::Packages, Shows("dpkg, not tree", |value| has(value, "dpkg") && !has(value, "tree")))
        .does(install(&["tree"]))
        .op(Op::Packages, Shows("tree", |value| has(value, "tree")))
        .op(stat("/usr/bin/tree"), Shows("its program", |value| *value != OpValue::Stat(None)))
        .does(install(&["tree"]))
        .does(install(&[]))
        .op(install(&["tree", "no-such-package"]), Fails(Failed))
        .does(uninstall(&["tree"]))
        .op(Op::Packages, Shows("no tree", |value| !has(value, "tree")))
        .op(stat("/usr/bin/tree"), Shows("no program", |value| *value == OpValue::Stat(None)))
        .does(uninstall(&["tree"]))
        .op(uninstall(&["no-such-package"]), Fails(Failed))
}
