//! Root file systems of templates, as they lie there before the first boot: what features look at, not every file.

mod debian;
mod tiny;

use std::sync::{Arc, LazyLock};

use super::data::Data;
use super::layers::Layer;
use super::packages::PROGRAM_TEXT;
use super::state::State;
use super::tree::{Kind, Meta, Node};

/// Templates that are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Template {
    /// Debian 12 (bookworm), Proxmox's `standard` container template.
    Debian12,
    /// Debian 13 (trixie), Proxmox's `standard` container template; the node's own system too.
    Debian13,
    /// Ubuntu 24.04 (noble), Proxmox's `standard` container template.
    Ubuntu2404,
    /// Debian 12 (bookworm), the vendor's cloud image.
    Debian12Cloud,
    /// Debian 13 (trixie), the vendor's cloud image.
    Debian13Cloud,
    /// Ubuntu 22.04 (jammy), the vendor's cloud image.
    Ubuntu2204Cloud,
    /// Ubuntu 24.04 (noble), the vendor's cloud image.
    Ubuntu2404Cloud,
    /// busybox and an init of its own; no systemd, no packages.
    Tiny,
}

impl Template {
    /// The name that a world file knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Template::Debian12 => "debian-12",
            Template::Debian13 => "debian-13",
            Template::Ubuntu2404 => "ubuntu-24.04",
            Template::Debian12Cloud => "debian-12-cloud",
            Template::Debian13Cloud => "debian-13-cloud",
            Template::Ubuntu2204Cloud => "ubuntu-22.04-cloud",
            Template::Ubuntu2404Cloud => "ubuntu-24.04-cloud",
            Template::Tiny => "tiny",
        }
    }

    /// Cloud images, which the disks of virtual machines are copied from.
    pub(in crate::sandbox) const CLOUD: [Template; 4] =
        [Template::Debian12Cloud, Template::Debian13Cloud, Template::Ubuntu2204Cloud, Template::Ubuntu2404Cloud];

    /// The template of this file name (`debian-12-standard_12.12-1_amd64.tar.zst`), if it is modelled.
    pub fn of_file(name: &str) -> Option<Template> {
        if let Some(cloud) = Template::CLOUD.into_iter().find(|template| template.name() == name) {
            return Some(cloud);
        }
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
        type Lazy = LazyLock<Arc<Layer>>;
        fn over_nothing(state: State) -> Arc<Layer> {
            Arc::new(Layer::over(Arc::default(), state))
        }
        static DEBIAN_12: Lazy = LazyLock::new(|| over_nothing(debian::state(&debian::BOOKWORM)));
        static DEBIAN_13: Lazy = LazyLock::new(|| over_nothing(debian::state(&debian::TRIXIE)));
        static UBUNTU_2404: Lazy = LazyLock::new(|| over_nothing(debian::state(&debian::NOBLE)));
        static DEBIAN_12_CLOUD: Lazy = LazyLock::new(|| over_nothing(debian::state(&debian::BOOKWORM_CLOUD)));
        static DEBIAN_13_CLOUD: Lazy = LazyLock::new(|| over_nothing(debian::state(&debian::TRIXIE_CLOUD)));
        static UBUNTU_2204_CLOUD: Lazy = LazyLock::new(|| over_nothing(debian::state(&debian::JAMMY_CLOUD)));
        static UBUNTU_2404_CLOUD: Lazy = LazyLock::new(|| over_nothing(debian::state(&debian::NOBLE_CLOUD)));
        static TINY: Lazy = LazyLock::new(|| over_nothing(tiny::state()));
        Arc::clone(match self {
            Template::Debian12 => &DEBIAN_12,
            Template::Debian13 => &DEBIAN_13,
            Template::Ubuntu2404 => &UBUNTU_2404,
            Template::Debian12Cloud => &DEBIAN_12_CLOUD,
            Template::Debian13Cloud => &DEBIAN_13_CLOUD,
            Template::Ubuntu2204Cloud => &UBUNTU_2204_CLOUD,
            Template::Ubuntu2404Cloud => &UBUNTU_2404_CLOUD,
            Template::Tiny => &TINY,
        })
    }
}

/// A root file system in the making. Templates are constants, so nothing can be in the way: a test makes them all.
#[derive(Default)]
struct Root {
    state: State,
}

impl Root {
    fn put(&mut self, path: &str, node: Node) {
        let placed = self.state.tree.place(path, node);
        debug_assert!(placed.is_ok(), "something is in the way of {path}");
    }

    /// A directory; one that is there already keeps what is in it.
    fn dir(&mut self, path: &str, mode: u32) {
        if !self.state.tree.get(path).is_some_and(|node| node.is_dir()) {
            self.put(path, Node::dir(Meta::root(mode)));
        }
    }

    fn file(&mut self, path: &str, text: &str) {
        self.put(path, Node::file(Meta::root(0o644), Data::text(text)));
    }

    fn owned(&mut self, path: &str, mode: u32, gid: u32, text: &str) {
        self.put(path, Node::file(Meta { mode, uid: 0, gid }, Data::text(text)));
    }

    fn program(&mut self, path: &str) {
        self.put(path, Node::file(Meta::root(0o755), Data::text(PROGRAM_TEXT)));
    }

    fn link(&mut self, path: &str, target: &str) {
        self.put(path, Node::link(target));
    }

    /// Directories and devices that every system has.
    fn skeleton(&mut self) {
        for dir in [
            "boot", "dev", "etc", "home", "mnt", "opt", "proc", "run", "srv", "sys", "usr", "var", "var/lib", "var/log",
        ] {
            self.dir(&format!("/{dir}"), 0o755);
        }
        for dir in ["/tmp", "/var/tmp"] {
            self.dir(dir, 0o1777);
        }
        self.dir("/root", 0o700);
        let devices = [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)];
        for (name, minor) in devices {
            self.put(&format!("/dev/{name}"), Node { meta: Meta::root(0o666), kind: Kind::Other(Some((1, minor))) });
        }
    }
}
