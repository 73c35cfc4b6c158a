//! `phoenix_hypervisor_config.json`: the node, and what guests need to know of it.

use super::asked::Kind;
use super::decode::Fields;
use super::{firewall, legacy, secrets};
use crate::finding::Finding;
use crate::model::{
    AdminUser, Cidr, DnsServer, NfsExport, Node, NodeStorage, NvidiaDriver, Portainer, Samba, SambaShare, SharedVolume,
    Site, Zfs, ZfsDataset, ZfsPool,
};

/// Decodes the file. The site has no guests yet; its storages and bridges are those that this file names.
pub fn decode(root: &Fields) -> Site {
    root.require("domain_name", "the internal DNS suffix, for example \"lab.example.org\"");
    let mut node = Node { timezone: root.string("timezone"), raw: secrets::plain(root.value), ..Node::default() };
    let setup = &mut node.setup;
    setup.admin = root.map("users").and_then(admin);
    setup.samba = root.map("samba").map(samba).unwrap_or_default();
    setup.nvidia = root.map("nvidia_driver").map(nvidia).unwrap_or_default();
    setup.dns = root.map("dns_server").map(dns_server).unwrap_or_default();
    setup.portainer = root.map("portainer_api").map(portainer).unwrap_or_default();
    if let Some(nfs) = root.map("nfs") {
        setup.nfs_exports = nfs.maps("exports").into_iter().map(nfs_export).collect();
        nfs.finish();
    }
    if let Some(docker) = root.map("docker") {
        setup.portainer.agent_image = docker.string("portainer_agent_image");
        docker.unused("portainer_server_image", Kind::Text);
        docker.finish();
    }
    if let Some(defaults) = root.map("vm_defaults") {
        setup.ubuntu_release = defaults.string("ubuntu_release");
        defaults.finish();
    }
    for member in root.table("shared_zfs_volumes") {
        if let Some(fields) = root.entry("shared_zfs_volumes", member) {
            setup.shared_volumes.extend(shared_volume(fields).map(|volume| (member.key.clone(), volume)));
        }
    }
    if let Some(zfs) = root.map("zfs") {
        let (zfs, storages) = decode_zfs(zfs, root);
        setup.zfs = zfs;
        node.storages = storages;
    }
    if let Some(network) = root.map("network") {
        decode_network(network, &mut node);
    }
    let misplaced = legacy::misplaced_firewall(root);
    node.firewall = root.map("firewall").or(misplaced).map(firewall::of_node).unwrap_or_default();
    let site = Site {
        domain: root.string("domain_name").unwrap_or_default(),
        secrets: secrets::sources(root),
        node,
        ..Site::default()
    };
    legacy::unused_hypervisor_fields(root);
    root.finish();
    site
}

fn admin(fields: Fields) -> Option<AdminUser> {
    let unset = fields.value.get("password_hash").and_then(|value| value.text()) == Some("NOT_SET");
    let hash = if unset {
        fields.member("password_hash", Kind::Secret);
        None
    } else {
        secrets::reference(&fields, "password_hash", "admin_password_hash")
    };
    let user = AdminUser {
        username: fields.string_or("username", "phoenix_admin"),
        password_hash: hash,
        sudo: fields.flag_or("sudo_access", false),
        ssh_public_key: fields.string("ssh_public_key"),
    };
    fields.finish();
    Some(user)
}

fn samba(fields: Fields) -> Samba {
    let shares = fields.maps("shares").into_iter().filter_map(samba_share).collect();
    let samba = Samba { shares, user: fields.string("user"), workgroup: None };
    fields.finish();
    samba
}

fn samba_share(fields: Fields) -> Option<SambaShare> {
    fields.require("name", "the share's name");
    fields.require("path", "the directory, from the root of the node");
    let named = fields.string("name").zip(fields.text("path"));
    let share = SambaShare {
        name: String::new(),
        path: String::new(),
        browsable: fields.flag_or("browsable", true),
        read_only: fields.flag_or("read_only", false),
        guest_ok: fields.flag_or("guest_ok", false),
        valid_users: fields.strings("valid_users"),
    };
    fields.unused("options", Kind::Text);
    fields.finish();
    named.map(|(name, path)| SambaShare { name, path: format!("/{}", path.trim_start_matches('/')), ..share })
}

fn nvidia(fields: Fields) -> NvidiaDriver {
    let driver = NvidiaDriver {
        install: fields.flag_or("install", false),
        version: fields.string("version"),
        runfile_url: fields.string("runfile_url"),
    };
    fields.unused("cuda_version", Kind::Text);
    fields.unused("install_vllm_libs", Kind::Flag);
    fields.finish();
    driver
}

fn dns_server(fields: Fields) -> DnsServer {
    let server =
        DnsServer { enabled: fields.flag_or("enabled", false), upstream: fields.addresses("upstream_servers") };
    fields.unused("authoritative_zones", Kind::Texts);
    fields.finish();
    server
}

fn portainer(fields: Fields) -> Portainer {
    let portainer = Portainer {
        admin_user: fields.string("admin_user"),
        admin_password: secrets::reference(&fields, "admin_password", "portainer_admin"),
        api_key: secrets::reference(&fields, "api_key", "portainer_api_key"),
        hostname: fields.string("portainer_hostname"),
        ..Portainer::default()
    };
    fields.finish();
    portainer
}

fn nfs_export(fields: Fields) -> NfsExport {
    fields.require("path", "the exported directory of the node");
    let export = NfsExport {
        path: fields.string("path").unwrap_or_default(),
        clients: fields.strings("clients"),
        options: fields.strings("options"),
    };
    fields.finish();
    export
}

fn shared_volume(fields: Fields) -> Option<SharedVolume> {
    fields.require("pool", "a Proxmox storage id");
    fields.require("size_gb", "the size in GiB");
    let volume = fields.string("pool").zip(fields.whole("size_gb", 1..=1 << 20));
    fields.finish();
    volume.map(|(storage, size_gb)| SharedVolume { storage, size_gb })
}

fn decode_network(fields: Fields, node: &mut Node) {
    node.name = fields.string("hostname");
    node.setup.nfs_server = fields.parsed("nfs_server", Kind::Address);
    node.setup.samba.workgroup = fields.string("workgroup");
    node.setup.portainer.server_ip = fields.parsed("portainer_server_ip", Kind::Address);
    node.setup.portainer.server_port = fields.whole("portainer_server_port", 1..=65535);
    node.setup.portainer.agent_port = fields.whole("portainer_agent_port", 1..=65535);
    for name in ["external_registry_url", "default_subnet", "fallback_dns"] {
        fields.unused(name, Kind::Text);
    }
    if let Some(interface) = fields.map("interfaces") {
        node.bridges.extend(interface.string("name"));
        node.address = interface.parsed::<Cidr>("address", Kind::Network);
        node.gateway = interface.parsed("gateway", Kind::Address);
        node.setup.nameservers = interface.addresses("dns_nameservers");
        interface.finish();
    }
    fields.finish();
}

/// The pools, the datasets, and the storages that Proxmox has of these.
fn decode_zfs(fields: Fields, root: &Fields) -> (Zfs, Vec<NodeStorage>) {
    let mut zfs = Zfs { arc_max_gb: fields.whole("arc_max_gb", 1..=1 << 16), ..Zfs::default() };
    let mut storages = Vec::new();
    for pool in fields.maps("pools") {
        pool.require("name", "the pool's name");
        zfs.pools.push(ZfsPool {
            name: pool.string("name").unwrap_or_default(),
            raid_level: pool.text("raid_level").unwrap_or("single").to_lowercase(),
            disks: pool.strings("disks"),
        });
        pool.finish();
    }
    let ids = root.value.get("proxmox_storage_ids");
    let kinds = [("zfspool", "zfspool"), ("dir", "dir")];
    for fields in fields.maps("datasets") {
        fields.require("name", "the dataset's name inside its pool");
        fields.require("pool", "one of `zfs.pools`");
        let properties = fields.text("properties").unwrap_or_default().split(',');
        let properties = properties.filter_map(|property| property.split_once('='));
        let dataset = ZfsDataset {
            name: fields.string("name").unwrap_or_default(),
            pool: fields.string("pool").unwrap_or_default(),
            properties: properties.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect(),
        };
        if !dataset.pool.is_empty() && !zfs.pools.iter().any(|pool| pool.name == dataset.pool) {
            fields.reject(
                "unknown-pool",
                "pool",
                format!("names `{}`, which `zfs.pools` does not declare", dataset.pool),
            );
        }
        let key = format!("{}_{}", dataset.pool, dataset.name.replace('-', "_"));
        let declared = ids.and_then(|ids| ids.get(&key)).and_then(|id| id.text());
        let kind = fields.choice_or_first("proxmox_storage_type", &kinds);
        storages.push(NodeStorage {
            id: declared.map_or_else(|| format!("{}-{}", dataset.pool, dataset.name), str::to_owned),
            location: if kind == "dir" { dataset.mount_point() } else { dataset.full_name() },
            kind: kind.to_owned(),
            content: fields.text("proxmox_content_type").map_or_else(
                || vec!["images".to_owned(), "rootdir".to_owned()],
                |content| content.split(',').map(|word| word.trim().to_owned()).collect(),
            ),
        });
        fields.unused("storage_class", Kind::Text);
        fields.finish();
        zfs.datasets.push(dataset);
    }
    if let Some(settings) = fields.map("settings") {
        settings.unused("allow_destructive_operations", Kind::Flag);
        settings.finish();
    }
    fields.finish();
    root.key("proxmox_storage_ids", Kind::Text);
    for member in root.table("proxmox_storage_ids") {
        if !storages.iter().any(|storage| Some(storage.id.as_str()) == member.value.text()) {
            let finding = Finding::warning("unused-storage-id", format!("`{}` matches no dataset", member.key)).hint(
                "the key is POOL_DATASET with `-` written as `_`; without one the storage is called POOL-DATASET",
            );
            root.file.report(finding, member.key_span.clone());
        }
    }
    (zfs, storages)
}
