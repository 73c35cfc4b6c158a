//! The command line: one file per verb, and the place where everything is put together.

mod arguments;
mod ask;
mod failure;
mod interrupt;
mod lab;
mod node;
mod run;
mod session;
pub mod verbs;

use std::process::ExitCode;

use clap::Parser;

pub use arguments::{Arguments, Color, Globals, Verb};
pub use failure::{Exit, Refusal};
pub use session::Session;

/// Runs the program with the arguments it was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let color = match arguments.globals.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    color.write_global();
    let json = arguments.globals.json;
    match dispatch(arguments) {
        Ok(exit) => exit.into(),
        Err(error) => failure::report(&error, json),
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<Exit> {
    let globals = arguments.globals;
    match arguments.verb {
        Verb::Create(args) => verbs::create::run(&globals, &args),
        Verb::Converge(args) => verbs::converge::run(&globals, &args),
        Verb::Up(args) => verbs::up::run(&globals, &args),
        Verb::Plan(args) => verbs::plan::run(&globals, &args),
        Verb::Start(args) => verbs::power::start(&globals, &args),
        Verb::Stop(args) => verbs::power::stop(&globals, &args),
        Verb::Restart(args) => verbs::power::restart(&globals, &args),
        Verb::Delete(args) => verbs::delete::run(&globals, &args),
        Verb::Status(args) => verbs::status::run(&globals, &args),
        Verb::Health(args) => verbs::health::run(&globals, &args),
        Verb::Graph(args) => verbs::graph::run(&globals, &args),
        Verb::Check(args) => verbs::check::run(&globals, &args),
        Verb::Init(args) => verbs::init::run(&globals, &args),
        Verb::Import(args) => verbs::import::run(&globals, &args),
        Verb::Config(args) => verbs::config::run(&globals, &args),
        Verb::Feature(args) => verbs::feature::run(&globals, &args),
        Verb::Completions(args) => verbs::completions::run(&args),
        Verb::Man(args) => verbs::man::run(&args),
        Verb::Sandbox(args) => verbs::sandbox::run(&globals, &args),
        Verb::Lsp(args) => verbs::lsp::run(&globals, &args),
        Verb::Serve(args) => verbs::serve::run(&globals, &args),
    }
}
