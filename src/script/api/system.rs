//! Verbs for packages, units, accounts and settings of the operating system.

use std::sync::Arc;

use super::signature::{Kind, Signature, Type, optional, required};
use super::{Given, Verb, verb};
use crate::machine::{AptRepo, Group, Key, Mount, PACKAGE_WAIT, Packages, Service, User};
use crate::script::context::Run;
use crate::script::error::{Raised, Thrown};
use crate::secret::Sealed;

const MACHINE: &[Type] = &[Type::Guest, Type::Node];

const fn changing(name: &'static str, doc: &'static str) -> Signature {
    Signature::method(MACHINE, name, doc).returns(Type::Change).changes()
}

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        changing("packages", "Debian packages, in one transaction.")
            .takes(&[required("names", Kind::Texts, "packages; `NAME=VERSION` asks for one version")])
            .options(&[
                optional("state", Kind::State, "\"present\" or \"absent\"; present if not given"),
                optional("recommends", Kind::Bool, "whether recommended packages come along; false if not given"),
                optional("wait", Kind::Seconds, "so long others may hold the package lock; 600 seconds if not given"),
            ])
            .errors(&[
                "when the mirror cannot be reached or its name not resolved",
                "when no repository knows a package or its version",
                "when another program holds the package lock for longer than `wait`",
                "when the disk is full",
                "when a repository's signature or key is not valid",
                "when dependencies cannot be met or a package's own script fails",
            ])
            .example(
                r#"guest.packages(["nginx", "curl"]);
guest.packages("telnet", #{ state: "absent" });"#,
            ),
        |given| {
            let options = Packages {
                absent: given.maybe_text("state")?.is_some_and(|state| state == "absent"),
                recommends: given.maybe_bool("recommends").unwrap_or(false),
                wait: given.maybe_seconds("wait").unwrap_or(PACKAGE_WAIT),
            };
            given.run.changed(given.run.machine.packages(&given.texts("names")?, &options)?)
        },
    ),
    verb(
        changing("apt_repo", "A package repository with its key.")
            .takes(&[required("name", Kind::Text, "name of its file")])
            .options(&[
                required("url", Kind::Text, "base URL"),
                optional(
                    "suite",
                    Kind::Text,
                    "the release's codename if not given; one that ends in `/` has no components",
                ),
                optional("components", Kind::Texts, "parts of the suite; `main` if not given"),
                optional(
                    "key_url",
                    Kind::Text,
                    "where its signing key is fetched; neither this nor `keyring`: a key that apt trusts already",
                ),
                optional("key_sha256", Kind::Text, "digest of the key; without it TLS alone vouches for it"),
                optional("keyring", Kind::Path, "instead of `key_url`: a keyring that the machine has"),
            ])
            .errors(&[
                "when the name is not made of letters, digits, `-` and `_`",
                "when the key cannot be fetched, or has another digest",
            ])
            .example(
                r#"guest.apt_repo("tools", #{
    url: "https://apt.example.org/debian",
    suite: guest.os.codename,
    components: ["main"],
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
});"#,
            ),
        |given| {
            let key = match (given.maybe_text("key_url")?, given.maybe_text("keyring")?) {
                (Some(url), _) => Some(Key::Url { url, sha256: given.maybe_text("key_sha256")? }),
                (None, Some(path)) => Some(Key::Path(path)),
                (None, None) => None,
            };
            let repo = AptRepo {
                url: given.text("url")?,
                suite: given.maybe_text("suite")?,
                components: given.texts("components")?,
                key,
            };
            given.run.changed(given.run.machine.apt_repo(&given.text("name")?, &repo)?)
        },
    ),
    verb(
        changing("unit", "A unit file in /etc/systemd/system.")
            .takes(&[required("name", Kind::Unit, "unit, such as `x.service`")])
            .options(&[required("content", Kind::Content, "the whole file")])
            .errors(&["when it is no name of a unit", "when systemd cannot read it"])
            .example(
                r#"guest.unit("hello.service", #{
    content: "[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
});
guest.service("hello.service");"#,
            ),
        |given| {
            let content = given.maybe_sealed("content")?.unwrap_or_else(|| Sealed::plain(""));
            given.run.changed(given.run.machine.unit(&given.text("name")?, &content)?)
        },
    ),
    verb(
        changing("service", "A unit running and enabled, restarted or reloaded when watched files differ.")
            .takes(&[required("name", Kind::Unit, "unit, such as `x.service`")])
            .options(&[
                optional("running", Kind::Bool, "whether it shall run; true if not given"),
                optional("enabled", Kind::Bool, "whether it is started at boot; true if not given"),
                optional("watch", Kind::Texts, "files and directories that it reads"),
                optional("reload", Kind::Bool, "whether a reload is enough; false if not given"),
            ])
            .errors(&[
                "when there is no such unit",
                "when it does not reach the state and stay there: the error has its last log lines",
            ])
            .example(
                r#"guest.packages(["nginx"]);
guest.service("nginx.service", #{ watch: ["/etc/nginx"], reload: true });"#,
            ),
        |given| {
            let options = Service {
                running: Some(given.maybe_bool("running").unwrap_or(true)),
                enabled: Some(given.maybe_bool("enabled").unwrap_or(true)),
                watch: given.texts("watch")?,
                reload: given.maybe_bool("reload").unwrap_or(false),
            };
            given.run.changed(given.run.machine.service(&given.text("name")?, &options)?)
        },
    ),
    verb(
        changing("user", "A user with a group of the same name.")
            .takes(&[required("name", Kind::Text, "the user")])
            .options(&[
                optional("uid", Kind::Int, "number; the next free one if not given"),
                optional("system", Kind::Bool, "whether a new user is one of the system; false if not given"),
                optional("home", Kind::Path, "home directory; `/home/NAME` if not given, none for one of the system"),
                optional("shell", Kind::Path, "login shell; bash if not given, nologin for one of the system"),
                optional("groups", Kind::Texts, "groups that it is in, besides those it is in already"),
            ])
            .errors(&["when it exists with another number", "when a group does not exist"])
            .example(
                r#"guest.group("web", #{ system: true });
guest.user("deploy", #{ home: "/home/deploy", shell: "/bin/bash", groups: ["web"] });"#,
            ),
        |given| {
            let options = User {
                uid: number(given, "uid")?,
                system: given.maybe_bool("system").unwrap_or(false),
                home: given.maybe_text("home")?,
                shell: given.maybe_text("shell")?,
                groups: given.texts("groups")?,
            };
            given.run.changed(given.run.machine.user(&given.text("name")?, &options)?)
        },
    ),
    verb(
        changing("group", "A group.")
            .takes(&[required("name", Kind::Text, "the group")])
            .options(&[
                optional("gid", Kind::Int, "number; the next free one if not given"),
                optional("system", Kind::Bool, "whether a new group is one of the system; false if not given"),
            ])
            .errors(&["when it exists with another number"])
            .example(r#"guest.group("web", #{ system: true });"#),
        |given| {
            let options = Group { gid: number(given, "gid")?, system: given.maybe_bool("system").unwrap_or(false) };
            given.run.changed(given.run.machine.group(&given.text("name")?, &options)?)
        },
    ),
    verb(
        changing("sysctl", "Kernel parameters, now and at boot.")
            .takes(&[
                required("name", Kind::Text, "name of the file in /etc/sysctl.d"),
                required("values", Kind::Settings, "map of parameter and value"),
            ])
            .errors(&["when the kernel refuses a value, as it does for all but `net.*` in containers"])
            .example(r#"guest.sysctl("web", #{ "net.core.somaxconn": 4096 });"#),
        |given| {
            let values = given.plain_map("values")?;
            given.run.changed(given.run.machine.sysctl(&given.text("name")?, &values)?)
        },
    ),
    verb(
        changing("hosts", "A name in /etc/hosts.")
            .takes(&[required("name", Kind::Text, "host name"), required("ip", Kind::Text, "address")])
            .errors(&["when it is no host name, or no address"])
            .example(r#"guest.hosts("mirror.example.org", "192.0.2.80");"#),
        |given| given.run.changed(given.run.machine.hosts(&given.text("name")?, &given.text("ip")?)?),
    ),
    verb(
        changing("locale", "A locale, generated and the system's default.")
            .takes(&[required("name", Kind::Text, "such as `en_US.UTF-8`")])
            .errors(&["when it is no name of a locale, or the package `locales` is missing"])
            .example(
                r#"guest.packages(["locales"]);
guest.locale("en_US.UTF-8");"#,
            ),
        |given| given.run.changed(given.run.machine.locale(&given.text("name")?)?),
    ),
    verb(
        changing("timezone", "The system's time zone.")
            .takes(&[required("zone", Kind::Text, "such as `Europe/Berlin`")])
            .errors(&["when the machine does not know it: the package `tzdata` may be missing"])
            .example(
                r#"guest.packages(["tzdata"]);
guest.timezone("Europe/Berlin");"#,
            ),
        |given| given.run.changed(given.run.machine.timezone(&given.text("zone")?)?),
    ),
    verb(
        changing("mount", "A mount, now and at boot.")
            .takes(&[required("path", Kind::Path, "where")])
            .options(&[
                required("source", Kind::Text, "device, `UUID=...` or `HOST:/export`"),
                required("fstype", Kind::Text, "file system: `ext4`, `nfs4`, `tmpfs` ..."),
                optional("options", Kind::Texts, "mount options; `defaults` if not given"),
            ])
            .errors(&["when something else is mounted there", "when mounting fails"])
            .example(
                r#"guest.dir("/srv/scratch");
guest.mount("/srv/scratch", #{ source: "tmpfs", fstype: "tmpfs", options: ["size=64m"] });"#,
            ),
        |given| {
            let mount = Mount {
                source: given.text("source")?,
                fstype: given.text("fstype")?,
                options: given.texts("options")?,
            };
            given.run.changed(given.run.machine.mount(&given.text("path")?, &mount)?)
        },
    ),
];

fn number(given: &Given<Arc<Run>>, name: &'static str) -> Result<Option<u32>, Raised> {
    let Some(number) = given.maybe_int(name) else { return Ok(None) };
    match u32::try_from(number) {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Thrown::invalid(format!("`{name}` of `{}` cannot be {number}", given.signature.name)).into()),
    }
}
