//! Files, directories, links, lines, blocks, JSON, templates, downloads.

use phoenix::event::Event;
use phoenix::machine::{Block, File, Line, MachineError, SealedJson, Source};
use phoenix::op::{Attributes, Content, Op, OpValue};
use phoenix::secret::{Sealed, SecretName};
use serde_json::json;

use super::bench::{Bench, Models, converges, silent};

fn plain(text: &str) -> File {
    File::text(Sealed::plain(text))
}

fn mode(mode: u32) -> Attributes {
    Attributes { mode: Some(mode), ..Attributes::default() }
}

fn stat(bench: &Bench, path: &str) -> phoenix::op::Stat {
    match bench.prepare(Op::Stat { path: path.to_owned() }) {
        OpValue::Stat(Some(stat)) => stat,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_file_is_written_once_and_its_diff_told() {
    let bench = Bench::new();
    bench.put("/etc/x.conf", "a\nb\nc\n");
    let change = converges(&bench, |machine| machine.file("/etc/x.conf", &plain("a\nB\nc\n")));
    insta::assert_snapshot!(change.diff(), @r"
    --- /etc/x.conf
    +++ /etc/x.conf
    @@ -1,3 +1,3 @@
     a
    -b
    +B
     c
    ");
}

#[test]
fn a_right_file_costs_one_round_trip() {
    let bench = Bench::new();
    bench.put("/etc/x.conf", "a\n");
    bench.quiet();
    bench.machine().file("/etc/x.conf", &plain("a\n")).unwrap();
    assert_eq!(bench.trips(), 1);
}

#[test]
fn only_what_differs_of_mode_and_owner_is_told() {
    let bench = Bench::new();
    bench.put("/etc/x.conf", "a\n");
    let options = File { attributes: mode(0o640), ..plain("a\n") };
    let change = converges(&bench, |machine| machine.file("/etc/x.conf", &options));
    let told: Vec<_> =
        change.differences.iter().map(|d| (d.what.as_str(), d.from.as_deref(), d.to.as_deref())).collect();
    assert_eq!(told, [("/etc/x.conf mode", Some("0644"), Some("0640"))]);
}

#[test]
fn a_file_without_content_is_made_empty_and_then_left_alone() {
    let bench = Bench::new();
    let options = File { attributes: mode(0o600), ..File::default() };
    converges(&bench, |machine| machine.file("/var/log/x.log", &options));
    bench.put("/var/log/x.log", "lines\n");
    bench.machine().file("/var/log/x.log", &options).unwrap();
    assert_eq!(bench.text("/var/log/x.log").unwrap(), "lines\n");
    assert_eq!(stat(&bench, "/var/log/x.log").mode, 0o600);
}

#[test]
fn a_symlink_gives_way_to_a_file_and_a_directory_does_not() {
    let bench = Bench::new();
    bench.put("/etc/real", "same\n");
    bench.prepare(Op::Link { path: "/etc/x".to_owned(), target: "/etc/real".to_owned() });
    let change = converges(&bench, |machine| machine.file("/etc/x", &plain("same\n")));
    assert_eq!(change.differences[0].from.as_deref(), Some("link to /etc/real"));
    let error = bench.machine().file("/etc", &plain("x")).unwrap_err();
    assert_eq!(error.to_string(), "/etc: is a directory, not a file");
}

#[test]
fn a_missing_directory_is_an_error_with_a_hint() {
    let error = Bench::new().machine().file("/no/such/x", &plain("x")).unwrap_err();
    assert!(error.hint().unwrap().contains("`dir`"), "{error}");
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let machine = Bench::new().machine();
    for path in ["x", "/etc/../root/x", "", "/a\nb"] {
        assert!(matches!(machine.file(path, &plain("x")), Err(MachineError::Invalid(_))), "{path}");
    }
}

/// `good` accepts files that hold the word, as a validating program does.
fn validator() -> Bench {
    let mut models = Models::default();
    models.programs.insert("good", |call, inside| {
        let path = call.args().first().cloned().unwrap_or_else(|| "/etc/x.conf".to_owned());
        let Ok(OpValue::Bytes(Some(bytes))) = inside.perform(&Op::Read { path, limit: 1000 }) else { return None };
        Some(match String::from_utf8_lossy(&bytes).contains("good") {
            true => phoenix::command::Output::success(""),
            false => phoenix::command::Output::failure(1, "line 1: not good\n"),
        })
    });
    let bench = Bench::with(models);
    bench.put("/usr/bin/good", "#!");
    bench.prepare(Op::SetAttributes { path: "/usr/bin/good".to_owned(), attributes: mode(0o755) });
    bench
}

#[test]
fn a_file_is_validated_before_it_comes_into_place() {
    let bench = validator();
    bench.put("/etc/x.conf", "good old\n");
    let validated = |text: &str| File { validate: vec!["good".to_owned(), "%s".to_owned()], ..plain(text) };
    converges(&bench, |machine| machine.file("/etc/x.conf", &validated("good new\n")));
    let error = bench.machine().file("/etc/x.conf", &validated("bad\n")).unwrap_err();
    assert_eq!(error.output(), Some("line 1: not good"));
    assert_eq!(bench.text("/etc/x.conf").unwrap(), "good old\n");
    assert_eq!(bench.text("/etc/x.conf.phoenix-new"), None);
}

#[test]
fn a_file_that_is_validated_in_place_is_put_back() {
    let bench = validator();
    let validated = |text: &str| File { validate: vec!["good".to_owned()], ..plain(text) };
    let error = bench.machine().file("/etc/x.conf", &validated("bad\n")).unwrap_err();
    assert!(matches!(error, MachineError::Exec { .. }));
    assert_eq!(bench.text("/etc/x.conf"), None);
    converges(&bench, |machine| machine.file("/etc/x.conf", &validated("good\n")));
    bench.put("/etc/x.conf", "good old\n");
    bench.machine().file("/etc/x.conf", &validated("bad\n")).unwrap_err();
    assert_eq!(bench.text("/etc/x.conf").unwrap(), "good old\n");
    // Wherever it is cut off, a bad file never stays, whether there was one before or not.
    for (cut, before) in (0..5).flat_map(|cut| [(cut, Some("good old\n")), (cut, None)]) {
        let bench = bench.fork();
        if before.is_none() {
            bench.prepare(Op::Remove { path: "/etc/x.conf".to_owned(), recursive: false });
        }
        bench.cut_off_after(cut);
        bench.machine().file("/etc/x.conf", &validated("bad\n")).unwrap_err();
        bench.cut_off_after(100);
        bench.machine().file("/etc/x.conf", &validated("bad\n")).unwrap_err();
        assert_eq!(bench.text("/etc/x.conf").as_deref(), before, "cut off after {cut}");
        assert_eq!(bench.prepare(Op::Stat { path: "/etc/x.conf.phoenix-old".to_owned() }), OpValue::Stat(None));
    }
    converges(&bench, |machine| machine.file("/etc/x.conf", &validated("good new\n")));
}

#[test]
fn secrets_never_show_in_a_diff() {
    let bench = Bench::new();
    bench.put("/etc/db.conf", "user=app\npassword=0ldSecret\nport=1\n");
    let secret = Sealed::named(&SecretName("db".to_owned()), "n3wSecret");
    let text = |value: &str| format!("user=app\npassword={value}\nport=2\n");
    let content = Sealed::new(text(secret.expose()), text(secret.shown()));
    let (machine, events) = bench.reporting();
    let change = machine.file("/etc/db.conf", &File::text(content)).unwrap();
    insta::assert_snapshot!(change.diff(), @r"
    --- /etc/db.conf
    +++ /etc/db.conf
    @@ -1,3 +1,3 @@
     user=app
    -<masked>
    -<masked>
    +password=<secret db>
    +port=2
    ");
    let told = format!("{change:?} {:?}", events.events());
    assert!(!told.contains("0ldSecret") && !told.contains("n3wSecret"), "{told}");
    assert!(bench.text("/etc/db.conf").unwrap().contains("n3wSecret"));
}

#[test]
fn what_not_everybody_may_read_is_masked() {
    let bench = Bench::new();
    bench.put("/etc/x", "token=abc\nkept=1\n");
    bench.prepare(Op::SetAttributes { path: "/etc/x".to_owned(), attributes: mode(0o600) });
    let change = bench.machine().file("/etc/x", &plain("kept=1\n")).unwrap();
    assert!(change.diff().contains("-<masked>") && !change.diff().contains("abc"), "{}", change.diff());
}

#[test]
fn changes_are_reported_as_they_are_done() {
    let bench = Bench::new();
    let (machine, events) = bench.reporting();
    machine.file("/etc/x", &plain("x\n")).unwrap();
    let changes: Vec<_> = events.events().into_iter().filter(|e| matches!(e.event, Event::Change { .. })).collect();
    assert_eq!(changes.len(), 1);
}

#[test]
fn directories_and_links() {
    let bench = Bench::new();
    converges(&bench, |machine| machine.dir("/srv/a/b/", &mode(0o750)));
    bench.machine().dir("/srv/a/b", &mode(0o755)).unwrap();
    assert_eq!(stat(&bench, "/srv/a/b").mode, 0o755);
    converges(&bench, |machine| machine.dir("/srv/a/b", &mode(0o700)));
    silent(&bench, |machine| machine.dir("/bin", &mode(0o755)));
    bench.put("/srv/f", "");
    assert!(bench.machine().dir("/srv/f", &mode(0o755)).unwrap_err().to_string().contains("not a directory"));

    converges(&bench, |machine| machine.link("/etc/l", "../srv/a"));
    bench.machine().link("/etc/l", "../srv/a").unwrap();
    let change = converges(&bench, |machine| machine.link("/etc/l", "/srv/f"));
    assert_eq!(change.differences[0].from.as_deref(), Some("../srv/a"));
    assert!(bench.machine().link("/srv/f", "/x").unwrap_err().hint().unwrap().contains("absent"));
}

#[test]
fn absent_takes_whole_directories_only_when_told() {
    let bench = Bench::new();
    bench.put("/srv/a/f", "x");
    bench.prepare(Op::Link { path: "/srv/l".to_owned(), target: "/nowhere".to_owned() });
    let error = bench.machine().absent("/srv/a", false).unwrap_err();
    assert!(error.hint().unwrap().contains("recursive"));
    assert!(matches!(bench.machine().absent("/etc", true), Err(MachineError::Invalid(_))));
    converges(&bench, |machine| machine.absent("/srv/a", true));
    let change = converges(&bench, |machine| machine.absent("/srv/l", false));
    assert_eq!(change.differences[0].to, None);
    silent(&bench, |machine| machine.absent("/nothing/here", false));
}

#[test]
fn lines_and_blocks() {
    let bench = Bench::new();
    bench.put("/etc/x", "a\n#key=0\nb\n");
    let options = Line { matching: Some("^#?key=".to_owned()), ..Line::default() };
    converges(&bench, |machine| machine.line("/etc/x", &Sealed::plain("key=1"), &options));
    converges(&bench, |machine| machine.line("/etc/new", &Sealed::plain("key=1"), &Line::default()));
    let gone = Line { absent: true, ..Line::default() };
    converges(&bench, |machine| machine.line("/etc/x", &Sealed::plain("b"), &gone));
    silent(&bench, |machine| machine.line("/etc/x", &Sealed::plain("z"), &gone));
    let bad = Line { matching: Some("(".to_owned()), ..Line::default() };
    let error = bench.machine().line("/etc/x", &Sealed::plain("a"), &bad).unwrap_err();
    assert!(error.to_string().starts_with("`(` is no regular expression"), "{error}");

    converges(&bench, |machine| machine.block("/etc/x", "mine", &Sealed::plain("1\n2\n"), &Block::default()));
    bench.put("/etc/broken", "# BEGIN phoenix mine\n1\n");
    let broken = bench.machine().block("/etc/broken", "mine", &Sealed::plain("1"), &Block::default());
    assert!(broken.unwrap_err().to_string().contains("without"));
    // Removing a region that was never there makes no file.
    silent(&bench, |machine| machine.block("/etc/none", "mine", &Sealed::plain(""), &Block::default()));
    silent(&bench, |machine| machine.line("/etc/none", &Sealed::plain("a"), &gone));
}

#[test]
fn edits_follow_symlinks_and_leave_them() {
    let bench = Bench::new();
    // As Debian 13 has it: the old place leads to the new one, which may not exist yet.
    bench.prepare(Op::Remove { path: "/etc/default/locale".to_owned(), recursive: false });
    bench.prepare(Op::Link { path: "/etc/default/locale".to_owned(), target: "../locale.conf".to_owned() });
    converges(&bench, |machine| machine.line("/etc/default/locale", &Sealed::plain("LANG=C.UTF-8"), &Line::default()));
    bench.machine().line("/etc/default/locale", &Sealed::plain("LANG=C.UTF-8"), &Line::default()).unwrap();
    assert_eq!(bench.text("/etc/locale.conf").unwrap(), "LANG=C.UTF-8\n");
    assert_eq!(stat(&bench, "/etc/default/locale").target.as_deref(), Some("../locale.conf"));
    bench.prepare(Op::Link { path: "/srv/a".to_owned(), target: "b".to_owned() });
    bench.prepare(Op::Link { path: "/srv/b".to_owned(), target: "/srv/a".to_owned() });
    let error = bench.machine().line("/srv/a", &Sealed::plain("x"), &Line::default()).unwrap_err();
    assert!(error.to_string().contains("in circles"), "{error}");
    assert!(bench.machine().line("/etc", &Sealed::plain("x"), &Line::default()).is_err());
}

#[test]
fn json_whole_and_by_member() {
    let bench = Bench::new();
    let value = SealedJson::from(json!({"b": 1, "a": {"x": [1, 2]}}));
    converges(&bench, |machine| machine.json("/etc/d.json", &value, &mode(0o644)));
    bench.put("/etc/d.json", "{\"a\":{\"x\":[1,2]},  \"b\":1}");
    silent(&bench, |machine| machine.json("/etc/d.json", &value, &mode(0o644)));

    let secret = SealedJson { real: json!({"p": "s\"x"}), shown: json!({"p": "<secret p>"}) };
    let change = converges(&bench, |machine| machine.json_set("/etc/d.json", "a.auth", &secret, &mode(0o600)));
    assert!(!format!("{change:?}").contains("s\\\"x"), "{change:?}");
    bench.machine().json_set("/etc/d.json", "a.auth", &secret, &mode(0o600)).unwrap();
    let text: serde_json::Value = serde_json::from_str(&bench.text("/etc/d.json").unwrap()).unwrap();
    assert_eq!(text, json!({"a": {"x": [1, 2], "auth": {"p": "s\"x"}}, "b": 1}));
    bench.put("/etc/bad.json", "{");
    let error = bench.machine().json_set("/etc/bad.json", "a", &secret, &mode(0o600)).unwrap_err();
    assert!(error.to_string().starts_with("/etc/bad.json: is no JSON"), "{error}");
}

#[test]
fn a_template_is_a_file() {
    let bench = Bench::new();
    let variables = SealedJson::from(json!({"name": "x", "ports": [80, 443]}));
    let source = "server {{ name }};\n{% for port in ports %}\nlisten {{ port }};\n{% endfor %}\n";
    converges(&bench, |machine| machine.template("/etc/t.conf", "t.conf", source, &variables, &File::default()));
    bench.machine().template("/etc/t.conf", "t.conf", source, &variables, &File::default()).unwrap();
    assert_eq!(bench.text("/etc/t.conf").unwrap(), "server x;\nlisten 80;\nlisten 443;\n");
}

#[test]
fn reading_tells_text_from_everything_else() {
    let bench = Bench::new();
    bench.put("/etc/x", "text\n");
    let machine = bench.machine();
    assert_eq!(machine.read("/etc/x").unwrap().as_deref(), Some("text\n"));
    assert_eq!(machine.read("/etc/none").unwrap(), None);
    assert!(machine.exists("/etc").unwrap() && !machine.exists("/etc/none").unwrap());
    assert_eq!(machine.publish("/etc/x").unwrap(), "text\n");
    assert!(machine.publish("/etc/none").unwrap_err().to_string().contains("does not exist"));
    bench.put("/etc/empty", " \n");
    assert!(machine.publish("/etc/empty").unwrap_err().to_string().contains("is empty"));
    bench.prepare(Op::Write {
        path: "/etc/bin".to_owned(),
        content: Content::Bytes(vec![0xff, 0xfe].into()),
        attributes: Attributes::default(),
        guard: None,
    });
    assert!(machine.read("/etc/bin").unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn downloads_come_through_the_cache_of_the_node() {
    let bench = Bench::new();
    let source = Source {
        url: "https://example.org/tool-1.tar.gz".to_owned(),
        sha256: Some("ab".repeat(32)),
        member: Some("tool".to_owned()),
    };
    converges(&bench, |machine| machine.download("/usr/local/bin/tool", &source, &mode(0o755)));
    bench.machine().download("/usr/local/bin/tool", &source, &mode(0o755)).unwrap();
    assert_eq!(stat(&bench, "/usr/local/bin/tool").mode, 0o755);
    bench.quiet();
    bench.machine().download("/opt/tool", &source, &mode(0o755)).unwrap();
    assert!(!bench.changes().iter().any(|op| op.starts_with("fetch")), "fetched twice");
    // Another archive is another file, also when the one inside has the same name.
    let newer = Source { sha256: Some("cd".repeat(32)), ..source.clone() };
    converges(&bench, |machine| machine.download("/usr/local/bin/tool", &newer, &mode(0o755)));
    // Edited by hand: brought back.
    bench.put("/usr/local/bin/tool", "other");
    converges(&bench, |machine| machine.download("/usr/local/bin/tool", &source, &mode(0o755)));

    let whole = Source { member: None, ..source.clone() };
    converges(&bench, |machine| machine.download("/srv/tool.tar.gz", &whole, &mode(0o644)));
    let machine = bench.machine();
    let bad = Source { sha256: Some("abc".to_owned()), ..source.clone() };
    assert!(machine.download("/x", &bad, &mode(0o644)).unwrap_err().to_string().contains("no SHA-256"));
    let open = Source { sha256: None, url: "http://example.org/x".to_owned(), member: None };
    assert!(machine.download("/x", &open, &mode(0o644)).unwrap_err().to_string().contains("needs a digest"));
}

#[test]
fn a_download_that_fails_says_what_to_check() {
    let bench = Bench::new();
    let url = "https://example.org/x".to_owned();
    let source = Source { url, sha256: Some("ef".repeat(32)), member: None };
    let line = format!("fetch {} to /var/lib/phoenix/cache/x.{}", source.url, "ef".repeat(32));
    bench.fail(&line, phoenix::op::OpErrorKind::Conflict, "has the digest 00, not ef");
    let error = bench.machine().download("/opt/x", &source, &mode(0o644)).unwrap_err();
    assert_eq!(error.to_string(), "https://example.org/x: has the digest 00, not ef");
    assert!(error.hint().unwrap().contains("`sha256`"));
}
