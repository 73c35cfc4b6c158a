//! The reference, made of what the program knows anyway: Markdown of the verbs and of every script, and definitions for
//! editors. Nothing is run, and nothing depends on a configuration: the same scripts give the same text.
//!
//! | file | what |
//! |---|---|
//! | `api` | `docs/api.md`: every verb with its options, failures and example |
//! | `page` | `docs/features/NAME.md`, `docs/apps/NAME.md`: one script for whoever configures it |
//! | `definitions` | `.d.rhai`: the verbs as editors read them |
//! | `markdown` | tables and words |

mod api;
mod definitions;
mod markdown;
mod page;

use crate::script::Library;

pub use definitions::definitions;
pub use page::page;

/// A file of the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the directory of the reference: `features/docker.md`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The reference of the verbs, then a page for each script that is good enough to plan with.
pub fn files(library: &Library) -> Vec<File> {
    let catalogue = library.catalogue();
    let mut files = vec![File { path: "api.md".to_owned(), text: api::text() }];
    let scripts = catalogue.features.values().chain(catalogue.apps.values());
    files.extend(scripts.map(|spec| page(library, spec)));
    files
}
