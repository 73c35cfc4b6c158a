//! What cloud-init says about itself, inside a virtual machine.

use std::time::Duration;

use serde::Deserialize;

use crate::command::{Effect, Output};
use crate::op::{Exec, Op};

/// How far cloud-init has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CloudInit {
    /// It has not begun, or is at it.
    Running,
    /// It has done what it was told, or there is none. Complaints that did not stop it.
    Done(Vec<String>),
    /// It failed; its words.
    Failed(String),
    /// Too old to answer in JSON.
    Older,
}

/// The question. Versions that do not know `--format` are asked with `--long`.
pub(super) fn status(older: bool) -> Op {
    let words: &[&str] = if older { &["--long"] } else { &["--format", "json"] };
    Op::Exec(Exec {
        argv: ["cloud-init", "status"].iter().chain(words).map(|word| (*word).to_owned()).collect(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(60),
        effect: Effect::Read,
    })
}

/// The program is not there.
const NOT_FOUND: i32 = 127;

/// Understands the answer. Its exit status is 0 when it is done, 1 when it failed, 2 when it is done with complaints or
/// does not understand the question.
pub(super) fn read(output: &Output) -> CloudInit {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        status: String,
        errors: Vec<String>,
        recoverable_errors: std::collections::BTreeMap<String, Vec<String>>,
    }
    if output.code == NOT_FOUND {
        return CloudInit::Done(Vec::new());
    }
    let text = output.text();
    match serde_json::from_str::<Status>(&text) {
        Ok(status) => {
            judged(&status.status, status.errors, status.recoverable_errors.into_values().flatten().collect())
        }
        Err(_) if !text.trim_start().starts_with("status:") => CloudInit::Older,
        Err(_) => {
            let of =
                |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim).unwrap_or_default();
            let detail = text.split_once("detail:").map(|(_, detail)| detail.trim().to_owned());
            judged(of("status:"), detail.filter(|detail| !detail.is_empty()).into_iter().collect(), Vec::new())
        }
    }
}

fn judged(status: &str, errors: Vec<String>, complaints: Vec<String>) -> CloudInit {
    match status {
        "error" if errors.is_empty() => CloudInit::Failed("it does not say why".to_owned()),
        "error" => CloudInit::Failed(errors.join("\n")),
        "done" | "disabled" => CloudInit::Done(complaints),
        _ => CloudInit::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32, text: &str) -> CloudInit {
        read(&Output { code, stdout: text.into(), ..Output::default() })
    }

    #[test]
    fn every_form_of_an_answer_is_understood() {
        assert_eq!(
            answer(0, r#"{"status": "done", "errors": [], "extended_status": "done"}"#),
            CloudInit::Done(vec![])
        );
        assert_eq!(answer(0, r#"{"status": "running", "detail": "DataSourceNoCloud"}"#), CloudInit::Running);
        assert_eq!(answer(0, r#"{"status": "not run"}"#), CloudInit::Running);
        assert_eq!(
            answer(1, r#"{"status": "error", "errors": ["('package_update_upgrade_install', 'E: no such package')"]}"#),
            CloudInit::Failed("('package_update_upgrade_install', 'E: no such package')".into())
        );
        assert_eq!(
            answer(
                2,
                r#"{"status": "done", "recoverable_errors": {"WARNING": ["a key is deprecated"]}, "errors": []}"#
            ),
            CloudInit::Done(vec!["a key is deprecated".into()])
        );
        assert_eq!(answer(127, ""), CloudInit::Done(vec![]));
        assert_eq!(answer(2, "usage: cloud-init status [-h]"), CloudInit::Older);
        assert_eq!(answer(0, "status: done\ntime: Thu\ndetail:\nDataSourceNoCloud\n"), CloudInit::Done(vec![]));
        assert_eq!(
            answer(1, "status: error\ntime: Thu\ndetail:\n('scripts-user', RuntimeError('x'))\n"),
            CloudInit::Failed("('scripts-user', RuntimeError('x'))".into())
        );
        assert_eq!(answer(0, "status: running\n"), CloudInit::Running);
    }
}
