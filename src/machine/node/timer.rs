//! `timer`: a program that systemd runs at set times.

use crate::machine::unit::unit_name;
use crate::machine::{Change, Machine, MachineError, Service};
use crate::op::Op;
use crate::secret::Sealed;

/// What runs when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// When, as in systemd.time(7): `daily`, `*-*-* 03:00:00`.
    pub on_calendar: String,
    /// What (argv).
    pub exec: Vec<String>,
    /// As whom; absent: root.
    pub user: Option<String>,
    /// Whether a time that was missed is made up for at the next boot.
    pub persistent: bool,
    /// Later by up to this: `1h`.
    pub randomized_delay: Option<String>,
    /// What it is for.
    pub description: String,
}

impl Machine {
    /// Brings a timer and its service about, enabled and waiting.
    ///
    /// # Errors
    /// When the name is none, or systemd does not understand the times.
    pub fn timer(&self, name: &str, timer: &Timer) -> Result<Change, MachineError> {
        self.on_the_node("timer")?;
        let (service, unit) = names(name)?;
        if timer.exec.is_empty() || timer.on_calendar.is_empty() {
            return Err(MachineError::Invalid(format!("timer {name} needs `on_calendar` and `exec`")));
        }
        let texts = [timer.on_calendar.as_str(), &timer.description];
        let more = [timer.user.as_deref(), timer.randomized_delay.as_deref()].into_iter().flatten();
        if texts.into_iter().chain(more).any(|text| text.contains('\n')) {
            return Err(MachineError::Invalid(format!("timer {name}: a line break in its settings")));
        }
        let description = if timer.description.is_empty() { name } else { &timer.description };
        let user = timer.user.as_ref().map(|user| format!("User={user}\n")).unwrap_or_default();
        let delay = timer.randomized_delay.as_ref().map(|delay| format!("RandomizedDelaySec={delay}\n"));
        let command: Vec<String> = timer.exec.iter().map(|word| quoted(word)).collect();
        let of_service = format!(
            "# Written by phoenix.\n[Unit]\nDescription={description}\n\n[Service]\nType=oneshot\n{user}ExecStart={}\n",
            command.join(" ")
        );
        let of_timer = format!(
            "# Written by phoenix.\n[Unit]\nDescription={description}\n\n[Timer]\nOnCalendar={}\n{}Persistent={}\n\n\
             [Install]\nWantedBy=timers.target\n",
            timer.on_calendar,
            delay.unwrap_or_default(),
            timer.persistent
        );
        let options = Service { watch: vec![format!("/etc/systemd/system/{unit}")], ..Service::default() };
        let change = self.unit(&service, &Sealed::plain(of_service))?
            | self.unit(&unit, &Sealed::plain(of_timer))?
            | self.service(&unit, &options)?;
        Ok(Change { what: format!("timer {name}"), ..change })
    }

    /// Takes a timer and its service away.
    ///
    /// # Errors
    /// When systemd does not stop it.
    pub fn timer_absent(&self, name: &str) -> Result<Change, MachineError> {
        self.on_the_node("timer")?;
        let (service, unit) = names(name)?;
        let off = Service { running: Some(false), enabled: Some(false), ..Service::default() };
        let mut change = self.service(&unit, &off)?;
        for unit in [&unit, &service] {
            change = change | self.absent(&format!("/etc/systemd/system/{unit}"), false)?;
        }
        if change.changed {
            self.one(Op::ReloadUnits)?;
        }
        Ok(Change { what: format!("timer {name}"), ..change })
    }
}

/// Names of the service and of the timer.
fn names(name: &str) -> Result<(String, String), MachineError> {
    let bare = name.strip_suffix(".timer").unwrap_or(name);
    Ok((unit_name(&format!("{bare}.service"))?, unit_name(&format!("{bare}.timer"))?))
}

/// A word of `ExecStart=`: systemd.service(5) replaces `%` and `$`, and knows double quotes.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('%', "%%");
    format!("\"{}\"", escaped.replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_command_line_are_what_they_were() {
        assert_eq!(quoted("/usr/bin/true"), "/usr/bin/true");
        assert_eq!(quoted("echo \"$HOME\" 100%"), "\"echo \\\"$$HOME\\\" 100%%\"");
    }
}
