//! Older programs than the models beside the scripts have: without those models a modelled machine is a Debian 12.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use phoenix::script::{Entry, Library, Models, Roots, StagedGuest, thread};
use phoenix::testing::{Declared, Stand};
use serde_json::json;

#[test]
fn an_nginx_before_1_25_is_told_about_http2_where_it_listens() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r"])
        .args([shipped.join("features"), shipped.join("apps")])
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    fs::remove_file(folder.path().join("apps/gateway.model.rhai")).unwrap();
    let (library, findings) = Library::load(&Roots::only(folder.path()));
    let (models, more) = Models::load(&library);
    assert!(findings.is_empty() && more.is_empty(), "{findings:?} {more:?}");
    let router = Declared {
        id: 201,
        name: "router".to_owned(),
        ip: "192.0.2.2/24".to_owned(),
        roles: vec!["router".to_owned()],
        ..Declared::default()
    };
    let declared = Declared { others: vec![router], ..Declared::default() };
    let stand = Arc::new(Stand::new(&library, &models, &declared).unwrap());
    for (entry, name) in [(Entry::Apply, "step_ca"), (Entry::Apply, "gateway"), (Entry::Health, "gateway")] {
        let stand = Arc::clone(&stand);
        let running = thread(name).spawn(move || stand.run(entry, name, &json!({}))).unwrap();
        running.join().unwrap().unwrap_or_else(|error| panic!("{name}: {:#?}", error.failure()));
    }
    let site = stand.machine().read("/etc/nginx/sites-available/gateway").unwrap().unwrap();
    assert!(site.contains("listen 443 ssl http2;") && !site.contains("http2 on;"), "{site}");
}
