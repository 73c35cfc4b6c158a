//! `phoenix_vm_configs.json`: virtual machines.

use super::asked::Kind;
use super::decode::Fields;
use super::file::File;
use super::guest::{self, Draft};
use super::json::{Data, Value};
use super::{disks, legacy, nics, options};
use crate::finding::Finding;
use crate::model::{Guest, GuestKind, Image, NfsVolume, Origin, RootDisk, StackUse};
use crate::pve::property::Properties;

/// The environment of a stack that names none.
const ENVIRONMENT: &str = "production";

/// Size of a template's disk in GiB when nothing is declared: what the predecessor made of every image.
const IMAGE_GB: u32 = 32;

/// `vm_defaults`.
#[derive(Default)]
struct Defaults {
    cores: Option<u32>,
    memory_mb: Option<u32>,
    disk_size_gb: Option<u32>,
    storage: Option<String>,
    bridge: Option<String>,
}

/// Decodes the file: one draft for every entry whose id can be told.
pub fn decode(file: &File) -> Vec<Draft<'_>> {
    let Some(root) = Fields::root(file) else { return Vec::new() };
    let defaults = root.map("vm_defaults").map(defaults).unwrap_or_default();
    root.require("vms", "the virtual machines: [{\"vmid\": 9000, ...}]");
    let items = root.list("vms", Kind::Maps);
    let drafts = items.iter().filter_map(|item| draft(file, item, &defaults)).collect();
    root.finish();
    drafts
}

fn defaults(fields: Fields) -> Defaults {
    let defaults = Defaults {
        cores: fields.whole("cores", 1..=8192),
        memory_mb: fields.whole("memory_mb", 16..=u64::from(u32::MAX)),
        disk_size_gb: fields.whole("disk_size_gb", 1..=disks::MOST_GB),
        storage: fields.string("storage_pool"),
        bridge: fields.string("network_bridge"),
    };
    fields.unused("template", Kind::Text);
    fields.finish();
    defaults
}

fn draft<'a>(file: &'a File, item: &'a Value, defaults: &Defaults) -> Option<Draft<'a>> {
    let mut fields = Fields::of_item(file, item, "vms[]")?;
    fields.require("vmid", "the id, a whole number from 100");
    let Some(id) = guest::id(&fields, "vmid") else {
        if fields.value.get("vmid").is_none() {
            let finding = Finding::error("missing-field", "`vmid` is missing").hint("the id, a whole number from 100");
            file.report(finding, fields.place);
        }
        return None;
    };
    fields.place = fields.span("vmid");
    let mut guest = guest::common(&fields, id, GuestKind::Vm);
    guest.origin = origin(&fields);
    // Of a machine that somebody else made only counts what is said of itself.
    let nothing = Defaults::default();
    let made = !guest.is_imported();
    let defaults = if made { defaults } else { &nothing };
    let usual = |number: u32| if made { number } else { 0 };
    guest.cores = fields.whole("cores", 1..=8192).or(defaults.cores).unwrap_or(usual(1));
    guest.memory_mb = fields.whole("memory_mb", 16..=u64::from(u32::MAX)).or(defaults.memory_mb).unwrap_or(usual(512));
    let undeclared = match guest.origin {
        Origin::Image(_) if file.lenient() => Some(IMAGE_GB),
        _ => defaults.disk_size_gb,
    };
    guest.root = RootDisk {
        storage: fields.string("storage_pool").or_else(|| defaults.storage.clone()).unwrap_or_default(),
        size_gb: fields.whole("disk_size_gb", 1..=disks::MOST_GB).or(undeclared).unwrap_or(usual(IMAGE_GB)),
        options: options::of_disk(&fields, GuestKind::Vm),
    };
    if guest.root.storage.is_empty() && made {
        fields.require_here("storage_pool", "the Proxmox storage of the disk, here or in `vm_defaults`");
    }
    network(&fields, &mut guest, defaults);
    if let Some(snapshots) = fields.map("snapshots") {
        guest.snapshots.before_features = snapshots.string("pre-features");
        guest.snapshots.after_features = snapshots.string("post-features");
        snapshots.finish();
    }
    if let Some(user) = fields.map("user_config") {
        guest.vm.username = user.string("username");
        guest.vm.ssh_keys =
            user.texts("ssh_keys").into_iter().filter_map(|(key, at)| ssh_key(&user, key, at)).collect();
        user.finish();
    }
    guest.vm.nfs = fields.maps("volumes").into_iter().filter_map(nfs_volume).collect();
    guest.vm.stacks = stacks(&fields);
    options::listed(&fields, GuestKind::Vm, &mut guest.options, &mut Default::default());
    if made {
        agent(&fields, &guest);
    }
    guest.vm.portainer_environment = fields.string("portainer_environment_name");
    guest.vm.portainer_agent_hostname = fields.string("portainer_agent_hostname");
    fields.unused("count", Kind::Whole);
    fields.finish();
    Some(Draft { guest, fields })
}

fn origin(fields: &Fields) -> Origin {
    let source = guest::id(fields, "clone_from_vmid");
    let named = fields.string("template_image").map(|image| ("template_image", image));
    let named = fields.string("template").map(|image| ("template", image)).or(named);
    let sha256 = sha256(fields);
    if guest::is_imported(fields, source.is_some() || named.is_some()) {
        return Origin::Existing;
    }
    match (source, named) {
        (Some(_), Some(_)) => {
            fields.reject(
                "two-origins",
                "clone_from_vmid",
                "and `template_image` exclude each other: a guest has one origin",
            );
            Origin::Image(Image::default())
        }
        (Some(source), None) => Origin::Clone(source),
        (None, Some((field, written))) => Origin::Image(image(fields, field, &written, sha256)),
        (None, None) => {
            if fields.value.get("clone_from_vmid").is_none() {
                let finding = Finding::error("missing-origin", "the virtual machine has no origin")
                    .hint("`template_image`: a cloud image; or `clone_from_vmid`: another virtual machine");
                fields.file.report(finding, fields.place.clone());
            }
            Origin::Image(Image::default())
        }
    }
}

/// The image: a URL, a volume of the node, a path on it, or the name of a vendor's file.
fn image(fields: &Fields, field: &'static str, written: &str, sha256: Option<String>) -> Image {
    let is_url = |source: &str| source.contains("://");
    let is_on_node = written.starts_with('/') || (!is_url(written) && written.contains(':'));
    let source = match legacy::cloud_image(written) {
        Some(url) => url,
        None if is_url(written) || is_on_node => written.to_owned(),
        None => {
            fields.reject(
                "unknown-image",
                field,
                "must be the URL of a cloud image, a volume (`local:import/FILE.qcow2`), an absolute path on the node, \
                 or the name of a cloud image of Debian or Ubuntu",
            );
            return Image::default();
        }
    };
    if is_url(&source) && sha256.is_none() {
        if source.starts_with("https://") {
            let finding = Finding::warning("unpinned-image", format!("nothing tells whether {source} is what it was"))
                .hint("`template_image_sha256`: the digest that the vendor publishes beside the file");
            fields.file.report(finding, fields.span(field));
        } else {
            fields.reject("bad-value", field, "must begin with https://, or have a `template_image_sha256`");
        }
    }
    Image { source, sha256 }
}

/// A public key as `authorized_keys` has it: a type, its body, perhaps a comment.
fn ssh_key(fields: &Fields, text: &str, span: std::ops::Range<usize>) -> Option<String> {
    let mut words = text.split_whitespace();
    let kinds = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
    let known = words.next().is_some_and(|kind| kinds.iter().any(|start| kind.starts_with(start)));
    let body = words.next().filter(|body| body.starts_with("AAAA") && body.bytes().all(is_base64));
    if known && body.is_some() && !text.contains('\n') {
        return Some(text.trim().to_owned());
    }
    let finding = Finding::error("bad-value", "`ssh_keys` must hold public SSH keys")
        .hint("the line of a `.pub` file: \"ssh-ed25519 AAAA... name\"");
    fields.file.report(finding, span);
    None
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// The digest of the image.
fn sha256(fields: &Fields) -> Option<String> {
    let text = fields.text_as("template_image_sha256", Kind::Sha256)?;
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(text.to_lowercase());
    }
    fields.reject("bad-value", "template_image_sha256", "must be a SHA-256 digest: 64 hexadecimal digits");
    None
}

fn network(fields: &Fields, guest: &mut Guest, defaults: &Defaults) {
    let bridge = fields.string("network_bridge").or_else(|| defaults.bridge.clone());
    if bridge.is_none() && !guest.is_imported() {
        fields.require_here("network_bridge", "a bridge of the node, here or in `vm_defaults`");
    }
    let Some(network) = fields.map("network_config") else {
        nics::additional(fields, guest);
        return;
    };
    let nic = nics::first(fields, &network, bridge, guest);
    if nic.address.cidr().is_some() && !guest.is_imported() {
        network.require_here("gw", "the default gateway, which a static address needs");
    }
    guest.nics.push(nic);
    guest.nameservers = network.addresses("nameserver");
    guest.search_domain = network.string("searchdomain");
    network.finish();
    nics::additional(fields, guest);
}

/// The agent may be told more than that it is there, but not that it is not.
fn agent(fields: &Fields, guest: &Guest) {
    let Some(agent) = guest.options.get("agent") else { return };
    let parts = Properties::of_option("qm set", "agent", agent);
    if parts.is_some_and(|parts| !parts.is_on("enabled")) {
        let finding = Finding::error("no-agent", "virtual machines are spoken to through their guest agent")
            .hint("write \"enabled=1\", with other parts after it, or leave `agent` out");
        let place = options::place(fields, GuestKind::Vm, "agent");
        fields.file.report(finding, fields.value.at(&place).map_or(fields.place.clone(), |value| value.span.clone()));
    }
}

fn nfs_volume(fields: Fields) -> Option<NfsVolume> {
    for (name, hint) in [
        ("server", "the address of the NFS server"),
        ("path", "the exported path"),
        ("mount_point", "the absolute path inside the guest"),
    ] {
        fields.require(name, hint);
    }
    fields.choice_or_first("type", &[("nfs", ())]);
    let paths = fields.path("path").zip(fields.path("mount_point"));
    let name = fields.string("name").unwrap_or_default();
    let server = fields.string("server");
    fields.finish();
    paths.zip(server).map(|((path, mount_point), server)| NfsVolume { name, server, path, mount_point })
}

/// Names, or `{name, environment}`.
fn stacks(fields: &Fields) -> Vec<StackUse> {
    let items = fields.list("docker_stacks", Kind::TextsOrMaps);
    let one = |item| -> Option<StackUse> {
        let item: &Value = item;
        match &item.data {
            Data::Text(name) => Some(StackUse { name: name.clone(), environment: ENVIRONMENT.to_owned() }),
            _ => {
                let fields = Fields::of_item(fields.file, item, "vms[].docker_stacks[]")?;
                fields.require("name", "the folder of the stack");
                let name = fields.string("name");
                let environment = fields.string_or("environment", ENVIRONMENT);
                fields.finish();
                name.map(|name| StackUse { name, environment })
            }
        }
    };
    items.iter().filter_map(one).collect()
}
