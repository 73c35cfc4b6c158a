//! Root file systems of Debian and Ubuntu.

use std::sync::Arc;

use crate::sandbox::body::builtin;
use crate::sandbox::body::packages;
use crate::sandbox::body::state::State;
use crate::sandbox::programs::{NoPrograms, PackageModel};

use super::Root;

/// What tells one release from the others.
pub(super) struct Release {
    id: &'static str,
    name: &'static str,
    version: &'static str,
    /// Version with its point release, as in `/etc/debian_version`.
    point: &'static str,
    codename: &'static str,
    /// Path and text of the apt sources.
    sources: (&'static str, &'static str),
    /// Packages that the template has beside the base ones.
    packages: &'static [&'static str],
    /// Unit that configures the network.
    network: &'static str,
    /// Unit that takes ssh connections.
    ssh: &'static str,
}

pub(super) const BOOKWORM: Release = Release {
    id: "debian",
    name: "Debian GNU/Linux",
    version: "12",
    point: "12.12",
    codename: "bookworm",
    sources: (
        "/etc/apt/sources.list",
        "deb http://deb.debian.org/debian bookworm main contrib\n\n\
         deb http://deb.debian.org/debian bookworm-updates main contrib\n\n\
         deb http://security.debian.org bookworm-security main contrib\n",
    ),
    packages: &["ifupdown", "isc-dhcp-client", "isc-dhcp-common"],
    network: "networking.service",
    ssh: "ssh.service",
};

pub(super) const TRIXIE: Release = Release {
    id: "debian",
    name: "Debian GNU/Linux",
    version: "13",
    point: "13.1",
    codename: "trixie",
    sources: (
        "/etc/apt/sources.list.d/debian.sources",
        "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie trixie-updates\nComponents: main contrib\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
         Types: deb\nURIs: http://security.debian.org/debian-security\nSuites: trixie-security\n\
         Components: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
    ),
    packages: &[],
    network: "systemd-networkd.service",
    ssh: "ssh.service",
};

pub(super) const NOBLE: Release = Release {
    id: "ubuntu",
    name: "Ubuntu",
    version: "24.04",
    point: "trixie/sid",
    codename: "noble",
    sources: (
        "/etc/apt/sources.list.d/ubuntu.sources",
        "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu\nSuites: noble noble-updates noble-security\n\
         Components: main restricted universe multiverse\n\
         Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n",
    ),
    packages: &["sudo", "netplan.io"],
    network: "systemd-networkd.service",
    ssh: "ssh.socket",
};

/// What vendors' cloud images have beside the base packages. No agent, no NFS client.
const CLOUD: &[&str] = &["cloud-init", "cloud-guest-utils", "netplan.io", "sudo"];

pub(super) const BOOKWORM_CLOUD: Release = Release { packages: CLOUD, network: "systemd-networkd.service", ..BOOKWORM };
pub(super) const TRIXIE_CLOUD: Release = Release { packages: CLOUD, ..TRIXIE };
pub(super) const NOBLE_CLOUD: Release = Release { packages: CLOUD, ..NOBLE };
pub(super) const JAMMY_CLOUD: Release = Release {
    version: "22.04",
    point: "bookworm/sid",
    codename: "jammy",
    sources: (
        "/etc/apt/sources.list",
        "deb http://archive.ubuntu.com/ubuntu jammy main restricted universe multiverse\n\
         deb http://archive.ubuntu.com/ubuntu jammy-updates main restricted universe multiverse\n\
         deb http://security.ubuntu.com/ubuntu jammy-security main restricted universe multiverse\n",
    ),
    packages: CLOUD,
    ssh: "ssh.service",
    ..NOBLE
};

/// Packages that all of them have.
const PACKAGES: &str = "adduser apt apt-utils base-files base-passwd bash bash-completion bind9-host bsdextrautils \
    bsdutils bzip2 ca-certificates coreutils cpio cron cron-daemon-common dash dbus debconf debianutils diffutils \
    dirmngr dmsetup dpkg e2fsprogs fdisk file findutils gpgv grep groff-base gzip hostname init init-system-helpers \
    iproute2 iptables iputils-ping kmod less libc-bin libc-l10n libc6 libpam-modules libpam-systemd libssl3 \
    libsystemd0 locales login logrotate logsave man-db mawk media-types mount nano ncurses-base ncurses-bin \
    ncurses-term netbase netcat-traditional openssh-client openssh-server openssh-sftp-server openssl passwd perl \
    perl-base postfix procps psmisc python3 python3-minimal readline-common sed sensible-utils ssh ssl-cert systemd \
    systemd-sysv sysvinit-utils tar traceroute tzdata ucf udev util-linux util-linux-extra vim-common vim-tiny wget \
    whiptail xz-utils zlib1g";

/// Users as in base-passwd, with those of systemd, dbus and apt: name, number, group number, home, shell.
const USERS: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
games:x:5:60:games:/usr/games:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
lp:x:7:7:lp:/var/spool/lpd:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
news:x:9:9:news:/var/spool/news:/usr/sbin/nologin
uucp:x:10:10:uucp:/var/spool/uucp:/usr/sbin/nologin
proxy:x:13:13:proxy:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
list:x:38:38:Mailing List Manager:/var/list:/usr/sbin/nologin
irc:x:39:39:ircd:/run/ircd:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin
messagebus:x:100:107::/nonexistent:/usr/sbin/nologin
";

/// Groups as in base-passwd, with those of systemd and dbus.
const GROUPS: &str = "root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 news:9 uucp:10 man:12 proxy:13 \
    kmem:15 dialout:20 fax:21 voice:22 cdrom:24 floppy:25 tape:26 sudo:27 audio:29 dip:30 www-data:33 backup:34 \
    operator:37 list:38 irc:39 src:40 shadow:42 utmp:43 video:44 sasl:45 plugdev:46 staff:50 games:60 users:100 \
    systemd-journal:999 systemd-network:998 messagebus:107 nogroup:65534";

/// Unit files of systemd itself and of what comes before any package of ours: name and text.
const UNITS: &[(&str, &str)] = &[
    ("graphical.target", "[Unit]\nDescription=Graphical Interface\nRequires=multi-user.target\n"),
    ("multi-user.target", "[Unit]\nDescription=Multi-User System\nRequires=basic.target\n"),
    ("basic.target", "[Unit]\nDescription=Basic System\nRequires=sysinit.target\nWants=sockets.target timers.target\n"),
    ("sysinit.target", "[Unit]\nDescription=System Initialization\nWants=local-fs.target systemd-journald.service\n"),
    ("local-fs.target", "[Unit]\nDescription=Local File Systems\n"),
    ("sockets.target", "[Unit]\nDescription=Socket Units\nWants=dbus.socket\n"),
    ("timers.target", "[Unit]\nDescription=Timer Units\nWants=systemd-tmpfiles-clean.timer\n"),
    ("getty.target", "[Unit]\nDescription=Login Prompts\n"),
    ("network.target", "[Unit]\nDescription=Network\n"),
    ("network-online.target", "[Unit]\nDescription=Network is Online\n"),
    ("nss-lookup.target", "[Unit]\nDescription=Host and Network Name Lookups\n"),
    ("time-sync.target", "[Unit]\nDescription=System Time Synchronized\n"),
    (
        "dbus.socket",
        "[Unit]\nDescription=D-Bus System Message Bus Socket\n\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    ),
    (
        "dbus.service",
        "[Unit]\nDescription=D-Bus System Message Bus\n\n[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --system\nExecReload=/usr/bin/true\n",
    ),
    (
        "systemd-journald.service",
        "[Unit]\nDescription=Journal Service\n\n[Service]\nType=notify\nExecStart=/usr/lib/systemd/systemd-journald\n",
    ),
    (
        "systemd-logind.service",
        "[Unit]\nDescription=User Login Management\n\n[Service]\nType=notify\nExecStart=/usr/lib/systemd/systemd-logind\n",
    ),
    (
        "systemd-networkd.service",
        "[Unit]\nDescription=Network Configuration\n\n[Service]\nType=notify\nExecStart=/usr/lib/systemd/systemd-networkd\nExecReload=/usr/bin/true\n\n[Install]\nWantedBy=multi-user.target\n",
    ),
    (
        "systemd-tmpfiles-clean.timer",
        "[Unit]\nDescription=Daily Cleanup of Temporary Directories\n\n[Timer]\nOnUnitActiveSec=1d\n",
    ),
    (
        "systemd-tmpfiles-clean.service",
        "[Unit]\nDescription=Cleanup of Temporary Directories\n\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
    ),
    (
        "console-getty.service",
        "[Unit]\nDescription=Console Getty\n\n[Service]\nType=idle\nExecStart=/sbin/agetty console\n\n[Install]\nWantedBy=getty.target\n",
    ),
    (
        "container-getty@.service",
        "[Unit]\nDescription=Container Getty on /dev/tty%I\n\n[Service]\nType=idle\nExecStart=/sbin/agetty tty%I\n",
    ),
    (
        "apt-daily.timer",
        "[Unit]\nDescription=Daily apt download activities\n\n[Timer]\nOnCalendar=*-*-* 6,18:00\n\n[Install]\nWantedBy=timers.target\n",
    ),
    (
        "apt-daily.service",
        "[Unit]\nDescription=Daily apt download activities\n\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
    ),
    (
        "apt-daily-upgrade.timer",
        "[Unit]\nDescription=Daily apt upgrade and clean activities\n\n[Timer]\nOnCalendar=*-*-* 6:00\n\n[Install]\nWantedBy=timers.target\n",
    ),
    (
        "apt-daily-upgrade.service",
        "[Unit]\nDescription=Daily apt upgrade and clean activities\n\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
    ),
    (
        "logrotate.timer",
        "[Unit]\nDescription=Daily rotation of log files\n\n[Timer]\nOnCalendar=daily\n\n[Install]\nWantedBy=timers.target\n",
    ),
    ("logrotate.service", "[Unit]\nDescription=Rotate log files\n\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n"),
    (
        "ssh.service",
        "[Unit]\nDescription=OpenBSD Secure Shell server\nConditionPathExists=!/etc/ssh/sshd_not_to_be_run\n\n\
         [Service]\nType=notify\nExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/sbin/sshd -D\nExecReload=/usr/sbin/sshd -t\n\n\
         [Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n",
    ),
    (
        "ssh.socket",
        "[Unit]\nDescription=OpenBSD Secure Shell server socket\n\n[Socket]\nListenStream=22\nAccept=no\n\n[Install]\nWantedBy=sockets.target\n",
    ),
];

/// Programs that belong to the base packages and are not built into the model, but looked for by path.
const PROGRAMS: &[&str] = &[
    "/sbin/agetty",
    "/usr/bin/bash",
    "/usr/bin/dash",
    "/usr/bin/dbus-daemon",
    "/usr/bin/dpkg",
    "/usr/bin/env",
    "/usr/bin/grep",
    "/usr/bin/kill",
    "/usr/bin/perl",
    "/usr/bin/sed",
    "/usr/bin/ssh",
    "/usr/bin/tar",
    "/usr/lib/systemd/systemd",
    "/usr/lib/systemd/systemd-journald",
    "/usr/lib/systemd/systemd-logind",
    "/usr/lib/systemd/systemd-networkd",
    "/usr/sbin/groupadd",
    "/usr/sbin/useradd",
    "/usr/sbin/usermod",
];

pub(super) fn state(release: &Release) -> State {
    let mut root = Root::default();
    for dir in ["bin", "lib", "lib64", "local", "local/bin", "local/lib", "local/sbin", "sbin", "share", "src"] {
        root.dir(&format!("/usr/{dir}"), 0o755);
    }
    for merged in ["bin", "lib", "lib64", "sbin"] {
        root.link(&format!("/{merged}"), &format!("usr/{merged}"));
    }
    root.skeleton();
    accounts(&mut root);
    settings(&mut root, release);
    trust(&mut root);
    for path in PROGRAMS {
        root.program(path);
    }
    for name in builtin::names() {
        match name {
            // Their packages bring them.
            "cloud-init" | "dnsmasq" | "exportfs" | "nginx" | "pve-firewall" | "sshd" | "zfs" | "zpool" => {}
            "locale-gen" | "modprobe" | "wipefs" | "sysctl" | "update-ca-certificates" | "update-locale" => {
                root.program(&format!("/usr/sbin/{name}"));
            }
            _ => root.program(&format!("/usr/bin/{name}")),
        }
    }
    for (name, text) in UNITS {
        root.file(&format!("/usr/lib/systemd/system/{name}"), text);
    }
    systemd(&mut root, release);
    root.state
}

fn accounts(root: &mut Root) {
    root.file("/etc/passwd", USERS);
    let groups: String = GROUPS.split_whitespace().map(|entry| entry.replace(':', ":x:") + ":\n").collect();
    root.file("/etc/group", &groups);
    let names =
        |text: &str| text.lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect::<Vec<_>>();
    let shadow: String = names(USERS).iter().map(|name| format!("{name}:*:20000:0:99999:7:::\n")).collect();
    root.owned("/etc/shadow", 0o640, 42, &shadow);
    let gshadow: String = names(&groups).iter().map(|name| format!("{name}:*::\n")).collect();
    root.owned("/etc/gshadow", 0o640, 42, &gshadow);
    for name in [".bash_logout", ".bashrc", ".profile"] {
        root.file(&format!("/etc/skel/{name}"), "# settings of the shell\n");
    }
}

fn settings(root: &mut Root, release: &Release) {
    let Release { id, name, version, codename, .. } = release;
    root.file(
        "/usr/lib/os-release",
        &format!(
            "PRETTY_NAME=\"{name} {version} ({codename})\"\nNAME=\"{name}\"\nVERSION_ID=\"{version}\"\n\
             VERSION=\"{version} ({codename})\"\nVERSION_CODENAME={codename}\nID={id}\n"
        ),
    );
    root.link("/etc/os-release", "../usr/lib/os-release");
    root.file("/etc/debian_version", &format!("{}\n", release.point));
    root.file(release.sources.0, release.sources.1);
    for dir in [
        "/etc/apt/apt.conf.d",
        "/etc/apt/keyrings",
        "/etc/apt/preferences.d",
        "/etc/apt/sources.list.d",
        "/etc/apt/trusted.gpg.d",
        "/etc/cron.d",
        "/etc/cron.daily",
        "/etc/default",
        "/etc/environment.d",
        "/etc/logrotate.d",
        "/etc/modprobe.d",
        "/etc/modules-load.d",
        "/etc/network/interfaces.d",
        "/etc/profile.d",
        "/etc/ssh/ssh_config.d",
        "/etc/ssh/sshd_config.d",
        "/etc/sudoers.d",
        "/etc/sysctl.d",
        "/etc/systemd/network",
        "/etc/systemd/system",
        "/etc/systemd/journald.conf.d",
        "/etc/tmpfiles.d",
        "/etc/update-motd.d",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/share/keyrings",
        "/usr/share/zoneinfo/Etc",
        "/var/cache/apt/archives",
        "/var/lib/apt/lists",
        "/var/lib/systemd",
        "/var/log/journal",
        "/var/spool/cron/crontabs",
        "/var/www",
    ] {
        root.dir(dir, 0o755);
    }
    root.file("/etc/hostname", "localhost\n");
    root.file(
        "/etc/hosts",
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    root.file("/etc/resolv.conf", "");
    root.file("/etc/fstab", "# every file system is mounted from outside\n");
    root.file("/etc/environment", "");
    root.file("/etc/machine-id", "");
    root.file("/etc/shells", "/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/dash\n");
    root.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n");
    root.file("/etc/network/interfaces", "auto lo\niface lo inet loopback\n");
    root.file(
        "/etc/ssh/sshd_config",
        "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
    );
    root.file("/etc/ssh/ssh_config", "Include /etc/ssh/ssh_config.d/*.conf\nHost *\n    HashKnownHosts yes\n");
    root.file("/etc/sysctl.conf", "# settings of the kernel: see /etc/sysctl.d\n");
    root.file("/etc/default/locale", "LANG=C.UTF-8\n");
    root.file("/etc/locale.gen", LOCALES);
    root.file("/etc/timezone", "Etc/UTC\n");
    for zone in ZONES {
        root.file(&format!("/usr/share/zoneinfo/{zone}"), &format!("TZif2 {zone}\n"));
    }
    root.link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC");
    root.file("/usr/share/keyrings/debian-archive-keyring.gpg", "the keys of Debian's archive\n");
}

/// A few of the lines that the locales package brings, all of them remarks.
const LOCALES: &str = "# This file lists locales that you wish to have built.\n# C.UTF-8 UTF-8\n# de_AT.UTF-8 UTF-8\n\
    # de_CH.UTF-8 UTF-8\n# de_DE.UTF-8 UTF-8\n# en_AU.UTF-8 UTF-8\n# en_CA.UTF-8 UTF-8\n# en_GB.UTF-8 UTF-8\n\
    # en_IE.UTF-8 UTF-8\n# en_US.UTF-8 UTF-8\n# es_ES.UTF-8 UTF-8\n# fr_FR.UTF-8 UTF-8\n# it_IT.UTF-8 UTF-8\n\
    # ja_JP.UTF-8 UTF-8\n# nl_NL.UTF-8 UTF-8\n# pl_PL.UTF-8 UTF-8\n# pt_BR.UTF-8 UTF-8\n# sv_SE.UTF-8 UTF-8\n";

/// Time zones that can be chosen.
const ZONES: &[&str] = &[
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Etc/UTC",
    "Europe/Amsterdam",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Paris",
    "Europe/Rome",
    "Europe/Stockholm",
    "Europe/Vienna",
    "Europe/Warsaw",
    "Europe/Zurich",
    "UTC",
];

/// Two of Mozilla's roots, and the bundle made of them.
fn trust(root: &mut Root) {
    let roots = [
        ("GTS_Root_R4", include_str!("roots/GTS_Root_R4.crt")),
        ("ISRG_Root_X2", include_str!("roots/ISRG_Root_X2.crt")),
    ];
    root.dir("/usr/local/share/ca-certificates", 0o755);
    let mut list = "# certificates that are trusted, under /usr/share/ca-certificates\n".to_owned();
    let mut bundle = String::new();
    for (name, pem) in roots {
        let path = format!("/usr/share/ca-certificates/mozilla/{name}.crt");
        root.file(&path, pem);
        root.link(&format!("/etc/ssl/certs/{name}.pem"), &path);
        list.push_str(&format!("mozilla/{name}.crt\n"));
        bundle.push_str(pem);
    }
    root.file("/etc/ca-certificates.conf", &list);
    root.file("/etc/ssl/certs/ca-certificates.crt", &bundle);
    root.put("/etc/ssl/private", super::Node::dir(super::Meta::root(0o710)));
}

/// Packages with their units, and what is enabled.
fn systemd(root: &mut Root, release: &Release) {
    root.link("/usr/lib/systemd/system/default.target", "graphical.target");
    root.link("/usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service", "../systemd-logind.service");
    root.link("/usr/lib/systemd/system/multi-user.target.wants/getty.target", "../getty.target");
    root.link("/usr/lib/systemd/system/getty.target.wants/container-getty@1.service", "../container-getty@.service");
    if release.network == "networking.service" {
        root.program("/usr/sbin/ifup");
        root.file(
            "/usr/lib/systemd/system/networking.service",
            "[Unit]\nDescription=Raise network interfaces\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
             ExecStart=/usr/sbin/ifup -a\n\n[Install]\nWantedBy=multi-user.target\n",
        );
    }
    for name in PACKAGES.split_whitespace().chain(release.packages.iter().copied()) {
        let model = packages::model(name, &NoPrograms).unwrap_or_default();
        let unpacked = root.state.unpack(name, &PackageModel { units: of_package(&model), ..model });
        debug_assert!(unpacked.is_ok(), "{name}: {unpacked:?}");
    }
    let enabled = ["apt-daily.timer", "apt-daily-upgrade.timer", "logrotate.timer", "console-getty.service"];
    for unit in enabled.into_iter().chain([release.network, release.ssh]) {
        let enabled = root.state.enable_unit(unit);
        debug_assert!(enabled.is_ok(), "{unit}: {enabled:?}");
    }
    // Nothing runs in a template, not even what systemd would remember of it.
    root.state.units = Arc::default();
}

/// Units of a package, without those that the template writes itself.
fn of_package(model: &PackageModel) -> Vec<String> {
    let written = |unit: &String| UNITS.iter().any(|(name, _)| name == unit);
    model.units.iter().filter(|unit| !written(unit)).cloned().collect()
}
