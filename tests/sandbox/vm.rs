//! Virtual machines: from a cloud image to a machine whose agent answers, and what their inside does.

use std::time::Duration;

use phoenix::host::HostError;
use phoenix::op::{Exec, OpResult};

use super::*;

const IMAGE: &str = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img";
const VENDOR: &str = "#cloud-config\npackage_update: true\npackages:\n  - qemu-guest-agent\n  - nfs-common\nruncmd:\n  - [systemctl, start, qemu-guest-agent.service]\n";

fn machine(guest: u32) -> Place {
    Place::Guest(id(guest), GuestKind::Vm)
}

fn fetch(url: &str, sha256: Option<&str>) -> Op {
    let path = "/var/lib/phoenix/cache/image.qcow2".to_owned();
    Op::Fetch { url: url.to_owned(), sha256: sha256.map(str::to_owned), member: None, path }
}

fn on_node(sandbox: &Sandbox, op: Op) -> OpResult {
    sandbox.perform(Place::Node, &[op]).unwrap().remove(0)
}

/// A template's machine, defined but not started.
pub(super) fn defined(options: Options) -> Sandbox {
    let sandbox = Sandbox::in_memory(world(), options);
    on_node(&sandbox, fetch(IMAGE, None)).unwrap();
    on_node(&sandbox, write("/var/lib/vz/snippets/vendor.yaml", VENDOR)).unwrap();
    all_fine(
        &sandbox,
        &[
            "qm create 9000 --name base --memory 2048 --cores 2 --scsihw virtio-scsi-single --agent 1 --serial0 socket --vga serial0 \
             --net0 virtio,bridge=vmbr0 --scsi0 tank:0,import-from=/var/lib/phoenix/cache/image.qcow2,discard=on \
             --ide2 local:cloudinit --ciuser ops --ciupgrade 0 --ipconfig0 ip=10.77.0.50/24,gw=10.77.0.1 \
             --nameserver 10.77.0.1 --searchdomain example.org --cicustom vendor=local:snippets/vendor.yaml",
            "qm resize 9000 scsi0 20G",
        ],
    );
    sandbox
}

fn exec(argv: &[&str]) -> Op {
    Op::Exec(Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: std::collections::BTreeMap::new(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(300),
        effect: phoenix::command::Effect::Change,
    })
}

/// Exit status and both streams of a program inside.
fn run(sandbox: &Sandbox, guest: u32, argv: &[&str]) -> (i32, String, String) {
    match sandbox.perform(machine(guest), &[exec(argv)]).unwrap().remove(0).unwrap() {
        OpValue::Output(output) => {
            (output.code, String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// Waits for the agent; answers the seconds it took.
pub(super) fn until_answered(sandbox: &Sandbox, guest: u32) -> u64 {
    for second in 0..600 {
        match sandbox.perform(machine(guest), &[Op::Os]) {
            Ok(_) => return second,
            Err(HostError::Unreachable { .. }) => sandbox.sleep(Duration::from_secs(1)).unwrap(),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the agent never answered");
}

fn text(sandbox: &Sandbox, guest: u32, path: &str) -> Option<String> {
    read(sandbox, machine(guest), path)
}

#[test]
fn a_cloud_image_becomes_a_machine_that_vendor_data_gives_an_agent() {
    let sandbox = defined(Options::default());
    let (_, config, _) = typed(&sandbox, "qm config 9000");
    assert!(config.contains("scsi0: tank:vm-9000-disk-0,discard=on,size=20G"), "{config}");
    assert!(config.contains("ide2: local:9000/vm-9000-cloudinit.qcow2,media=cdrom"), "{config}");
    assert!(config.contains("boot: order=scsi0;ide2;net0"), "{config}");

    let (code, stdout, _) = typed(&sandbox, "qm start 9000");
    assert_eq!((code, stdout.as_str()), (0, "generating cloud-init ISO\n"));
    let waited = until_answered(&sandbox, 9000);
    assert!((10..90).contains(&waited), "{waited}");
    let (_, json, _) = run(&sandbox, 9000, &["cloud-init", "status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status["status"].as_str(), &status["errors"]), (Some("done"), &serde_json::json!([])), "{json}");

    assert_eq!(text(&sandbox, 9000, "/etc/hostname").as_deref(), Some("base\n"));
    assert!(text(&sandbox, 9000, "/etc/passwd").unwrap().contains("\nops:x:1000:"));
    assert!(text(&sandbox, 9000, "/etc/resolv.conf").unwrap().contains("nameserver 10.77.0.1\nsearch example.org"));
    assert!(text(&sandbox, 9000, "/etc/ssh/ssh_host_ed25519_key.pub").is_some());
    let network = sandbox.perform(machine(9000), &[Op::Network]).unwrap().remove(0).unwrap();
    assert_eq!(network, OpValue::Network { addresses: vec!["10.77.0.50/24".to_owned()], default_route: true });
    let (code, _, _) = typed(&sandbox, "qm guest cmd 9000 ping");
    assert_eq!(code, 0);
    let (_, out, _) = typed(&sandbox, "qm guest exec 9000 -- hostname");
    assert_eq!(out, "{\n   \"exitcode\" : 0,\n   \"exited\" : 1,\n   \"out-data\" : \"base\\n\"\n}\n");
}

#[test]
fn no_agent_answers_that_is_not_installed_not_configured_or_not_started() {
    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm set 9000 --delete cicustom", "qm start 9000"]);
    sandbox.sleep(Duration::from_secs(600)).unwrap();
    let error = sandbox.perform(machine(9000), &[Op::Os]).unwrap_err();
    assert!(error.to_string().contains("its agent does not answer"), "{error}");

    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm set 9000 --agent 0", "qm start 9000", "qm set 9000 --agent 1"]);
    sandbox.sleep(Duration::from_secs(600)).unwrap();
    let error = sandbox.perform(machine(9000), &[Op::Os]).unwrap_err();
    assert!(error.to_string().contains("without a channel"), "{error}");
    let (_, _, stderr) = typed(&sandbox, "qm guest cmd 9000 ping");
    assert_eq!(stderr, "No QEMU guest agent configured\n");
    all_fine(&sandbox, &["qm reboot 9000"]);
    sandbox.sleep(Duration::from_secs(60)).unwrap();
    all_fine(&sandbox, &["qm guest cmd 9000 ping"]);
}

#[test]
fn a_clone_is_a_new_instance_and_an_uncleaned_template_gives_its_machine_id_away() {
    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm start 9000"]);
    until_answered(&sandbox, 9000);
    let old = text(&sandbox, 9000, "/etc/machine-id").unwrap();
    let key = text(&sandbox, 9000, "/etc/ssh/ssh_host_ed25519_key.pub").unwrap();
    all_fine(
        &sandbox,
        &[
            "qm shutdown 9000",
            "qm template 9000",
            "qm clone 9000 101 --name web",
            "qm set 101 --ipconfig0 ip=10.77.0.51/24,gw=10.77.0.1 --delete cicustom",
            "qm start 101",
        ],
    );
    let (_, config, _) = typed(&sandbox, "qm config 101");
    assert!(config.contains("scsi0: tank:base-9000-disk-0/vm-101-disk-0,discard=on,size=20G"), "{config}");
    let waited = until_answered(&sandbox, 101);
    assert!(waited < 30, "the template had the agent: {waited}");
    assert_eq!(text(&sandbox, 101, "/etc/machine-id").unwrap(), old, "nobody cleaned the template");
    assert_ne!(text(&sandbox, 101, "/etc/ssh/ssh_host_ed25519_key.pub").unwrap(), key);
    assert_eq!(text(&sandbox, 101, "/etc/hostname").as_deref(), Some("web\n"));
    assert_eq!(
        typed(&sandbox, "qm destroy 9000").2.trim(),
        "base volume 'tank:base-9000-disk-0' is still in use by linked cloned"
    );

    // A cleaned one gets its own.
    let (code, _, _) = run(&sandbox, 101, &["cloud-init", "clean", "--logs", "--machine-id"]);
    assert_eq!(code, 0);
    all_fine(&sandbox, &["qm reboot 101"]);
    until_answered(&sandbox, 101);
    assert_ne!(text(&sandbox, 101, "/etc/machine-id").unwrap(), old);
}

#[test]
fn without_ipconfig_there_is_no_network_and_no_package() {
    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm set 9000 --delete ipconfig0", "qm start 9000"]);
    sandbox.sleep(Duration::from_secs(600)).unwrap();
    assert!(sandbox.perform(machine(9000), &[Op::Os]).is_err());
}

#[test]
fn what_a_running_machine_does_not_take_waits_for_the_next_cold_start() {
    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm start 9000", "qm set 9000 --memory 4096 --ciuser other --onboot 1"]);
    let config = sandbox.world().guest(id(9000)).unwrap().config.render(GuestKind::Vm);
    assert!(config.contains("\n[PENDING]\nmemory: 4096\n\n[special:cloudinit]\nciuser: ops\n"), "{config}");
    assert_eq!(
        typed(&sandbox, "qm cloudinit pending 9000").1,
        "cur cicustom: vendor=local:snippets/vendor.yaml\ncur ciuser: ops\nnew ciuser: other\n\
         cur nameserver: 10.77.0.1\ncur searchdomain: example.org\n"
    );
    all_fine(&sandbox, &["qm reset 9000"]);
    assert!(typed(&sandbox, "qm pending 9000").1.contains("new memory: 4096"));
    all_fine(&sandbox, &["qm stop 9000"]);
    assert!(typed(&sandbox, "qm pending 9000").1.contains("cur memory: 4096"));
}

#[test]
fn clones_of_a_stopped_machine_overlap_and_keep_everybody_else_waiting() {
    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm template 9000"]);
    let began = sandbox.now();
    let handles: Vec<_> = (0..2)
        .map(|at| {
            let actor = sandbox.actor(&format!("clone {at}"));
            std::thread::spawn(move || {
                let output = actor.run(&change(&format!("qm clone 9000 {}", 101 + at))).unwrap();
                (output.ok(), actor.now())
            })
        })
        .collect();
    // Whoever holds a handle must not join: the clock would wait for it.
    drop(sandbox);
    for handle in handles {
        let (ok, ended) = handle.join().unwrap();
        let took = ended.duration_since(began);
        assert!(ok && took < jiff::SignedDuration::from_millis(2200), "{took}");
    }
}

#[test]
fn a_share_is_mounted_where_the_node_exports_it() {
    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm start 9000"]);
    until_answered(&sandbox, 9000);
    let mkdir = Op::MakeDir { path: "/mnt/share".to_owned(), attributes: Attributes::default() };
    sandbox.perform(machine(9000), &[mkdir]).unwrap();
    let mount = ["mount", "-t", "nfs4", "10.77.0.1:/srv/share", "/mnt/share"];
    let (code, _, stderr) = run(&sandbox, 9000, &mount);
    assert_eq!((code, stderr.as_str()), (32, "mount.nfs: Connection refused for 10.77.0.1:/srv/share on /mnt/share\n"));
    on_node(&sandbox, write("/etc/exports", "/srv/share 10.99.0.0/24(rw)\n")).unwrap();
    let (_, _, stderr) = run(&sandbox, 9000, &mount);
    assert!(stderr.ends_with("failed, reason given by server: No such file or directory\n"), "{stderr}");
    on_node(&sandbox, Op::MakeDir { path: "/srv/share".to_owned(), attributes: Attributes::default() }).unwrap();
    let (_, _, stderr) = run(&sandbox, 9000, &mount);
    assert_eq!(stderr, "mount.nfs: access denied by server while mounting 10.77.0.1:/srv/share\n");
    on_node(&sandbox, write("/etc/exports", "/srv/share 10.77.0.0/24(rw)\n")).unwrap();
    assert_eq!(run(&sandbox, 9000, &mount).0, 0);
    assert!(text(&sandbox, 9000, "/proc/self/mounts").unwrap().contains("10.77.0.1:/srv/share /mnt/share nfs4 "));
}

#[test]
fn an_agent_that_never_answers_comes_back_when_the_fault_is_gone() {
    let sandbox = defined(with_faults(&["agent:9000:never"]));
    all_fine(&sandbox, &["qm start 9000"]);
    sandbox.sleep(Duration::from_secs(600)).unwrap();
    assert!(sandbox.perform(machine(9000), &[Op::Os]).is_err());
    let mended = Sandbox::in_memory(sandbox.world(), Options::default());
    assert_eq!(until_answered(&mended, 9000), 0);
}

#[test]
fn an_agent_may_be_late_or_die_in_the_middle() {
    let sandbox = defined(Options::default());
    all_fine(&sandbox, &["qm start 9000"]);
    let usual = until_answered(&sandbox, 9000);
    let sandbox = defined(with_faults(&["agent:9000:late:90", "agent:9000:dies:2"]));
    all_fine(&sandbox, &["qm start 9000"]);
    assert_eq!(until_answered(&sandbox, 9000), usual + 90);
    sandbox.perform(machine(9000), &[write("/root/one", "1")]).unwrap();
    let error = sandbox.perform(machine(9000), &[write("/root/two", "2")]).unwrap_err();
    assert!(matches!(error, HostError::Lost { .. }), "{error}");
    let error = sandbox.perform(machine(9000), &[Op::Os]).unwrap_err();
    assert!(matches!(error, HostError::Unreachable { .. }), "{error}");
    all_fine(&sandbox, &["qm reboot 9000"]);
    sandbox.sleep(Duration::from_secs(120)).unwrap();
    assert_eq!(text(&sandbox, 9000, "/root/one").as_deref(), Some("1"));
}

#[test]
fn cloud_init_s_error_text_is_told_until_the_fault_is_gone() {
    let sandbox = defined(with_faults(&["cloud-init:9000:('users', KeyError: 'x')"]));
    all_fine(&sandbox, &["qm start 9000"]);
    until_answered(&sandbox, 9000);
    let (code, stdout, _) = run(&sandbox, 9000, &["cloud-init", "status", "--long"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("status: error") && stdout.contains("('users', KeyError: 'x')"), "{stdout}");
    let mended = Sandbox::in_memory(sandbox.world(), Options::default());
    assert_eq!(
        run(&mended, 9000, &["cloud-init", "status", "--wait"]),
        (0, "status: done\n".to_owned(), String::new())
    );
}

#[test]
fn a_silent_nfs_server_is_given_up_after_two_minutes() {
    let sandbox = defined(with_faults(&["nfs:192.0.2.9"]));
    all_fine(&sandbox, &["qm start 9000"]);
    until_answered(&sandbox, 9000);
    let mkdir = Op::MakeDir { path: "/mnt/share".to_owned(), attributes: Attributes::default() };
    sandbox.perform(machine(9000), &[mkdir]).unwrap();
    let began = sandbox.now();
    let (code, _, stderr) = run(&sandbox, 9000, &["mount", "192.0.2.9:/srv", "/mnt/share"]);
    assert_eq!((code, stderr.as_str()), (32, "mount.nfs: Connection timed out for 192.0.2.9:/srv on /mnt/share\n"));
    assert!(sandbox.now().duration_since(began).as_secs() >= 120);
}

#[test]
fn spoilt_bytes_of_an_image_are_found_by_digest_or_by_the_import() {
    let digest = "00".repeat(32);
    let sandbox = Sandbox::in_memory(world(), with_faults(&["image:noble-server-cloudimg-amd64.img"]));
    let error = on_node(&sandbox, fetch(IMAGE, Some(&digest))).unwrap_err();
    assert!(error.message.starts_with(&format!("{IMAGE}: has the SHA-256 ")), "{error}");
    on_node(&sandbox, fetch(IMAGE, None)).unwrap();
    let create = "qm create 9000 --scsi0 tank:0,import-from=/var/lib/phoenix/cache/image.qcow2";
    let (code, _, stderr) = typed(&sandbox, create);
    assert_eq!(code, 255);
    assert!(
        stderr.starts_with("unable to create VM 9000 - copy failed: command '/usr/bin/qemu-img convert"),
        "{stderr}"
    );
    assert!(sandbox.world().guest(id(9000)).is_none() && sandbox.world().volumes().is_empty());
}

#[test]
fn a_full_storage_refuses_machines_and_containers_in_its_own_words() {
    let sandbox = Sandbox::in_memory(world(), with_faults(&["full:tank"]));
    let (code, _, stderr) = typed(&sandbox, "qm create 9000 --scsi0 tank:1");
    assert_eq!(
        (code, stderr.as_str()),
        (255, "unable to create VM 9000 - zfs error: cannot create 'tank/vm-9000-disk-0': out of space\n")
    );
    let (code, _, stderr) = typed(&sandbox, &format!("pct create 201 {TEMPLATE} --rootfs tank:1"));
    assert_eq!(
        (code, stderr.as_str()),
        (255, "unable to create CT 201 - zfs error: cannot create 'tank/subvol-201-disk-0': out of space\n")
    );
    assert!(sandbox.world().guests().next().is_none() && sandbox.world().volumes().is_empty());
    all_fine(&sandbox, &["qm create 9000 --scsi0 btr:1"]);
}

#[test]
fn the_api_changes_what_the_tools_change() {
    let sandbox = in_memory();
    all_fine(
        &sandbox,
        &[
            "pvesh create /nodes/pve/qemu --vmid 101 --name web --scsi0 tank:1",
            "pvesh set /nodes/pve/qemu/101/config --memory 1024",
            "pvesh create /nodes/pve/qemu/101/snapshot --snapname one",
            "pvesh create /nodes/pve/qemu/101/clone --newid 102 --name copy",
            "pvesh create /nodes/pve/qemu/101/status/start",
        ],
    );
    let (_, json, _) = typed(&sandbox, "pvesh get /nodes/pve/qemu/101/status/current --output-format json");
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status["status"].as_str(), status["maxmem"].as_u64()), (Some("running"), Some(1 << 30)));
    assert!(typed(&sandbox, "qm listsnapshot 101").1.contains("one"));
    let refused = typed(&sandbox, "pvesh delete /nodes/pve/qemu/101");
    assert_eq!((refused.0, refused.2.as_str()), (25, "VM 101 is running - destroy failed\n"));
}

#[test]
fn machines_and_their_insides_are_kept_in_the_world_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("world");
    let fresh = || defined(Options::default()).world();
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(&sandbox, &["qm start 9000", "qm snapshot 9000 one"]);
    until_answered(&sandbox, 9000);
    sandbox.perform(machine(9000), &[write("/root/kept", "yes")]).unwrap();
    drop(sandbox);
    let sandbox = Sandbox::open(&path, || unreachable!("it is kept"), Options::default()).unwrap();
    assert_eq!(until_answered(&sandbox, 9000), 0);
    assert_eq!(text(&sandbox, 9000, "/root/kept").as_deref(), Some("yes"));
    assert!(sandbox.world().guest(id(9000)).unwrap().config.snapshots.contains_key("one"));
}
