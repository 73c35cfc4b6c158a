//! The reference that is made of what the program knows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use phoenix::manual::{definitions, files};
use phoenix::script::{Library, Roots};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Written anew like snapshots: `INSTA_UPDATE=always`.
#[test]
fn the_committed_reference_is_what_the_program_prints() {
    let (library, findings) = Library::load(&Roots::only(&project("")));
    assert!(findings.is_empty(), "{findings:#?}");
    let files = files(&library);
    let update = std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always");
    let mut differ = Vec::new();
    for file in &files {
        let path = project("docs").join(&file.path);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.text).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != file.text {
            differ.push(file.path.clone());
        }
    }
    let made: BTreeSet<PathBuf> = files.iter().map(|file| project("docs").join(&file.path)).collect();
    for folder in ["docs/features", "docs/apps"] {
        for entry in std::fs::read_dir(project(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if made.contains(&path) {
                continue;
            }
            if update {
                std::fs::remove_file(&path).unwrap();
            } else {
                differ.push(format!("{} belongs to no script", path.display()));
            }
        }
    }
    assert!(differ.is_empty(), "not up to date: `phoenix feature docs --output docs`: {}", differ.join(", "));
}

/// Links of a text to other files of the project, without their anchors.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

#[test]
fn links_of_the_reference_lead_somewhere() {
    let (library, _) = Library::load(&Roots::only(&project("")));
    let mut broken = Vec::new();
    for file in files(&library) {
        let path = project("docs").join(&file.path);
        for link in links(&file.text) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let found = target.is_empty() || path.parent().unwrap().join(target).exists();
            let headings = file.text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
            let plain = |heading: &str| {
                heading
                    .to_lowercase()
                    .replace(' ', "-")
                    .replace(|c: char| !c.is_alphanumeric() && !"-_".contains(c), "")
            };
            let anchored = anchor.is_empty() || headings.into_iter().any(|heading| plain(heading) == anchor);
            if !found || !anchored {
                broken.push(format!("{}: {link}", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// rhai does not read definitions, only their comments, names and parameters: as functions without a body it takes them.
#[test]
fn definitions_are_made_of_names_that_rhai_takes() {
    let mut engine = rhai::Engine::new_raw();
    engine.set_max_expr_depths(0, 0);
    for file in definitions() {
        let mut script = String::new();
        let (mut declared, mut comments) = (0, String::new());
        for (number, line) in file.text.lines().enumerate() {
            let rest = line.strip_prefix("fn ").map(|rest| rest.strip_prefix("get ").unwrap_or(rest));
            match rest.and_then(|rest| rest.split_once('(')) {
                Some((name, rest)) => {
                    let (parameters, _) = rest.split_once(") -> ").expect("an answer");
                    let names: Vec<&str> = parameters.split(", ").filter_map(|one| one.split(": ").next()).collect();
                    script += &format!("{comments}fn {name}_{number}({}) {{}}\n", names.join(", "));
                    comments.clear();
                    declared += 1;
                }
                // A comment belongs to what follows it, and an operator has no function.
                None if line.starts_with("///") => comments += &format!("{line}\n"),
                None => comments.clear(),
            }
        }
        let ast = engine.compile(&script).unwrap_or_else(|error| panic!("{}: {error}\n{script}", file.path));
        assert_eq!(ast.iter_functions().count(), declared, "{}", file.path);
        assert!(declared > 5, "{}", file.path);
    }
}
