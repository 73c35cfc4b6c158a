//! Root file systems of templates, as they lie there before the first boot: what features look at, not every file.

use std::sync::{Arc, LazyLock};

use super::builtin;
use super::data::Data;
use super::layers::Layer;
use super::packages::{Installed, PROGRAM_TEXT};
use super::state::State;
use super::tree::{Kind, Meta, Node, Tree};

/// Templates that are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Template {
    /// Debian 12 (bookworm), Proxmox's `standard` container template.
    Debian12,
    /// Debian 13 (trixie), Proxmox's `standard` container template.
    Debian13,
    /// Ubuntu 24.04 (noble), Proxmox's `standard` container template.
    Ubuntu2404,
    /// busybox and an init of its own; no systemd, no packages.
    Tiny,
}

impl Template {
    /// The template of this file name (`debian-12-standard_12.12-1_amd64.tar.zst`), if it is modelled.
    pub fn of_file(name: &str) -> Option<Template> {
        const NAMES: [(&str, Template); 4] = [
            ("debian-12-", Template::Debian12),
            ("debian-13-", Template::Debian13),
            ("ubuntu-24.04-", Template::Ubuntu2404),
            ("tiny-", Template::Tiny),
        ];
        let name = name.rsplit('/').next().unwrap_or(name);
        NAMES.iter().find(|(start, _)| name.starts_with(start)).map(|(_, template)| *template)
    }

    /// Its layer, made once.
    pub(super) fn layer(self) -> Arc<Layer> {
        static LAYERS: LazyLock<[Arc<Layer>; 4]> = LazyLock::new(|| {
            [Template::Debian12, Template::Debian13, Template::Ubuntu2404, Template::Tiny]
                .map(|template| Arc::new(Layer::over(Arc::default(), template.state())))
        });
        let [debian_12, debian_13, ubuntu, tiny] = &*LAYERS;
        Arc::clone(match self {
            Template::Debian12 => debian_12,
            Template::Debian13 => debian_13,
            Template::Ubuntu2404 => ubuntu,
            Template::Tiny => tiny,
        })
    }

    fn state(self) -> State {
        let mut state = State::default();
        let root = Root(&mut state.tree);
        root.build(self);
        let packages = BASE_PACKAGES.iter().map(|name| {
            let installed = Installed { version: "1.0-1".to_owned(), files: Vec::new(), units: Vec::new() };
            (name.to_string(), installed)
        });
        if self != Template::Tiny {
            state.packages = Arc::new(packages.collect());
        }
        state
    }
}

const BASE_PACKAGES: &[&str] = &["apt", "base-files", "bash", "ca-certificates", "systemd"];

/// A root file system that is being made. Paths are constants, so nothing can be in the way.
struct Root<'t>(&'t mut Tree);

impl Root<'_> {
    fn build(mut self, template: Template) {
        for dir in
            ["/dev", "/etc", "/home", "/mnt", "/opt", "/proc", "/run", "/srv", "/sys", "/usr", "/var/lib", "/var/log"]
        {
            self.dir(dir, 0o755);
        }
        self.dir("/root", 0o700);
        self.dir("/tmp", 0o1777);
        for (link, target) in [("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/lib", "usr/lib")] {
            self.put(link, Node::link(target));
        }
        self.device("/dev/null", 0o666, (1, 3));
        self.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        self.file("/etc/group", "root:x:0:\n");
        for name in builtin::names() {
            self.program(&format!("/usr/bin/{name}"));
        }
        if template != Template::Tiny {
            self.program("/usr/lib/systemd/systemd");
        }
    }

    fn put(&mut self, path: &str, node: Node) {
        let placed = self.0.place(path, node);
        debug_assert!(placed.is_ok(), "{path} is in the way of the template");
    }

    fn dir(&mut self, path: &str, mode: u32) {
        self.put(path, Node::dir(Meta::root(mode)));
    }

    fn file(&mut self, path: &str, text: &str) {
        self.put(path, Node::file(Meta::root(0o644), Data::text(text)));
    }

    fn program(&mut self, path: &str) {
        self.put(path, Node::file(Meta::root(0o755), Data::text(PROGRAM_TEXT)));
    }

    fn device(&mut self, path: &str, mode: u32, numbers: (u32, u32)) {
        self.put(path, Node { meta: Meta::root(mode), kind: Kind::Other(Some(numbers)) });
    }
}
