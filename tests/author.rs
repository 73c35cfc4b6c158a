//! The way of a contributor: `feature new`, lint, test, run.

#[path = "author/new.rs"]
mod new;
#[path = "author/tried.rs"]
mod tried;
