//! Rules of Proxmox VE beyond the recorded cases: storages that the recorded node did not have.

use super::*;

/// Exit status and the last line of standard error.
fn refused(sandbox: &Sandbox, line: &str) -> String {
    let (code, _, stderr) = typed(sandbox, line);
    assert_ne!(code, 0, "{line}");
    stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn zfs_goes_back_to_the_newest_snapshot_only() {
    let sandbox = in_memory();
    all_fine(
        &sandbox,
        &[&format!("pct create 201 {TEMPLATE} --rootfs tank:1"), "pct snapshot 201 one", "pct snapshot 201 two"],
    );
    let message = "can't rollback, 'one' is not most recent snapshot on 'tank:subvol-201-disk-0'";
    assert_eq!(refused(&sandbox, "pct rollback 201 one"), message);
    all_fine(&sandbox, &["pct delsnapshot 201 two", "pct rollback 201 one"]);
}

#[test]
fn a_base_lives_as_long_as_its_linked_clones() {
    let sandbox = in_memory();
    all_fine(
        &sandbox,
        &[&format!("pct create 201 {TEMPLATE} --rootfs tank:1"), "pct template 201", "pct clone 201 202"],
    );
    let config = typed(&sandbox, "pct config 202").1;
    assert!(config.contains("rootfs: tank:basevol-201-disk-0/subvol-202-disk-0,size=1G"), "{config}");
    let message = "base volume 'tank:basevol-201-disk-0' is still in use by linked clones";
    assert_eq!(refused(&sandbox, "pct destroy 201"), message);
    all_fine(&sandbox, &["pct destroy 202", "pct destroy 201"]);
    assert!(sandbox.world().volumes().is_empty());
}

#[test]
fn a_copy_has_its_own_hardware_address_and_the_source_s_inside() {
    let sandbox = in_memory();
    let net = "name=eth0,bridge=vmbr0,hwaddr=02:00:00:00:00:01,ip=192.0.2.10/24,gw=192.0.2.1";
    all_fine(&sandbox, &[&format!("pct create 201 {TEMPLATE} --rootfs tank:1 --net0 {net}"), "pct start 201"]);
    sandbox.perform(inside(201), &[write("/root/inherited", "yes")]).unwrap();
    all_fine(&sandbox, &["pct stop 201", "pct clone 201 202 --hostname copy", "pct start 202"]);
    let config = typed(&sandbox, "pct config 202").1;
    assert!(config.contains("ip=192.0.2.10/24") && config.contains("hwaddr=BC:24:11:"), "{config}");
    assert_eq!(read(&sandbox, inside(202), "/root/inherited").as_deref(), Some("yes"));
    assert_eq!(read(&sandbox, inside(202), "/etc/hostname").as_deref(), Some("copy\n"));
    sandbox.perform(inside(202), &[write("/root/inherited", "changed")]).unwrap();
    all_fine(&sandbox, &["pct start 201"]);
    assert_eq!(read(&sandbox, inside(201), "/root/inherited").as_deref(), Some("yes"));
}

#[test]
fn what_proxmox_writes_into_a_container_is_there_after_its_start() {
    let sandbox = in_memory();
    let net = "name=eth0,bridge=vmbr0,ip=192.0.2.10/24,gw=192.0.2.1";
    all_fine(
        &sandbox,
        &[
            &format!("pct create 201 {TEMPLATE} --rootfs tank:1 --hostname web --net0 {net} --nameserver 192.0.2.1"),
            "pct set 201 --searchdomain example.org",
            "pct start 201",
        ],
    );
    sandbox.sleep(std::time::Duration::from_secs(10)).unwrap();
    let hosts = read(&sandbox, inside(201), "/etc/hosts").unwrap();
    assert!(hosts.contains("192.0.2.10 web.example.org web\n"), "{hosts}");
    let resolv = read(&sandbox, inside(201), "/etc/resolv.conf").unwrap();
    assert!(resolv.contains("search example.org\nnameserver 192.0.2.1\n"), "{resolv}");
    let interfaces = read(&sandbox, inside(201), "/etc/network/interfaces").unwrap();
    assert!(
        interfaces.contains("iface eth0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n"),
        "{interfaces}"
    );
    let network = sandbox.perform(inside(201), &[Op::Network]).unwrap().remove(0).unwrap();
    assert_eq!(network, OpValue::Network { addresses: vec!["192.0.2.10/24".to_owned()], default_route: true });
}

#[test]
fn a_storage_without_the_content_type_is_refused_before_anything_is_made() {
    let sandbox = in_memory();
    all_fine(&sandbox, &["pvesm add zfspool disks --pool disks --content images"]);
    let (code, _, stderr) = typed(&sandbox, &format!("pct create 201 {TEMPLATE} --rootfs disks:1"));
    assert_eq!(code, 2);
    assert!(stderr.contains("storage: storage 'disks' does not support container directories"), "{stderr}");
    assert!(sandbox.status().guests.is_empty());
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    let sandbox = in_memory();
    assert_eq!(refused(&sandbox, "pct restore 201 local:backup/x"), "sandbox: `pct restore` is not modelled");
}
