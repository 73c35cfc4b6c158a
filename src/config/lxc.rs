//! `phoenix_lxc_configs.json`: containers.

use super::asked::Kind;
use super::decode::Fields;
use super::file::File;
use super::guest::{self, Draft};
use super::json::Member;
use super::{disks, legacy, nics, options};
use crate::finding::Finding;
use crate::model::{Guest, GuestId, GuestKind, IdMap, LxcSettings, Nvidia, Origin, RootDisk, VllmEngine};

/// Decodes the file: one draft for every entry whose id can be told.
pub fn decode(file: &File) -> Vec<Draft<'_>> {
    let Some(root) = Fields::root(file) else { return Vec::new() };
    let defaults = nvidia(&root);
    root.require("lxc_configs", "the containers, by id: {\"200\": {...}}");
    let drafts = root.table("lxc_configs").filter_map(|member| draft(file, member, &defaults)).collect();
    root.finish();
    drafts
}

fn draft<'a>(file: &'a File, member: &'a Member, defaults: &Nvidia) -> Option<Draft<'a>> {
    let id = match member.key.parse::<GuestId>() {
        Ok(id) => id,
        Err(error) => {
            file.report(Finding::error("bad-id", error.to_string()), member.key_span.clone());
            return None;
        }
    };
    let fields = Fields::of_member(file, member, "lxc_configs.ID")?;
    let mut guest = guest::common(&fields, id, GuestKind::Lxc);
    guest.origin = origin(&fields);
    let made = !guest.is_imported();
    for (name, hint) in [
        ("cores", "the number of CPU cores, for example 2"),
        ("memory_mb", "the memory in MiB, for example 2048"),
        ("storage_pool", "the Proxmox storage of the root disk"),
        ("storage_size_gb", "the size of the root disk in GiB"),
        ("network_config", "name, bridge, ip and gw of the network interface"),
    ] {
        if made {
            fields.require(name, hint);
        }
    }
    let usual = |number: u32| if made { number } else { 0 };
    guest.cores = fields.whole("cores", 1..=8192).unwrap_or(usual(1));
    guest.memory_mb = fields.whole("memory_mb", 16..=u64::from(u32::MAX)).unwrap_or(usual(512));
    guest.swap_mb = fields.whole("swap_mb", 0..=u64::from(u32::MAX));
    guest.root = RootDisk {
        storage: fields.string("storage_pool").unwrap_or_default(),
        size_gb: fields.whole("storage_size_gb", 1..=disks::MOST_GB).unwrap_or(usual(8)),
        options: options::of_disk(&fields, GuestKind::Lxc),
    };
    network(&fields, &mut guest);
    if fields.flag_or("enable_lifecycle_snapshots", false) {
        guest.snapshots.before_features = Some("pre-configured".to_owned());
        guest.snapshots.after_features = Some("final-form".to_owned());
    }
    guest.app = fields.text("application_script").map(|script| app(&fields, script, &guest));
    guest.volumes =
        ["zfs_volumes", "volumes"].into_iter().flat_map(|name| fields.maps(name)).filter_map(disks::volume).collect();
    guest.mounts = fields.maps("mount_points").into_iter().filter_map(disks::bind_mount).collect();
    guest.health_checks.extend(guest::single_health_check(&fields));
    guest.lxc = settings(&fields, defaults);
    options::listed(&fields, GuestKind::Lxc, &mut guest.options, &mut guest.lxc.features);
    for (name, kind) in [("ports", Kind::Texts), ("tests", Kind::Map), ("bootstrap_ca_url", Kind::Text)] {
        fields.unused(name, kind);
    }
    fields.finish();
    Some(Draft { guest, fields })
}

/// A template or a clone. A missing source is found by the checks, which know all guests.
fn origin(fields: &Fields) -> Origin {
    let source = guest::id(fields, "clone_from_ctid");
    let template = fields.string("template");
    if guest::is_imported(fields, source.is_some() || template.is_some()) {
        return Origin::Existing;
    }
    match (source, &template) {
        (Some(_), Some(_)) => {
            let finding = Finding::error("two-origins", "a guest has one origin: `clone_from_ctid` or `template`")
                .related(&fields.file.source, fields.span("template"), "the other one");
            fields.file.report(finding, fields.span("clone_from_ctid"));
        }
        (None, None) if fields.value.get("clone_from_ctid").is_none_or(|value| value.text() == Some("")) => {
            let finding = Finding::error("missing-origin", "the container has no origin").hint(
                "`template`: a volume id like local:vztmpl/NAME.tar.zst; or `clone_from_ctid`: another container",
            );
            fields.file.report(finding, fields.place.clone());
        }
        _ => {}
    }
    source.map_or_else(|| Origin::Template(template.unwrap_or_default()), Origin::Clone)
}

fn network(fields: &Fields, guest: &mut Guest) {
    let Some(network) = fields.map("network_config") else {
        nics::additional(fields, guest);
        return;
    };
    for (name, hint) in [
        ("bridge", "a bridge of the node, for example vmbr0"),
        ("ip", "an address with prefix length like 192.0.2.10/24, `dhcp` or `manual`"),
    ] {
        network.require(name, hint);
    }
    guest.nics.push(nics::first(fields, &network, network.string("bridge"), guest));
    guest.nameservers = network.addresses("nameservers");
    guest.search_domain = network.string("searchdomain");
    network.finish();
    nics::additional(fields, guest);
}

fn settings(fields: &Fields, defaults: &Nvidia) -> LxcSettings {
    let mut raw = Vec::new();
    for (text, span) in fields.texts("lxc_options") {
        match legacy::lxc_option(text) {
            Some(lines) => raw.extend(lines),
            None => {
                let finding = Finding::error("bad-value", format!("`{text}` is no setting of LXC"))
                    .hint("write \"lxc.KEY: VALUE\"; Proxmox's own features belong in `pct_options`");
                fields.file.report(finding, span);
            }
        }
    }
    apparmor(fields, &mut raw);
    let gpus = gpus(fields);
    let own = nvidia(fields);
    let nvidia = Nvidia {
        driver_version: own.driver_version.or_else(|| defaults.driver_version.clone()),
        repo_url: own.repo_url.or_else(|| defaults.repo_url.clone()),
        runfile_url: own.runfile_url.or_else(|| defaults.runfile_url.clone()),
    };
    LxcSettings {
        // Proxmox's own default for new containers is unprivileged; the predecessor's was privileged. Of a clone
        // the source decides, see `super::resolve`.
        unprivileged: fields.flag_or("unprivileged", !fields.file.lenient()),
        features: Default::default(),
        raw,
        nvidia: (!gpus.is_empty()).then_some(nvidia),
        gpus,
        devices: fields.maps("devices").into_iter().filter_map(disks::device).collect(),
        id_maps: fields.maps("id_maps").into_iter().filter_map(id_map).collect(),
        vllm: fields.map("vllm_engine_config").and_then(vllm),
    }
}

/// A profile of its own. `unconfined` meant to the predecessor: no line at all, so Proxmox's profile stays.
fn apparmor(fields: &Fields, raw: &mut Vec<(String, String)>) {
    let profile = fields.text("apparmor_profile");
    let nesting = fields.flag_or("apparmor_manages_nesting", false);
    let kept = match profile {
        Some("unconfined") => fields.file.lenient(),
        Some("default") | None => true,
        Some(_) => false,
    };
    if kept {
        return;
    }
    let key = "lxc.apparmor.profile";
    if raw.iter().any(|(name, _)| name == key) {
        fields.reject("two-values", "apparmor_profile", format!("and `lxc_options` both set {key}"));
        return;
    }
    raw.extend(profile.map(|profile| (key.to_owned(), profile.to_owned())));
    if nesting {
        raw.push(("lxc.apparmor.allow_nesting".to_owned(), "1".to_owned()));
    }
}

/// `gpu_assignment`: `none`, or indices with commas between them.
fn gpus(fields: &Fields) -> Vec<u32> {
    let text = fields.string_or("gpu_assignment", "none");
    if text == "none" {
        return Vec::new();
    }
    let gpus: Result<Vec<u32>, _> = text.split(',').map(|index| index.trim().parse()).collect();
    gpus.unwrap_or_else(|_| {
        fields.reject(
            "bad-value",
            "gpu_assignment",
            format!("must be none or numbers of GPUs like 0,1, found `{text}`"),
        );
        Vec::new()
    })
}

fn id_map(fields: Fields) -> Option<IdMap> {
    let kinds = [("uid", "u"), ("gid", "g"), ("u", "u"), ("g", "g"), ("both", "both")];
    fields.require("type", "uid, gid or both");
    fields.require("host_id", "the first id on the node");
    fields.require("container_id", "the first id inside");
    let any = 0..=u64::from(u32::MAX);
    let kind = fields.choice("type", &kinds).map(str::to_owned);
    let ids = fields.whole("host_id", any.clone()).zip(fields.whole("container_id", any));
    let size = fields.whole_or("size", 1..=65536, 1u32);
    fields.finish();
    kind.zip(ids).map(|(kind, (host_id, container_id))| IdMap { kind, host_id, container_id, size })
}

fn nvidia(fields: &Fields) -> Nvidia {
    Nvidia {
        driver_version: fields.string("nvidia_driver_version"),
        repo_url: fields.string("nvidia_repo_url"),
        runfile_url: fields.string("nvidia_runfile_url"),
    }
}

/// The app that takes the place of what `application_script` names.
fn app(fields: &Fields, script: &str, guest: &Guest) -> String {
    let Some(meant) = legacy::meant_app(script, &guest.name, &guest.features) else {
        return legacy::app(script).to_owned();
    };
    let problem = format!(
        "`{script}` was never there: the app `{meant}` takes its place, as the guest's features and name suggest"
    );
    let finding = Finding::warning("meant-app", problem).hint(format!("write \"application_script\": \"{meant}\""));
    fields.file.report(finding, fields.span("application_script"));
    meant.to_owned()
}

/// A group of vLLM's settings. The predecessor passed on whatever stood there.
fn engine_group(group: &Fields, arguments: &mut Vec<String>) {
    group.finish_but(|member| {
        let passed_on = legacy::vllm_arguments(&member.key, &member.value.plain());
        let finding = Finding::warning("passed-on", format!("`{}` becomes an argument of vLLM", member.key))
            .hint("write it into `params.vllm.arguments`, one word each");
        let is_taken = group.file.lenient();
        if is_taken {
            group.file.report(finding, member.key_span.clone());
            arguments.extend(passed_on);
        }
        is_taken
    });
}

fn vllm(fields: Fields) -> Option<VllmEngine> {
    let mut engine = VllmEngine::default();
    fields.require("ModelConfig", "at least {\"model\": \"ORGANISATION/NAME\"}");
    if let Some(model) = fields.map("ModelConfig") {
        model.require("model", "ORGANISATION/NAME");
        engine.model = model.string("model").unwrap_or_default();
        engine.trust_remote_code = model.flag_or("trust_remote_code", false);
        engine.dtype = model.string("dtype");
        engine.max_model_len = model.whole("max_model_len", 1..=u64::from(u32::MAX));
        engine_group(&model, &mut engine.arguments);
    }
    if let Some(cache) = fields.map("CacheConfig") {
        engine.quantization = cache.string("quantization");
        engine.gpu_memory_utilization = cache.number("gpu_memory_utilization", 0.0, 1.0);
        engine_group(&cache, &mut engine.arguments);
    }
    if let Some(parallel) = fields.map("ParallelConfig") {
        engine.tensor_parallel_size = parallel.whole("tensor_parallel_size", 1..=1024);
        engine_group(&parallel, &mut engine.arguments);
    }
    if let Some(server) = fields.map("ServerConfig") {
        engine.host = server.string("host");
        engine.port = server.whole("port", 1..=65535);
        engine.served_model_name = server.string("served_model_name");
        engine_group(&server, &mut engine.arguments);
    }
    fields.finish();
    Some(engine)
}
