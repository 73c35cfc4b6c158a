//! `feature new`: what it writes passes as it is, and nothing is ever overwritten.

use super::tried::Tried;

#[test]
fn what_is_written_has_no_findings_and_passes_its_tests() {
    for (args, folder) in [
        (&["feature", "new", "mirror"][..], "features"),
        (&["feature", "new", "intranet", "--app", "--target", "lxc"], "apps"),
        (&["--scripts", "own", "feature", "new", "mirror"], "own/features"),
    ] {
        let here = Tried::new();
        let name = args[args.iter().position(|word| *word == "new").unwrap() + 1];
        let scripts: &[&str] = if args[0] == "--scripts" { &args[..2] } else { &[] };
        let told = here.phoenix(args).ends(0);
        for file in ["NAME.rhai", "NAME.test.rhai", "NAME.model.rhai", "NAME/rsyncd.conf.j2", "NAME.md"] {
            let path = format!("{folder}/{}", file.replace("NAME", name));
            assert!(told.out.contains(&path), "{path} in {}", told.out);
            assert!(!here.read(&path).is_empty());
        }
        let run = |words: &[&str]| here.phoenix(&[scripts, &["feature"], words].concat());
        run(&["lint", name, "--strict"]).ends(0).says("no findings in 3 files");
        run(&["test", name]).ends(0).says("5 ");
        run(&["test", name, "--coverage", "--fail-under", "90"]).ends(0);
        let page = here.read(&format!("{folder}/{name}.md"));
        assert_eq!(run(&["docs", name]).ends(0).out, page);
        // Nothing is overwritten, and nothing new is left behind.
        run(&["new", name]).ends(2).says(&format!("`{name}` already"));
    }
}

#[test]
fn names_are_refused_with_the_reason() {
    let here = Tried::new();
    for name in ["Mirror", "1st", "my-feature", "a.b", "../x", "", "é"] {
        here.phoenix(&["feature", "new", name]).ends(2).says("cannot be the name of a feature").says("small letters");
    }
    here.phoenix(&["feature", "new", "lib"]).ends(2).says("a folder that features have already");
    here.phoenix(&["feature", "new", "docker"]).ends(2).says("there is a feature `docker` already: <embedded>");
    here.phoenix(&["feature", "new", "router"]).ends(2).says("there is an app `router` already");
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_there_stays_and_nothing_is_written_beside_it() {
    let here = Tried::new();
    here.write("features/mirror.model.rhai", "const MODEL = #{};\n");
    here.phoenix(&["feature", "new", "mirror"]).ends(2).says("features/mirror.model.rhai is there already");
    assert_eq!(here.read("features/mirror.model.rhai"), "const MODEL = #{};\n");
    assert!(!here.path().join("features/mirror.rhai").exists());
}
