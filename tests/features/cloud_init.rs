//! The real cloud-init accepts what a machine's drive holds: the vendor data that phoenix writes, and the user and
//! network data that Proxmox makes of the declared keys, as the emulated node dumps them.

use std::process::Command;

use crate::support::container::Container;
use crate::support::inside::Inside;
use crate::support::scenario::Scenario;

/// cloud-init of Debian with nothing started.
fn container() -> Container {
    let container = Container::boot();
    container.sh("export DEBIAN_FRONTEND=noninteractive; printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; \
         chmod 755 /usr/sbin/policy-rc.d; apt-get -qq update; \
         apt-get -qq -y install --no-install-recommends cloud-init >/dev/null 2>&1");
    container
}

#[test]
fn cloud_init_accepts_what_the_drive_holds() {
    let mut scenario = Scenario::machines();
    scenario.guest(1001).vm.ssh_keys = vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvb2tz ops@example.org".to_owned()];
    scenario.guest(1001).nameservers = vec!["192.0.2.53".parse().unwrap()];
    scenario.guest(1001).search_domain = Some("example.org".to_owned());
    scenario.create(&[9000, 1001]).is_fine();
    let vendor = Inside::node(&scenario)
        .files("/var/lib/vz/snippets")
        .into_iter()
        .find(|path| path.ends_with("phoenix-9000-vendor.yaml"))
        .and_then(|path| Inside::node(&scenario).text(&path));
    let mut dump = |part: &str| scenario.on_the_node(&format!("qm cloudinit dump 1001 {part}"));
    let (user, network) = (dump("user"), dump("network"));

    let container = container();
    let folder = tempfile::tempdir().unwrap();
    let version = container.sh("cloud-init --version 2>&1");
    let check = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        container.put(&file, &format!("/root/{name}"));
        let id = container.id().to_string();
        let mut schema = Command::new("lxc-attach");
        schema.args(["-n", &id, "--clear-env", "--", "cloud-init", "schema", "-c", &format!("/root/{name}")]);
        let output = schema.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    };
    for (name, text) in [("vendor", vendor.expect("vendor data on a storage of the node")), ("user", user)] {
        let (accepted, said) = check(name, &text);
        assert!(accepted, "{name} data with {version}: {said}\n{text}");
        assert!(!said.to_lowercase().contains("deprecat"), "{name} data: {said}");
    }
    // That it looks at all: a misspelt key is refused.
    assert!(!check("wrong", "#cloud-config\npackages: 7\n").0);

    // Before 23.4 `schema` does not know network data: the parser that the machine itself uses does.
    std::fs::write(folder.path().join("network"), &network).unwrap();
    container.put(&folder.path().join("network"), "/root/network");
    let parsed =
        container.sh("python3 -c 'import yaml\nfrom cloudinit.net.network_state import parse_net_config_data\n\
         state = parse_net_config_data(yaml.safe_load(open(\"/root/network\")))\n\
         for nic in state.iter_interfaces():\n    print(nic[\"name\"], nic[\"mac_address\"], \
         [subnet[\"address\"] for subnet in nic[\"subnets\"]])\n\
         print(state.dns_nameservers, state.dns_searchdomains)'");
    let nic = &scenario.site.guests[&crate::support::scenario::id(1001)].nics[0];
    let address = nic.address.cidr().unwrap().address.to_string();
    assert!(parsed.contains(&address) && parsed.contains("192.0.2.53") && parsed.contains("example.org"), "{parsed}");
}
