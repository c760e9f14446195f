//! Makes so many calls of one hot path. Run under callgrind with N and with 2 N calls, the
//! difference by N is what a call costs in instructions.

use std::process::ExitCode;

use mcp_vitals_peers::budget::Budgets;
use mcp_vitals_peers::hotpaths::{ALL, HotPath};

const USAGE: &str = "usage: hotpaths NAME CALLS, or hotpaths --list BUDGETS";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--list", budgets] => match read(budgets) {
            Ok(budgets) => {
                list(&budgets);
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&error),
        },
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        [name, calls] => match (HotPath::find(name), calls.parse()) {
            (Some(path), Ok(calls)) => {
                path.run(calls);
                ExitCode::SUCCESS
            }
            _ => refuse(&format!("no such hot path, or no number: {name} {calls}")),
        },
        _ => refuse(USAGE),
    }
}

/// Each path's name, how often it is to be called, and the instructions that it may take.
fn list(budgets: &Budgets) {
    for HotPath { name, calls, .. } in ALL {
        let most = budgets.instructions(name).map_or("-".into(), |most| most.to_string());
        println!("{name} {calls} {most}");
    }
}

fn read(path: &str) -> Result<Budgets, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Budgets::parse(&text).map_err(|error| format!("{path}: {error}"))
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("hotpaths: {why}");
    ExitCode::from(2)
}
