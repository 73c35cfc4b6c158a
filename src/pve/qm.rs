//! What only `qm` can do; the rest is in [`super::tool`].

use std::time::Duration;

use super::tool::Tool;
use crate::command::Command;
use crate::model::{GuestId, GuestKind};

/// `qm create`: a virtual machine with these keys. A disk `STORAGE:0,import-from=SOURCE` is a copy of an image (a volume
/// id like `local:import/x.qcow2`, or an absolute path of the node) and as large as it.
pub fn create(id: GuestId, options: &[(String, String)]) -> Command {
    Tool::of(GuestKind::Vm, id).making("create", &[], options)
}

/// `qm guest exec`, the slow way into a virtual machine; `--` is always written. Its exit status is 0 whatever became of
/// the program: the answer is JSON. After `limit` (whole seconds, 0 for none) it answers with the process id, and the
/// program goes on.
pub fn guest_exec<'a>(id: GuestId, limit: Duration, argv: impl IntoIterator<Item = &'a str>) -> Command {
    let seconds = limit.as_secs().to_string();
    let words = ["guest", "exec", &id.to_string(), "--timeout", &seconds, "--"].map(str::to_owned);
    Command::change("qm", words.into_iter().chain(argv.into_iter().map(str::to_owned)))
}
