//! Secrets in a script's hand: put in on the way into the machine, and shown nowhere.

use std::collections::BTreeSet;

use phoenix::command::Effect;
use phoenix::script::reference::{Caller, groups};
use phoenix::script::signature::Kind;
use phoenix::testing::Declared;

use super::stage::{Stage, shown};

/// What every verb does with a secret that takes one: the option, and a line of a script. `S` is the secret.
const USES: &[(&str, &str, &str)] = &[
    ("file", "content", "guest.file(\"/srv/file\", #{ content: `a ${S}` });"),
    ("template", "vars", "guest.template(\"/srv/template\", #{ source: \"t.j2\", vars: #{ s: S } });"),
    ("line", "line", "guest.line(\"/srv/line\", `password=${S}`, #{ mode: \"0600\" });"),
    ("block", "text", "guest.block(\"/srv/block\", \"x\", `one\n${S}`);"),
    ("json", "value", "guest.json(\"/srv/json\", #{ deep: [#{ s: S }] });"),
    ("json_set", "value", "guest.json_set(\"/srv/json_set\", \"a.b\", S);"),
    (
        "unit",
        "content",
        "guest.unit(\"x.service\", #{ content: `[Service]\nEnvironment=T=${S}\nExecStart=/bin/true\n` });",
    ),
    ("exec", "env", "guest.exec(\"printenv TOKEN\", #{ env: #{ TOKEN: S } });"),
    ("exec", "stdin", "guest.exec([\"tee\", \"/srv/stdin\"], #{ stdin: S });"),
    ("probe", "env", "guest.probe(\"printenv TOKEN >&2\", #{ env: #{ TOKEN: S } });"),
    ("probe", "stdin", "guest.probe([\"cat\"], #{ stdin: S });"),
    (
        "http",
        "headers",
        "try { guest.http(\"http://192.0.2.9/\", #{ headers: #{ Authorization: S } }); } catch (e) { warn(e.message); }",
    ),
    (
        "http",
        "body",
        "try { guest.http(\"http://192.0.2.9/\", #{ method: \"POST\", body: S }); } catch (e) { warn(e.message); }",
    ),
    ("http", "roots", "try { guest.http(\"https://192.0.2.9/\", #{ roots: S }); } catch (e) { warn(e.message); }"),
    (
        "wait_for",
        "roots",
        "try { guest.wait_for(#{ http: \"https://192.0.2.9/\", roots: S, timeout: 1 }); } catch (e) { warn(e.message); }",
    ),
    (
        "compose",
        "content",
        "try { guest.compose(\"a\", #{ content: `services: {x: {image: ${S}}}` }); } catch (e) { warn(e.message); }",
    ),
    (
        "compose",
        "vars",
        "try { guest.compose(\"b\", #{ source: \"t.j2\", vars: #{ s: S } }); } catch (e) { warn(e.message); }",
    ),
    (
        "compose",
        "env",
        "try { guest.compose(\"c\", #{ content: \"services: {}\", env: #{ TOKEN: S } }); } catch (e) { warn(e.message); }",
    ),
];

/// Where a secret is no more than its name: messages and what fails.
const TELLING: &[&str] = &[
    "info(`it is ${S}`);",
    "warn(S);",
    "try { fail(`no ${S}`); } catch (e) { info(e.message); }",
    "try { guest.exec(\"printenv TOKEN >&2; false\", #{ env: #{ TOKEN: S } }); } catch (e) { info(e.message + e.output); }",
];

/// What a script may not do with it, and does not tell it in refusing.
const REFUSED: &[&str] = &[
    "guest.exec([\"echo\", S]);",
    "guest.dir(`/srv/${S}`);",
    "guest.packages(S);",
    "guest.sysctl(\"x\", #{ \"net.core.somaxconn\": S });",
    "guest.user(\"a\", #{ shell: \"/bin/sh\", groups: [S] });",
    "guest.json_set(\"/srv/x\", S, 1);",
    "guest.mount(\"/mnt\", #{ source: S, fstype: \"nfs4\" });",
    "guest.publish(\"x/y\", #{ value: S });",
    "let l = S.len(); if l > 0 { fail(S.upper()); }",
    "info(shell_quote(S));",
    "guest.file(\"/srv/v\", #{ content: S, validate: \"cat %s; false\" });",
    "guest.exec(\"printenv TOKEN; printenv TOKEN >&2; exit 3\", #{ env: #{ TOKEN: S } });",
];

fn stage(body: &str) -> Stage {
    let text = format!(
        "const FEATURE = #{{ name: \"x\", summary: \"s\", targets: [\"lxc\"], publishes: [\"x/y\"] }};\n\n\
         fn apply(guest, params) {{\n    let S = secret(\"canary\", #{{ generate: 40 }});\n    \
         guest.file(\"/root/canary\", #{{ content: S, mode: \"0600\" }});\n{body}\n}}\n"
    );
    let declared = Declared { packages: vec!["curl".to_owned()], ..Declared::default() };
    Stage::with(&[("features/x.rhai", &text), ("features/x/t.j2", "{{ s }}\n")], &declared)
}

/// The secret's value, and everything that was told while the script ran: events as they are kept and shown, and the
/// values that went to the host as they are shown.
fn told(stage: &Stage) -> (String, String) {
    let canary = stage.text("/root/canary").expect("the secret was put in");
    assert_eq!(canary.len(), 40);
    let events: Vec<String> = stage
        .stand
        .events()
        .iter()
        .map(|event| format!("{event:?}\n{}", serde_json::to_string(event).unwrap()))
        .collect();
    assert!(events.len() > 2, "nothing was told");
    (canary, events.join("\n"))
}

#[test]
fn whatever_takes_a_secret_shows_it_nowhere() {
    let body = USES
        .iter()
        .map(|(_, _, line)| format!("    {line}\n"))
        .chain(TELLING.iter().map(|line| format!("    {line}\n")));
    let stage = stage(&body.collect::<String>());
    if let Err(error) = stage.apply() {
        panic!("{}", shown(&error));
    }
    let (canary, told) = told(&stage);
    let leak = told.lines().find(|line| line.contains(&canary));
    assert!(leak.is_none(), "{leak:?}");
    for path in ["file", "template", "line", "block", "json", "json_set", "stdin"] {
        let text = stage.text(&format!("/srv/{path}")).unwrap_or_default();
        assert!(text.contains(&canary), "it did not arrive in {path}: {text}");
    }
}

#[test]
fn every_option_that_takes_a_secret_is_among_them() {
    let mut all = BTreeSet::new();
    for signature in groups(Caller::Script).into_iter().flat_map(|group| group.signatures) {
        let takes = signature.args.iter().chain(signature.options).filter(|parameter| parameter.kind.takes_secrets());
        all.extend(takes.map(|parameter| (signature.name, parameter.name)));
    }
    assert!(Kind::ALL.iter().any(|kind| kind.takes_secrets()));
    let tried: BTreeSet<(&str, &str)> = USES.iter().map(|(verb, option, _)| (*verb, *option)).collect();
    assert_eq!(all, tried);
}

#[test]
fn what_would_show_a_secret_is_refused_without_telling_it() {
    for line in REFUSED {
        let stage = stage(&format!("    {line}"));
        let error = match stage.apply() {
            Err(error) => error,
            Ok(_) => panic!("{line}: was done"),
        };
        // What is refused before anything ran has not even made the secret.
        let Some(canary) = stage.text("/root/canary") else { continue };
        let all = format!("{}\n{:?}\n{}", shown(&error), error, told(&stage).1);
        assert!(!all.contains(&canary), "{line}: {}", shown(&error));
    }
}

#[test]
fn arguments_of_programs_hold_no_secret() {
    let body = USES.iter().map(|(_, _, line)| format!("    {line}\n"));
    let stage = stage(&body.collect::<String>());
    stage.apply().unwrap();
    let (canary, _) = told(&stage);
    for event in stage.stand.events() {
        if let phoenix::event::Event::Did { what, effect, .. } = event {
            assert!(!what.contains(&canary), "{what} ({})", if effect == Effect::Read { "read" } else { "change" });
        }
    }
}
