//! The command line: a thin caller of the library.

mod analyze;
mod args;
mod demo;
mod generate;
mod recover;
mod stop;
mod terminal;

use std::process::ExitCode;

use args::Command;
use terminal::Terminal;

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let outcome = match args::parse() {
        Command::Analyze(options) => analyze::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Recover(options) => recover::run(&options),
        Command::Generate(options) => generate::run(&options),
    };
    outcome.unwrap_or_else(|failure| {
        Terminal::stderr().failure(&failure);
        ExitCode::FAILURE
    })
}
