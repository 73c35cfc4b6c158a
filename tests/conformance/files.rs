//! Files and directories: results, errors, odd names, modes, symlinks, binary content, big files.

use std::collections::BTreeMap;

use phoenix::op::OpErrorKind::{Conflict, Exists, IsADirectory, NoSuchUser, NotADirectory, NotFound, NotRun, TooLarge};
use phoenix::op::{Entry, FileKind, Guard, Op, OpValue, Stat};
use phoenix::secret::Sealed;

use super::Expect::{Fails, Is, Shows};
use super::{Case, attributes, bytes, dir, read, remove, stat, write, write_as};

/// Where all of this happens.
pub const ROOM: &str = "/srv/phoenix-conformance";

/// Names that break what is quoted carelessly.
const ODD_NAMES: &[&str] = &[
    "two words",
    "new\nline",
    "trailing newline\n",
    "'single' and \"double\"",
    "$(touch pwned) `id` $HOME",
    "-rf",
    "--help",
    "*",
    "[a-z]?",
    "back\\slash",
    "tab\there",
    "grün – 雪 – 🐦",
    ";|&<>!#~",
    "%s\\n%d",
];

pub fn cases() -> Vec<Case> {
    [
        absence(),
        writing(),
        modes_and_owners(),
        odd_names(),
        binary_and_big(),
        directories(),
        symlinks(),
        removing(),
        moving(),
        attributes_of_what_is_there(),
        appending(),
        reading_many(),
        guards(),
        batches(),
    ]
    .into_iter()
    .collect()
}

fn at(name: &str) -> String {
    format!("{ROOM}/{name}")
}

/// A case in a directory of its own, which its ops name as they name everything else.
fn case(name: &'static str) -> Case {
    Case::new(name).does(dir(&at(name)))
}

fn stat_of(kind: FileKind, size: u64, mode: u32) -> Stat {
    let root = || "root".to_owned();
    Stat { kind, size, mode, uid: 0, gid: 0, owner: root(), group: root(), target: None, device: None }
}

fn is(stat: Stat) -> super::Expect {
    Is(OpValue::Stat(Some(stat)))
}

fn link(path: &str, target: &str) -> Op {
    Op::Link { path: path.to_owned(), target: target.to_owned() }
}

fn list(path: &str) -> Op {
    Op::List { path: path.to_owned() }
}

fn digest(path: &str) -> Op {
    Op::Digest { path: path.to_owned() }
}

fn rename(from: &str, to: &str) -> Op {
    Op::Move { from: from.to_owned(), to: to.to_owned() }
}

fn set(path: &str, mode: impl Into<Option<u32>>, owner: &str, group: &str) -> Op {
    Op::SetAttributes { path: path.to_owned(), attributes: attributes(mode, owner, group) }
}

fn only_file(path: &str) -> Op {
    Op::Remove { path: path.to_owned(), recursive: false }
}

fn entries(entries: &[(&str, FileKind)]) -> super::Expect {
    let mut entries: Vec<Entry> =
        entries.iter().map(|(name, kind)| Entry { name: (*name).to_owned(), kind: *kind }).collect();
    entries.sort();
    Is(OpValue::Entries(Some(entries)))
}

fn absence() -> Case {
    let nothing = at("absence/nothing");
    let below = at("absence/file/below");
    case("absence")
        .op(stat(&nothing), Is(OpValue::Stat(None)))
        .op(read(&nothing), Is(OpValue::Bytes(None)))
        .op(digest(&nothing), Is(OpValue::Digest(None)))
        .op(list(&nothing), Is(OpValue::Entries(None)))
        .op(Op::ReadAll { path: nothing.clone(), suffix: String::new() }, Is(OpValue::Files(BTreeMap::new())))
        .does(write(&at("absence/file"), ""))
        .op(stat(&below), Is(OpValue::Stat(None)))
        .op(read(&below), Is(OpValue::Bytes(None)))
        .op(list(&below), Is(OpValue::Entries(None)))
        .does(only_file(&nothing))
        .does(remove(&nothing))
        .does(remove(&below))
}

fn writing() -> Case {
    let path = at("writing/file");
    let secret = Op::Write {
        path: path.clone(),
        content: phoenix::op::Content::Text(Sealed::new("pass=geheim", "pass=***")),
        attributes: attributes(0o600, "", ""),
        guard: None,
    };
    case("writing")
        .does(write(&path, "one\n"))
        .op(stat(&path), is(stat_of(FileKind::File, 4, 0o644)))
        .op(read(&path), bytes("one\n"))
        .does(write(&path, ""))
        .op(read(&path), bytes(""))
        .op(stat(&path), is(stat_of(FileKind::File, 0, 0o644)))
        .does(secret)
        .op(read(&path), bytes("pass=geheim"))
        .op(Op::Read { path: path.clone(), limit: 11 }, bytes("pass=geheim"))
        .op(Op::Read { path: path.clone(), limit: 10 }, Fails(TooLarge))
        .op(write(&at("writing/no/such/directory"), ""), Fails(NotFound))
        .op(write(&at("writing/file/below"), ""), Fails(NotADirectory))
        .op(write(&at("writing"), ""), Fails(IsADirectory))
        .op(read(&at("writing")), Fails(IsADirectory))
        .op(digest(&at("writing")), Fails(IsADirectory))
        // Nothing half-written is left behind.
        .op(list(&at("writing")), entries(&[("file", FileKind::File)]))
}

fn modes_and_owners() -> Case {
    let path = at("modes/file");
    let owned = |mode, uid, gid, owner: &str, group: &str| {
        let (owner, group) = (owner.to_owned(), group.to_owned());
        is(Stat { uid, gid, owner, group, ..stat_of(FileKind::File, 1, mode) })
    };
    case("modes")
        .does(write_as(&path, "1", attributes(0o4750, "daemon", "adm")))
        .op(stat(&path), owned(0o4750, 1, 4, "daemon", "adm"))
        // What is not named stays as it was.
        .does(write(&path, "2"))
        .op(stat(&path), owned(0o4750, 1, 4, "daemon", "adm"))
        .does(write_as(&path, "3", attributes(None, "", "root")))
        .op(stat(&path), owned(0o4750, 1, 0, "daemon", "root"))
        .does(write_as(&path, "4", attributes(0o600, "4242", "4343")))
        .op(stat(&path), owned(0o600, 4242, 4343, "4242", "4343"))
        .op(write_as(&path, "5", attributes(None, "nosuchuser", "")), Fails(NoSuchUser))
        .op(write_as(&path, "5", attributes(None, "", "nosuchgroup")), Fails(NoSuchUser))
        .op(read(&path), bytes("4"))
        .op(list(&at("modes")), entries(&[("file", FileKind::File)]))
}

fn odd_names() -> Case {
    let mut case = case("odd");
    for name in ODD_NAMES {
        let path = at(&format!("odd/{name}"));
        case = case
            .does(write(&path, *name))
            .op(read(&path), bytes(*name))
            .op(stat(&path), is(stat_of(FileKind::File, name.len() as u64, 0o644)));
    }
    let all: Vec<(&str, FileKind)> = ODD_NAMES.iter().map(|name| (*name, FileKind::File)).collect();
    case = case.op(list(&at("odd")), entries(&all));
    for name in ODD_NAMES {
        let (file, made) = (at(&format!("odd/{name}")), at(&format!("odd-made/{name}/{name}")));
        let pointer = format!("{made}/pointer");
        case = case
            .does(dir(&made))
            .does(link(&pointer, name))
            .op(stat(&pointer), Shows("a link to that very name", points_to_an_odd_name))
            .does(set(&file, 0o600, "", ""))
            .does(rename(&file, &format!("{made}/moved")))
            .op(read(&format!("{made}/moved")), bytes(*name))
            .does(Op::Append { path: format!("{made}/moved"), bytes: name.as_bytes().to_vec(), sync: true })
            .op(read(&format!("{made}/moved")), bytes(name.repeat(2)))
            .does(remove(&made))
            .op(stat(&made), Is(OpValue::Stat(None)));
    }
    case.op(list(&at("odd")), entries(&[])).op(stat("/pwned"), Is(OpValue::Stat(None)))
}

fn points_to_an_odd_name(value: &OpValue) -> bool {
    matches!(value, OpValue::Stat(Some(stat)) if stat.kind == FileKind::Symlink && stat.size == 0
        && ODD_NAMES.iter().any(|name| stat.target.as_deref() == Some(name)))
}

fn binary_and_big() -> Case {
    let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    // Not compressible by accident, and no multiple of any buffer.
    let big: Vec<u8> = (0..50_000_003_u64).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (binary, large) = (at("big/binary"), at("big/large"));
    let large_hex = ring::digest::digest(&ring::digest::SHA256, &big);
    let hex = large_hex.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    case("big")
        .does(write(&binary, every_byte.clone()))
        .op(read(&binary), bytes(every_byte.clone()))
        .does(Op::Append { path: binary.clone(), bytes: vec![0, 10, 0, 255], sync: false })
        .op(read(&binary), bytes([every_byte, vec![0, 10, 0, 255]].concat()))
        .does(write(&large, big.clone()))
        .op(digest(&large), Is(OpValue::Digest(Some(hex))))
        .op(stat(&large), is(stat_of(FileKind::File, big.len() as u64, 0o644)))
        .op(read(&large), bytes(big))
        .op(Op::Read { path: large.clone(), limit: 1000 }, Fails(TooLarge))
        .does(remove(&large))
}

fn directories() -> Case {
    let (new, file) = (at("dirs/a/b/c"), at("dirs/file"));
    let make = |path: &str, mode, owner| Op::MakeDir { path: path.to_owned(), attributes: attributes(mode, owner, "") };
    let private = || is(Stat { uid: 1, owner: "daemon".to_owned(), ..stat_of(FileKind::Directory, 0, 0o2750) });
    case("dirs")
        .does(make(&new, 0o2750, "daemon"))
        .op(stat(&new), private())
        .op(stat(&at("dirs/a/b")), is(stat_of(FileKind::Directory, 0, 0o755)))
        // An existing directory keeps its attributes.
        .does(make(&new, 0o700, ""))
        .op(stat(&new), private())
        .does(write(&file, ""))
        .op(dir(&file), Fails(Exists))
        .op(dir(&at("dirs/file/below")), Fails(NotADirectory))
        .op(make(&at("dirs/other"), 0o700, "nosuchuser"), Fails(NoSuchUser))
        .op(stat(&at("dirs/other")), Is(OpValue::Stat(None)))
        .op(list(&file), Fails(NotADirectory))
        .op(list(&at("dirs")), entries(&[("a", FileKind::Directory), ("file", FileKind::File)]))
        .op(list(&new), entries(&[]))
}

fn symlinks() -> Case {
    let (file, pointer, nowhere) = (at("links/file"), at("links/pointer"), at("links/nowhere"));
    let to_dir = at("links/to-dir");
    let target = |target: &str| is(Stat { target: Some(target.to_owned()), ..stat_of(FileKind::Symlink, 0, 0o777) });
    case("links")
        .does(write(&file, "content"))
        .does(link(&pointer, "file"))
        .op(stat(&pointer), target("file"))
        .op(read(&pointer), bytes("content"))
        .op(
            digest(&pointer),
            Is(OpValue::Digest(Some("ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73".to_owned()))),
        )
        // Another link is replaced, anything else is not.
        .does(link(&pointer, "/etc/hostname"))
        .op(stat(&pointer), target("/etc/hostname"))
        .op(link(&file, "x"), Fails(Exists))
        .op(link(&at("links"), "x"), Fails(Exists))
        .op(link(&at("links/no/such/place"), "x"), Fails(NotFound))
        // A link to nowhere is there, but has nothing in it.
        .does(link(&nowhere, "gone"))
        .op(stat(&nowhere), target("gone"))
        .op(read(&nowhere), Is(OpValue::Bytes(None)))
        .op(dir(&nowhere), Fails(Exists))
        // A link to a directory is one, unless the link itself is meant.
        .does(dir(&at("links/dir")))
        .does(link(&to_dir, "dir"))
        .does(write(&at("links/to-dir/inside"), "1"))
        .op(list(&to_dir), entries(&[("inside", FileKind::File)]))
        .does(dir(&to_dir))
        .does(only_file(&to_dir))
        .op(read(&at("links/dir/inside")), bytes("1"))
        // A written file takes the place of the link.
        .does(link(&pointer, "file"))
        .does(write(&pointer, "mine"))
        .op(stat(&pointer), is(stat_of(FileKind::File, 4, 0o644)))
        .op(read(&file), bytes("content"))
}

fn removing() -> Case {
    let tree = at("removing/tree");
    case("removing")
        .does(dir(&at("removing/tree/deep/down")))
        .does(write(&at("removing/tree/deep/file"), ""))
        .op(only_file(&tree), Fails(IsADirectory))
        .op(stat(&tree), is(stat_of(FileKind::Directory, 0, 0o755)))
        .does(remove(&tree))
        .op(stat(&tree), Is(OpValue::Stat(None)))
        .does(write(&tree, ""))
        .does(only_file(&tree))
        .op(list(&at("removing")), entries(&[]))
}

fn moving() -> Case {
    let (a, b) = (at("moving/a"), at("moving/b"));
    case("moving")
        .does(write_as(&a, "1", attributes(0o600, "daemon", "")))
        .does(write(&b, "2"))
        .does(rename(&a, &b))
        .op(read(&b), bytes("1"))
        .op(stat(&b), is(Stat { uid: 1, owner: "daemon".to_owned(), ..stat_of(FileKind::File, 1, 0o600) }))
        .op(stat(&a), Is(OpValue::Stat(None)))
        .op(rename(&a, &b), Fails(NotFound))
        .op(rename(&b, &at("moving/no/where")), Fails(NotFound))
        .does(dir(&at("moving/dir/full")))
        .op(rename(&b, &at("moving/dir")), Fails(IsADirectory))
        .op(rename(&at("moving/dir"), &b), Fails(NotADirectory))
        .does(rename(&at("moving/dir"), &at("moving/renamed")))
        .op(list(&at("moving/renamed")), entries(&[("full", FileKind::Directory)]))
}

fn attributes_of_what_is_there() -> Case {
    let (file, pointer) = (at("attributes/file"), at("attributes/pointer"));
    let owned = |mode, owner: &str, uid| is(Stat { uid, owner: owner.to_owned(), ..stat_of(FileKind::File, 0, mode) });
    case("attributes")
        .does(write(&file, ""))
        .does(set(&file, 0o6755, "", ""))
        .op(stat(&file), owned(0o6755, "root", 0))
        // A new owner does not inherit the power of the old one.
        .does(set(&file, None, "daemon", ""))
        .op(stat(&file), owned(0o755, "daemon", 1))
        .does(link(&pointer, "file"))
        .does(set(&pointer, 0o600, "root", "root"))
        .op(stat(&file), owned(0o600, "root", 0))
        .op(set(&at("attributes/nothing"), 0o600, "", ""), Fails(NotFound))
        .op(set(&file, None, "nosuchuser", ""), Fails(NoSuchUser))
        .does(set(&at("attributes"), 0o2755, "", ""))
        .op(stat(&at("attributes")), is(stat_of(FileKind::Directory, 0, 0o2755)))
        .does(set(&at("attributes"), 0o755, "", ""))
        .op(stat(&at("attributes")), is(stat_of(FileKind::Directory, 0, 0o755)))
}

fn appending() -> Case {
    let path = at("appending/log");
    let append =
        |path: &str, text: &str, sync| Op::Append { path: path.to_owned(), bytes: text.as_bytes().to_vec(), sync };
    case("appending")
        .does(append(&path, "one\n", false))
        .does(append(&path, "two", true))
        .does(append(&path, "", false))
        .op(read(&path), bytes("one\ntwo"))
        .op(stat(&path), is(stat_of(FileKind::File, 7, 0o644)))
        .op(append(&at("appending/no/log"), "", false), Fails(NotFound))
        .op(append(&at("appending"), "x", false), Fails(IsADirectory))
}

fn reading_many() -> Case {
    let many = |suffix: &str| Op::ReadAll { path: at("many"), suffix: suffix.to_owned() };
    let files = |names: &[&str]| {
        let pair = |name: &&str| ((*name).to_owned(), name.as_bytes().to_vec());
        Is(OpValue::Files(names.iter().map(pair).collect()))
    };
    let mut case = case("many").does(dir(&at("many/dir.conf"))).does(link(&at("many/link.conf"), "a.conf"));
    for name in ["a.conf", ".conf", ".hidden.conf", "b.conf\n", "b.txt", "two words.conf"] {
        case = case.does(write(&at(&format!("many/{name}")), name));
    }
    case.op(many(".conf"), files(&["a.conf", ".conf", ".hidden.conf", "two words.conf"]))
        .op(many(".t*t"), files(&[]))
        .op(many(""), files(&["a.conf", ".conf", ".hidden.conf", "b.conf\n", "b.txt", "two words.conf"]))
}

fn guards() -> Case {
    let path = at("guards/101.conf");
    let guarded = |text: &str, expect: &str| Op::Write {
        path: at("guards/101.conf"),
        content: phoenix::op::Content::Bytes(text.as_bytes().into()),
        attributes: Default::default(),
        guard: Some(Guard { lock: at("guards/lock"), expect: expect.to_owned() }),
    };
    // SHA-256 of `one`.
    let one = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    case("guards")
        .op(guarded("two", one), Fails(Conflict))
        .does(write(&path, "one"))
        .does(guarded("two", one))
        .op(guarded("three", one), Fails(Conflict))
        .op(read(&path), bytes("two"))
        .op(list(&at("guards")), entries(&[("101.conf", FileKind::File), ("lock", FileKind::File)]))
}

/// A failed change ends a batch; a failed read does not.
fn batches() -> Case {
    let path = at("batches/file");
    case("batches")
        .batch([
            (read(&at("batches")), Fails(IsADirectory)),
            (write(&path, "1"), Is(OpValue::Done)),
            (read(&path), bytes("1")),
            (write(&at("batches/no/file"), "a payload that nobody takes"), Fails(NotFound)),
            (write(&path, "2"), Fails(NotRun)),
            (read(&path), Fails(NotRun)),
        ])
        .batch([(read(&path), bytes("1")), (remove(&path), Is(OpValue::Done)), (stat(&path), Is(OpValue::Stat(None)))])
}
