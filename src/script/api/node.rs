//! Verbs that only the node has.

use std::net::IpAddr;
use std::sync::Arc;

use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::{Answer, Given, Verb, verb};
use crate::machine::{NfsExport, NodeFirewall, NodeStorage, Scope, Timer, ZfsDataset, ZfsPool};
use crate::script::context::Run;
use crate::script::error::{Raised, Thrown};

const NODE: &[Type] = &[Type::Node];
const STATE: Parameter = optional("state", Kind::State, "\"present\" or \"absent\"; present if not given");

const fn changing(name: &'static str, doc: &'static str) -> Signature {
    Signature::method(NODE, name, doc).returns(Type::Change).changes()
}

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        changing(
            "zfs_pool",
            "A ZFS pool on disks that nobody uses. One that is there is compared; nothing is ever wiped.",
        )
        .takes(&[required("name", Kind::Text, "name of the pool")])
        .options(&[
            required("disks", Kind::Texts, "disks by path, best below `/dev/disk/by-id`"),
            optional(
                "raid",
                Kind::Text,
                "`stripe`, `mirror`, `raid10`, `raidz1`, `raidz2` or `raidz3`; `stripe` if not given",
            ),
            optional("options", Kind::Settings, "options of the pool, such as `ashift` and `autotrim`"),
            optional("properties", Kind::Settings, "properties that its datasets inherit, such as `compression`"),
        ])
        .errors(&[
            "when a disk is missing, mounted, or holds anything: partitions, a file system, another pool",
            "when the pool is there with another layout, or an option differs that only a new one can have",
        ])
        .example(
            r#"node.zfs_pool("tank", #{
    raid: "mirror",
    disks: ["/dev/disk/by-id/ata-SAMPLE_1", "/dev/disk/by-id/ata-SAMPLE_2"],
    options: #{ ashift: 12, autotrim: "on" },
    properties: #{ compression: "lz4", atime: "off" },
});"#,
        ),
        |given| {
            let pool = ZfsPool {
                raid: given.maybe_text("raid")?.unwrap_or_else(|| "stripe".to_owned()),
                disks: given.texts("disks")?,
                options: given.plain_map("options")?,
                properties: given.plain_map("properties")?,
            };
            given.run.changed(given.run.machine.zfs_pool(&given.text("name")?, &pool)?)
        },
    ),
    verb(
        changing("zfs_dataset", "A ZFS dataset, with those above it. What is in one that is there stays.")
            .takes(&[required("name", Kind::Text, "`POOL/NAME`")])
            .options(&[
                optional("mountpoint", Kind::Text, "path, `none` or `legacy`; below that of its parent if not given"),
                optional(
                    "quota",
                    Kind::Text,
                    "size that it may take with all below it, such as `50G`; `none` for no limit",
                ),
                optional("properties", Kind::Settings, "other properties, such as `recordsize`"),
            ])
            .errors(&[
                "when there is no such pool",
                "when a property differs that only a new dataset can have, such as `encryption`",
            ])
            .example(
                r#"node.zfs_dataset("rpool/shared", #{ mountpoint: "/srv/shared", quota: "50G" });
node.zfs_dataset("rpool/shared/models", #{ properties: #{ recordsize: "1M" } });"#,
            ),
        |given| {
            let mut properties = given.plain_map("properties")?;
            for name in ["mountpoint", "quota"] {
                properties.extend(given.maybe_text(name)?.map(|value| (name.to_owned(), value)));
            }
            given.run.changed(given.run.machine.zfs_dataset(&given.text("name")?, &ZfsDataset { properties })?)
        },
    ),
    verb(
        changing("storage", "A storage of Proxmox VE. Options that are not named stay as they are.")
            .takes(&[required("id", Kind::Text, "its id")])
            .options(&[
                required("type", Kind::Text, "Proxmox's type: `dir`, `zfspool`, `nfs`, `lvmthin` ..."),
                optional(
                    "content",
                    Kind::Texts,
                    "what it may hold: `images`, `rootdir`, `vztmpl`, `iso`, `backup`, `snippets`",
                ),
                optional(
                    "options",
                    Kind::Settings,
                    "Proxmox's other options by their names, such as `path` and `pool`",
                ),
            ])
            .errors(&[
                "when the storage is there with another type, path, pool or server",
                "when Proxmox refuses an option",
            ])
            .example(
                r#"node.dir("/srv/images");
node.storage("images", #{ type: "dir", content: ["iso", "vztmpl"], options: #{ path: "/srv/images" } });"#,
            ),
        |given| {
            let mut options = given.plain_map("options")?;
            if given.has("content") {
                options.insert("content".to_owned(), given.texts("content")?.join(","));
            }
            let storage = NodeStorage { kind: given.text("type")?, options };
            given.run.changed(given.run.machine.storage(&given.text("id")?, &storage)?)
        },
    ),
    verb(
        changing("nfs_export", "A directory of the node that others may mount by NFS. Exports of others stay.")
            .takes(&[required("path", Kind::Path, "the directory")])
            .options(&[
                optional("clients", Kind::Texts, "addresses, networks or names that may mount it"),
                optional("options", Kind::Texts, "as in exports(5); `rw`, `sync`, `no_subtree_check` if not given"),
                STATE,
            ])
            .errors(&[
                "when the directory or the NFS server is not there",
                "when somebody else exports the directory already",
            ])
            .example(
                r#"node.packages("nfs-kernel-server");
node.dir("/srv/shared");
node.nfs_export("/srv/shared", #{ clients: ["192.0.2.0/24"], options: ["ro", "no_subtree_check"] });"#,
            ),
        |given| {
            let export = NfsExport {
                clients: given.texts("clients")?,
                options: given.texts("options")?,
                absent: is_absent(given)?,
            };
            given.run.changed(given.run.machine.nfs_export(&given.text("path")?, &export)?)
        },
    ),
    verb(
        changing(
            "firewall",
            "Rules of the cluster's or the node's firewall: exactly these under this name. Rules of others stay.",
        )
        .takes(&[required("name", Kind::Text, "name of the rules: it stands in their remarks")])
        .options(&[
            optional("scope", Kind::Text, "`cluster` (cluster.fw) or `node` (host.fw); `cluster` if not given"),
            optional(
                "rules",
                Kind::Texts,
                "rules as they stand in the file: `IN ACCEPT -source NETWORK -p tcp -dport 22`",
            ),
            optional(
                "options",
                Kind::Settings,
                "options of the firewall by Proxmox's names, such as `enable` and `policy_in`",
            ),
        ])
        .errors(&[
            "when a rule makes no sense",
            "when the firewall would be on without a rule that lets the operator in",
            "when Proxmox cannot compile the result: it is taken back",
        ])
        .example(
            r#"node.firewall("management", #{
    rules: ["IN ACCEPT -source 192.0.2.0/24 -p tcp -dport 22,8006 # operators"],
    options: #{ enable: 1, policy_in: "DROP" },
});"#,
        ),
        firewall,
    ),
    verb(
        changing("dns_record", "A name that the node's dnsmasq answers for, from now on.")
            .takes(&[
                required("name", Kind::Text, "host name"),
                optional("ip", Kind::Text, "address, of either family"),
            ])
            .options(&[STATE])
            .errors(&[
                "when the name or the address is none",
                "when dnsmasq is not there, or refuses its configuration",
            ])
            .example(
                r#"node.packages("dnsmasq");
node.dns_record("web.example.org", "192.0.2.10");"#,
            ),
        |given| {
            let ip = match (given.maybe_text("ip")?, is_absent(given)?) {
                (_, true) => None,
                (Some(text), false) => Some(text.parse::<IpAddr>().map_err(|_| {
                    Thrown::invalid(format!("`ip` of `dns_record` must be an address, not \"{text}\""))
                })?),
                (None, false) => return Err(Thrown::invalid("`dns_record` needs `ip`, or `state: \"absent\"`").into()),
            };
            given.run.changed(given.run.machine.dns_record(&given.text("name")?, ip)?)
        },
    ),
    verb(
        changing("timer", "A program that systemd runs at set times: a service and its timer, enabled.")
            .takes(&[required("name", Kind::Text, "name of both units")])
            .options(&[
                optional("on_calendar", Kind::Text, "when, as in systemd.time(7): `daily`, `*-*-* 03:00:00`"),
                optional("exec", Kind::Command, "what runs"),
                optional("user", Kind::Text, "user it runs as; root if not given"),
                optional(
                    "persistent",
                    Kind::Bool,
                    "whether a time that was missed is made up for at boot; true if not given",
                ),
                optional("randomized_delay", Kind::Text, "later by up to this, such as `1h`"),
                optional("description", Kind::Text, "what it is for; the name if not given"),
                STATE,
            ])
            .errors(&["when systemd does not understand the times, or `exec` is missing"])
            .example(
                r#"node.timer("scrub-tank", #{
    on_calendar: "monthly",
    exec: ["/usr/sbin/zpool", "scrub", "tank"],
    randomized_delay: "1h",
});"#,
            ),
        |given| {
            let (name, machine) = (given.text("name")?, &given.run.machine);
            if is_absent(given)? {
                return given.run.changed(machine.timer_absent(&name)?);
            }
            let timer = Timer {
                on_calendar: given.text("on_calendar")?,
                exec: given.command("exec")?,
                user: given.maybe_text("user")?,
                persistent: given.maybe_bool("persistent").unwrap_or(true),
                randomized_delay: given.maybe_text("randomized_delay")?,
                description: given.text("description")?,
            };
            given.run.changed(machine.timer(&name, &timer)?)
        },
    ),
];

fn firewall(given: &Given<Arc<Run>>) -> Answer {
    let scope = match given.maybe_text("scope")?.as_deref() {
        None | Some("cluster") => Scope::Cluster,
        Some("node") => Scope::Node,
        Some(other) => {
            let problem = format!("`scope` of `firewall` must be \"cluster\" or \"node\", not \"{other}\"");
            return Err(Thrown::invalid(problem).into());
        }
    };
    let wanted = NodeFirewall { scope, options: given.plain_map("options")?, rules: given.texts("rules")? };
    given.run.changed(given.run.machine.firewall(&given.text("name")?, &wanted)?)
}

fn is_absent(given: &Given<Arc<Run>>) -> Result<bool, Raised> {
    Ok(given.maybe_text("state")?.is_some_and(|state| state == "absent"))
}
