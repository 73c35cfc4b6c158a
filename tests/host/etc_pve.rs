//! Writing under `/etc/pve`: a file system that knows no modes, owners, links or large files, goes read-only with the
//! quorum, and whose names mean guests. A double of it (`tests/support/pmxcfs.py`) is mounted there, in a mount namespace
//! that these tests start themselves in once more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use phoenix::host::Host as _;
use phoenix::op::{Attributes, Content, Guard, Op, OpError, OpErrorKind, OpResult, OpValue, Place};

use super::node;

const DIRECTORY: &str = "/etc/pve/nodes/pve1/lxc";
const FILE: &str = "/etc/pve/nodes/pve1/lxc/104.conf";
/// Where the double is told what happens.
const CONTROL: &str = "PMXCFS_CONTROL";

#[test]
fn files_there_are_replaced_as_a_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let double = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/pmxcfs.py");
    // The machine's own /etc is not touched: it is the lower layer of an overlay that nobody else sees.
    let script = r#"
        set -e
        mount -t tmpfs none "$1"
        mkdir "$1/upper" "$1/work" "$1/control"
        mount -t overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" none /etc
        mkdir -p /etc/pve
        python3 "$2" /etc/pve "$1/control" &
        double=$!
        trap 'umount -l /etc/pve; kill $double 2>/dev/null || true' EXIT
        tries=0
        until mountpoint -q /etc/pve; do
            tries=$((tries + 1))
            [ $tries -lt 200 ] || { echo 'no file system came up: is there /dev/fuse?' >&2; exit 1; }
            sleep 0.05
        done
        PMXCFS_CONTROL=$1/control "$3" --exact host::etc_pve::inside --ignored --nocapture
    "#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([root.path(), &double, &std::env::current_exe().unwrap()])
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// What the test above starts, where the double is mounted.
#[test]
#[ignore = "inside: started by the test above"]
fn inside() {
    let Some(control) = std::env::var_os(CONTROL).map(PathBuf::from) else { return };
    fs::create_dir_all(DIRECTORY).unwrap();
    it_is_like_etc_pve();
    replaced_whatever_its_attributes(&control);
    large_files(&control);
    without_quorum_and_without_room(&control);
    interrupted(&control);
}

fn perform(op: Op) -> OpResult {
    node().perform(Place::Node, &[op]).unwrap().remove(0)
}

fn write(content: &str) -> Op {
    let content = Content::Bytes(content.as_bytes().into());
    Op::Write { path: FILE.to_owned(), content, attributes: Attributes::default(), guard: None }
}

/// Under Proxmox's lock, if the file still is as `expect`.
fn guarded(content: &str, expect: &str, lock: &Path) -> Op {
    let digest = ring::digest::digest(&ring::digest::SHA256, expect.as_bytes());
    let expect = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let Op::Write { path, content, attributes, .. } = write(content) else { unreachable!() };
    Op::Write { path, content, attributes, guard: Some(Guard { lock: lock.to_str().unwrap().to_owned(), expect }) }
}

fn now() -> String {
    fs::read_to_string(FILE).unwrap()
}

fn names() -> BTreeSet<String> {
    fs::read_dir(DIRECTORY).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What Proxmox takes for a guest.
fn is_guest(name: &str) -> bool {
    name.strip_suffix(".conf").is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The double does what it is for.
fn it_is_like_etc_pve() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    fs::write(FILE, "cores: 1\n").unwrap();
    let found = fs::metadata(FILE).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o640, 0, 33));
    let refused = |result: std::io::Result<()>| result.unwrap_err().kind();
    assert_eq!(
        refused(fs::set_permissions(FILE, fs::Permissions::from_mode(0o644))),
        std::io::ErrorKind::PermissionDenied
    );
    assert_eq!(refused(chown(FILE, Some(0), Some(0))), std::io::ErrorKind::PermissionDenied);
    assert!(symlink("104.conf", format!("{DIRECTORY}/105.conf")).is_err());
    assert!(fs::hard_link(FILE, format!("{DIRECTORY}/105.conf")).is_err());
    assert_eq!(refused(fs::write(FILE, vec![b'#'; (1 << 20) + 1])), std::io::ErrorKind::FileTooLarge);
    fs::write(FILE, "cores: 1\n").unwrap();
    assert_eq!(names(), BTreeSet::from(["104.conf".to_owned()]));
}

fn replaced_whatever_its_attributes(control: &Path) {
    assert_eq!(perform(write("cores: 2\n")), Ok(OpValue::Done));
    let attributes = Attributes { mode: Some(0o600), owner: Some("root".to_owned()), group: Some("root".to_owned()) };
    let Op::Write { path, content, guard, .. } = write("cores: 3\n") else { unreachable!() };
    assert_eq!(perform(Op::Write { path, content, attributes: attributes.clone(), guard }), Ok(OpValue::Done));
    let lock = control.join("pve-config-104.lock");
    assert_eq!(perform(guarded("cores: 4\n", "cores: 3\n", &lock)), Ok(OpValue::Done));
    let conflict: OpError = perform(guarded("cores: 5\n", "cores: 3\n", &lock)).unwrap_err();
    assert_eq!(conflict.kind, OpErrorKind::Conflict);
    assert_eq!(now(), "cores: 4\n");
    let own = "/etc/pve/phoenix/deep".to_owned();
    assert_eq!(perform(Op::MakeDir { path: own, attributes }), Ok(OpValue::Done));
    // Nothing was asked of it that it refuses, but by the look at what it is like; it does not know how to sync a file.
    let log = fs::read_to_string(control.join("log")).unwrap();
    let since = log.lines().filter(|line| !line.ends_with("ENOSYS"));
    assert_eq!(since.collect::<Vec<_>>(), ["4 EPERM", "4 EPERM", "16 EFBIG", "16 EFBIG"], "{log}");
    assert_eq!(names(), BTreeSet::from(["104.conf".to_owned()]));
}

fn large_files(control: &Path) {
    let before = now();
    for op in [write(&"#".repeat((1 << 20) + 1)), guarded(&"#".repeat(3 << 20), &before, &control.join("lock"))] {
        let refused = perform(op).unwrap_err();
        assert_eq!(refused.kind, OpErrorKind::TooLarge, "{refused}");
        assert!(refused.message.contains(FILE) && refused.message.contains("1 MiB"), "{refused}");
    }
    assert_eq!(now(), before);
    assert_eq!(names().len(), 1);
    assert_eq!(perform(write(&"#".repeat(1 << 20))), Ok(OpValue::Done));
    assert_eq!(perform(write(&before)), Ok(OpValue::Done));
}

fn without_quorum_and_without_room(control: &Path) {
    let before = now();
    for (what, kind) in [("readonly", OpErrorKind::PermissionDenied), ("full", OpErrorKind::NoSpace)] {
        fs::write(control.join(what), "").unwrap();
        for op in [write("cores: 9\n"), guarded("cores: 9\n", &before, &control.join("lock"))] {
            let refused = perform(op).unwrap_err();
            assert_eq!(refused.kind, kind, "{refused}");
            assert!(refused.message.contains(FILE), "{refused}");
            let says_why = what != "readonly" || refused.message.contains("quorum");
            assert!(says_why, "{refused}");
        }
        fs::remove_file(control.join(what)).unwrap();
        assert_eq!(now(), before);
        assert_eq!(names().len(), 1);
    }
    fs::write(control.join("readonly"), "").unwrap();
    assert!(perform(Op::Remove { path: FILE.to_owned(), recursive: false }).is_err());
    fs::remove_file(control.join("readonly")).unwrap();
    assert_eq!(now(), before);
}

/// Killed before the new file takes the old one's place: the old one is whole, and what is left is no guest. It is gone with
/// a later write.
fn interrupted(control: &Path) {
    let before = now();
    fs::write(control.join("stall"), "").unwrap();
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host::etc_pve::write_once", "--ignored"])
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !control.join("stalled").exists() {
        assert!(Instant::now() < until, "the writer does not come to its rename");
        std::thread::sleep(Duration::from_millis(20));
    }
    writer.kill().unwrap();
    fs::remove_file(control.join("stall")).unwrap();
    writer.wait().unwrap();
    assert_eq!(now(), before);
    let left: Vec<String> = names().into_iter().filter(|name| name != "104.conf").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!left.iter().any(|name| is_guest(name)), "{left:?}");
    // Somebody else may be writing right now; what is old goes with the next write.
    assert_eq!(perform(write("cores: 6\n")), Ok(OpValue::Done));
    assert_eq!((now().as_str(), names().len()), ("cores: 6\n", 2));
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    let left = fs::File::open(format!("{DIRECTORY}/{}", left[0])).unwrap();
    left.set_times(fs::FileTimes::new().set_modified(long_ago)).unwrap();
    assert_eq!(perform(write("cores: 7\n")), Ok(OpValue::Done));
    assert_eq!(names(), BTreeSet::from(["104.conf".to_owned()]));
}

/// What is killed in the middle.
#[test]
#[ignore = "inside: started by the test above"]
fn write_once() {
    if std::env::var_os(CONTROL).is_some() {
        let _ = perform(write("cores: 7\n"));
    }
}
