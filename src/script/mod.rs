//! Scripts: the only room that knows rhai.
//!
//! A [`Library`] finds scripts, compiles them and reads what they declare about themselves without running them.
//! [`params()`] checks what a guest gives to a script.

mod ast;
mod check;
mod engine;
mod library;
mod metadata;
mod params;
mod place;
mod roots;
mod syntax;
mod text;

pub use engine::{STACK, thread};
pub use library::Library;
pub use params::{Problem, params};
pub use roots::Roots;
