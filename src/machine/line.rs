//! `line`: one line of a text file.

use regex::Regex;

use super::{Change, Machine, MachineError};
use crate::op::Attributes;
use crate::secret::Sealed;

/// Where a line belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Regular expression; the last line that it matches is replaced (with `absent`: every one goes).
    pub matching: Option<String>,
    /// Regular expression; a new line comes after the last line that it matches, else at the end.
    pub after: Option<String>,
    /// The line shall not be there.
    pub absent: bool,
    /// Mode and owner of the file.
    pub attributes: Attributes,
}

impl Machine {
    /// Brings one line of a text file about, or removes it; a missing file is made.
    ///
    /// # Errors
    /// When the file is no text or an expression does not parse.
    pub fn line(&self, path: &str, line: &Sealed, options: &Line) -> Result<Change, MachineError> {
        if line.expose().contains('\n') {
            return Err(MachineError::Invalid(format!("a line of {path} cannot hold a line break: use `block`")));
        }
        let matching = options.matching.as_deref().map(expression).transpose()?;
        let after = options.after.as_deref().map(expression).transpose()?;
        self.edit(format!("line {path}"), path, &options.attributes, |old| {
            let old = old.unwrap_or_default();
            Ok(if options.absent {
                Sealed::plain(without(old, line.expose(), matching.as_ref()))
            } else {
                with(old, line, matching.as_ref(), after.as_ref())
            })
        })
    }
}

/// A regular expression, or why it is none.
fn expression(text: &str) -> Result<Regex, MachineError> {
    Regex::new(text).map_err(|error| MachineError::Invalid(format!("`{text}` is no regular expression: {error}")))
}

fn without(old: &str, line: &str, matching: Option<&Regex>) -> String {
    let gone = |candidate: &str| candidate == line || matching.is_some_and(|matching| matching.is_match(candidate));
    if !old.lines().any(gone) {
        return old.to_owned();
    }
    old.lines().filter(|candidate| !gone(candidate)).map(|line| format!("{line}\n")).collect()
}

fn with(old: &str, line: &Sealed, matching: Option<&Regex>, after: Option<&Regex>) -> Sealed {
    let lines: Vec<&str> = old.lines().collect();
    let last = |regex: &Regex| lines.iter().rposition(|line| regex.is_match(line));
    let replaced = matching.and_then(last);
    let right = match replaced {
        Some(at) => lines[at] == line.expose(),
        None => lines.contains(&line.expose()),
    };
    if right {
        return Sealed::plain(old);
    }
    let (at, skip) = match (replaced, after.and_then(last)) {
        (Some(at), _) => (at, 1),
        (None, Some(after)) => (after + 1, 0),
        (None, None) => (lines.len(), 0),
    };
    let text = |new: &str| {
        let all = lines[..at].iter().copied().chain([new]).chain(lines[at + skip..].iter().copied());
        all.map(|line| format!("{line}\n")).collect::<String>()
    };
    Sealed::new(text(line.expose()), text(line.shown()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn set(old: &str, line: &str, matching: Option<&str>, after: Option<&str>) -> String {
        let regex = |text: Option<&str>| text.map(|text| expression(text).unwrap());
        with(old, &Sealed::plain(line), regex(matching).as_ref(), regex(after).as_ref()).expose().to_owned()
    }

    #[test]
    fn a_line_is_appended_replaced_or_put_after() {
        assert_eq!(set("", "a=1", None, None), "a=1\n");
        assert_eq!(set("b", "a=1", None, None), "b\na=1\n");
        assert_eq!(set("b\na=1\nc\n", "a=1", None, None), "b\na=1\nc\n");
        assert_eq!(set("#a=0\nb\n", "a=1", Some("^#?a="), None), "a=1\nb\n");
        assert_eq!(set("[x]\n[y]\n", "a=1", None, Some(r"^\[x\]")), "[x]\na=1\n[y]\n");
    }

    #[test]
    fn every_match_goes() {
        assert_eq!(without("a\nb\na\n", "a", None), "b\n");
        assert_eq!(without("x=1\nb\nx=2\n", "", Some(&expression("^x=").unwrap())), "b\n");
        assert_eq!(without("b", "a", None), "b");
    }

    #[test]
    fn a_secret_is_shown_by_name() {
        let line = Sealed::new("password=hunter2", "password=<secret db>");
        assert_eq!(with("user=a\n", &line, None, None).shown(), "user=a\npassword=<secret db>\n");
    }
}
