//! The world file: every change is in it, whatever becomes of the process.

use super::*;

fn fresh() -> World {
    world()
}

#[test]
fn the_file_is_made_by_the_first_change_and_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.world");
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    typed(&sandbox, "pct list");
    assert!(!path.exists());
    all_fine(
        &sandbox,
        &[
            &format!("pct create 201 {TEMPLATE} --rootfs tank:2 --hostname one --description 'für alle'"),
            "pct start 201",
            "pct snapshot 201 first",
            "pct set 201 --nameserver 192.0.2.1",
        ],
    );
    sandbox.perform(inside(201), &[write("/root/kept", "yes")]).unwrap();
    sandbox.perform(Place::Node, &[write("/root/node", "too")]).unwrap();
    let shown = |sandbox: &Sandbox| {
        ["pct config 201", "pct pending 201", "pct listsnapshot 201", "pct list", "pvesm list tank"]
            .map(|line| typed(sandbox, line).1)
    };
    let before = shown(&sandbox);
    drop(sandbox);
    let bytes = std::fs::read(&path).unwrap();

    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    assert_eq!(shown(&sandbox), before);
    assert_eq!(read(&sandbox, inside(201), "/root/kept").as_deref(), Some("yes"));
    assert_eq!(read(&sandbox, Place::Node, "/root/node").as_deref(), Some("too"));
    all_fine(&sandbox, &["pct rollback 201 first"]);
    drop(sandbox);
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(&sandbox, &["pct start 201"]);
    assert_eq!(read(&sandbox, inside(201), "/root/kept"), None);
    assert!(std::fs::read(&path).unwrap().starts_with(&bytes), "changes are appended, nothing is rewritten");
}

#[test]
fn looking_leaves_the_file_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.world");
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:2")]);
    drop(sandbox);
    let before = std::fs::read(&path).unwrap();
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    for line in ["pct list", "pct config 201", "pvesm status", "pct start 999"] {
        typed(&sandbox, line);
    }
    drop(sandbox);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_line_that_was_cut_off_is_as_if_it_had_never_been() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.world");
    let create = |guest: u32| format!("pct create {guest} {TEMPLATE} --rootfs tank:1");
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(&sandbox, &[&create(201), &create(202)]);
    drop(sandbox);
    let whole = std::fs::read(&path).unwrap();
    let lines: Vec<usize> = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    for at in [lines[lines.len() - 2] + 1, lines[lines.len() - 2] + 20, whole.len() - 1] {
        std::fs::write(&path, &whole[..at]).unwrap();
        let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
        // The last line ends the creation: without it the container is still locked.
        assert_eq!(typed(&sandbox, "pct config 202").1, "lock: create\n");
        all_fine(&sandbox, &[&create(203)]);
        drop(sandbox);
        let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
        all_fine(&sandbox, &["pct status 201", "pct status 202", "pct status 203"]);
    }
}

#[test]
fn a_file_that_is_in_use_or_damaged_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.world");
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:2")]);
    let refused = Sandbox::open(&path, fresh, Options::default()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().ends_with("is in use by another process"), "{refused}");
    drop(sandbox);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"guests\": 7}\n");
    std::fs::write(&path, bytes).unwrap();
    let refused = Sandbox::open(&path, fresh, Options::default()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains(", line "), "{refused}");
    assert!(Sandbox::reset(&path).unwrap());
    assert!(!Sandbox::reset(&path).unwrap());
}

#[test]
fn many_changes_are_folded_and_stay_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.world");
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(
        &sandbox,
        &[&format!("pct create 201 {TEMPLATE} --rootfs tank:2"), "pct start 201", "pct snapshot 201 one"],
    );
    all_fine(&sandbox, &["pct clone 201 202 --snapname one"]);
    let text = "0123456789abcdef".repeat(4096);
    for n in 0..40 {
        sandbox.perform(inside(201), &[write("/root/big", &format!("{n}{text}"))]).unwrap();
    }
    drop(sandbox);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 2 << 20, "the file has grown to {size} bytes");
    assert!(!directory.path().join("node.world.new").exists());
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    assert_eq!(read(&sandbox, inside(201), "/root/big"), Some(format!("39{text}")));
    all_fine(&sandbox, &["pct start 202", "pct rollback 201 one"]);
}

#[test]
fn a_node_of_the_conformance_corpus_is_a_world() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.world");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sandbox/world.json");
    std::fs::copy(data, &path).unwrap();
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs btr:1")]);
    drop(sandbox);
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    assert_eq!(typed(&sandbox, "pct status 201").1, "status: stopped\n");
    assert_eq!(read(&sandbox, Place::Node, "/srv/conformance/hello.txt").as_deref(), Some("hello from the node\n"));
}

#[test]
fn a_new_world_is_small() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.world");
    let sandbox = Sandbox::open(&path, fresh, Options::default()).unwrap();
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:2")]);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 64 << 10, "a new world takes {size} bytes: {}", &std::fs::read_to_string(&path).unwrap()[..3000]);
}
