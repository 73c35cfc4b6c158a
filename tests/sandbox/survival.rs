//! Whatever was done to a node, its file says it: a world that is read again is the one that was left, and its lists have the
//! columns that they are read by.

use proptest::prelude::*;

use super::*;

/// Something that changes a node, or is refused by it.
fn step() -> impl Strategy<Value = String> {
    let guest = 200u32..204;
    prop_oneof![
        3 => guest.clone().prop_map(|id| format!("pct create {id} {TEMPLATE} --rootfs tank:1 --hostname g{id}")),
        2 => (guest.clone(), guest.clone()).prop_map(|(id, from)| format!("pct clone {from} {id}")),
        3 => (guest.clone(), "[a-z]{1,3}").prop_map(|(id, name)| format!("pct snapshot {id} x{name}")),
        1 => (guest.clone(), "[a-z]{1,3}").prop_map(|(id, name)| format!("pct rollback {id} x{name}")),
        3 => guest.clone().prop_map(|id| format!("pct start {id}")),
        1 => guest.clone().prop_map(|id| format!("pct stop {id}")),
        3 => (guest.clone(), 16u32..4096).prop_map(|(id, memory)| format!("pct set {id} --memory {memory} --swap 0")),
        2 => (guest.clone(), "[a-zäß%: ]{1,12}").prop_map(|(id, text)| format!("pct set {id} --description ' {text}'")),
        2 => (guest.clone(), 1u32..4).prop_map(|(id, size)| format!("pct resize {id} rootfs {size}G")),
        2 => (guest.clone(), 0u32..3).prop_map(|(id, n)| format!("pct set {id} --mp{n} tank:1,mp=/data{n}")),
        1 => guest.clone().prop_map(|id| format!("pct template {id}")),
        1 => guest.clone().prop_map(|id| format!("pct destroy {id}")),
        2 => guest.clone().prop_map(|id| format!("qm create {id} --name v{id} --scsi0 tank:1 --net0 virtio,bridge=vmbr0")),
        1 => guest.prop_map(|id| format!("qm set {id} --cores 2 --delete description")),
    ]
}

/// All that a node tells about itself.
fn told(sandbox: &Sandbox) -> Vec<String> {
    let mut lines = vec!["pct list".to_owned(), "qm list".to_owned(), "pvesm list tank".to_owned()];
    for id in 200..204 {
        for tool in ["pct", "qm"] {
            lines.extend(["config", "pending", "listsnapshot", "status"].map(|word| format!("{tool} {word} {id}")));
        }
    }
    lines.iter().map(|line| format!("{:?}", typed(sandbox, line))).collect()
}

/// Line by line, so that a difference is seen.
fn same(found: &[String], expected: &[String]) -> Result<(), TestCaseError> {
    for (found, expected) in found.iter().zip(expected) {
        prop_assert_eq!(found, expected);
    }
    Ok(())
}

/// Values by the columns under which they stand, as people's scripts take them apart.
fn columns(list: &str, names: &[&str]) -> Vec<Vec<String>> {
    let mut lines = list.lines();
    let Some(header) = lines.next() else { return Vec::new() };
    let starts: Vec<usize> = names.iter().map(|name| header.find(name).unwrap()).collect();
    let cell = |line: &str, at: usize| {
        let end = starts.get(at + 1).copied().unwrap_or(line.len()).min(line.len());
        line.get(starts[at].min(end)..end).unwrap_or_default().trim().to_owned()
    };
    lines.map(|line| (0..names.len()).map(|at| cell(line, at)).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_world_that_is_read_again_is_the_one_that_was_left(steps in prop::collection::vec(step(), 1..24), every in 1usize..6) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.world");
        let open = || Sandbox::open(&path, world, Options::default()).unwrap();
        let untouched = Sandbox::in_memory(world(), Options::default());
        let mut sandbox = open();
        for (at, line) in steps.iter().enumerate() {
            // A node that was closed and opened again goes on as one that was not; only looking takes time, and is not kept.
            let (answer, other) = (typed(&sandbox, line), typed(&untouched, line));
            prop_assert_eq!(&answer, &other, "{}", line);
            if at % every == 0 {
                let before = told(&sandbox);
                drop(sandbox);
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                prop_assert!(text.is_empty() || parse_world(&text).is_ok());
                sandbox = open();
                same(&told(&sandbox), &before)?;
            }
        }
        for (guest, status, name) in columns(&typed(&sandbox, "pct list").1, &["VMID", "Status", "Name"])
            .into_iter()
            .map(|cells| (cells[0].clone(), cells[1].clone(), cells[2].clone()))
        {
            let own = typed(&sandbox, &format!("pct status {guest}")).1;
            prop_assert_eq!(own.trim(), format!("status: {}", status.split_whitespace().next().unwrap_or_default()));
            let config = typed(&sandbox, &format!("pct config {guest}")).1;
            prop_assert!(config.contains(&format!("hostname: {name}\n")), "{}: {}", name, config);
            let tree = typed(&sandbox, &format!("pct listsnapshot {guest}")).1;
            let snapshots = tree.lines().filter(|line| !line.contains("You are here!")).count();
            let file = read(&sandbox, Place::Node, &format!("/etc/pve/lxc/{guest}.conf")).unwrap();
            prop_assert_eq!(snapshots, file.matches("snaptime:").count(), "{}{}", tree, file);
        }
    }
}
