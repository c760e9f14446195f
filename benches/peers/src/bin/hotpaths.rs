//! Makes so many calls of one hot path. Run under callgrind with N and with 2 N calls, the
//! difference by N is what a call costs in instructions.

use std::process::ExitCode;

use mcp_vitals_peers::hotpaths::{ALL, HotPath};

const USAGE: &str = "usage: hotpaths NAME CALLS, or hotpaths --list";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--list"] => {
            ALL.iter().for_each(|path| println!("{} {}", path.name, path.calls));
            ExitCode::SUCCESS
        }
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

fn refuse(why: &str) -> ExitCode {
    eprintln!("hotpaths: {why}");
    ExitCode::from(2)
}
