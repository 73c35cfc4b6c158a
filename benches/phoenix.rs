//! What an operator waits for: the program's start, a whole run on the emulated node, a large configuration.
//!
//! `cargo bench --bench phoenix`. Whole commands are timed as processes, cold.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use phoenix::config::{self, Dir};
use phoenix::plan::{self, Request, Verb};
use phoenix::script::{Library, Roots};

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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    targets = whole_commands, large_configuration
}
criterion_main!(benches);
