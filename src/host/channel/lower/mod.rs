//! How an Op becomes a call of the shell at the far end of a channel, and how the answer is read.

mod accounts;
mod exec;
mod files;
mod packages;
mod system;
mod units;

use std::time::Duration;

use crate::host::channel::answer::Answer;
use crate::host::channel::call::Call;
use crate::op::{Op, OpError, OpErrorKind};

/// A call with its line.
pub(super) struct Lowered {
    /// What is sent first.
    pub(super) line: String,
    /// The rest of it.
    pub(super) call: Call,
}

/// Makes the call of an op. What cannot be asked at all becomes a call that fails in its turn.
pub(super) fn lower(op: &Op) -> Lowered {
    let made = call(op).and_then(|call| Ok(Lowered { line: call.line(op.effect())?, call }));
    made.unwrap_or_else(|error| {
        let call = Call::refuse(&error);
        // The words of an error may hold what made the call impossible; its class never does.
        let bare = || format!("op {:?} 0 refuse - ''\n", op.effect()).to_lowercase();
        let line = call.line(op.effect()).unwrap_or_else(|_| bare());
        Lowered { line, call }
    })
}

fn call(op: &Op) -> Result<Call, OpError> {
    match op {
        Op::Stat { path } => files::stat(path),
        Op::Read { path, limit } => files::read(path, *limit),
        Op::Digest { path } => files::digest(path),
        Op::List { path } => files::list(path),
        Op::ReadAll { path, suffix } => files::read_all(path, suffix),
        Op::Write { path, content, attributes, guard } => files::write(path, content, attributes, guard.as_ref()),
        Op::Append { path, bytes, sync } => files::append(path, bytes, *sync),
        Op::MakeDir { path, attributes } => files::make_dir(path, attributes),
        Op::Link { path, target } => files::link(path, target),
        Op::Remove { path, recursive } => files::remove(path, *recursive),
        Op::Move { from, to } => files::rename(from, to),
        Op::SetAttributes { path, attributes } => files::set_attributes(path, attributes),
        Op::Fetch { .. } => Err(OpError::new(OpErrorKind::Failed, "files are fetched on the node only")),
        Op::Neighbours { .. } => Err(OpError::new(OpErrorKind::Failed, "neighbours are asked for on the node only")),
        Op::Packages => Ok(packages::list()),
        Op::RefreshPackages => Ok(packages::refresh()),
        Op::InstallPackages { names, recommends } => Ok(packages::install(names, *recommends)),
        Op::RemovePackages { names } => Ok(packages::remove(names)),
        Op::Units { names } => units::states(names),
        Op::Unit { name, action } => units::act(name, *action),
        Op::ReloadUnits => Ok(units::reload()),
        Op::Accounts => Ok(accounts::list()),
        Op::AddUser { name, uid, system, home, shell } => {
            Ok(accounts::add_user(name, *uid, *system, home.as_deref(), shell.as_deref()))
        }
        Op::AddGroup { name, gid, system } => Ok(accounts::add_group(name, *gid, *system)),
        Op::AddToGroup { user, group } => Ok(accounts::add_to_group(user, group)),
        Op::Exec(exec) => exec::call(exec),
        Op::Listening => Ok(system::listening()),
        Op::Network => Ok(system::network()),
        Op::SystemState => Ok(system::state()),
        Op::Os => Ok(system::os()),
    }
}

/// What a successful answer may still fail by, because only this side can tell.
pub(super) fn check(op: &Op, answer: &Answer) -> Result<(), OpError> {
    match op {
        Op::Read { path, limit } => files::check_size(path, *limit, answer),
        _ => Ok(()),
    }
}

/// Seconds, as the far end and its `timeout` take them; none at all would mean no limit.
fn seconds(limit: Duration) -> String {
    format!("{:.2}", limit.as_secs_f64().max(0.01))
}
