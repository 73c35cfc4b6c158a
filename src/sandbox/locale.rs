//! The locale that a command is called under: Proxmox's tools read their arguments in it.

use std::collections::BTreeMap;

/// Whether arguments keep their characters under this environment. What says nothing about it is taken for a terminal's,
/// which is set up for UTF-8.
pub(super) fn keeps_text<'a>(environment: impl Fn(&str) -> Option<&'a str>) -> bool {
    let named =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| environment(name).filter(|it| !it.is_empty()));
    named.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.ends_with("utf-8") || locale.ends_with("utf8")
    })
}

/// The same of variables by name.
pub(super) fn keeps_text_in(environment: &BTreeMap<String, String>) -> bool {
    keeps_text(|name| environment.get(name).map(String::as_str))
}

/// An argument as a tool sees it that decodes byte by byte: every byte beyond ASCII is lost.
pub(super) fn destroyed(argument: &str) -> String {
    argument.bytes().map(|byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf_8_keeps_what_is_not_ascii() {
        let under = |pairs: &[(&str, &str)]| {
            keeps_text_in(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert!(under(&[]) && under(&[("LC_ALL", "C.UTF-8")]) && under(&[("LANG", "en_US.utf8")]));
        assert!(!under(&[("LC_ALL", "C")]) && !under(&[("LANG", "POSIX")]));
        assert!(!under(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert_eq!(destroyed("grün"), "gr\u{fffd}\u{fffd}n");
    }
}
