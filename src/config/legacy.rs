//! The predecessor's spelling: the same files and fields, with habits of its own.
//!
//! Whatever it let pass is a warning here ([`is_legacy`], [`super::file::File::lapse`]). What it spelled otherwise is
//! translated in this module and nowhere else; `docs/configuration.md` lists the translations.

use super::asked::Kind;
use super::decode::Fields;
use super::json::Value;
use crate::finding::Finding;
use crate::model::{NodeStorage, PortainerRole};

/// Where the predecessor was installed: what a path below it names does not exist here.
const INSTALLED: &str = "/usr/local/phoenix_hypervisor/";

/// Its application scripts and the apps that replace them.
const APPS: [(&str, &str); 4] = [
    ("phoenix_hypervisor_lxc_101.sh", "gateway"),
    ("phoenix_hypervisor_lxc_102.sh", "router"),
    ("phoenix_hypervisor_lxc_103.sh", "ca"),
    ("phoenix_hypervisor_lxc_vllm.sh", "vllm"),
];

/// Apps that serve models: its configurations name scripts for them that it never had.
pub const MODEL_SERVERS: [&str; 3] = ["vllm", "ollama", "llamacpp"];

/// Whether a hypervisor file is in the predecessor's spelling: only its program needed `core_paths`.
pub fn is_legacy(hypervisor: &Value) -> bool {
    hypervisor.get("core_paths").is_some()
}

/// The app that an `application_script` names: its own name, with or without `.rhai`, or the predecessor's script.
pub fn app(script: &str) -> &str {
    let translated = APPS.iter().find(|(name, _)| *name == script).map(|(_, app)| *app);
    translated.unwrap_or_else(|| script.strip_suffix(".rhai").unwrap_or(script))
}

/// The app that is meant by a script which the predecessor never had: what the guest's features, else its name, say.
pub fn meant_app(script: &str, guest: &str, features: &[String]) -> Option<&'static str> {
    let number = script.strip_prefix("phoenix_hypervisor_lxc_")?.strip_suffix(".sh")?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) || app(script) != script {
        return None;
    }
    let listed = MODEL_SERVERS.into_iter().find(|server| features.iter().any(|feature| feature == server));
    let guest = guest.to_ascii_lowercase().replace(['-', '.'], "");
    listed.or_else(|| MODEL_SERVERS.into_iter().find(|server| guest.contains(server)))
}

/// What a member of the predecessor's `vllm_engine_config` becomes on vLLM's command line: `-` goes before capitals and
/// takes the place of `_`; `true` is the bare option, `false` and `null` are nothing.
pub fn vllm_arguments(name: &str, value: &serde_json::Value) -> Vec<String> {
    let mut option = String::from("--");
    for sign in name.chars() {
        match sign {
            '_' => option.push('-'),
            'A'..='Z' => option.extend(['-', sign.to_ascii_lowercase()]),
            _ => option.push(sign),
        }
    }
    // A name that begins with a capital.
    let option = option.replacen("---", "--", 1);
    match value {
        serde_json::Value::Null | serde_json::Value::Bool(false) => Vec::new(),
        serde_json::Value::Bool(true) => vec![option],
        serde_json::Value::String(text) => vec![option, text.clone()],
        other => vec![option, other.to_string()],
    }
}

/// The sections of the hypervisor file that have no effect; `mount_point_base` serves to explain mounts.
pub fn unused_hypervisor_fields(root: &Fields) {
    root.text("mount_point_base");
    for name in ["version", "author"] {
        root.unused(name, Kind::Text);
    }
    for name in ["core_paths", "proxmox_defaults", "behavior", "tests", "step_ca"] {
        root.unused(name, Kind::Map);
    }
}

/// The node's firewall where the predecessor kept it, among the shared volumes; the volumes have no effect.
pub fn misplaced_firewall<'a>(root: &Fields<'a>) -> Option<Fields<'a>> {
    let shared = root.map("shared_volumes")?;
    let firewall = shared.map("firewall");
    if let Some(firewall) = &firewall {
        let finding = match root.value.get("firewall") {
            None => Finding::warning("misplaced-field", "`firewall` stands inside `shared_volumes`")
                .hint("move it to the top level of the file"),
            Some(_) => Finding::error("two-values", "`firewall` stands here and at the top level of the file")
                .hint("remove this one: it is not read"),
        };
        shared.file.report(finding, firewall.place.clone());
    }
    root.key_without_effect("shared_volumes", Kind::Map);
    for member in shared.value.members().iter().filter(|member| member.key != "firewall") {
        shared.file.note_unused(&format!("shared_volumes.{}", member.key), member.key_span.clone());
    }
    firewall
}

/// Raw container settings in any of the spellings in use: `lxc.a.b=v`, `lxc.a.b: v`, `lxc.a.b = v` and
/// `lxc.mount.auto:sys:rw`. A list of capabilities gives one line for each.
pub fn lxc_option(written: &str) -> Option<Vec<(String, String)>> {
    let at = written.find([':', '='])?;
    let (key, value) = (written[..at].trim(), written[at + 1..].trim());
    let is_key =
        key.starts_with("lxc.") && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if !is_key || value.is_empty() {
        return None;
    }
    let line = |value: &str| (key.to_owned(), value.to_owned());
    Some(match key {
        "lxc.cap.keep" | "lxc.cap.drop" => value.split([' ', ',']).filter(|word| !word.is_empty()).map(line).collect(),
        _ => vec![line(value)],
    })
}

/// What `portainer_role` may say.
pub const PORTAINER_ROLES: [(&str, PortainerRole); 5] = [
    ("none", PortainerRole::None),
    ("primary", PortainerRole::Server),
    ("server", PortainerRole::Server),
    ("agent", PortainerRole::Agent),
    ("infrastructure", PortainerRole::Infrastructure),
];

/// The volume id of a container template given by its path on the node: of the storage with templates it lies in.
pub fn template_volume(path: &str, storages: &[NodeStorage]) -> Option<String> {
    storages.iter().filter(|storage| storage.content.iter().any(|content| content == "vztmpl")).find_map(|storage| {
        let name = path.strip_prefix(&storage.location)?.strip_prefix("/template/cache/")?;
        (!name.contains('/')).then(|| format!("{}:vztmpl/{name}", storage.id))
    })
}

/// Where the vendor publishes a cloud image that is named by its file alone, as the predecessor did.
pub fn cloud_image(file: &str) -> Option<String> {
    const DEBIAN: [(&str, &str); 3] = [("11", "bullseye"), ("12", "bookworm"), ("13", "trixie")];
    if file.contains(['/', ':']) {
        return None;
    }
    if let Some((release, rest)) = file.split_once("-server-cloudimg-") {
        let is_image = matches!(rest, "amd64.img" | "arm64.img");
        return is_image.then(|| format!("https://cloud-images.ubuntu.com/{release}/current/{file}"));
    }
    let (version, _) = file.strip_prefix("debian-")?.strip_suffix(".qcow2")?.split_once("-generic")?;
    let (_, release) = DEBIAN.iter().find(|(known, _)| *known == version)?;
    Some(format!("https://cloud.debian.org/images/cloud/{release}/latest/{file}"))
}

/// A health check that runs one of the predecessor's own scripts, which are not here.
pub fn is_foreign_script(command: &str) -> bool {
    command.starts_with(INSTALLED)
}

/// The path that a dataset's files really have, for a path below the predecessor's `mount_point_base`: it joined
/// pool and dataset to that directory, while datasets are mounted at `/POOL/DATASET`.
pub fn mounted_elsewhere<'a>(path: &'a str, base: &str, datasets: &[crate::model::ZfsDataset]) -> Option<&'a str> {
    let inside = path.strip_prefix(base.trim_end_matches('/'))?;
    let is_dataset = |dataset: &crate::model::ZfsDataset| {
        inside.strip_prefix(&dataset.mount_point()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    datasets.iter().any(is_dataset).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_settings_in_every_spelling() {
        let one = |key: &str, value: &str| Some(vec![(key.to_owned(), value.to_owned())]);
        assert_eq!(lxc_option("lxc.apparmor.profile=unconfined"), one("lxc.apparmor.profile", "unconfined"));
        assert_eq!(lxc_option("lxc.apparmor.profile: unconfined"), one("lxc.apparmor.profile", "unconfined"));
        assert_eq!(lxc_option("lxc.mount.auto:sys:rw"), one("lxc.mount.auto", "sys:rw"));
        assert_eq!(
            lxc_option("lxc.cgroup2.devices.allow = c 10:200 rwm"),
            one("lxc.cgroup2.devices.allow", "c 10:200 rwm")
        );
        let kept = lxc_option("lxc.cap.keep=chown,net_admin").unwrap();
        assert_eq!(kept.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["chown", "net_admin"]);
        assert_eq!(lxc_option("nesting=1"), None);
        assert_eq!(lxc_option("lxc.mount.auto"), None);
    }

    #[test]
    fn settings_of_vllm_become_arguments() {
        use serde_json::json;
        assert_eq!(vllm_arguments("max_num_seqs", &json!(16)), ["--max-num-seqs", "16"]);
        assert_eq!(vllm_arguments("enforceEager", &json!(true)), ["--enforce-eager"]);
        assert_eq!(vllm_arguments("KvCacheDtype", &json!("fp8")), ["--kv-cache-dtype", "fp8"]);
        assert_eq!(vllm_arguments("overrides", &json!({"a": 1})), ["--overrides", "{\"a\":1}"]);
        for nothing in [json!(false), json!(null)] {
            assert_eq!(vllm_arguments("enable_lora", &nothing), Vec::<String>::new());
        }
    }

    #[test]
    fn scripts_that_never_were_are_told_by_features_and_names() {
        let nvidia = ["nvidia".to_owned()];
        let with = |feature: &str| ["nvidia".to_owned(), feature.to_owned()];
        assert_eq!(meant_app("phoenix_hypervisor_lxc_955.sh", "chat", &with("ollama")), Some("ollama"));
        assert_eq!(meant_app("phoenix_hypervisor_lxc_957.sh", "Llama.cpp-gpu0", &nvidia), Some("llamacpp"));
        assert_eq!(meant_app("phoenix_hypervisor_lxc_960.sh", "chat", &nvidia), None);
        assert_eq!(meant_app("phoenix_hypervisor_lxc_101.sh", "ollama", &nvidia), None);
        assert_eq!(meant_app("ollama", "ollama", &nvidia), None);
    }

    #[test]
    fn images_are_found_at_their_vendors() {
        let url = |file| cloud_image(file).unwrap_or_default();
        assert_eq!(
            url("noble-server-cloudimg-amd64.img"),
            "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img"
        );
        assert_eq!(
            url("debian-12-genericcloud-amd64.qcow2"),
            "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
        );
        for unknown in ["debian-12-standard.tar.zst", "ubuntu.img", "local:import/debian-12-generic-amd64.qcow2"] {
            assert_eq!(cloud_image(unknown), None, "{unknown}");
        }
        assert_eq!(cloud_image("https://example.org/noble-server-cloudimg-amd64.img"), None);
    }

    #[test]
    fn a_template_is_found_in_its_storage() {
        let storage = NodeStorage {
            id: "tank-iso".into(),
            kind: "dir".into(),
            location: "/tank/iso".into(),
            content: vec!["iso".into(), "vztmpl".into()],
        };
        let storages = [storage];
        assert_eq!(
            template_volume("/tank/iso/template/cache/debian-12.tar.zst", &storages).as_deref(),
            Some("tank-iso:vztmpl/debian-12.tar.zst")
        );
        assert_eq!(template_volume("/elsewhere/debian-12.tar.zst", &storages), None);
    }
}
