//! `phoenix status`: declared guests against what is there.

use anyhow::Result;
use serde::Serialize;

use crate::cli::{Exit, Globals, Session, node};
use crate::engine::{Sight, drift, observe};
use crate::model::{Guest, GuestId, GuestKind};
use crate::ui;

/// Show declared guests against what is there
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix status
  phoenix --json status gateway")]
pub struct Args {
    /// Guests by id or name [default: all]
    #[arg(value_name = "GUEST")]
    pub guests: Vec<String>,
}

/// One row.
#[derive(Debug, Serialize)]
struct Row {
    id: GuestId,
    kind: GuestKind,
    name: String,
    /// `absent`, `running`, `stopped`, `template`, `foreign`.
    state: &'static str,
    address: Option<String>,
    /// Whether every step of its life was finished.
    finished: bool,
    /// Settings on the node that differ from the declaration, by name.
    drift: Vec<String>,
    /// Features and apps that were applied.
    applied: Vec<String>,
    /// The run that finished it last.
    last_run: Option<String>,
    lock: Option<String>,
}

/// Shows it.
///
/// # Errors
/// When the node cannot be read, or a guest is not declared.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let wanted = session.targets(&args.guests)?;
    let sight = observe(node::look(&session)?.as_ref())?;
    let guests = session.site.guests.values().filter(|guest| wanted.is_empty() || wanted.contains(&guest.id));
    let rows: Vec<Row> = guests.map(|guest| row(&session, guest, &sight)).collect();
    if globals.json {
        ui::print::document(&serde_json::json!({ "node": sight.inventory.node, "guests": rows }));
        return Ok(Exit::Fine);
    }
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let finished = if row.finished {
                "yes"
            } else if row.last_run.is_some() || row.state != "absent" {
                "no"
            } else {
                ""
            };
            vec![
                row.id.to_string(),
                row.kind.to_string(),
                row.name.clone(),
                row.state.to_owned(),
                row.address.clone().unwrap_or_default(),
                finished.to_owned(),
                row.drift.join(", "),
                row.last_run.clone().unwrap_or_default(),
                row.lock.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let headings = ["ID", "KIND", "NAME", "STATE", "ADDRESS", "FINISHED", "DRIFT", "LAST RUN", "LOCK"];
    ui::print::result(&ui::table::render(&headings, &lines));
    Ok(Exit::Fine)
}

fn row(session: &Session, guest: &Guest, sight: &Sight) -> Row {
    let present = sight.inventory.guests.get(&guest.id);
    let record = sight.records.get(&guest.id);
    let current = present.map(|present| &present.config.current);
    let state = match present {
        None => "absent",
        Some(present) if !present.is_marked() || record.is_none() => "foreign",
        Some(_) if current.is_some_and(|config| config.is_on("template")) => "template",
        Some(present) if present.running => "running",
        Some(_) => "stopped",
    };
    Row {
        id: guest.id,
        kind: guest.kind,
        name: guest.name.clone(),
        state,
        address: guest.ip().map(|ip| ip.to_string()),
        finished: record.is_some_and(|record| record.finished_by.is_some()),
        drift: match state {
            "foreign" => Vec::new(),
            _ => {
                drift(&session.site, session.library.catalogue(), sight, guest).into_iter().map(|one| one.key).collect()
            }
        },
        applied: record.map(|record| record.scripts.keys().cloned().collect()).unwrap_or_default(),
        last_run: record.and_then(|record| record.finished_by.clone()),
        lock: current.and_then(|config| config.get("lock")).map(str::to_owned),
    }
}
