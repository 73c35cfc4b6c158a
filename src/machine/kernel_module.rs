//! `module_load`: a module of the kernel, now and at boot.

use std::collections::BTreeMap;

use super::{Change, File, Machine, MachineError, change::difference};
use crate::model::GuestKind;
use crate::op::{Attributes, Place};
use crate::secret::Sealed;

impl Machine {
    /// Brings a kernel module about: in `/etc/modules-load.d/NAME.conf` (its parameters in `/etc/modprobe.d/NAME.conf`),
    /// and in the running kernel. Parameters of a module that is loaded already count from its next load.
    ///
    /// # Errors
    /// In containers, which share the node's kernel; when the kernel has no such module.
    pub fn module_load(&self, name: &str, parameters: &BTreeMap<String, String>) -> Result<Change, MachineError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(MachineError::Invalid(format!("`{name}` is no kernel module")));
        }
        if let Place::Guest(_, GuestKind::Lxc) = self.place() {
            return Err(MachineError::Conflict {
                what: format!("kernel module {name}"),
                reason: "a container shares the node's kernel".to_owned(),
                hint: Some("load it on the node, in a feature with `targets: [\"node\"]`".to_owned()),
            });
        }
        let file = |text: String| {
            let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
            File { attributes, ..File::text(Sealed::plain(format!("# Written by phoenix.\n{text}\n"))) }
        };
        let mut change = Change::default();
        if !parameters.is_empty() {
            let words: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let text = format!("options {name} {}", words.join(" "));
            change = change | self.file(&format!("/etc/modprobe.d/{name}.conf"), &file(text))?;
        }
        change = change | self.file(&format!("/etc/modules-load.d/{name}.conf"), &file(name.to_owned()))?;
        // The kernel writes names with underscores; what is built in has a directory there too if it takes parameters.
        if !self.exists(&format!("/sys/module/{}", name.replace('-', "_")))? {
            self.tool(&["modprobe", "--", name])?;
            let loaded = difference(format!("kernel module {name}"), None, Some("loaded".to_owned()));
            change = change | self.done(Change::of("", vec![loaded]));
        }
        Ok(Change { what: format!("kernel module {name}"), ..change })
    }
}
