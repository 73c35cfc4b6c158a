//! A failure as an operator reads it: cause, command, its last lines, where in the script, what to do.

use super::style::{DIM, FAILED, STRONG, paint};
use crate::event::Failure;

/// Several lines, each indented by `indent` blanks, without a trailing newline.
pub fn render(failure: &Failure, indent: usize) -> String {
    let mut lines = vec![paint(FAILED, "error: ") + failure.message.as_str()];
    // A message that tells the command already need not be followed by it.
    if let Some(command) = failure.command.as_ref().filter(|command| !failure.message.contains(command.as_str())) {
        lines.push(paint(DIM, "  command: ") + command.as_str());
    }
    if let Some(output) = failure.output.as_deref().filter(|text| !text.trim().is_empty()) {
        lines.extend(output.trim_end().lines().map(|line| paint(DIM, "  | ") + line));
    }
    if let Some(trace) = &failure.trace {
        lines.extend(trace.trim_end().lines().map(|line| format!("  {line}")));
    }
    if let Some(hint) = &failure.hint {
        lines.push(paint(STRONG, "  hint: ") + hint.as_str());
    }
    let margin = " ".repeat(indent);
    lines.iter().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
}
