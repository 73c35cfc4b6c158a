//! The agent asked by `qm guest exec`, where its socket cannot be opened: slower, but Proxmox's own way, and its words about
//! why there is no way.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::socket::SILENT;
use super::{Said, Trouble};
use crate::command::Command;
use crate::host::{HostError, process};
use crate::model::GuestId;
use crate::pve::qm;
use crate::secret::Sealed;

/// The agent of a machine, by `qm`.
pub(super) struct Qm {
    id: GuestId,
    program: String,
}

impl Qm {
    /// The machine's; `program` is the name of `qm`, or its path.
    pub(super) fn new(id: GuestId, program: &str) -> Qm {
        Qm { id, program: program.to_owned() }
    }

    /// Runs a program to its end. Input and output go in base64: what `qm` makes of other bytes depends on the locale.
    pub(super) async fn run(&self, words: &[&str], input: &[u8], limit: Duration) -> Result<Said, Trouble> {
        let input = Sealed::new(BASE64.encode(input), "***");
        // No limit of its own: past it, `qm` would answer as if all were well.
        let command = qm::guest_exec(self.id, Duration::ZERO, words.iter().copied()).stdin(input).timeout(limit);
        let command = Command { program: self.program.clone(), ..command };
        let output = match process::run(&command).await {
            Ok(output) => output,
            Err(HostError::Timeout { .. }) => return Err(Trouble::Late(limit)),
            Err(HostError::NotFound { program }) => {
                let reason = format!("it has no socket, as when it is not enabled, and there is no `{program}` to ask");
                return Err(Trouble::Unreachable(reason));
            }
            Err(error) => return Err(Trouble::Lost(error.to_string())),
        };
        if output.code != 0 {
            return Err(self.trouble(String::from_utf8_lossy(&output.stderr).trim()));
        }
        let answer = qm::guest_exec_answer(&output.stdout).and_then(|answer| {
            Some(Said { code: answer.code, stdout: BASE64.decode(answer.stdout).ok()?, stderr: answer.stderr })
        });
        answer.ok_or_else(|| Trouble::Lost("`qm guest exec` answered nothing that makes sense".to_owned()))
    }

    /// What the words of a `qm` that failed mean.
    fn trouble(&self, words: &str) -> Trouble {
        let id = self.id;
        if words.contains("No QEMU guest agent configured") {
            let how = format!("`qm set {id} --agent enabled=1`, then stop and start it");
            return Trouble::Unreachable(format!("it is not enabled in the machine's configuration: {how}"));
        }
        if words.contains("QEMU guest agent is not running") {
            return Trouble::Unreachable(SILENT.to_owned());
        }
        if words.contains(&format!("VM {id} is not running")) {
            return Trouble::Unreachable("the machine is not running".to_owned());
        }
        if words.contains("does not exist") {
            return Trouble::Unreachable(words.to_owned());
        }
        Trouble::Lost(words.to_owned())
    }
}
