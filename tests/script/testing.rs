//! Tests of scripts as their authors see them: what a failure shows, what guests are, what can go wrong.

use phoenix::host::interrupt::Interrupt;
use phoenix::script::{Library, Roots};
use phoenix::testing::{Request, Results, Selection, Suite};
use phoenix::ui;

const WEB: &str = r#"const FEATURE = #{
    name: "web",
    summary: "s",
    targets: ["lxc", "vm"],
    params: #{ port: #{ type: "port", fallback: 80 } },
};

fn apply(guest, params) {
    guest.packages(["nginx"]);
    guest.file("/etc/web.conf", #{ content: "listen " + params.port + "\nname " + guest.name + "\nroot /srv\n", mode: "0640" });
    guest.service("nginx.service", #{ watch: ["/etc/web.conf"] });
    if guest.probe(["tool", "--version"]).stdout.contains("2.0") {
        guest.dir("/srv/two");
    }
}
"#;

/// What is made only by whoever changed the file: lost when the run ends in between.
const FORGETFUL: &str = r#"const FEATURE = #{ name: "forgetful", summary: "s", targets: ["lxc"] };

fn apply(guest, params) {
    let change = guest.file("/etc/one", #{ content: "1" });
    if change.changed {
        guest.file("/etc/two", #{ content: "2" });
    }
}
"#;

fn suite(tests: &str, request: Request) -> Suite {
    let dir = tempfile::tempdir().unwrap();
    let features = dir.path().join("features");
    std::fs::create_dir_all(&features).unwrap();
    let tests = format!("const GUEST = #{{ strict: false }};\n\n{tests}");
    for (name, text) in [("web.rhai", WEB), ("web.test.rhai", &tests), ("forgetful.rhai", FORGETFUL)] {
        std::fs::write(features.join(name), text).unwrap();
    }
    let (library, findings) = Library::load(&Roots::only(dir.path()));
    assert!(findings.is_empty(), "{findings:?}");
    let suite = Suite::load(&library, &request);
    assert!(suite.findings().is_empty(), "{}", ui::findings::render(suite.findings(), true));
    suite
}

fn of(word: &str) -> Request {
    Request { select: vec![Selection::read(word)], ..Request::default() }
}

fn told(results: &Results) -> String {
    let cases: Vec<_> = results
        .cases
        .iter()
        .map(|case| ui::cases::Case {
            script: &case.script,
            name: &case.case,
            failure: case.failure.as_ref(),
            elapsed: case.elapsed,
        })
        .collect();
    let text = ui::cases::render(&cases, (results.left, std::time::Duration::ZERO), true);
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn failures_show_what_was_expected_and_what_comes_nearest() {
    let tests = r#"
const CASES = #{ ports: #{ "a low one": #{ port: 80 }, "one that is told otherwise": #{ port: 8080 } } };

fn applied() {
    let g = guest(#{ strict: false });
    g.apply("web");
    g
}

fn test_ports(row) {
    let g = guest(#{ strict: false });
    g.apply_twice("web", row);
    g.assert_file("/etc/web.conf", #{ contains: "listen 80\n" });
}

fn test_strict() { guest(#{}).apply("web"); }
fn test_ran() { applied().assert_ran(["install nginx", "write /etc/web.cnf", "restart *"]); }
fn test_order() { applied().assert_ran(["write /etc/web.conf", "install nginx"]); }
fn test_nothing_ran() { guest(#{}).assert_ran("install nginx"); }
fn test_not_ran() { applied().assert_not_ran("*nginx*"); }
fn test_text() { applied().assert_file("/etc/web.conf", "listen 81\nname guest\nroot /srv\n"); }
fn test_contains() { applied().assert_file("/etc/web.conf", #{ contains: "name gast" }); }
fn test_lacks() { applied().assert_file("/etc/web.conf", #{ lacks: "root" }); }
fn test_mode() { applied().assert_file("/etc/web.conf", #{ mode: "0644" }); }
fn test_absent() { applied().assert_file("/etc/web.cnf"); }
fn test_unit() { applied().assert_unit("nginx.service", #{ active: false }); }
fn test_no_unit() { guest(#{}).assert_unit("app.service"); }
fn test_short() { assert_eq(1, 2); }
fn test_maps() {
    let found = #{ a: 1, b: "some text that is rather long", c: [1, 2, 3], d: "more" };
    assert_eq(found, #{ a: 1, b: "some text that is quite long", c: [1, 2, 3], d: "more" });
}
fn test_throws() { assert_throws(|| guest(#{}).apply("web", #{ port: 0 }), "no such thing"); }
fn test_nothing_throws() { assert_throws(|| 1, "no such thing"); }
fn test_guest() { guest(#{ files: #{ "/x": #{ txt: "1" } } }); }
fn test_unchanged() { guest(#{ strict: false }).assert_unchanged("web"); }
fn test_forgetful() { guest(#{}).apply_killed_everywhere("forgetful"); }
"#;
    insta::assert_snapshot!(told(&suite(tests, of("web::test_")).run()));
}

#[test]
fn guests_are_what_their_description_says() {
    let tests = r#"
fn test_a_guest_with_a_past() {
    let g = guest(#{
        os: "debian-12", packages: ["curl"], users: #{ alice: #{ groups: ["adm"], shell: "/bin/bash" } },
        files: #{ "/srv/key": #{ text: "k", mode: "0600", owner: "alice" }, "/etc/motd": "old" },
        units: #{ "app.service": #{ running: false }, "job.service": #{ content: "[Service]\nExecStart=/usr/bin/sleep 1d\n", enabled: false } },
        secrets: #{ token: "s3" }, applied: ["web"], params: #{ web: #{ port: 81 } }, strict: false,
    });
    assert(g.read("/etc/os-release").contains("bookworm"));
    assert(g.has_package("curl"));
    g.assert_file("/srv/key", "k", #{ mode: "0600", owner: "alice" });
    g.assert_file("/etc/passwd", #{ contains: "alice" });
    g.assert_unit("app.service", #{ active: false, enabled: true });
    g.assert_unit("job.service");
    g.assert_file("/etc/web.conf", #{ contains: "listen 81" });
    assert_eq(g.log(), []);
    g.assert_unchanged("web", #{ port: 81 });
}

fn test_a_virtual_machine() {
    let g = guest(#{ kind: "vm", os: "ubuntu-24.04", strict: false });
    assert(g.read("/etc/os-release").contains("24.04"));
    g.apply_twice("web");
}

fn test_guests_of_one_node() {
    let all = guests(#{ one: #{}, other: #{ ip: "192.0.2.77/24", running: false } });
    assert_eq(all.one.read("/etc/hostname").trimmed(), "one");
    assert_throws(|| all.other.read("/etc/hostname"), "it is not running");
    all.other.mend();
    assert_eq(all.other.read("/etc/hostname").trimmed(), "other");
}

fn test_stubs() {
    let g = guest(#{});
    g.stub("tool *", #{ stdout: "1.0" });
    g.stub("tool --version", #{ stdout: "2.0", times: 1 });
    g.apply("web");
    assert(g.exists("/srv/two"));
    g.assert_unchanged("web");
}

fn test_troubles() {
    let g = guest(#{ strict: false });
    g.fail_next("apt");
    assert_throws(|| g.apply("web"), "mirror");
    g.fail_next("write /etc/web.conf");
    assert_throws(|| g.apply("web"), "injected fault");
    g.fill_disk("/etc");
    assert_throws(|| g.apply("web"), "No space left on device");
    g.mend();
    g.lose();
    assert_throws(|| g.apply("web"), "it stopped");
    assert_throws(|| g.apply("web"), "it is not running");
    g.mend();
    g.kill_after(0);
    assert_throws(|| g.apply("web", #{ port: 81 }), "the connection was cut");
    g.apply("web", #{ port: 81 });
    g.assert_file("/etc/web.conf", #{ contains: "listen 81" });
    g.assert_unit("nginx.service");
}

fn test_cut_everywhere() {
    assert(guest(#{ strict: false }).apply_killed_everywhere("web") >= 4);
}
"#;
    let results = suite(tests, Request::default()).run();
    assert!(results.passed(), "{}", told(&results));
    assert_eq!(results.cases.len(), 8);
}

#[test]
fn cases_are_picked_by_name_and_told_in_their_order() {
    let tests = "fn test_one() {}\nfn test_two() {}\nfn test_three() {}\n";
    let names = |request| suite(tests, request).cases().into_iter().map(|case| case.case).collect::<Vec<_>>();
    assert_eq!(names(of("web")), ["applied twice", "test_one", "test_two", "test_three"]);
    assert_eq!(names(of("web::two")), ["test_two"]);
    assert_eq!(names(of("web::test_t*")), ["test_two", "test_three"]);
    assert_eq!(names(of("web::t_*")), [] as [&str; 0]);
    assert_eq!(names(of("forgetful::applied twice")), ["applied twice"]);
    let results = suite(tests, Request::default()).run();
    let told: Vec<_> = results.cases.iter().map(|case| format!("{} {}", case.script, case.case)).collect();
    assert_eq!(
        told,
        ["forgetful applied twice", "web applied twice", "web test_one", "web test_two", "web test_three"]
    );
}

#[test]
fn nothing_is_begun_after_ctrl_c() {
    let interrupt = Interrupt::new();
    interrupt.set();
    let results = suite("", Request { interrupt, ..Request::default() }).run();
    assert_eq!((results.cases.len(), results.left, results.passed()), (0, 2, false));
}
