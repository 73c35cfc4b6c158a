//! `phoenix graph`: who needs whom.

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::{Exit, Globals, Session};
use crate::plan::{Graph, draw};
use crate::ui;

/// Draw the dependency graph
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix graph
  phoenix graph gateway --format mermaid")]
pub struct Args {
    /// Guests by id or name, with everything they need [default: all]
    pub guests: Vec<String>,
    /// As a tree of text, or as a Mermaid diagram
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How the graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A tree.
    Text,
    /// For documents.
    Mermaid,
}

/// Draws it.
///
/// # Errors
/// When there is no configuration, or a guest is not declared.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let targets = session.targets(&args.guests)?;
    let graph = Graph::new(&session.site, session.library.catalogue());
    if globals.json {
        let all: Vec<_> = graph.guests().collect();
        let guests = graph.order(if targets.is_empty() { &all } else { &targets }).into_iter().map(|id| {
            let needs = graph
                .needs(id)
                .into_iter()
                .map(|edge| serde_json::json!({ "on": edge.on, "why": edge.why.to_string() }));
            serde_json::json!({ "id": id, "name": session.site.guest(id).map(|guest| &guest.name), "needs": needs.collect::<Vec<_>>() })
        });
        ui::print::document(&serde_json::json!({ "guests": guests.collect::<Vec<_>>() }));
    } else {
        ui::print::result(&match args.format {
            Format::Text => draw::text(&session.site, &graph, &targets),
            Format::Mermaid => draw::mermaid(&session.site, &graph, &targets),
        });
    }
    Ok(Exit::Fine)
}
