//! Forks, layers, and changes that can be applied again.

use phoenix::op::{Attributes, Content, Op, OpErrorKind, OpValue, UnitAction};
use phoenix::sandbox::body::{Body, BodyChange, Layers, Template};
use proptest::prelude::*;

use super::{around, booted, perform, read, write};

#[test]
fn a_fork_keeps_to_itself() {
    let mut base = Body::of_template(Template::Debian12);
    perform(&mut base, write("/srv/a", "one")).unwrap();
    let mut fork = base.fork();
    perform(&mut fork, write("/srv/a", "two")).unwrap();
    perform(&mut base, write("/srv/b", "three")).unwrap();
    assert_eq!(read(&mut base, "/srv/a").as_deref(), Some("one"));
    assert_eq!(read(&mut fork, "/srv/a").as_deref(), Some("two"));
    assert_eq!(read(&mut fork, "/srv/b"), None);
}

#[test]
fn machines_over_one_layer_share_it_in_the_world_file() {
    let mut base = Body::of_template(Template::Debian12);
    perform(&mut base, write("/srv/a", "one")).unwrap();
    let mut fork = base.fork();
    perform(&mut fork, write("/srv/b", "two")).unwrap();
    let mut layers = Layers::default();
    let saved = [layers.save(&base), layers.save(&fork)];
    assert_eq!(saved[0].layer, saved[1].layer);
    assert!(saved[0].changes.is_empty());
    assert_eq!(saved[1].changes.len(), 1);

    let mut read: Layers = serde_json::from_value(serde_json::to_value(&layers).unwrap()).unwrap();
    let mut loaded = saved.each_ref().map(|saved| read.load(saved).unwrap());
    assert!(loaded[0].equals(&base));
    assert!(loaded[1].equals(&fork));
    // What was read goes on sharing, and is entered once more only where it changed.
    let again = [read.save(&loaded[0].fork()), read.save(&loaded[1])];
    assert_eq!(again, saved);
}

#[test]
fn twenty_snapshots_of_one_machine_take_little_room() {
    let mut body = booted(Template::Debian12);
    let mut layers = Layers::default();
    layers.save(&body);
    let alone = serde_json::to_string(&layers).unwrap().len();
    for number in 0..20 {
        let mut snapshot = body.fork();
        perform(&mut body, write("/etc/motd", &format!("{number}"))).unwrap();
        perform(&mut snapshot, write("/etc/motd", "snapshot")).unwrap();
        layers.save(&snapshot);
    }
    let all = serde_json::to_string(&layers).unwrap().len();
    assert!(all < alone * 3 / 2, "one machine takes {alone} bytes, with twenty snapshots {all}");
}

#[test]
fn a_damaged_table_of_layers_is_refused() {
    let saved = serde_json::from_str(r#"{"layer": 3, "changes": []}"#).unwrap();
    assert_eq!(Layers::default().load(&saved).unwrap_err().to_string(), "layer 3 is not in the table of layers");
    let mut itself: Layers = serde_json::from_str(r#"[{"layer": 0, "changes": []}]"#).unwrap();
    let saved = serde_json::from_str(r#"{"layer": 0, "changes": []}"#).unwrap();
    assert!(itself.load(&saved).is_err());
    let change = serde_json::from_str(r#"{"append": {"path": "/no/where", "data": "x"}}"#).unwrap();
    let error = Body::default().apply(change).unwrap_err();
    assert_eq!(error.to_string(), "a recorded change of a machine does not fit: /no/where: No such file or directory");
}

#[test]
fn a_change_is_as_small_as_what_changed() {
    let mut body = Body::of_template(Template::Debian12);
    perform(&mut body, write("/srv/log", "one\n")).unwrap();
    body.take_changes();
    let append = Op::Append { path: "/srv/log".to_owned(), bytes: b"two\n".to_vec(), sync: true };
    perform(&mut body, append).unwrap();
    let changes = serde_json::to_string(&body.take_changes()).unwrap();
    assert_eq!(changes, r#"[{"append":{"path":"/srv/log","data":"two\n"}}]"#);
    perform(&mut body, Op::Stat { path: "/srv".to_owned() }).unwrap();
    assert_eq!(body.take_changes(), []);
}

#[test]
fn bytes_that_are_no_text_survive_the_world_file() {
    let mut body = Body::of_template(Template::Tiny);
    let bytes: Vec<u8> = (0..=255).collect();
    let content = Content::Bytes(bytes.clone().into());
    let op = Op::Write { path: "/srv/b".to_owned(), content, attributes: Attributes::default(), guard: None };
    perform(&mut body, op).unwrap();
    let mut other = Body::of_template(Template::Tiny);
    replay(&mut other, body.take_changes());
    let read = perform(&mut other, Op::Read { path: "/srv/b".to_owned(), limit: 256 }).unwrap();
    assert_eq!(read, OpValue::Bytes(Some(bytes)));
    assert_eq!(other.take_changes(), [], "what was applied is no news");
}

#[test]
fn a_full_disk_takes_nothing_more() {
    let mut body = Body::of_template(Template::Debian12);
    let mut around = around();
    around.faults.disk_full = true;
    let full = [
        write("/srv/a", "one"),
        Op::MakeDir { path: "/srv/b".to_owned(), attributes: Attributes::default() },
        Op::InstallPackages { names: vec!["tree".to_owned()], recommends: false },
        Op::AddGroup { name: "crew".to_owned(), gid: None, system: false },
    ];
    for op in full {
        assert_eq!(body.perform(&op, &mut around).result.unwrap_err().kind, OpErrorKind::NoSpace, "{op}");
    }
    assert_eq!(body.take_changes(), []);
}

/// Applies changes as they come back from a file.
fn replay(body: &mut Body, changes: Vec<BodyChange>) {
    let text = serde_json::to_string(&changes).unwrap();
    for change in serde_json::from_str::<Vec<BodyChange>>(&text).unwrap() {
        body.apply(change).unwrap();
    }
}

/// Paths that get in each other's way.
fn path() -> impl Strategy<Value = String> {
    let part = || prop_oneof!["[ab]", Just("..".to_owned()), Just("link".to_owned())];
    prop::collection::vec(part(), 1..4).prop_map(|parts| format!("/srv/{}", parts.join("/")))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let mode = prop::option::of(0..0o7777u32);
    let owner =
        prop::option::of(prop_oneof![Just("daemon".to_owned()), Just("4242".to_owned()), Just("who".to_owned())]);
    (mode, owner).prop_map(|(mode, owner)| Attributes { mode, owner, group: None })
}

fn op() -> impl Strategy<Value = Op> {
    let text = || prop_oneof![Just(b"text".to_vec()), Just(vec![0xff, 0]), Just(Vec::new())];
    let unit = || prop_oneof![Just("cron"), Just("ssh.service"), Just("nothing")].prop_map(str::to_owned);
    let action = prop_oneof![
        Just(UnitAction::Start),
        Just(UnitAction::Stop),
        Just(UnitAction::Restart),
        Just(UnitAction::Enable),
        Just(UnitAction::Disable),
    ];
    let name = || prop_oneof![Just("alice"), Just("bob")].prop_map(str::to_owned);
    prop_oneof![
        3 => (path(), text(), attributes()).prop_map(|(path, bytes, attributes)| {
            Op::Write { path, content: Content::Bytes(bytes.into()), attributes, guard: None }
        }),
        2 => (path(), text()).prop_map(|(path, bytes)| Op::Append { path, bytes, sync: false }),
        3 => (path(), attributes()).prop_map(|(path, attributes)| Op::MakeDir { path, attributes }),
        1 => (path(), path()).prop_map(|(path, target)| Op::Link { path, target }),
        2 => (path(), any::<bool>()).prop_map(|(path, recursive)| Op::Remove { path, recursive }),
        2 => (path(), path()).prop_map(|(from, to)| Op::Move { from, to }),
        2 => (path(), attributes()).prop_map(|(path, attributes)| Op::SetAttributes { path, attributes }),
        1 => (unit(), action).prop_map(|(name, action)| Op::Unit { name, action }),
        1 => Just(Op::RefreshPackages),
        1 => Just(Op::InstallPackages { names: vec!["nginx".to_owned()], recommends: false }),
        1 => Just(Op::RemovePackages { names: vec!["nginx".to_owned()] }),
        1 => name().prop_map(|name| Op::AddUser { name, uid: None, system: false, home: None, shell: None }),
        1 => name().prop_map(|name| Op::AddGroup { name, gid: None, system: true }),
        1 => name().prop_map(|user| Op::AddToGroup { user, group: "adm".to_owned() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Replaying what changed on the old machine makes the new one, in one go or in pieces, and a fork that was made
    /// on the way is not touched by what comes after it.
    #[test]
    fn changes_replayed_on_the_old_machine_make_the_new_one(
        before in prop::collection::vec(op(), 0..12),
        after in prop::collection::vec(op(), 1..12),
    ) {
        let mut body = booted(Template::Debian12);
        for op in before {
            let _ = perform(&mut body, op);
        }
        body.take_changes();
        let mut old = body.fork();
        let untouched = old.fork();
        let mut pieces = Vec::new();
        for op in after {
            let failed = perform(&mut body, op).is_err();
            let changes = body.take_changes();
            prop_assert!(!failed || changes.len() <= 1, "a failed change leaves little behind: {changes:?}");
            pieces.extend(changes);
        }
        prop_assert!(old.equals(&untouched));
        replay(&mut old, pieces);
        prop_assert!(old.equals(&body));

        let mut layers = Layers::default();
        let saved = layers.save(&body);
        let mut layers: Layers = serde_json::from_str(&serde_json::to_string(&layers).unwrap()).unwrap();
        prop_assert!(layers.load(&saved).unwrap().equals(&body));
    }
}
