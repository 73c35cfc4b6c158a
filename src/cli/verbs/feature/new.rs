//! `phoenix feature new`: a feature to start from, with its tests, model and page, all of which pass as they are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::json;

use super::find;
use crate::cli::{Exit, Globals, Refusal, session};
use crate::machine;
use crate::manual;
use crate::model::{Catalogue, ScriptKind};
use crate::ui;

/// What `phoenix feature new` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix feature new mirror
  phoenix feature new intranet --app --target lxc
  phoenix --scripts /etc/phoenix feature new mirror")]
pub struct Args {
    /// Its name: small letters, digits and `_`
    name: String,
    /// An app: one per guest, run after the features
    #[arg(long)]
    app: bool,
    /// What it is for; may be given twice [default: both]
    #[arg(long, value_enum, value_name = "TARGET")]
    target: Vec<Target>,
}

/// What a script may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Containers
    Lxc,
    /// Virtual machines
    Vm,
}

/// Files by their path, with NAME for the name, and what they are made of.
const FILES: [(&str, &str); 4] = [
    ("NAME.rhai", include_str!("new/feature.rhai.j2")),
    ("NAME.test.rhai", include_str!("new/test.rhai.j2")),
    ("NAME.model.rhai", include_str!("new/model.rhai.j2")),
    ("NAME/rsyncd.conf.j2", include_str!("new/rsyncd.conf.j2")),
];

/// Names that folders of scripts have already.
const TAKEN: [&str; 2] = ["lib", "node"];

/// Writes it.
///
/// # Errors
/// When the name cannot be one, somebody has it, or a file is there already: then nothing is written.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let kind = if args.app { ScriptKind::App } else { ScriptKind::Feature };
    let (library, _) = session::library(globals);
    name(&args.name, library.catalogue())?;
    let root = globals.scripts.clone().unwrap_or_default();
    let mut written = write(&root, &made(args, kind)?)?;

    let (library, _) = session::library(globals);
    let page = manual::page(&library, find(library.catalogue(), &args.name)?);
    written.extend(write(&root, &[(PathBuf::from(page.path), page.text)])?);
    tell(globals, &args.name, &written);
    Ok(Exit::Fine)
}

/// Whether it can be the name of a new script.
fn name(name: &str, catalogue: &Catalogue) -> Result<()> {
    let refused = |why: String, hint: &str| Err(Refusal::usage(why).hint(hint.to_owned()).into());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(plain) || name.len() > 40 {
        let hint = "small letters, digits and `_`, the first one a letter, at most 40: it is the name of files and of JSON members";
        return refused(format!("`{name}` cannot be the name of a feature"), hint);
    }
    if TAKEN.contains(&name) {
        return refused(format!("`{name}` is a folder that features have already"), "take another name");
    }
    let there = [ScriptKind::Feature, ScriptKind::App].iter().find_map(|kind| catalogue.get(*kind, name));
    match there {
        Some(spec) => {
            let what = if spec.kind == ScriptKind::App { "an app" } else { "a feature" };
            refused(format!("there is {what} `{name}` already: {}", spec.path), "take another name")
        }
        None => Ok(()),
    }
}

/// The files below the root of scripts.
fn made(args: &Args, kind: ScriptKind) -> Result<Vec<(PathBuf, String)>> {
    let targets: &[Target] = if args.target.is_empty() { Target::value_variants() } else { &args.target };
    let targets: Vec<_> = targets.iter().filter_map(ValueEnum::to_possible_value).collect();
    let (constant, folder) = match kind {
        ScriptKind::Feature => ("FEATURE", "features"),
        ScriptKind::App => ("APP", "apps"),
    };
    let variables = json!({
        "name": args.name,
        "constant": constant,
        "targets": targets.iter().map(|target| target.get_name()).collect::<Vec<_>>(),
    });
    let made = FILES.iter().map(|(path, template)| {
        let text = machine::filled(path, template, &variables.clone().into())?;
        Ok((Path::new(folder).join(path.replace("NAME", &args.name)), text.expose().to_owned()))
    });
    made.collect()
}

/// Writes files that are not there yet: all or none.
fn write(root: &Path, files: &[(PathBuf, String)]) -> Result<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = files.iter().map(|(path, _)| root.join(path)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(Refusal::usage(format!("{} is there already", there.display()))
            .hint("nothing was written: take another name, or move the file away")
            .into());
    }
    for (path, (_, text)) in paths.iter().zip(files) {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(paths)
}

fn tell(globals: &Globals, name: &str, written: &[PathBuf]) {
    let (scripts, root) = match &globals.scripts {
        Some(dir) => (format!("--scripts {} ", dir.display()), dir.display().to_string()),
        None => (String::new(), ".".to_owned()),
    };
    let next = [
        (format!("phoenix {scripts}feature lint {name}"), "what is wrong with it, without running it"),
        (format!("phoenix {scripts}feature test {name}"), "its tests, in modelled guests"),
        (
            format!("phoenix {scripts}feature run {name} --on GUEST --dry-run"),
            "what it would change on a guest that lists it",
        ),
        (format!("phoenix {scripts}feature docs {name} --output {root}"), "its page, after a change"),
    ];
    if globals.json {
        let next: Vec<&String> = next.iter().map(|(command, _)| command).collect();
        ui::print::document(&json!({ "files": written, "next": next }));
        return;
    }
    written.iter().for_each(|path| ui::print::result_line(&path.display().to_string()));
    if !globals.quiet {
        let rows: Vec<Vec<String>> =
            next.iter().map(|(command, why)| vec![command.clone(), (*why).to_owned()]).collect();
        ui::print::note(&format!("\n{}", ui::table::render(&["NEXT", "TELLS"], &rows)));
    }
}
