//! Every field that a guest can declare and that Proxmox keeps: changed on a finished guest that runs, and on one that is
//! stopped. The plan tells exactly what is done, one `set` does it, and nothing that is not ours is touched.
//!
//! That no field is forgotten is held against the decoder: [`EXEMPT`] names those that are not Proxmox's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use phoenix::command::{Command, Output};
use phoenix::config::{self, Dir, fields};
use phoenix::engine::Consent;
use phoenix::event::{Cost, Difference, Event};
use phoenix::finding::Severity;
use phoenix::host::{Host, HostError, HostHandle, RunLock};
use phoenix::model::Catalogue;
use phoenix::op::{Attributes, Content, Op, OpResult, OpValue, Place};
use phoenix::request::{Request, Response};
use serde_json::{Value, json};

use crate::support::inside::Inside;
use crate::support::scenario::{Ran, Scenario};

/// Fields that concern scripts, other guests or the platform, not the guest's settings on the node; and those that only a
/// new guest can have, which [`what_only_a_new_guest_can_have_is_left_with_the_way`] changes.
const EXEMPT: &[&str] = &[
    "application_script",
    "boot_order",
    "clone_from_ctid",
    "clone_from_vmid",
    "comment",
    "dependencies",
    "dns_records",
    "docker_stacks",
    "enable_lifecycle_snapshots",
    "features",
    "gpu_assignment",
    "health_check",
    "health_checks",
    "imported",
    "is_template",
    "node",
    "nvidia_driver_version",
    "nvidia_repo_url",
    "nvidia_runfile_url",
    "params",
    "portainer_agent_hostname",
    "portainer_environment_name",
    "portainer_role",
    "roles",
    "snapshots",
    "storage_pool",
    "template",
    "template_image",
    "template_image_sha256",
    "template_snapshot_name",
    "traefik_service",
    "trigger_sync_on_completion",
    "unprivileged",
    "vllm_engine_config",
    "vmid",
];

/// A field, where it stands in the entry, and what it says one after another; `null`: nothing.
type Row = (&'static str, &'static str, Vec<Value>);

/// What both kinds declare alike.
fn of_both() -> Vec<Row> {
    let nic = |more: Value| {
        let mut nic = json!({"bridge": "vmbr1", "ip": "198.51.100.5/24"});
        nic.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([nic])
    };
    let firewall = |more: Value| {
        let mut firewall = json!({"enabled": true});
        firewall.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        firewall
    };
    let rule = |more: Value| {
        let mut rule = json!({"type": "in", "action": "ACCEPT"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"enabled": true, "rules": [rule]})
    };
    let absent = Value::Null;
    vec![
        ("name", "/name", vec![json!("other")]),
        ("tags", "/tags", vec![json!(["web"]), json!(["web", "blue"]), absent.clone()]),
        ("cores", "/cores", vec![json!(2)]),
        ("memory_mb", "/memory_mb", vec![json!(768)]),
        ("start_at_boot", "/start_at_boot", vec![json!(true)]),
        ("boot_delay", "/boot_delay", vec![json!(5), json!(6), absent.clone()]),
        ("shutdown_timeout", "/shutdown_timeout", vec![json!(60), json!(90), absent.clone()]),
        ("description", "/description", vec![json!("one\ntwo: 50 %"), json!("# three\n\nfür"), absent.clone()]),
        ("protection", "/protection", vec![json!(true), json!(false), absent.clone()]),
        ("hookscript", "/hookscript", vec![json!("local:snippets/a.sh"), json!("local:snippets/b.sh"), absent.clone()]),
        ("cpulimit", "/cpulimit", vec![json!(1.5), json!(2), absent.clone()]),
        ("cpuunits", "/cpuunits", vec![json!(200), json!(300), absent.clone()]),
        ("mac_address", "/mac_address", vec![json!("BC:24:11:00:00:77")]),
        ("network_config.ip", "/network_config/ip", vec![json!("192.0.2.77/24"), json!("dhcp")]),
        ("network_config.gw", "/network_config/gw", vec![json!("192.0.2.254")]),
        ("network_config.vlan", "/network_config/vlan", vec![json!(7), json!(8), absent.clone()]),
        ("network_config.ip6", "/network_config/ip6", vec![json!("2001:db8::5/64"), json!("auto"), absent.clone()]),
        ("network_config.firewall", "/network_config/firewall", vec![json!(true), json!(false), absent.clone()]),
        ("network_config.mtu", "/network_config/mtu", vec![json!(1400), json!(1300), absent.clone()]),
        ("network_config.rate", "/network_config/rate", vec![json!(12.5), json!(10), absent.clone()]),
        (
            "network_config.searchdomain",
            "/network_config/searchdomain",
            vec![json!("a.example.org"), json!("b.example.org"), absent.clone()],
        ),
        ("additional_networks", "/additional_networks", vec![nic(json!({})), absent.clone()]),
        (
            "additional_networks[].bridge",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"bridge": "vmbr0"})), absent.clone()],
        ),
        (
            "additional_networks[].ip",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"ip": "dhcp"})), nic(json!({"ip": "manual"}))],
        ),
        ("additional_networks[].gw", "/additional_networks", vec![nic(json!({})), nic(json!({"gw": "198.51.100.1"}))]),
        (
            "additional_networks[].mac_address",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"mac_address": "BC:24:11:00:00:78"}))],
        ),
        (
            "additional_networks[].vlan",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"vlan": 9})), nic(json!({}))],
        ),
        (
            "additional_networks[].ip6",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"ip6": "dhcp"})), nic(json!({}))],
        ),
        (
            "additional_networks[].gw6",
            "/additional_networks",
            vec![nic(json!({"ip6": "2001:db8:1::5/64", "gw6": "2001:db8:1::1"})), nic(json!({}))],
        ),
        (
            "additional_networks[].firewall",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"firewall": true})), nic(json!({}))],
        ),
        (
            "additional_networks[].mtu",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"mtu": 1400})), nic(json!({}))],
        ),
        (
            "additional_networks[].rate",
            "/additional_networks",
            vec![nic(json!({})), nic(json!({"rate": 3})), nic(json!({}))],
        ),
        ("firewall", "/firewall", vec![json!({"enabled": true}), absent.clone()]),
        ("firewall.enabled", "/firewall", vec![json!({"enabled": true}), json!({"enabled": false})]),
        (
            "firewall.default_input_policy",
            "/firewall",
            vec![firewall(json!({"default_input_policy": "REJECT"})), firewall(json!({}))],
        ),
        (
            "firewall.default_output_policy",
            "/firewall",
            vec![firewall(json!({"default_output_policy": "DROP"})), firewall(json!({}))],
        ),
        ("firewall.dhcp", "/firewall", vec![firewall(json!({"dhcp": true}))]),
        ("firewall.ndp", "/firewall", vec![firewall(json!({"ndp": false}))]),
        ("firewall.radv", "/firewall", vec![firewall(json!({"radv": true}))]),
        ("firewall.macfilter", "/firewall", vec![firewall(json!({"macfilter": false}))]),
        ("firewall.ipfilter", "/firewall", vec![firewall(json!({"ipfilter": true}))]),
        ("firewall.log_level_in", "/firewall", vec![firewall(json!({"log_level_in": "info"}))]),
        ("firewall.log_level_out", "/firewall", vec![firewall(json!({"log_level_out": "info"}))]),
        ("firewall.aliases", "/firewall", vec![firewall(json!({"aliases": {"printer": "192.0.2.30"}}))]),
        ("firewall.aliases.KEY", "/firewall", vec![firewall(json!({"aliases": {"printer": "192.0.2.31"}}))]),
        ("firewall.ipsets", "/firewall", vec![firewall(json!({"ipsets": {"offices": ["192.0.2.0/24"]}}))]),
        (
            "firewall.ipsets.KEY",
            "/firewall",
            vec![firewall(json!({"ipsets": {"offices": ["192.0.2.0/24", "!192.0.2.7"]}}))],
        ),
        ("firewall.rules", "/firewall", vec![rule(json!({}))]),
        ("firewall.rules[].type", "/firewall", vec![rule(json!({})), rule(json!({"type": "out"}))]),
        ("firewall.rules[].action", "/firewall", vec![rule(json!({})), rule(json!({"action": "DROP"}))]),
        ("firewall.rules[].group", "/firewall", vec![json!({"enabled": true, "rules": [{"group": "web"}]})]),
        ("firewall.rules[].macro", "/firewall", vec![rule(json!({"macro": "SSH"}))]),
        ("firewall.rules[].source", "/firewall", vec![rule(json!({"source": "192.0.2.0/24"}))]),
        ("firewall.rules[].dest", "/firewall", vec![rule(json!({"dest": "192.0.2.5"}))]),
        ("firewall.rules[].proto", "/firewall", vec![rule(json!({"proto": "udp"}))]),
        ("firewall.rules[].port", "/firewall", vec![rule(json!({"proto": "tcp", "port": "80,443"}))]),
        ("firewall.rules[].source_port", "/firewall", vec![rule(json!({"proto": "tcp", "source_port": "53"}))]),
        ("firewall.rules[].icmp_type", "/firewall", vec![rule(json!({"proto": "icmp", "icmp_type": "echo-request"}))]),
        ("firewall.rules[].iface", "/firewall", vec![rule(json!({"iface": "net0"}))]),
        ("firewall.rules[].log", "/firewall", vec![rule(json!({"log": "info"}))]),
        ("firewall.rules[].enabled", "/firewall", vec![rule(json!({})), rule(json!({"enabled": false}))]),
        ("firewall.rules[].comment", "/firewall", vec![rule(json!({"comment": "why"}))]),
    ]
}

/// What containers declare.
fn of_containers() -> Vec<Row> {
    let absent = Value::Null;
    let device = |more: Value| {
        let mut device = json!({"path": "/dev/zero"});
        device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([device])
    };
    let volume = |more: Value| {
        let mut volume = json!({"pool": "tank", "size_gb": 2, "mount_point": "/data"});
        volume.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([volume])
    };
    let mount = |more: Value| {
        let mut mount = json!({"host_path": "/srv/www", "container_path": "/www"});
        mount.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([mount])
    };
    let mut rows = vec![
        ("swap_mb", "/swap_mb", vec![json!(256), json!(0), absent.clone()]),
        ("storage_size_gb", "/storage_size_gb", vec![json!(6)]),
        (
            "disk_options",
            "/disk_options",
            vec![json!(["acl=1"]), json!(["acl=0", "mountoptions=noatime"]), absent.clone()],
        ),
        (
            "network_config.gw6",
            "/network_config",
            vec![
                json!({"bridge": "vmbr0", "ip": "192.0.2.5/24", "gw": "192.0.2.1", "ip6": "2001:db8::5/64", "gw6": "2001:db8::1"}),
            ],
        ),
        ("network_config.name", "/network_config/name", vec![json!("lan0")]),
        ("network_config.bridge", "/network_config/bridge", vec![json!("vmbr1")]),
        (
            "network_config.nameservers",
            "/network_config/nameservers",
            vec![json!(["192.0.2.53"]), json!(["192.0.2.53", "192.0.2.54"]), absent.clone()],
        ),
        (
            "additional_networks[].name",
            "/additional_networks",
            vec![json!([{"bridge": "vmbr1", "ip": "manual", "name": "dmz0"}])],
        ),
        ("timezone", "/timezone", vec![json!("host"), json!("Europe/Berlin"), absent.clone()]),
        ("console", "/console", vec![json!(false), json!(true), absent.clone()]),
        ("cmode", "/cmode", vec![json!("shell"), json!("console"), absent.clone()]),
        ("tty", "/tty", vec![json!(1), json!(3), absent.clone()]),
        ("entrypoint", "/entrypoint", vec![json!("/sbin/init"), absent.clone()]),
        ("debug", "/debug", vec![json!(true), absent.clone()]),
        (
            "pct_options",
            "/pct_options",
            vec![json!(["nesting=1"]), json!(["nesting=1,keyctl=1", "cpulimit=2"]), absent.clone()],
        ),
        (
            "lxc_options",
            "/lxc_options",
            vec![
                json!(["lxc.cap.drop: sys_time"]),
                json!(["lxc.cap.drop: sys_time", "lxc.prlimit.nofile: 4096"]),
                absent.clone(),
            ],
        ),
        ("apparmor_profile", "/apparmor_profile", vec![json!("unconfined"), json!("default")]),
        (
            "apparmor_manages_nesting",
            "",
            vec![
                json!({"apparmor_profile": "mine", "apparmor_manages_nesting": true}),
                json!({"apparmor_profile": "mine", "apparmor_manages_nesting": false}),
                json!({"apparmor_profile": null, "apparmor_manages_nesting": null}),
            ],
        ),
        ("devices", "/devices", vec![device(json!({})), absent.clone()]),
        ("devices[].path", "/devices", vec![device(json!({})), device(json!({"path": "/dev/random"})), absent.clone()]),
        (
            "devices[].mode",
            "/devices",
            vec![device(json!({"mode": "0666"})), device(json!({"mode": "0600"})), device(json!({}))],
        ),
        ("devices[].uid", "/devices", vec![device(json!({"uid": 33})), device(json!({}))]),
        ("devices[].gid", "/devices", vec![device(json!({"gid": 33})), device(json!({}))]),
        ("devices[].deny_write", "/devices", vec![device(json!({"deny_write": true})), device(json!({}))]),
        ("id_maps", "/id_maps", vec![json!([{"type": "uid", "host_id": 1000, "container_id": 1000}]), absent.clone()]),
        (
            "id_maps[].type",
            "/id_maps",
            vec![json!([{"type": "both", "host_id": 1000, "container_id": 1000}]), absent.clone()],
        ),
        ("id_maps[].host_id", "/id_maps", vec![json!([{"type": "uid", "host_id": 1001, "container_id": 1000}])]),
        ("id_maps[].container_id", "/id_maps", vec![json!([{"type": "uid", "host_id": 1000, "container_id": 1001}])]),
        (
            "id_maps[].size",
            "/id_maps",
            vec![json!([{"type": "gid", "host_id": 1000, "container_id": 1000, "size": 3}])],
        ),
        ("mount_points", "/mount_points", vec![mount(json!({})), absent.clone()]),
        (
            "mount_points[].host_path",
            "/mount_points",
            vec![mount(json!({})), mount(json!({"host_path": "/srv/other"}))],
        ),
        (
            "mount_points[].container_path",
            "/mount_points",
            vec![mount(json!({})), mount(json!({"container_path": "/other"})), absent.clone()],
        ),
        ("mount_points[].owner_uid", "/mount_points", vec![mount(json!({"owner_uid": 33}))]),
        ("mount_points[].owner_gid", "/mount_points", vec![mount(json!({"owner_gid": 33}))]),
        (
            "mount_points[].kind",
            "/mount_points",
            vec![mount(json!({"kind": "file", "host_path": "/srv/a.txt"})), absent.clone()],
        ),
        ("mount_points[].read_only", "/mount_points", vec![mount(json!({"read_only": true})), mount(json!({}))]),
        (
            "mount_points[].idmap",
            "/mount_points",
            vec![
                mount(json!({"idmap": "u:0:1000:1;g:0:1000:1"})),
                mount(json!({"idmap": "passthrough"})),
                mount(json!({})),
            ],
        ),
    ];
    for list in ["zfs_volumes", "volumes"] {
        let at: &'static str = if list == "volumes" { "/volumes" } else { "/zfs_volumes" };
        let path = |field: &str| -> &'static str { Box::leak(format!("{list}{field}").into_boxed_str()) };
        rows.extend([
            (path(""), at, vec![volume(json!({})), absent.clone()]),
            (path("[].name"), at, vec![volume(json!({"name": "x"}))]),
            (path("[].pool"), at, vec![volume(json!({}))]),
            (path("[].size_gb"), at, vec![volume(json!({})), volume(json!({"size_gb": 3}))]),
            (path("[].mount_point"), at, vec![volume(json!({})), volume(json!({"mount_point": "/elsewhere"}))]),
            (
                path("[].backup"),
                at,
                vec![volume(json!({"backup": true})), volume(json!({"backup": false})), volume(json!({}))],
            ),
            (path("[].replicate"), at, vec![volume(json!({"replicate": false})), volume(json!({}))]),
            (path("[].read_only"), at, vec![volume(json!({"read_only": true})), volume(json!({}))]),
            (path("[].acl"), at, vec![volume(json!({})), volume(json!({"acl": true}))]),
            (path("[].quota"), at, vec![volume(json!({})), volume(json!({"quota": false}))]),
            (
                path("[].mount_options"),
                at,
                vec![
                    volume(json!({"mount_options": ["noatime"]})),
                    volume(json!({"mount_options": ["noexec", "noatime"]})),
                    volume(json!({})),
                ],
            ),
        ]);
    }
    rows
}

/// What virtual machines declare.
fn of_machines() -> Vec<Row> {
    let absent = Value::Null;
    let key = |line: &str| format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{line} {line}@example.org");
    vec![
        ("disk_size_gb", "/disk_size_gb", vec![json!(9)]),
        ("disk_options", "/disk_options", vec![json!(["ssd=1"]), json!(["ssd=0", "iothread=1"]), absent.clone()]),
        ("network_bridge", "/network_bridge", vec![json!("vmbr1")]),
        ("network_config.model", "/network_config/model", vec![json!("e1000"), json!("virtio")]),
        (
            "network_config.gw6",
            "/network_config",
            vec![json!({"ip": "192.0.2.5/24", "gw": "192.0.2.1", "ip6": "2001:db8::5/64", "gw6": "2001:db8::1"})],
        ),
        ("network_config.name", "/network_config/name", vec![json!("unused")]),
        (
            "additional_networks[].name",
            "/additional_networks",
            vec![json!([{"bridge": "vmbr1", "ip": "manual", "name": "dmz0"}])],
        ),
        (
            "additional_networks[].model",
            "/additional_networks",
            vec![json!([{"bridge": "vmbr1", "ip": "dhcp", "model": "e1000"}])],
        ),
        (
            "network_config.nameserver",
            "/network_config/nameserver",
            vec![json!(["192.0.2.53"]), json!(["192.0.2.54"]), absent.clone()],
        ),
        ("user_config.username", "/user_config", vec![json!({"username": "ops"}), json!({"username": "dev"})]),
        (
            "user_config.ssh_keys",
            "/user_config",
            vec![
                json!({"username": "ops", "ssh_keys": [key("one")]}),
                json!({"username": "ops", "ssh_keys": [key("one"), key("two")]}),
            ],
        ),
        ("sockets", "/sockets", vec![json!(2), absent.clone()]),
        ("cpu", "/cpu", vec![json!("host"), json!("x86-64-v3,flags=+aes"), absent.clone()]),
        ("affinity", "/affinity", vec![json!("0-1"), json!("0,2"), absent.clone()]),
        ("numa", "/numa", vec![json!(true), json!(false), absent.clone()]),
        ("balloon", "/balloon", vec![json!(256), json!(0), absent.clone()]),
        ("machine", "/machine", vec![json!("q35"), json!("pc"), absent.clone()]),
        ("bios", "/bios", vec![json!("ovmf"), json!("seabios"), absent.clone()]),
        ("ostype", "/ostype", vec![json!("l24"), json!("other"), absent.clone()]),
        ("boot", "/boot", vec![json!("order=scsi0;net0"), json!("order=scsi0"), absent.clone()]),
        ("scsihw", "/scsihw", vec![json!("virtio-scsi-pci"), absent.clone()]),
        ("agent", "/agent", vec![json!("enabled=1,fstrim_cloned_disks=1"), json!("1"), absent.clone()]),
        ("serial0", "/serial0", vec![json!("/dev/ttyS1"), json!("socket"), absent.clone()]),
        ("vga", "/vga", vec![json!("std"), json!("virtio,memory=64"), absent.clone()]),
        ("tablet", "/tablet", vec![json!(false), json!(true), absent.clone()]),
        ("hotplug", "/hotplug", vec![json!("network,disk"), json!("0"), absent.clone()]),
        ("acpi", "/acpi", vec![json!(true), absent.clone()]),
        ("kvm", "/kvm", vec![json!(true), absent.clone()]),
        ("localtime", "/localtime", vec![json!(true), json!(false), absent.clone()]),
        (
            "rng0",
            "/rng0",
            vec![json!("source=/dev/urandom"), json!("source=/dev/urandom,max_bytes=1024"), absent.clone()],
        ),
        (
            "qm_options",
            "/qm_options",
            vec![json!(["shares=500"]), json!(["shares=600", "watchdog=i6300esb,action=reset"]), absent.clone()],
        ),
    ]
}

/// A kind of guest, with a declaration that every row begins and ends with.
struct Bench {
    id: u32,
    /// The tool of Proxmox, its configuration file, and the file of the configuration with the path of its fields.
    tool: &'static str,
    file: &'static str,
    described: &'static str,
    start: &'static str,
    entry: Value,
}

fn containers() -> Bench {
    Bench {
        id: 105,
        tool: "pct",
        file: "/etc/pve/nodes/pve/lxc/105.conf",
        described: "phoenix_lxc_configs.json",
        start: "lxc_configs.ID.",
        entry: json!({
            "name": "store",
            "template": "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst",
            "cores": 1,
            "memory_mb": 512,
            "storage_pool": "tank",
            "storage_size_gb": 4,
            "start_at_boot": false,
            "network_config": {"bridge": "vmbr0", "ip": "192.0.2.5/24", "gw": "192.0.2.1"},
        }),
    }
}

fn machines() -> Bench {
    Bench {
        id: 1001,
        tool: "qm",
        file: "/etc/pve/nodes/pve/qemu-server/1001.conf",
        described: "phoenix_vm_configs.json",
        start: "vms[].",
        entry: json!({
            "vmid": 1001,
            "name": "store",
            "template_image": "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img",
            "template_image_sha256": "5e".repeat(32),
            "cores": 1,
            "memory_mb": 512,
            "storage_pool": "tank",
            "disk_size_gb": 8,
            "network_bridge": "vmbr0",
            "start_at_boot": false,
            "network_config": {"ip": "192.0.2.5/24", "gw": "192.0.2.1"},
            "user_config": {"username": "ops"},
        }),
    }
}

impl Bench {
    /// The entry with another value at a place.
    fn with(&self, at: &str, value: &Value) -> Value {
        let mut entry = self.entry.clone();
        let (parent, key) = at.rsplit_once('/').unwrap_or(("", ""));
        if at.is_empty() {
            entry.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        } else if let Some(map) = entry.pointer_mut(parent).and_then(Value::as_object_mut) {
            map.insert(key.to_owned(), value.clone());
        }
        entry
    }

    /// Declares this guest in the scenario.
    fn declare(&self, scenario: &mut Scenario, entry: &Value) {
        let dir = tempfile::tempdir().unwrap();
        let node = json!({
            "domain_name": "example.org",
            "network": {"interfaces": {"name": "vmbr0", "address": "192.0.2.2/24", "gateway": "192.0.2.1"}},
            "firewall": {"enabled": true},
        });
        let guests = match self.tool {
            "pct" => json!({"lxc_configs": {"105": entry}}),
            _ => json!({"vms": [entry]}),
        };
        std::fs::write(dir.path().join("phoenix_hypervisor_config.json"), node.to_string()).unwrap();
        std::fs::write(dir.path().join(self.described), guests.to_string()).unwrap();
        let loaded = config::load(&Dir::Real(dir.path().to_owned()), &Catalogue::default());
        let errors: Vec<String> =
            loaded.findings.iter().filter(|one| one.severity == Severity::Error).map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{entry}: {errors:?}");
        scenario.site = loaded.site.unwrap();
    }

    /// The finished guest, with things in its configuration that are not ours.
    fn finished(&self) -> Scenario {
        let mut scenario = Scenario::of([]);
        let bridges = self.with("/additional_networks", &json!([{"bridge": "vmbr1", "ip": "manual"}]));
        self.declare(&mut scenario, &bridges);
        scenario.world = Some(scenario.fresh());
        self.declare(&mut scenario, &self.entry);
        scenario.consent = Consent::Given;
        scenario.create(&[self.id]).is_fine();
        scenario.write_on_the_node("/srv/foreign/data", "theirs");
        for script in ["a.sh", "b.sh"] {
            let path = format!("/var/lib/vz/snippets/{script}");
            scenario.write_on_the_node(&path, "#!/bin/sh\n");
            let attributes = Attributes { mode: Some(0o755), ..Attributes::default() };
            scenario.perform(Place::Node, &[Op::SetAttributes { path, attributes }]);
        }
        let (id, tool) = (self.id, self.tool);
        scenario.on_the_node(&format!("{tool} snapshot {id} before_all"));
        match tool {
            "pct" => {
                scenario
                    .on_the_node("pct set 105 --mp7 /srv/foreign,mp=/foreign,ro=1 --net7 name=foreign0,bridge=vmbr0");
                scenario.on_the_node("pct set 105 --dev9 /dev/null,mode=0600 --features fuse=1 --tags theirs;phoenix");
                let text = self.text(&scenario);
                let (current, snapshots) = text.split_once("[before_all]").unwrap();
                let line = "lxc.environment: THEIRS=1\nlxc.prlimit.memlock: 65536\n";
                let text =
                    format!("{}{line}\n[before_all]{snapshots}", current.trim_end_matches('\n').to_owned() + "\n");
                scenario.write_on_the_node(self.file, &text);
            }
            _ => {
                scenario.on_the_node(
                    "qm set 1001 --net7 virtio,bridge=vmbr0 --audio0 device=ich9-intel-hda --tags theirs;phoenix",
                );
                scenario.on_the_node("qm set 1001 --smbios1 uuid=11111111-2222-3333-4444-555555555555 --keyboard de");
            }
        }
        // Their changes are in force, and a run finds nothing to do.
        scenario.on_the_node(&format!("{tool} stop {id}"));
        scenario.create(&[id]).is_fine();
        let idle = scenario.create(&[id]);
        idle.is_idle();
        scenario
    }

    fn text(&self, scenario: &Scenario) -> String {
        Inside::node(scenario).text(self.file).unwrap()
    }
}

/// Lines of a configuration file that are not ours: whole sections after the first, and what was put there above.
fn theirs(text: &str) -> Vec<String> {
    let foreign = [
        "mp7:",
        "net7:",
        "dev9:",
        "lxc.environment:",
        "lxc.prlimit.memlock:",
        "audio0:",
        "smbios1:",
        "keyboard:",
        "meta:",
        "vmgenid:",
    ];
    let (current, rest) = text.split_once("\n[before_all]").unwrap_or((text, ""));
    let mut lines: Vec<String> =
        current.lines().filter(|line| foreign.iter().any(|key| line.starts_with(key))).map(str::to_owned).collect();
    lines.extend(rest.split("\n[").next().map(str::to_owned));
    lines
}

fn mac(text: &str) -> String {
    let net = text.lines().find(|line| line.starts_with("net0:")).unwrap_or_default();
    let start = net.find("BC:24:11").unwrap_or_default();
    net.get(start..start + 17).unwrap_or_default().to_owned()
}

fn told(difference: &Difference) -> String {
    let part = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned()).replace('\n', "\\n");
    let cost = match difference.cost {
        Cost::None => "at once",
        Cost::Restart => "needs restart",
        Cost::Rebuild => "needs rebuild",
    };
    format!("{} {} -> {} ({cost})", difference.what, part(&difference.from), part(&difference.to))
}

fn changes(ran: &Ran) -> Vec<String> {
    ran.differences().iter().map(|(_, difference)| told(difference)).collect()
}

/// Goes through one row on a guest that runs, or is stopped, and says what was told.
fn walk(bench: &Bench, finished: &Scenario, row: &Row, running: bool, said: &mut Vec<String>) -> Vec<String> {
    let (path, at, values) = row;
    // A stopped guest takes everything alike.
    let values = if running { &values[..] } else { &values[..1] };
    let mut problems = Vec::new();
    let mut scenario = Scenario::of([]);
    scenario.world.clone_from(&finished.world);
    scenario.consent = Consent::Given;
    let before = bench.text(&scenario);
    let base = if at.is_empty() {
        Value::Object(Default::default())
    } else {
        bench.entry.pointer(at).cloned().unwrap_or(Value::Null)
    };
    // Disks do not shrink.
    let back = (!path.ends_with("size_gb") || path.contains("[]")).then_some(base);
    for value in values.iter().cloned().chain(back.clone()) {
        let entry = bench.with(at, &value);
        bench.declare(&mut scenario, &entry);
        if !running {
            scenario.on_the_node(&format!("{} stop {}", bench.tool, bench.id));
        }
        let old = bench.text(&scenario);
        let plan = scenario.rehearse(&[bench.id]);
        let run = scenario.create(&[bench.id]);
        let mut problem = |what: String| problems.push(format!("{path} = {value} (running: {running}): {what}"));
        if run.summary.guests.iter().any(|guest| matches!(guest.outcome, phoenix::event::Outcome::Failed { .. })) {
            problem(format!("failed: {}", run.cause(bench.id)));
            return problems;
        }
        if changes(&plan) != changes(&run) {
            problem(format!("the plan says {:?}, the run {:?}", changes(&plan), changes(&run)));
        }
        let of_tool = |word: &str| {
            let start = format!("{} {word}", bench.tool);
            run.changing().iter().filter(|command| command.starts_with(&start)).count()
        };
        let (set, resize) = (of_tool("set"), of_tool("resize") + of_tool("disk resize"));
        if set > 1 || resize > 1 {
            problem(format!("{set} set, {resize} resize: {:?}", run.changing()));
        }
        let new = bench.text(&scenario);
        if theirs(&new) != theirs(&old) {
            problem(format!("what is theirs: {:?} -> {:?}", theirs(&old), theirs(&new)));
        }
        if !path.ends_with("mac_address") && mac(&new) != mac(&old) {
            problem(format!("another hardware address: {} -> {}", mac(&old), mac(&new)));
        }
        if run.differences().iter().any(|(_, one)| one.cost == Cost::Restart) && !running {
            problem("a stopped guest needs no restart".to_owned());
        }
        let again = scenario.rehearse(&[bench.id]);
        let left: Vec<String> = again
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Change { difference, .. } | Event::Pending { difference, .. } => Some(told(difference)),
                _ => None,
            })
            .collect();
        if !left.is_empty() || again.summary.changed() {
            problem(format!("still to do: {left:?}"));
        }
        said.push(format!("{path} = {value}"));
        said.extend(changes(&run).into_iter().map(|one| format!("    {one}")));
    }
    let after = bench.text(&scenario);
    if back.is_some() && left_behind(&before, &after) {
        problems.push(format!("{path} (running: {running}): left behind:\n{}", diff(&before, &after)));
    }
    problems
}

/// Whether a configuration is another one after everything was taken back: but for volumes, which are kept as unused or
/// cannot shrink, and hardware addresses.
fn left_behind(before: &str, after: &str) -> bool {
    let keep = |text: &str| -> BTreeSet<String> {
        let own = |line: &&str| {
            !["rootfs:", "scsi0:", "unused", "net", "mp0:", "onboot:"].iter().any(|key| line.starts_with(key))
        };
        text.lines().filter(own).map(str::to_owned).collect()
    };
    keep(before) != keep(after)
}

fn diff(before: &str, after: &str) -> String {
    similar::TextDiff::from_lines(before, after).unified_diff().to_string()
}

fn walk_all(bench: &Bench, rows: &[Row], name: &str) {
    let finished = bench.finished();
    let mut problems = Vec::new();
    let mut said = Vec::new();
    for row in rows {
        problems.extend(walk(bench, &finished, row, true, &mut said));
        problems.extend(walk(bench, &finished, row, false, &mut Vec::new()));
    }
    let known: BTreeSet<String> = rows.iter().map(|(path, ..)| (*path).to_owned()).collect();
    let asked = &fields()[bench.described];
    for (path, _) in asked.iter().filter(|(_, field)| field.used) {
        let Some(field) = path.strip_prefix(bench.start) else { continue };
        let first = field.split(['.', '[']).next().unwrap_or_default();
        let nfs = bench.tool == "qm" && first == "volumes";
        let above =
            known.iter().any(|row| row.starts_with(&format!("{field}.")) || row.starts_with(&format!("{field}[]")));
        if !known.contains(field) && !EXEMPT.contains(&first) && !nfs && !above {
            problems.push(format!("{field} has no row"));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    insta::assert_snapshot!(name, said.join("\n"));
}

#[test]
fn every_field_of_a_container_is_brought_in_line() {
    let rows: Vec<Row> = of_both().into_iter().chain(of_containers()).collect();
    walk_all(&containers(), &rows, "fields_of_containers");
}

#[test]
fn every_field_of_a_machine_is_brought_in_line() {
    let rows: Vec<Row> = of_both().into_iter().chain(of_machines()).collect();
    walk_all(&machines(), &rows, "fields_of_machines");
}

/// Somebody who writes into a guest's file just before phoenix does, so many times.
#[derive(Clone)]
struct Meddler {
    node: HostHandle,
    times: Arc<AtomicU32>,
}

impl Host for Meddler {
    fn perform(&self, place: Place, ops: &[Op]) -> Result<Vec<OpResult>, HostError> {
        let [Op::Write { path, guard: Some(_), .. }] = ops else { return self.node.perform(place, ops) };
        let left = self.times.load(Ordering::SeqCst);
        if left > 0 {
            self.times.store(left - 1, Ordering::SeqCst);
            let read = Op::Read { path: path.clone(), limit: 1 << 20 };
            let Ok(OpValue::Bytes(Some(bytes))) = self.node.perform(place, &[read])?.remove(0) else {
                panic!("{path}")
            };
            let text = format!("lxc.environment: MEDDLED={left}\n{}", String::from_utf8(bytes).unwrap());
            let content = Content::Bytes(text.into_bytes().into());
            let write = Op::Write { path: path.clone(), content, attributes: Attributes::default(), guard: None };
            self.node.perform(place, &[write])?.remove(0).unwrap();
        }
        self.node.perform(place, ops)
    }
    fn actor(&self, name: &str) -> HostHandle {
        Arc::new(Meddler { node: self.node.actor(name), times: self.times.clone() })
    }
    fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.node.run(command)
    }
    fn request(&self, request: &Request) -> Result<Response, HostError> {
        self.node.request(request)
    }
    fn sleep(&self, duration: Duration) -> Result<(), HostError> {
        self.node.sleep(duration)
    }
    fn now(&self) -> jiff::Timestamp {
        self.node.now()
    }
    fn park(&self) {
        self.node.park();
    }
    fn wake(&self) {
        self.node.wake();
    }
    fn close_channel(&self, place: Place) {
        self.node.close_channel(place);
    }
    fn lock(&self, owner: &str) -> Result<Box<dyn RunLock>, HostError> {
        self.node.lock(owner)
    }
}

/// Declares a raw line on the finished container while somebody changes its file so many times, and tells what became of
/// it and of the file.
fn meddled(times: u32) -> (Ran, String) {
    let bench = containers();
    let mut scenario = bench.finished();
    bench.declare(&mut scenario, &bench.with("/lxc_options", &json!(["lxc.cap.drop: sys_time"])));
    let ran = scenario.create_through(&[105], |node| Arc::new(Meddler { node, times: Arc::new(times.into()) }));
    (ran, bench.text(&scenario))
}

#[test]
fn raw_lines_are_edited_once_more_when_the_file_changed_meanwhile() {
    let (ran, text) = meddled(1);
    ran.is_fine();
    let current = text.split("\n[").next().unwrap();
    assert!(current.contains("lxc.cap.drop: sys_time") && current.contains("MEDDLED=1"), "{text}");
    let (ran, text) = meddled(2);
    assert!(ran.cause(105).contains("was changed"), "{}", ran.cause(105));
    assert!(!text.contains("sys_time") && text.contains("MEDDLED=2") && text.contains("MEDDLED=1"), "{text}");
}

#[test]
fn a_file_that_proxmox_could_not_hold_is_not_written() {
    let bench = containers();
    let mut scenario = bench.finished();
    let before = bench.text(&scenario);
    let long = format!("lxc.environment: LONG={}", "x".repeat(1 << 20));
    bench.declare(&mut scenario, &bench.with("/lxc_options", &json!([long])));
    let ran = scenario.create(&[105]);
    assert!(ran.cause(105).contains("no file of more than 1048576"), "{}", ran.cause(105));
    assert_eq!(bench.text(&scenario), before);
}

#[test]
fn what_only_a_new_guest_can_have_is_left_with_the_way() {
    let bench = containers();
    let mut scenario = bench.finished();
    for (at, value, what, way) in [
        ("/unprivileged", json!(false), "unprivileged 1 -> 0", "declare it under another id"),
        ("/storage_size_gb", json!(3), "rootfs size 4G -> 3G", "disks only grow"),
        ("/storage_pool", json!("other"), "rootfs storage tank -> other", "pct move-volume"),
    ] {
        bench.declare(&mut scenario, &bench.with(at, &value));
        let ran = scenario.create(&[105]);
        let pending = |event: &Event| match event {
            Event::Pending { difference, .. } => Some((told(difference), difference.way.clone().unwrap_or_default())),
            _ => None,
        };
        let pending: Vec<_> = ran.events.iter().filter_map(pending).collect();
        assert_eq!(pending.len(), 1, "{pending:?}");
        assert_eq!(pending[0].0, format!("{what} (needs rebuild)"));
        assert!(pending[0].1.contains(way), "{}", pending[0].1);
        assert_eq!(ran.changing(), [""; 0]);
    }
}

#[test]
fn what_needs_a_restart_is_not_written_without_consent() {
    let bench = containers();
    let mut scenario = bench.finished();
    scenario.consent = Consent::Withheld;
    let mut entry = bench.with("/timezone", &json!("host"));
    entry["memory_mb"] = json!(1024);
    bench.declare(&mut scenario, &entry);
    let ran = scenario.create(&[105]);
    ran.is_fine();
    assert!(ran.summary.pending());
    let text = bench.text(&scenario);
    assert!(text.contains("memory: 1024") && !text.contains("timezone"), "{text}");
    assert!(!text.contains("[pve:pending]"), "{text}");
    // What is declared no more, and was never written, leaves nothing to do but to forget it.
    bench.declare(&mut scenario, &bench.with("/memory_mb", &json!(1024)));
    assert_eq!(scenario.create(&[105]).is_fine().processes(), [""; 0]);
    scenario.create(&[105]).is_idle();
}

#[test]
fn a_firewall_that_filters_nothing_is_told() {
    let bench = containers();
    let mut scenario = bench.finished();
    bench.declare(&mut scenario, &bench.with("/firewall", &json!({"enabled": true})));
    let warned =
        |ran: &Ran| -> Vec<String> { ran.story().guests.values().flat_map(|guest| guest.warnings.clone()).collect() };
    let of_the_cluster = "/etc/pve/firewall/cluster.fw";
    scenario.write_on_the_node(of_the_cluster, "[OPTIONS]\nenable: 0\n");
    let plan = scenario.rehearse(&[105]);
    assert!(warned(&plan)[0].contains("nothing is filtered: `enable: 1` is missing"), "{:?}", warned(&plan));
    scenario.create(&[105]).is_fine();
    assert_eq!(Inside::node(&scenario).text(of_the_cluster).as_deref(), Some("[OPTIONS]\nenable: 0\n"));
    scenario.write_on_the_node(of_the_cluster, "[OPTIONS]\nenable: 1\n");
    let ran = scenario.create(&[105]);
    ran.is_idle();
    assert_eq!(warned(&ran), ["its firewall is on, but net7 is not filtered: `firewall=1` is missing there"]);
}
