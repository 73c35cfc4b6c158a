//! How the program gets to the node and is started there: one fixed command line, whose few words are answered here.

use std::io::{BufRead, Read, Write};

use super::binary::Binary;
use super::{Needs, SshError};

/// Where the program is kept on the node.
const FOLDER: &str = "/var/lib/phoenix/bin";
/// Begins each line that is meant for us. Whatever a login prints, it does not print this.
const MARK: &str = "phoenix-node:6b1f0e1d7c9a";
/// More than this a login does not print before the first word.
const NOISE: u64 = 1 << 20;

const SCRIPT: &str = include_str!("bootstrap.sh");

/// The command line for the node's login shell.
pub(super) fn command_line(binary: &Binary, needs: Needs, arguments: &[String]) -> String {
    let size = binary.size.to_string();
    let needs = match needs {
        Needs::Proxmox => "proxmox",
        Needs::Nothing => "nothing",
    };
    let words = ["/bin/sh", "-c", SCRIPT, "phoenix", MARK, FOLDER, &binary.digest, &size, needs];
    let words = words.into_iter().chain(arguments.iter().map(String::as_str));
    // Only a NUL byte cannot be quoted, and no argument of this process holds one.
    format!("exec {}", shlex::try_join(words).unwrap_or_default())
}

/// One word of the script on the node, with what it says about it.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    word: String,
    detail: String,
}

/// What else was printed on the line; its end is shown when nothing better is known.
#[derive(Default)]
pub(super) struct Noise(String);

impl Noise {
    /// The last lines.
    pub(super) fn tail(&self) -> String {
        let lines: Vec<&str> = self.0.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join("\n")
    }
}

/// Follows the script until the program speaks for itself.
///
/// # Errors
/// Why it cannot; `None` when the line ended.
pub(super) fn follow(
    node: &str,
    binary: &mut Binary,
    (from, to): (&mut impl BufRead, &mut impl Write),
    noise: &mut Noise,
    copying: &dyn Fn(u64),
) -> Result<(), Option<SshError>> {
    let node = || node.to_owned();
    loop {
        let Some(Word { word, detail }) = next(from, noise) else { return Err(None) };
        match word.as_str() {
            "send" => {
                if binary.machine.as_ref() != Some(&detail) {
                    let (binary, machine) = (binary.path.display().to_string(), binary.machine.clone());
                    return Err(Some(SshError::OtherMachine { node: node(), theirs: detail, binary, machine }));
                }
                copying(binary.size);
                // A line that breaks meanwhile is noticed at the next word.
                if let Ok(bytes) = binary.bytes() {
                    drop(std::io::copy(bytes, to).and_then(|_| to.flush()));
                }
            }
            "ready" if detail == binary.digest => return Ok(()),
            "not-root" => return Err(Some(SshError::NotRoot { node: node(), user: detail })),
            "no-proxmox" => return Err(Some(SshError::NoProxmox { node: node(), name: detail })),
            "no-copy" => return Err(Some(SshError::NotCopied { node: node(), reason: detail })),
            "cannot-run" => return Err(Some(SshError::CannotRun { node: node(), words: detail })),
            _ => return Err(Some(SshError::Foreign { node: node(), words: format!("{word} {detail}") })),
        }
    }
}

/// The next word, whatever is printed before it.
fn next(from: &mut impl BufRead, noise: &mut Noise) -> Option<Word> {
    let mut left = from.take(NOISE);
    loop {
        let mut line = Vec::new();
        if left.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line);
        let Some(said) = line.strip_prefix(MARK).and_then(|line| line.strip_prefix(' ')) else {
            noise.0.push_str(&line);
            continue;
        };
        let said = said.trim();
        let (word, detail) = said.split_once(' ').unwrap_or((said, ""));
        return Some(Word { word: word.to_owned(), detail: detail.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_one_word_for_any_shell() {
        assert!(!SCRIPT.contains('\''));
        let binary = Binary::open(None).unwrap();
        let line = command_line(&binary, Needs::Proxmox, &["serve".to_owned()]);
        let words = shlex::split(&line).unwrap();
        assert_eq!(words[..4], ["exec", "/bin/sh", "-c", SCRIPT]);
        assert_eq!(words.last().unwrap(), "serve");
    }

    #[test]
    fn words_are_found_in_all_noise() {
        let mut noise = Noise::default();
        let text =
            format!("Welcome\n\0\u{7f}garbage {MARK} fake\nno newline{MARK}\n\n{MARK} send x86_64\n{MARK} ready abc\n");
        let mut from = text.as_bytes();
        let mut word = |noise: &mut Noise| next(&mut from, noise).map(|word| (word.word, word.detail));
        assert_eq!(word(&mut noise), Some(("send".to_owned(), "x86_64".to_owned())));
        assert_eq!(word(&mut noise), Some(("ready".to_owned(), "abc".to_owned())));
        assert_eq!(word(&mut noise), None);
        assert!(noise.tail().starts_with("Welcome"));
        let flood = vec![b'x'; 3 << 20];
        assert_eq!(next(&mut flood.as_slice(), &mut noise), None);
    }
}
