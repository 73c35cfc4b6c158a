//! Scripts at work: what they bring about, how they fail, what ends them, and that secrets stay secret.

use std::time::Duration;

use phoenix::event::Event;
use phoenix::script::{Entry, ScriptError, StagedGuest};
use phoenix::testing::Declared;
use serde_json::json;

use super::stage::{Stage, feature, shown};

macro_rules! snapshot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({ snapshot_path => "../snapshots/script", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

#[test]
fn what_is_right_already_is_left_alone() {
    let stage = Stage::new(&[
        (
            "features/x.rhai",
            &feature(
                ", params: #{ greeting: #{ type: \"string\", fallback: \"hello\" } }",
                r##"
                section("files");
                let made = guest.dir("/srv/x", #{ mode: "0750" });
                guest.file("/srv/x/motd", #{ content: `${params.greeting} from ${guest.fqdn} at ${guest.ip}\n` });
                guest.template("/srv/x/x.conf", #{ source: "x.conf.j2", vars: #{ port: 8080, names: ["a", "b"] } });
                guest.json("/srv/x/x.json", #{ "default": true, list: [1, 2] });
                guest.json_set("/srv/x/y.json", "deep.er", 5);
                guest.line("/srv/x/lines", "one=1", #{ matching: "^one=" });
                guest.block("/srv/x/lines", "ours", "two\nthree");
                guest.link("/srv/x/link", "motd");
                guest.file("/srv/x/asset", #{ source: "asset.txt" });
                section("accounts");
                guest.user("worker", #{ system: true, home: "/srv/x", groups: ["adm"] });
                section("programs");
                let ran = guest.exec(["true"], #{ watch: ["/srv/x/motd"] });
                if any_changed([made, ran]) {
                    info("something is new");
                }
                "##,
            ),
        ),
        ("features/x/x.conf.j2", "listen {{ port }};\n{% for name in names %}name {{ name }};\n{% endfor %}"),
        ("features/x/asset.txt", "an asset\n"),
    ]);
    assert!(stage.apply().unwrap().changed);
    // Backticks know no escapes.
    assert_eq!(stage.text("/srv/x/motd").unwrap(), "hello from guest.example.org at 192.0.2.200\\n");
    assert_eq!(stage.text("/srv/x/x.conf").unwrap(), "listen 8080;\nname a;\nname b;\n");
    assert_eq!(stage.text("/srv/x/asset").unwrap(), "an asset\n");
    assert!(stage.text("/srv/x/lines").unwrap().contains("two\nthree\n"));
    let before = stage.stand.did().len();
    let again = stage.apply().unwrap();
    assert_eq!(stage.stand.did()[before..], [] as [String; 0]);
    assert!(!again.changed);
}

#[test]
fn a_failure_shows_the_line_the_way_there_and_the_command() {
    let stage = Stage::new(&[
        (
            "features/x.rhai",
            "import \"lib/deep\" as deep;\n\nconst FEATURE = #{ name: \"x\", summary: \"s\", targets: [\"lxc\"] };\n\n\
             fn apply(guest, params) {\n    section(\"first\");\n    inner(guest, 5);\n}\n\n\
             private fn inner(guest, number) {\n    deep::down(guest, number);\n}\n",
        ),
        (
            "features/lib/deep.rhai",
            "fn down(guest, number) {\n    let run = || guest.exec([\"cat\", `/nowhere/${number}`], #{ creates: \"/x\" });\n    \
             run.call();\n}\n",
        ),
    ]);
    snapshot!("failure_in_a_module", stage.failure());
}

#[test]
fn failures_of_the_script_itself_say_what_to_do() {
    let cases = [
        ("failure_said", "fail(\"the port is taken\", #{ hint: \"stop the other service\" });"),
        ("failure_thrown", "throw `no ${guest.name}`;"),
        ("failure_missing_key", "let m = #{ a: 1 };\n    info(m.b);"),
        ("failure_type", "let n = parse_json(\"[1, 2]\");\n    info(n - 1);"),
        ("failure_option", "let options = #{};\n    options.contnet = \"x\";\n    guest.file(\"/x\", options);"),
        ("failure_value", "let path = \"relative\";\n    guest.dir(path);"),
        ("failure_wait", "guest.wait_for(#{ port: 81, timeout: 5 });"),
    ];
    for (name, body) in cases {
        snapshot!(name, Stage::of_body(&format!("    {body}")).failure());
    }
}

#[test]
fn mistakes_are_said_before_anything_runs() {
    let stage = Stage::of_body("    guest.dir(\"/made\");\n    guest.fiel(\"/x\", #{});");
    assert!(matches!(stage.apply(), Err(ScriptError::Invalid(findings)) if findings.len() == 1));
    assert_eq!(stage.text("/made"), None);
    snapshot!("failure_invalid", stage.failure());
}

#[test]
fn loops_floods_and_recursion_are_ended() {
    let endless = Stage::of_body("    let n = 0;\n    loop { n += 1; }").failure();
    assert!(endless.contains("operations") && endless.contains("features/x.rhai"), "{endless}");
    let caught = Stage::of_body("    try { let n = 0; loop { n += 1; } } catch { }").failure();
    assert!(caught.contains("operations"), "{caught}");
    let flood = Stage::of_body("    let s = \"x\";\n    loop { s += s; }").failure();
    assert!(flood.contains("grew beyond its limit"), "{flood}");
    let list = Stage::of_body("    let s = [1];\n    loop { s += s; }").failure();
    assert!(list.contains("grew beyond its limit"), "{list}");
    let deep = Stage::new(&[(
        "features/x.rhai",
        &(feature("", "    down(1);") + "\nprivate fn down(n) {\n    down(n + 1)\n}\n"),
    )])
    .failure();
    assert!(deep.contains("32 levels"), "{deep}");
}

#[test]
fn ctrl_c_ends_a_script_wherever_it_is() {
    for body in ["loop { }", "try { loop { } } catch { }", "loop { sleep(1); }", "retry(1000000, 1000, || false);"] {
        let stage = Stage::of_body(body);
        let interrupt = stage.stand.interrupt().clone();
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            interrupt.set();
        });
        let ended = stage.apply();
        later.join().unwrap();
        assert!(matches!(ended, Err(ScriptError::Interrupted)), "{body}: {ended:?}");
    }
}

#[test]
fn a_script_ends_at_its_own_time_limit() {
    let stage = Stage::new(&[(
        "features/x.rhai",
        &feature(", timeout: 60", "    try { for n in 0..100 { sleep(10); } } catch { }"),
    )]);
    assert!(stage.failure().contains("`x` did not finish within 60 s"));
}

#[test]
fn fail_can_be_caught_and_skip_cannot() {
    let stage = Stage::of_body(
        "    try { fail(\"no\"); } catch (e) { guest.file(\"/caught\", #{ content: e.kind + \": \" + e.message }); }\n    \
         try { skip(\"nothing to do here\"); } catch { fail(\"caught\"); }",
    );
    let report = stage.apply().unwrap();
    assert_eq!(report.skipped.as_deref(), Some("nothing to do here"));
    assert!(report.changed);
    assert_eq!(stage.text("/caught").unwrap(), "fail: no");
}

#[test]
fn exit_is_no_way_out() {
    assert!(Stage::of_body("    exit();").failure().contains("`exit` is switched off"));
}

#[test]
fn secrets_are_shown_nowhere() {
    const CANARY: &str = "canary-5f3a9c1b2d";
    let stage = Stage::new(&[(
        "features/x.rhai",
        &feature(
            ", params: #{ mode: #{ type: \"string\", fallback: \"\" } }",
            r##"
            let all = #{ canary: secret("canary") }; // where the checks lose sight of it
            let s = all.canary;
            guest.file("/etc/secret", #{ content: `token=${s}\n`, mode: "0600" });
            guest.json("/etc/secret.json", #{ token: s, list: [s] });
            guest.exec(["true"], #{ env: #{ TOKEN: s }, creates: "/nothing" });
            info(`the secret is ${s}`);
            print(s);
            if params.mode == "argv" { guest.exec(["echo", s], #{ creates: "/nothing" }); }
            if params.mode == "path" { guest.dir("/srv/" + s); }
            if params.mode == "helper" { info(s.trimmed()); }
            if params.mode == "sha" { info(s.sha256()); }
            if params.mode == "cut" { guest.file("/etc/cut", #{ content: s.sub_string(1) }); }
            if params.mode == "said" { fail(`bad ${s}`); }
            if params.mode == "echoed" { guest.exec("cat /etc/secret >&2; exit 3", #{ creates: "/nothing" }); }
            if params.mode == "thrown" { throw guest.read("/etc/secret"); }
            "##,
        ),
    )]);
    let store = phoenix::op::Op::Write {
        path: "/var/lib/phoenix/secrets/canary".to_owned(),
        content: phoenix::op::Content::Bytes(CANARY.as_bytes().into()),
        attributes: phoenix::op::Attributes { mode: Some(0o600), ..Default::default() },
        guard: None,
    };
    let make = phoenix::op::Op::MakeDir {
        path: "/var/lib/phoenix/secrets".to_owned(),
        attributes: phoenix::op::Attributes { mode: Some(0o700), ..Default::default() },
    };
    let made = stage.stand.host().perform(phoenix::op::Place::Node, &[make, store]).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");

    let mut seen = format!("{:?}", stage.apply().unwrap());
    assert_eq!(stage.text("/etc/secret").unwrap(), format!("token={CANARY}\\n"));
    assert!(stage.text("/etc/secret.json").unwrap().contains(CANARY));
    for mode in ["argv", "path", "helper", "sha", "cut", "said", "echoed", "thrown"] {
        let error = stage.run(Entry::Apply, json!({ "mode": mode })).unwrap_err();
        seen += &format!("{}\n{error:?}\n", shown(&error));
    }
    seen += &format!("{:?}", stage.stand.events());
    assert!(!seen.contains(CANARY), "{seen}");
    assert!(seen.contains("the secret is <secret canary>"));
    assert!(stage.stand.events().iter().any(|event| matches!(event, Event::Change { .. })));
}

#[test]
fn generated_secrets_stay_the_same() {
    let stage = Stage::of_body(
        "    guest.file(\"/one\", #{ content: secret(\"made\", #{ generate: 24 }) });\n    \
         guest.file(\"/two\", #{ content: secret(\"made\", #{ generate: 24 }) });",
    );
    assert!(stage.apply().unwrap().changed);
    assert_eq!(stage.text("/one").unwrap().len(), 24);
    assert_eq!(stage.text("/one"), stage.text("/two"));
    assert!(!stage.apply().unwrap().changed);
}

#[test]
fn artifacts_are_read_as_declared_and_published_as_declared() {
    let declared =
        Declared { artifacts: [("some/url".to_owned(), "https://192.0.2.9".to_owned())].into(), ..Declared::default() };
    let text = feature(
        ", consumes: [\"some/url\", \"not/there\"], publishes: [\"own/name\"]",
        "    guest.file(\"/url\", #{ content: `at ${artifact(\"some/url\")}` });\n    \
         guest.publish(\"own/name\", #{ value: guest.name });\n    \
         guest.publish(\"own/name\", \"/url\");\n    \
         artifact(\"not/there\");",
    );
    let stage = Stage::with(&[("features/x.rhai", &text)], &declared);
    let failure = stage.failure();
    assert!(failure.contains("nobody that this guest depends on has published `not/there`"), "{failure}");
    assert_eq!(stage.text("/url").unwrap(), "at https://192.0.2.9");
    assert_eq!(stage.stand.artifact("own/name").unwrap(), "at https://192.0.2.9");
}

#[test]
fn health_may_only_look() {
    let text = feature("", "    guest.dir(\"/srv/x\");")
        + "\nfn health(guest, params) {\n    if !guest.exists(\"/srv/x\") { fail(\"no /srv/x\"); }\n}\n";
    let stage = Stage::new(&[("features/x.rhai", &text)]);
    assert!(shown(&stage.run(Entry::Health, json!({})).unwrap_err()).contains("no /srv/x"));
    stage.apply().unwrap();
    stage.run(Entry::Health, json!({})).unwrap();
}

#[test]
fn params_may_refer_to_secrets_and_are_all_there() {
    let stage = Stage::new(&[(
        "features/x.rhai",
        &feature(
            ", params: #{ password: #{ type: \"secret\", required: true }, maybe: #{ type: \"string\" } }",
            "    guest.file(\"/p\", #{ content: params.password, mode: \"0600\" });\n    \
             guest.file(\"/maybe\", #{ content: params.maybe ?? \"none\" });",
        ),
    )]);
    let error = stage.run(Entry::Apply, json!({})).unwrap_err();
    assert!(error.to_string().contains("parameter `password` of `x` is required"), "{error}");
    let error = stage.run(Entry::Apply, json!({ "password": { "secret": "absent" } })).unwrap_err();
    assert!(error.to_string().contains("<secret absent>"), "{error}");
}

#[test]
fn prepare_says_what_a_guest_needs_and_only_looks_at_the_node() {
    let prepare = |body: &str| {
        let text = format!("{}\nfn prepare(node, guest, params) {{\n{body}\n}}\n", feature("", ""));
        Stage::new(&[("features/x.rhai", &text)]).run(Entry::Prepare, json!({}))
    };
    let prepared = prepare(
        r##"
        #{
            devices: ["/dev/fuse", #{ path: "/dev/net/tun", mode: "0660" }] + node.devices("/dev/nothing*"),
            mounts: [#{ source: `/srv/${guest.name}`, target: "/data", read_only: true }],
            features: #{ nesting: true, mount: "nfs" },
            lines: ["lxc.apparmor.profile: unconfined"],
        }"##,
    )
    .unwrap()
    .prepared;
    assert_eq!(prepared.devices["/dev/fuse"], "0666");
    assert_eq!(prepared.devices["/dev/net/tun"], "0660");
    assert_eq!((prepared.mounts[0].host_path.as_str(), prepared.mounts[0].read_only), ("/srv/guest", true));
    assert_eq!(prepared.features["nesting"], "1");
    assert_eq!(prepared.features["mount"], "nfs");
    assert_eq!(prepared.lines, [("lxc.apparmor.profile".to_owned(), "unconfined".to_owned())]);

    let wrong = |body: &str| shown(&prepare(body).unwrap_err());
    assert!(
        wrong("let asked = #{ device: [] }; asked")
            .contains("`prepare` cannot ask for `device`\nhint: did you mean `devices`?")
    );
    assert!(wrong("[guest][0].read(\"/x\")").contains("the guest may not exist yet"));
    assert!(wrong("node.file(\"/x\", #{})").contains("`prepare` may only look, but `file` changes the machine"));
}

#[test]
fn a_text_that_is_not_there_is_no_empty_text() {
    let failure = Stage::of_body("    guest.file(\"/copy\", #{ content: guest.read(\"/absent\") });").failure();
    assert!(failure.contains("`content` of `file` must be a text, not () (nothing)"), "{failure}");
}

#[test]
fn a_rehearsal_ends_where_it_cannot_know() {
    let stage = Stage::of_body(
        "    guest.dir(\"/srv/x\");\n    let ran = guest.exec([\"unheard-of\"], #{ creates: \"/y\" });\n    \
         guest.dir(\"/srv/y\");\n    info(ran.stdout);\n    guest.dir(\"/never\");",
    );
    let rehearsal = stage.stand.rehearsal();
    let running = phoenix::script::thread("script")
        .spawn(move || (rehearsal.run(Entry::Apply, "x", &json!({})), rehearsal.did()))
        .unwrap();
    let (ended, did) = running.join().unwrap();
    assert!(matches!(&ended, Err(ScriptError::Unknown { place, .. }) if place == "features/x.rhai:7"), "{ended:?}");
    assert_eq!(did, ["make directory /srv/x", "unheard-of", "make directory /srv/y"]);
    assert_eq!(stage.stand.did(), [] as [String; 0]);
    assert!(!stage.stand.machine().exists("/srv/x").unwrap());
}
