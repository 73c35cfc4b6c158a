//! One guest's script is out of its mind: only that guest fails, and the operator stays in charge.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{FOUR, User};
use crate::support::program::Ended;

/// The shipped installation, whose gateway has one feature more.
fn with_feature(body: &str) -> User {
    let user = User::with_own_config();
    let features = "\"features\": [\"base_setup\", \"trusted_ca\", \"step_cli\"]";
    user.edit("phoenix_lxc_configs.json", &format!("{features},\n            \"application_script\": \"gateway\""), "\"features\": [\"base_setup\", \"odd\", \"trusted_ca\", \"step_cli\"],\n            \"application_script\": \"gateway\"");
    fs::create_dir_all(user.home.path().join("scripts/features")).unwrap();
    rewrite(&user, body);
    user
}

fn rewrite(user: &User, body: &str) {
    let text = format!(
        "const FEATURE = #{{ name: \"odd\", summary: \"Odd\", targets: [\"lxc\"] }};\n\nfn apply(guest, params) {{\n{body}\n}}\n"
    );
    fs::write(user.home.path().join("scripts/features/odd.rhai"), text).unwrap();
}

fn words<'a>(verb: &[&'a str]) -> Vec<&'a str> {
    [&["--scripts", "scripts"], verb].concat()
}

#[test]
fn a_script_out_of_its_mind_fails_its_own_guest_only() {
    let user = with_feature("    let n = 0;\n    loop { n += 1; }");
    let failed = user.run(&words(&FOUR)).ends(1);
    let of_the_guest: Vec<&str> = failed.out.lines().skip_while(|line| !line.contains("error:")).collect();
    insta::assert_snapshot!("odd_script_loops", of_the_guest.join("\n"));

    for (body, words_of_it) in [
        ("    let s = \"x\";\n    loop { s += s; }", "grew beyond its limit"),
        ("    let all = [];\n    loop { all.push(all.len()); }", "grew beyond its limit"),
        ("    down(1);\n}\n\nprivate fn down(n) {\n    down(n + 1)", "32 levels deep"),
    ] {
        rewrite(&user, body);
        let failed = user.run(&words(&FOUR)).ends(1).says(words_of_it);
        assert!(failed.out.contains("4 guests: 3 unchanged, 1 failed"), "{}", failed.out);
    }
    // The run after it is repaired completes.
    rewrite(&user, "    guest.dir(\"/srv/odd\");");
    user.run(&words(&FOUR)).ends(0).says("4 guests: 1 changed, 3 unchanged");
}

#[test]
fn a_script_that_cannot_be_right_keeps_the_run_from_beginning() {
    let user = with_feature("    eval(\"1\");");
    let deep = format!("    let x = {}1{};\n    info(x);", "(".repeat(100_000), ")".repeat(100_000));
    for (body, words_of_it) in [
        ("    eval(\"1\");", "`eval` is switched off"),
        ("    exit();", "`exit` is switched off"),
        (deep.as_str(), "nested too deeply"),
        ("    import \"../../etc/shadow\" as x;\n    x::work();", "leads out of the directory of the scripts"),
    ] {
        rewrite(&user, body);
        let refused = user.run(&words(&FOUR)).ends(3).says(words_of_it).says("odd.rhai");
        assert!(refused.out.len() + refused.err.len() < 4_000, "a line of 200 kB is not printed whole");
    }
    fs::write(user.home.path().join("scripts/features/odd.rhai"), b"\xff\xfe").unwrap();
    user.run(&words(&FOUR)).ends(3).says("this is no UTF-8 text");
    assert!(!user.world().exists(), "nothing was made");
}

#[test]
fn ctrl_c_ends_a_run_whose_script_is_out_of_its_mind() {
    let user = with_feature(
        "    section(\"odd\");\n    let s = \"x\";\n    while s.len() < 8000000 { s += s; }\n    let n = 0;\n    \
         while n >= 0 { let t = s + n; n += t.len(); }",
    );
    let mut command = user.command(&words(&[&["--json"], &FOUR[..]].concat()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let begun = lines.any(|line| line.unwrap().contains("\"odd\""));
    assert!(begun, "the script was never reached");
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let ended = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert_eq!(Ended::from(&ended).code, Some(130), "{}", rest.join("\n"));
    rewrite(&user, "    guest.dir(\"/srv/odd\");");
    user.run(&words(&FOUR)).ends(0);
}
