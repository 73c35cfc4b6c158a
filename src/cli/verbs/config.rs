//! `phoenix config`: the configuration as phoenix understands it, and what its files may hold.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::cli::{Exit, Globals, Session, session};
use crate::config::schema::{FileKind, schema};
use crate::{config, ui};

/// Show the configuration as phoenix understands it, or what its files may hold
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix config show
  phoenix config show gateway
  phoenix config schema lxc > lxc.schema.json")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What can be done with it.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Print it resolved, as JSON; secrets are only named
    Show {
        /// One guest by id or name [default: everything]
        guest: Option<String>,
    },
    /// Print the JSON Schema of configuration files, for editors; it knows the parameters of all scripts
    Schema {
        /// One file [default: all, by name]
        #[arg(value_enum)]
        file: Option<File>,
        /// Write each schema to DIR/FILE.schema.json instead
        #[arg(long, value_name = "DIR", conflicts_with = "file")]
        output: Option<PathBuf>,
    },
}

/// A kind of configuration file.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum File {
    /// phoenix_hypervisor_config.json
    Hypervisor,
    /// phoenix_lxc_configs.json
    Lxc,
    /// phoenix_vm_configs.json
    Vm,
    /// certificate-manifest.json
    Certificates,
    /// stacks/NAME/phoenix.json
    Stack,
}

impl From<File> for FileKind {
    fn from(file: File) -> FileKind {
        match file {
            File::Hypervisor => FileKind::Hypervisor,
            File::Lxc => FileKind::Lxc,
            File::Vm => FileKind::Vm,
            File::Certificates => FileKind::Certificates,
            File::Stack => FileKind::Stack,
        }
    }
}

/// Does it.
///
/// # Errors
/// When there is no configuration, the guest is not declared, or a schema cannot be written.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    match &args.what {
        What::Show { guest } => show(globals, guest.as_deref()),
        What::Schema { output: Some(folder), .. } => write_schemas(globals, folder),
        What::Schema { file: Some(file), .. } => {
            ui::print::document(schema((*file).into(), session::library(globals).0.catalogue()).as_value());
            Ok(Exit::Fine)
        }
        What::Schema { .. } => {
            let (library, _) = session::library(globals);
            let all = FileKind::ALL.map(|kind| (kind.word().to_owned(), schema(kind, library.catalogue()).to_value()));
            ui::print::document(&serde_json::Map::from_iter(all).into());
            Ok(Exit::Fine)
        }
    }
}

fn show(globals: &Globals, guest: Option<&str>) -> Result<Exit> {
    let session = Session::open(globals)?;
    let mut shown = config::resolve_show(&session.site);
    if let Some(word) = guest {
        let id = session.target(word)?;
        shown = shown["guests"][id.to_string()].take();
    }
    ui::print::document(&shown);
    Ok(Exit::Fine)
}

fn write_schemas(globals: &Globals, folder: &Path) -> Result<Exit> {
    let (library, _) = session::library(globals);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for kind in FileKind::ALL {
        let path = folder.join(kind.file_name());
        let text = format!("{:#}\n", schema(kind, library.catalogue()).as_value());
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        ui::print::result_line(&path.display().to_string());
    }
    Ok(Exit::Fine)
}
