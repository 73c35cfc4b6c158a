//! A root file system of busybox with Debian's release files, for tests of the node's own tools.

use crate::sandbox::body::builtin;
use crate::sandbox::body::state::State;

use super::Root;

pub(super) fn state() -> State {
    let mut root = Root::default();
    root.skeleton();
    root.file("/etc/debian_version", "12.12\n");
    root.file("/etc/hosts", "127.0.0.1\tlocalhost\n");
    root.file(
        "/etc/os-release",
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
         VERSION_CODENAME=bookworm\nID=debian\n",
    );
    root.file(
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
         www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    );
    root.file("/etc/group", "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnogroup:x:65534:\n");
    root.program("/bin/busybox");
    for name in builtin::names().filter(|name| BUSYBOX.contains(name)) {
        root.program(&format!("/bin/{name}"));
    }
    root.program("/sbin/init");
    root.state
}

/// Built-in programs that busybox has too.
const BUSYBOX: [&str; 35] = [
    "[",
    "cat",
    "chmod",
    "chown",
    "echo",
    "env",
    "false",
    "head",
    "hostname",
    "id",
    "ip",
    "kill",
    "ls",
    "mkdir",
    "mount",
    "mountpoint",
    "mv",
    "printenv",
    "printf",
    "pwd",
    "readlink",
    "rm",
    "sh",
    "sleep",
    "stat",
    "tail",
    "tee",
    "test",
    "touch",
    "true",
    "truncate",
    "umount",
    "uname",
    "wc",
    "whoami",
];
