//! A container's life in the lab: made, cloned, changed, rolled back, interrupted, removed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Laboratory, until};

/// Two guests with nothing to install, and a third that runs a script of the test's own.
fn small() -> Laboratory {
    let lab = Laboratory::new();
    lab.script(
        "features/note.rhai",
        r#"
const FEATURE = #{ name: "note", summary: "Leaves a note", targets: ["lxc"],
    params: #{ text: #{ type: "string", fallback: "first", doc: "what it says" },
               seconds: #{ type: "int", fallback: 0, doc: "how long it takes" } } };
fn apply(guest, params) {
    guest.file("/etc/note", #{ content: params.text + "\n" });
    if params.seconds > 0 {
        guest.exec(["sleep", params.seconds.to_string()], #{ creates: "/etc/slept" });
        guest.file("/etc/slept", #{ content: "well\n" });
    }
}
fn health(guest, params) { if !guest.exists("/etc/note") { fail("no note"); } }
"#,
    );
    // Machines and what they need of others are no part of it.
    std::fs::write(lab.path("etc/phoenix_vm_configs.json"), r#"{"vms": []}"#).unwrap();
    std::fs::remove_dir_all(lab.path("etc/stacks")).unwrap();
    lab.declare(|all| {
        for (id, features) in [("900", json!([])), ("103", json!(["note"])), ("102", json!(["note"]))] {
            all[id]["features"] = features;
            let guest = all[id].as_object_mut().unwrap();
            for field in ["application_script", "params", "roles", "firewall", "dependencies", "traefik_service"] {
                guest.remove(field);
            }
        }
        all.as_object_mut().unwrap().remove("101");
    });
    lab
}

#[test]
fn containers_are_cloned_reached_rolled_back_and_removed() {
    let lab = small();
    lab.converges("three containers", &["900", "103", "102"]);

    // Real systems, with the names and addresses of the declaration, which reach each other and the node.
    assert_eq!(lab.inside("103", "systemctl is-system-running && hostname -s"), "running\nca\n");
    assert!(lab.inside("103", "ip -br -4 addr show eth0").contains("10.20.0.10/24"));
    assert_eq!(lab.inside("102", "getent hosts ca | cut -d' ' -f1"), "10.20.0.10\n");
    assert_eq!(lab.inside("103", "getent hosts router.lab.example.org | cut -d' ' -f1"), "10.20.0.12\n");
    let ids = [lab.inside("103", "cat /etc/machine-id"), lab.inside("102", "cat /etc/machine-id")];
    assert_ne!(ids[0], ids[1], "a copy has an identity of its own");
    // Ids of the machine's that are nobody's.
    assert_eq!(lab.inside("103", "awk '{print $2}' /proc/self/uid_map"), "100000\n");

    // What is pushed is there, what is pulled was.
    lab.told(&["sandbox", "exec", "--", "sh", "-c", "echo pushed >/root/file"]);
    lab.told(&["sandbox", "exec", "--", "pct", "push", "103", "/root/file", "/etc/file"]);
    assert_eq!(lab.inside("103", "cat /etc/file"), "pushed\n");

    // A snapshot of what runs, and back.
    lab.inside("103", "echo before >/etc/state && mkdir /srv/kept && chown 33:33 /srv/kept && rm /etc/issue");
    lab.told(&["sandbox", "exec", "--", "pct", "snapshot", "103", "here"]);
    lab.inside("103", "echo after >/etc/state && touch /etc/issue && rm -r /srv/kept && rm /etc/file");
    lab.told(&["sandbox", "exec", "--", "pct", "rollback", "103", "here", "--start", "1"]);
    assert_eq!(
        lab.inside("103", "cat /etc/state /etc/file; stat -c %u /srv/kept; ls /etc/issue 2>&1 || true")
            .lines()
            .take(3)
            .collect::<Vec<_>>(),
        ["before", "pushed", "33"]
    );
    assert!(lab.inside("103", "ls /etc/issue 2>&1 || true").contains("No such file"));
    lab.told(&["sandbox", "exec", "--", "pct", "delsnapshot", "103", "here"]);

    // The verbs.
    lab.told(&["health", "102", "103"]);
    lab.told(&["stop", "102", "--yes"]);
    assert!(lab.told(&["status"]).contains("stopped"));
    lab.told(&["start", "102"]);
    assert!(lab.inside("102", "cat /etc/note").contains("first"));
    assert!(lab.told(&["plan", "103"]).contains("2 unchanged"));
    assert!(lab.told(&["create", "103", "--dry-run"]).contains("2 unchanged"));
    lab.told(&["delete", "102", "--yes"]);
    assert!(!lab.dir().join("insides/102.json").exists());

    // Nothing stays.
    let (network, dir) = (lab.network(), lab.dir());
    assert!(Path::new("/run/netns").join(&network).exists());
    lab.told(&["sandbox", "reset"]);
    assert!(!Path::new("/run/netns").join(&network).exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*dir.to_string_lossy()), "{mounts}");
    let left: Vec<_> = std::fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["base"]);
}

#[test]
fn a_killed_run_is_continued() {
    let lab = small();
    lab.declare(|all| all["103"]["params"] = json!({ "note": { "seconds": 3 } }));
    let spawn = || lab.command(&["create", "103"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    // In the middle of a script, without a chance to clean up.
    let mut run = spawn();
    let sleeping = || Command::new("pgrep").args(["-fx", "sleep 3"]).output().unwrap().status.success();
    assert!(until(sleeping, |sleeps| *sleeps), "the script never slept");
    run.kill().unwrap();
    run.wait().unwrap();
    // A machine that went down meanwhile is started again.
    let halted = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", lab.network()))
        .args(["lxc-stop", "-k", "-n", "103", "-P"])
        .arg(lab.dir().join("machines"))
        .status()
        .unwrap();
    assert!(halted.success());
    assert!(lab.told(&["sandbox", "status"]).contains("stopped"));

    // Ctrl-C lets the command end that runs.
    let run = spawn();
    assert!(until(sleeping, |sleeps| *sleeps), "the script never slept again");
    let began = Instant::now();
    Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    let ended = run.wait_with_output().unwrap();
    assert!(!ended.status.success() && began.elapsed() < Duration::from_secs(10), "{}", ended.status);

    lab.told(&["create", "103"]);
    assert_eq!(lab.inside("103", "cat /etc/slept"), "well\n");
    assert!(lab.told(&["create", "103"]).contains("unchanged"));
}
