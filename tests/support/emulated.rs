//! A real virtual machine, emulated instruction by instruction, so that it needs no KVM: a Debian disk as a cloud image is,
//! with cloud-init and without a guest agent, on QEMU with the devices that Proxmox gives its machines.
//!
//! The disk is made once and kept in the checkout under `.cache/` (some minutes, 1 GB); a machine changes nothing on it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::{Local, Paths};
use phoenix::model::{GuestId, GuestKind};
use phoenix::op::Place;
use rustix::fs::FlockOperation;
use tempfile::TempDir;

use super::container::{self, cache, sh};

/// What a cloud image has and a container lacks, as far as it matters here.
const PACKAGES: &str = "linux-image-cloud-amd64 initramfs-tools udev cloud-init netplan.io systemd-resolved";
/// Its id.
pub const ID: u32 = 9000;
/// QEMU's own network: its address for the first machine, for itself, and for names.
const ADDRESS: &str = "10.0.2.15";
const GATEWAY: &str = "10.0.2.2";
const NAMESERVER: &str = "10.0.2.3";

/// A running machine; dropping it pulls the plug.
pub struct Emulated {
    qemu: Child,
    sockets: TempDir,
}

impl Emulated {
    /// Starts a machine with this vendor data of cloud-init.
    pub fn boot(vendor: &str) -> Emulated {
        let base = base();
        let sockets = tempfile::tempdir().unwrap();
        let dir = sockets.path().display();
        for (name, text) in seed(vendor) {
            fs::write(sockets.path().join(name), text).unwrap();
        }
        sh(&format!(
            "cd {dir} && genisoimage -quiet -rational-rock -volid cidata -output seed.iso \
             user-data meta-data vendor-data network-config"
        ));
        let id = id();
        let arguments = format!(
            "-accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nographic -no-reboot \
             -kernel {base}/vmlinuz -initrd {base}/initrd \
             -drive file={base}/disk.raw,if=virtio,format=raw,snapshot=on \
             -drive file={dir}/seed.iso,if=virtio,format=raw,readonly=on \
             -netdev user,id=net0,ipv6=off -device virtio-net-pci,netdev=net0,mac=bc:24:11:00:00:01 \
             -device virtio-serial -chardev socket,path={dir}/{id}.qga,server=on,wait=off,id=qga0 \
             -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0 -device virtio-rng-pci",
            base = base.display(),
        );
        let console = File::create(cache().join("console")).unwrap();
        let qemu = Command::new("qemu-system-x86_64")
            .args(arguments.split_whitespace())
            // Emulated clocks are late on a busy machine.
            .args(["-append", "root=/dev/vda rw console=ttyS0 no_timer_check"])
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .expect("qemu-system-x86: `tests/run --long` installs it");
        Emulated { qemu, sockets }
    }

    /// The machine that Ops act in.
    pub fn place(&self) -> Place {
        Place::Guest(id(), GuestKind::Vm)
    }

    /// Its address, with the prefix length.
    pub fn address(&self) -> String {
        format!("{ADDRESS}/24")
    }

    /// The node that it runs on.
    pub fn host(&self) -> Local {
        let paths = Paths { sockets: self.sockets.path().to_owned(), ..Paths::default() };
        Local::with_paths(Interrupt::new(), paths).unwrap()
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.kill();
    }
}

fn id() -> GuestId {
    GuestId::try_from(ID).unwrap()
}

/// What Proxmox writes on a machine's cloud-init drive: user and network data out of single keys, vendor data as it is.
fn seed(vendor: &str) -> [(&'static str, String); 4] {
    let user = "#cloud-config\nhostname: image\nmanage_etc_hosts: true\nfqdn: image.example.org\nuser: admin\n\
                chpasswd:\n  expire: False\nusers:\n  - default\npackage_upgrade: false\n";
    let network = format!(
        "version: 1\nconfig:\n    - type: physical\n      name: eth0\n      mac_address: 'bc:24:11:00:00:01'\n      \
         subnets:\n      - type: static\n        address: '{ADDRESS}'\n        netmask: '255.255.255.0'\n        \
         gateway: '{GATEWAY}'\n    - type: nameserver\n      address:\n      - '{NAMESERVER}'\n      search:\n      \
         - 'example.org'\n"
    );
    [
        ("user-data", user.to_owned()),
        ("meta-data", "instance-id: 6f1ed002ab5595859014ebf0951522d9\n".to_owned()),
        ("vendor-data", vendor.to_owned()),
        ("network-config", network),
    ]
}

/// The directory with disk, kernel and initial file system.
fn base() -> PathBuf {
    let cache = cache();
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join("machine-lock")).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    let base = cache.join("machine");
    if !base.exists() {
        let unfinished = cache.join("unfinished-machine");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).unwrap();
        }
        fs::create_dir_all(&unfinished).unwrap();
        let tree = unfinished.join("tree");
        sh(&format!("cp -a {} {}", container::base("bookworm", false).root().display(), tree.display()));
        sh(&format!("cp /etc/resolv.conf {root}/etc/ && chroot {root} apt-get -q update >&2", root = tree.display()));
        sh(&format!(
            "root={root}
             mount -t proc proc $root/proc && trap \"umount $root/proc\" EXIT
             DEBIAN_FRONTEND=noninteractive chroot $root apt-get -q -y install --no-install-recommends {PACKAGES} >&2",
            root = tree.display(),
        ));
        fs::write(tree.join("etc/fstab"), "/dev/vda / ext4 defaults 0 1\n").unwrap();
        // No other source of data is looked for; the locale is that of Debian's images.
        let settings = "datasource_list: [NoCloud, None]\nlocale: C.UTF-8\n";
        fs::write(tree.join("etc/cloud/cloud.cfg.d/90_image.cfg"), settings).unwrap();
        sh(&format!(
            "cd {dir}
             rm -f tree/etc/machine-id tree/etc/hostname tree/var/cache/apt/archives/*.deb
             touch tree/etc/machine-id
             cp -L tree/vmlinuz vmlinuz
             cp -L tree/initrd.img initrd
             mkfs.ext4 -q -F -d tree disk.raw 3G && rm -rf tree",
            dir = unfinished.display(),
        ));
        fs::rename(&unfinished, &base).unwrap();
    }
    base
}
