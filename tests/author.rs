//! The way of a contributor: `feature new`, lint, test, run.

#[path = "author/guide.rs"]
mod guide;
#[path = "author/new.rs"]
mod new;
#[path = "author/run.rs"]
mod run;
#[path = "author/tried.rs"]
mod tried;
