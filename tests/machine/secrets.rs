//! The secret store.

use std::sync::Arc;

use phoenix::machine::{Generate, MachineError, Origin, SecretStore};
use phoenix::model::SecretSource;
use phoenix::secret::SecretName;

use super::bench::Bench;

fn name(name: &str) -> SecretName {
    SecretName(name.to_owned())
}

fn store(bench: &Bench) -> SecretStore {
    SecretStore::new(bench.handle(), Arc::new(|_| None))
}

#[test]
fn a_secret_is_made_once_and_kept_for_root_alone() {
    let bench = Bench::new();
    bench.quiet();
    let first = store(&bench).get_or_generate(&name("db"), &Generate::default()).unwrap();
    assert_eq!(first.expose().len(), 32);
    assert_eq!(first.shown(), "<secret db>");
    assert!(phoenix::machine::fits_free_text(first.expose()));
    assert_eq!(bench.changes(), ["make directory /var/lib/phoenix/secrets", "write /var/lib/phoenix/secrets/db"]);
    assert_eq!(bench.node_mode("/var/lib/phoenix/secrets/db"), 0o600);
    assert_eq!(bench.node_mode("/var/lib/phoenix/secrets"), 0o700);
    bench.quiet();
    let again = store(&bench).get_or_generate(&name("db"), &Generate { length: 64, ..Generate::default() }).unwrap();
    assert_eq!(first, again, "an existing secret was overwritten");
    assert_eq!(store(&bench).get(&name("db")).unwrap(), first);
    assert_eq!(bench.changes(), Vec::<String>::new());
}

#[test]
fn a_missing_secret_says_where_it_may_be_put() {
    let error = store(&Bench::new()).get(&name("portainer.admin")).unwrap_err();
    assert_eq!(error.to_string(), "<secret portainer.admin>: is not known");
    let hint = error.hint().unwrap();
    assert!(hint.contains("/var/lib/phoenix/secrets/portainer.admin"), "{hint}");
    assert!(hint.contains("PHOENIX_SECRET_PORTAINER_ADMIN"), "{hint}");
}

#[test]
fn the_environment_comes_first_then_credentials_then_the_store() {
    let bench = Bench::new();
    let from = |held: &'static [&'static str]| {
        SecretStore::new(
            bench.handle(),
            Arc::new(move |origin| {
                let text = match origin {
                    Origin::Environment(variable) => variable.clone(),
                    Origin::Credential(name) => name.clone(),
                };
                held.contains(&text.as_str()).then(|| format!("from {text}\n"))
            }),
        )
    };
    let kept = store(&bench).get_or_generate(&name("db"), &Generate::default()).unwrap();
    let value = |store: SecretStore| store.get_or_generate(&name("db"), &Generate::default()).unwrap();
    assert_eq!(value(from(&["PHOENIX_SECRET_DB", "db"])).expose(), "from PHOENIX_SECRET_DB");
    assert_eq!(value(from(&["db"])).expose(), "from db");
    assert_eq!(value(from(&[])), kept);
}

#[test]
fn the_configuration_says_where_a_secret_is() {
    let bench = Bench::new();
    bench.put_on_node("/root/token", b"from the file\n");
    let outside: phoenix::machine::Outside = Arc::new(|origin| match origin {
        Origin::Environment(variable) if variable == "TOKEN" => Some("from the variable".to_owned()),
        Origin::Credential(name) if name == "web-token" => Some("from the credential".to_owned()),
        _ => None,
    });
    let sources = [
        ("file", SecretSource::File("/root/token".to_owned())),
        ("gone", SecretSource::File("/root/none".to_owned())),
        ("variable", SecretSource::Env("TOKEN".to_owned())),
        ("credential", SecretSource::Credential("web-token".to_owned())),
        ("made", SecretSource::Generate(24)),
    ];
    let sources = sources.into_iter().map(|(name, source)| (name.to_owned(), source)).collect();
    let store = SecretStore::new(bench.handle(), outside).declared(sources);
    let value = |of: &str| store.get(&name(of)).unwrap().expose().to_owned();
    assert_eq!(value("file"), "from the file");
    assert_eq!(value("variable"), "from the variable");
    assert_eq!(value("credential"), "from the credential");
    assert_eq!((value("made").len(), value("made")), (39, value("made")));
    assert!(store.get(&name("gone")).unwrap_err().hint().unwrap().contains("/root/none on the node"));
    // Never made where the configuration points elsewhere.
    let error = store.get_or_generate(&name("gone"), &Generate::default()).unwrap_err();
    assert!(error.to_string().contains("is not in /root/none on the node"), "{error}");
}

#[test]
fn two_actors_get_the_same_new_secret() {
    let bench = Bench::new();
    let store = store(&bench);
    let other = store.through(bench.handle());
    let first = store.get_or_generate(&name("db"), &Generate::default()).unwrap();
    // As if both had looked before either had written.
    bench.remove_on_node("/var/lib/phoenix/secrets/db");
    assert_eq!(other.get_or_generate(&name("db"), &Generate::default()).unwrap(), first);
}

#[test]
fn names_and_weak_wishes_are_refused() {
    let store = store(&Bench::new());
    for bad in ["", "../x", "a/b", ".hidden", "a b"] {
        let error = store.get(&name(bad)).unwrap_err();
        assert!(error.to_string().contains("is no secret name"), "{bad}: {error}");
    }
    for weak in [
        Generate { length: 4, ..Generate::default() },
        Generate { charset: "a".to_owned(), ..Generate::default() },
        Generate { charset: String::new(), ..Generate::default() },
        Generate { charset: "äöü".to_owned(), ..Generate::default() },
    ] {
        assert!(matches!(store.get_or_generate(&name("x"), &weak), Err(MachineError::Secret { .. })), "{weak:?}");
    }
    let hex = Generate { length: 40, charset: "0123456789abcdef".to_owned() };
    let value = store.get_or_generate(&name("hex"), &hex).unwrap();
    assert!(value.expose().len() == 40 && value.expose().bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn an_empty_or_foreign_file_is_an_error_without_its_content() {
    let bench = Bench::new();
    bench.put_on_node("/var/lib/phoenix/secrets/empty", b"\n");
    bench.put_on_node("/var/lib/phoenix/secrets/binary", &[0xff, 0xfe, b'x']);
    bench.put_on_node("/var/lib/phoenix/secrets/provisioner", b"hunter2");
    assert_eq!(store(&bench).get(&name("empty")).unwrap_err().to_string(), "<secret empty>: is empty");
    assert!(store(&bench).get(&name("binary")).unwrap_err().to_string().ends_with("is no UTF-8 text"));
    let error = store(&bench).provisioner_key().unwrap_err();
    assert_eq!(error.to_string(), "<secret provisioner>: is no P-256 key in PKCS #8 PEM");
}
