//! `feature test --real` itself: what it finds, what it leaves to other machines, and that nothing of it stays, whoever
//! ends it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use phoenix::finding::Severity;
use phoenix::model::Os;
use phoenix::script::{Library, Roots};
use phoenix::testing::real::{self, Options, Verdict};

use super::real::options;
use crate::support::container::cache;

/// A directory of scripts: name, fields of its metadata, its functions, its test file.
fn scripts(all: &[(&str, &str, &str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let features = folder.path().join("features");
    std::fs::create_dir(&features).unwrap();
    for (name, fields, functions, tests) in all {
        let head = format!("const FEATURE = #{{ name: \"{name}\", summary: \"x\", {fields} }};\n");
        std::fs::write(features.join(format!("{name}.rhai")), head + *functions).unwrap();
        if !tests.is_empty() {
            std::fs::write(features.join(format!("{name}.test.rhai")), tests).unwrap();
        }
    }
    folder
}

fn proven(folder: &Path, names: &[&str], options: &Options) -> Vec<String> {
    let (library, _) = Library::load(&Roots::usual(Some(folder)));
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let (proofs, findings) = real::run(&library, &names, options).unwrap();
    assert!(findings.iter().all(|finding| finding.severity < Severity::Error), "{findings:?}");
    let told = proofs.iter().map(|proof| {
        let verdict = match &proof.verdict {
            Verdict::Proven(times) if times.removed => "proven, and removed".to_owned(),
            Verdict::Proven(_) => "proven".to_owned(),
            Verdict::Impossible { reason } => format!("cannot run here: {reason}"),
            Verdict::Failed { failure } => format!("failed: {}", failure.message),
            Verdict::Interrupted => "interrupted".to_owned(),
        };
        format!("{}: {verdict}", proof.script)
    });
    told.collect()
}

const LXC: &str = r#"targets: ["lxc"]"#;

#[test]
fn what_a_real_container_shows() {
    let folder = scripts(&[
        (
            "a_fine",
            r#"targets: ["lxc"], consumes: ["nobody/word"]"#,
            "fn apply(guest, params) { guest.file(\"/srv/a\", #{ content: artifact(\"nobody/word\") }); }
             fn health(guest, params) { if guest.read(\"/srv/a\") != \"word\" { fail(\"no word\"); } }
             fn remove(guest, params) { guest.absent(\"/srv/a\"); }\n",
            "const REAL = #{ artifacts: #{ \"nobody/word\": \"word\" }, os: \"debian-12\" };\n",
        ),
        (
            "b_restless",
            LXC,
            "fn apply(guest, params) { guest.exec([\"sh\", \"-c\", \"date >>/srv/b\"], #{ unless: [\"false\"] }); }\n",
            "",
        ),
        (
            "c_ill",
            LXC,
            "fn apply(guest, params) { guest.file(\"/srv/c\", #{ content: \"x\" }); }
             fn health(guest, params) { fail(\"it is not well\"); }\n",
            "",
        ),
        (
            "d_sticky",
            LXC,
            "fn apply(guest, params) { guest.file(\"/srv/d\", #{ content: \"x\" }); }
             fn remove(guest, params) { guest.exec([\"touch\", \"/srv/d\"], #{ unless: [\"false\"] }); }\n",
            "",
        ),
        ("e_machines", r#"targets: ["vm"]"#, "fn apply(guest, params) { guest.dir(\"/srv/e\"); }\n", ""),
        ("f_unknown", LXC, "fn apply(guest, params) { guest.packages([\"no-such-package-anywhere\"]); }\n", ""),
        (
            "g_unreachable",
            LXC,
            "fn apply(guest, params) {
                 guest.download(\"/srv/g\", #{ url: \"https://127.0.0.1:1/g\", sha256: \"none\" });
             }\n",
            "",
        ),
        (
            "h_said",
            LXC,
            "fn apply(guest, params) { guest.dir(\"/srv/h\"); }\n",
            "const REAL = #{ why_not: \"it needs the moon\" };\n",
        ),
        (
            "i_elsewhere",
            LXC,
            "fn apply(guest, params) { guest.dir(\"/srv/i\"); }\n",
            "const REAL = #{ reaches: [\"http://127.0.0.1:1/\"] };\n",
        ),
    ]);
    let options = Options { os: Some(Os::Debian12), ..options() };
    let all = std::fs::read_dir(folder.path().join("features")).unwrap();
    let mut all: Vec<String> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.retain(|name| !name.contains(".test."));
    all.sort();
    let names: Vec<&str> = all.iter().map(|name| name.trim_end_matches(".rhai")).collect();
    let told = proven(folder.path(), &names, &options).join("\n");
    insta::assert_snapshot!(told);
}

#[test]
fn a_release_that_no_source_of_this_machine_has() {
    let folder = scripts(&[("a_fine", LXC, "fn apply(guest, params) { guest.dir(\"/srv/a\"); }\n", "")]);
    let told = proven(folder.path(), &["a_fine"], &Options { os: Some(Os::Ubuntu2404), ..options() });
    assert!(told[0].starts_with("a_fine: cannot run here: no ubuntu-24.04 can be made from"), "{told:?}");
}

/// The program at work in a container, and the container's id.
struct AtWork {
    program: Child,
    container: String,
    _scripts: tempfile::TempDir,
}

impl AtWork {
    /// The script sleeps for as many seconds in its first run.
    fn sleeping(seconds: u32) -> AtWork {
        let apply = format!("guest.exec([\"sleep\", \"{seconds}\"], #{{ creates: \"/srv/never\" }});");
        let apply = format!("fn apply(guest, params) {{ {apply} guest.dir(\"/srv/later\"); }}\n");
        let scripts = scripts(&[("sleeper", LXC, &apply, "")]);
        let lab = scripts.path().join("lab");
        std::fs::create_dir(&lab).unwrap();
        std::os::unix::fs::symlink(cache(), lab.join("base")).unwrap();
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        let phoenix = phoenix.arg("--scripts").arg(scripts.path()).args(["feature", "test", "sleeper", "--real"]);
        let phoenix = phoenix.args(["-vv", "--os", "debian-12", "--lab"]).arg(lab);
        let mut program = phoenix.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut container = String::new();
        let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
        for line in &mut lines {
            let line = line.unwrap();
            if line.contains("start") {
                container = line.split_whitespace().nth(1).unwrap().to_owned();
                break;
            }
        }
        assert!(!container.is_empty(), "it did not start");
        // Told lines are read on, so that telling does not wait.
        std::thread::spawn(move || lines.for_each(drop));
        let at_work = AtWork { program, container, _scripts: scripts };
        let asleep = format!("lxc-attach -n {} -- pgrep -x sleep", at_work.container);
        at_work.until("it sleeps", || Command::new("sh").args(["-c", &asleep]).output().unwrap().status.success());
        at_work
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.program.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn is_there(&self) -> bool {
        Path::new("/var/lib/lxc").join(&self.container).exists()
    }

    fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is() {
            assert!(Instant::now() < deadline, "{what}: not within 30 s");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for its end; answers its exit status.
    fn ended(mut self) -> (Option<i32>, bool) {
        let status = self.program.wait().unwrap();
        (status.code(), self.is_there())
    }
}

#[test]
fn ctrl_c_ends_what_runs_and_destroys_the_container() {
    let at_work = AtWork::sleeping(4);
    at_work.signal("-INT");
    assert_eq!(at_work.ended(), (Some(130), false));
}

#[test]
fn a_second_ctrl_c_destroys_it_at_once() {
    let at_work = AtWork::sleeping(600);
    at_work.signal("-INT");
    std::thread::sleep(Duration::from_millis(300));
    at_work.signal("-INT");
    assert_eq!(at_work.ended(), (Some(130), false));
}

#[test]
fn what_a_killed_run_leaves_is_destroyed_by_the_next() {
    let mut at_work = AtWork::sleeping(600);
    at_work.signal("-KILL");
    at_work.program.wait().unwrap();
    assert!(at_work.is_there(), "who is killed cannot clean up");
    // Whoever comes next on this machine may have been another test.
    let folder =
        scripts(&[("e_machines", r#"targets: ["vm"]"#, "fn apply(guest, params) { guest.dir(\"/e\"); }\n", "")]);
    proven(folder.path(), &["e_machines"], &options());
    let home = Path::new("/var/lib/lxc").join(&at_work.container);
    let config = std::fs::read_to_string(home.join("config")).unwrap_or_default();
    // Its slot may be somebody else's by now, but then it is another container.
    let asleep = format!("lxc-attach -n {} -- pgrep -xf 'sleep 600'", at_work.container);
    let sleeps = Command::new("sh").args(["-c", &asleep]).output().unwrap().status.success();
    assert!(config.is_empty() || !sleeps, "it is still there");
}
