//! What an operator waits for: the program's start, a whole run on the emulated node, a large configuration, the state of a
//! large node.
//!
//! `cargo bench --bench phoenix`. Whole commands are timed as processes, cold.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group};
use phoenix::config::{self, Dir};
use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;
use phoenix::plan::{self, Request, Verb};
use phoenix::script::{self, Library, Roots};
use phoenix::testing::{self, Suite};

const PROGRAM: &str = env!("CARGO_BIN_EXE_phoenix");
const CONTAINERS: [&str; 5] = ["create", "900", "103", "101", "102"];
const PLATFORM: [&str; 8] = ["create", "900", "103", "101", "102", "9000", "1001", "1002"];

fn phoenix(world: &Path, words: &[&str]) {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/etc");
    let host = format!("sandbox:{}", world.display());
    let status = Command::new(PROGRAM)
        .args(["--config", config, "--host", &host])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "phoenix {words:?} ended with {status}");
}

fn whole_commands(criterion: &mut Criterion) {
    let size = fs::metadata(PROGRAM).unwrap().len();
    println!("binary: {:.1} MB", size as f64 / 1e6);
    let mut group = criterion.benchmark_group("command");
    group.bench_function("--help, cold", |bencher| {
        bencher.iter(|| Command::new(PROGRAM).arg("--help").stdout(Stdio::null()).status().unwrap());
    });
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    for (what, create) in [("four containers", &CONTAINERS[..]), ("the platform of seven guests", &PLATFORM[..])] {
        group.bench_function(format!("create {what} from nothing"), |bencher| {
            bencher.iter_batched(
                || drop(fs::remove_file(&world)),
                |()| phoenix(&world, create),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("create {what} again, nothing to do"), |bencher| {
            bencher.iter(|| phoenix(&world, create));
        });
    }
    group.finish();
}

/// A configuration of a base and a thousand clones, in chains of dependencies of ten.
fn thousand_guests(folder: &Path) {
    let mut guests = serde_json::Map::new();
    for n in 0..=1000u32 {
        let mut declared = serde_json::json!({
            "name": format!("guest-{n}"),
            "memory_mb": 1024, "cores": 2, "storage_pool": "tank-guests", "storage_size_gb": 8,
            "network_config": {
                "name": "eth0", "bridge": "vmbr0",
                "ip": format!("10.77.{}.{}/16", n / 250, n % 250 + 1), "gw": "10.77.255.254",
            },
            "unprivileged": true,
            "features": ["base_setup"],
        });
        if n == 0 {
            declared["template"] = "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst".into();
            declared["is_template"] = true.into();
        } else {
            declared["clone_from_ctid"] = "20000".into();
            if n % 10 != 1 {
                declared["dependencies"] = serde_json::json!([(20000 + n - 1).to_string()]);
            }
        }
        guests.insert((20000 + n).to_string(), declared);
    }
    let lxc = serde_json::json!({ "lxc_configs": guests });
    let hypervisor = serde_json::json!({ "version": "1", "domain_name": "example.test" });
    fs::write(folder.join("phoenix_lxc_configs.json"), serde_json::to_string_pretty(&lxc).unwrap()).unwrap();
    fs::write(folder.join("phoenix_hypervisor_config.json"), hypervisor.to_string()).unwrap();
}

fn large_configuration(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    thousand_guests(folder.path());
    let dir = Dir::Real(folder.path().to_owned());
    let (library, _) = Library::load(&Roots::embedded());
    criterion.bench_function("1000 guests: configuration, graph and steps", |bencher| {
        bencher.iter(|| {
            let site = config::load(&dir, library.catalogue()).site.unwrap();
            let all = site.guests.keys().copied().collect::<Vec<_>>();
            let plan = plan::make(&site, library.catalogue(), &Request::new(Verb::Create, all)).unwrap();
            assert_eq!(plan.guests.len(), 1001);
            plan
        });
    });
}

/// All state of a node with 500 guests of both kinds, with snapshots, half of them running, read and understood from files
/// as they lie on a node. The files are there in a mount namespace of the benchmark's own: see `main`.
fn five_hundred_guests(criterion: &mut Criterion) {
    let nodes = Path::new("/etc/pve/nodes/pve");
    fs::create_dir_all(nodes.join("lxc")).unwrap();
    fs::create_dir_all(nodes.join("qemu-server")).unwrap();
    fs::create_dir_all("/var/run/qemu-server").unwrap();
    fs::create_dir_all("/var/lib/phoenix/guests").unwrap();
    let mut listed = serde_json::Map::new();
    let mut running = Vec::new();
    for n in 0..500u32 {
        let (id, container) = (1000 + n, n % 2 == 0);
        let net = format!("10.77.{}.{}/16", n / 250, n % 250 + 1);
        let section = if container {
            format!(
                "arch: amd64\ncores: 2\nfeatures: nesting=1\nhostname: guest-{n}\nmemory: 1024\nnameserver: 9.9.9.9\n\
                 net0: name=eth0,bridge=vmbr0,firewall=1,gw=10.77.255.254,hwaddr=BC:24:11:00:{:02X}:{:02X},ip={net},type=veth\n\
                 onboot: 1\nostype: debian\nrootfs: tank:subvol-{id}-disk-0,size=8G\nswap: 512\ntags: phoenix\nunprivileged: 1\n",
                n / 250,
                n % 250
            )
        } else {
            format!(
                "agent: 1\nboot: order=scsi0\nciuser: ops\ncores: 4\ncpu: host\nide2: tank:vm-{id}-cloudinit,media=cdrom\n\
                 ipconfig0: gw=10.77.255.254,ip={net}\nmemory: 4096\nmeta: creation-qemu=10.0,ctime=1767225600\nname: guest-{n}\n\
                 net0: virtio=BC:24:11:01:{:02X}:{:02X},bridge=vmbr0,firewall=1\nscsi0: tank:vm-{id}-disk-0,discard=on,size=32G\n\
                 scsihw: virtio-scsi-single\nserial0: socket\ntags: phoenix\nvmgenid: 00000000-0000-4000-8000-{id:012}\n",
                n / 250,
                n % 250
            )
        };
        let snapshots: String = ["before", "final-form", "monday"]
            .map(|name| format!("\n[{name}]\n#kept by somebody\n{section}snaptime: 1767225600\n"))
            .concat();
        let (folder, kind) = if container { ("lxc", "lxc") } else { ("qemu-server", "qemu") };
        fs::write(nodes.join(folder).join(format!("{id}.conf")), format!("{section}{snapshots}")).unwrap();
        listed.insert(id.to_string(), serde_json::json!({ "node": "pve", "type": kind, "version": n }));
        if n % 4 == 0 {
            let name = format!("/var/lib/lxc/{id}/command");
            let address = SocketAddr::from_abstract_name(name).unwrap();
            running.push(UnixListener::bind_addr(&address).unwrap());
        } else if n % 4 == 1 {
            fs::write(format!("/var/run/qemu-server/{id}.pid"), format!("{}\n", std::process::id())).unwrap();
        }
    }
    fs::write("/etc/pve/.vmlist", serde_json::json!({ "version": 1, "ids": listed }).to_string()).unwrap();
    fs::write("/etc/pve/.members", r#"{"nodename": "pve", "version": 0}"#).unwrap();
    fs::write("/etc/pve/storage.cfg", "zfspool: tank\n\tpool tank\n\tcontent rootdir,images\n").unwrap();
    let host = Local::new(Interrupt::new()).unwrap();
    criterion.bench_function("500 guests: all state of the node", |bencher| {
        bencher.iter(|| {
            let inventory = phoenix::engine::observe(&host).unwrap().inventory;
            assert_eq!(inventory.guests.len(), 500);
            assert_eq!(inventory.guests.values().filter(|guest| guest.running).count(), running.len());
            inventory
        });
    });
}

/// Every shipped feature, app, module, test and model. What a library has checked it remembers, so each time is a first one.
fn lint(criterion: &mut Criterion) {
    let files = script::lint(&Library::load(&Roots::embedded()).0, &[]).unwrap().len();
    criterion.bench_function(&format!("lint: {files} files, read, compiled and checked"), |bencher| {
        bencher.iter(|| {
            let (library, _) = Library::load(&Roots::embedded());
            let found: usize = script::lint(&library, &[]).unwrap().iter().map(|file| file.findings.len()).sum();
            assert_eq!(found, 0);
        });
    });
}

/// Every case of every shipped script, side by side, each in a modelled guest of its own.
fn feature_test(criterion: &mut Criterion) {
    let (library, _) = Library::load(&Roots::embedded());
    let cases = Suite::load(&library, &testing::Request::default()).cases().len();
    criterion.bench_function(&format!("feature test: {cases} cases"), |bencher| {
        bencher.iter(|| assert!(testing::run(&library, &testing::Request::default()).passed()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    targets = whole_commands, large_configuration, five_hundred_guests, lint, feature_test
}

/// Runs the benchmarks in a mount namespace of their own, in which this machine has the directories of a node.
fn main() {
    const INSIDE: &str = "PHOENIX_BENCH_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        benches();
        Criterion::default().configure_from_args().final_summary();
        return;
    }
    // Of the machine's own directories only a layer is changed, which ends with the namespace.
    let script = "set -e; mount -t tmpfs none /mnt; for dir in etc var/lib; do mkdir -p /mnt/$dir/upper /mnt/$dir/work; \
                  mount -t overlay overlay -o lowerdir=/$dir,upperdir=/mnt/$dir/upper,workdir=/mnt/$dir/work /$dir; done; \
                  mkdir -p /etc/pve; mount -t tmpfs none /etc/pve; mount -t tmpfs none /run; mkdir /run/qemu-server; \
                  exec \"$@\"";
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
        .args(std::env::args_os())
        .env(INSIDE, "1")
        .status()
        .expect("unshare(1), as root");
    std::process::exit(status.code().unwrap_or(1));
}
