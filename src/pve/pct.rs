//! What only `pct` can do; the rest is in [`super::tool`].

use super::tool::Tool;
use crate::command::Command;
use crate::model::{GuestId, GuestKind};

/// `pct create`: a container from a template archive (a volume id like `local:vztmpl/x.tar.zst`, or an absolute path).
pub fn create(id: GuestId, template: &str, options: &[(String, String)]) -> Command {
    Tool::of(GuestKind::Lxc, id).making("create", &[template], options)
}

/// `pct exec`, the slow way into a container; `--` is always written.
pub fn exec<'a>(id: GuestId, argv: impl IntoIterator<Item = &'a str>) -> Command {
    let words = ["exec".to_owned(), id.to_string(), "--".to_owned()];
    Command::change("pct", words.into_iter().chain(argv.into_iter().map(str::to_owned)))
}
