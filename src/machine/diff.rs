//! Unified diffs of files that never show a secret.

use std::collections::HashMap;

use similar::TextDiff;

use crate::secret::Sealed;

/// Files up to this many bytes are read for a diff.
pub(super) const LIMIT: u64 = 256 * 1024;

const MASKED: &str = "<masked>";

/// Unified diff from `old` to `new`. Of a text with secrets only its shown form appears; lines of the old text are
/// shown if they are part of the new one too, or if neither holds a secret (`private`: nobody but owner and group
/// may read the file). `None` if either is no text or a secret spans several lines.
pub(super) fn unified(path: &str, old: Option<&[u8]>, new: &Sealed, private: bool) -> Option<String> {
    let old = std::str::from_utf8(old.unwrap_or_default()).ok()?;
    if old.contains('\0') || new.shown().contains('\0') {
        return None;
    }
    let old = if private || new.is_secret() { mask(old, new)? } else { old.to_owned() };
    let header = if old.is_empty() { "/dev/null" } else { path };
    let diff = TextDiff::from_lines(old.as_str(), new.shown());
    let text = diff.unified_diff().context_radius(3).header(header, path).to_string();
    Some(text).filter(|text| !text.is_empty())
}

/// The old text, with every line that the new text does not hold replaced.
fn mask(old: &str, new: &Sealed) -> Option<String> {
    let real: Vec<&str> = new.expose().lines().collect();
    let shown: Vec<&str> = new.shown().lines().collect();
    if real.len() != shown.len() {
        return None;
    }
    let known: HashMap<&str, &str> = real.into_iter().zip(shown).collect();
    Some(old.lines().map(|line| format!("{}\n", known.get(line).copied().unwrap_or(MASKED))).collect())
}
