//! Measures mcp-vitals and its peers on the same work; see `--help`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use mcp_vitals_peers::alloc::Counting;
use mcp_vitals_peers::budget::{self, Budgets, Verdict};
use mcp_vitals_peers::cli::{Args, HELP};
use mcp_vitals_peers::figures::{self, Figure};
use mcp_vitals_peers::harness::Pair;
use mcp_vitals_peers::logs::child;
use mcp_vitals_peers::logs::work::Work;
use mcp_vitals_peers::machine::Machine;
use mcp_vitals_peers::report::Report;
use mcp_vitals_peers::sides::{logs, traces as spans};
use mcp_vitals_peers::traces;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const OVER: u8 = 1;
const USAGE: u8 = 2;
const WRONG_TOTALS: u8 = 3;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(OVER),
        Err((status, error)) => {
            eprintln!("peers: {error}");
            ExitCode::from(status)
        }
    }
}

/// Does what was asked; whether all budgets are kept, or the exit status and why.
fn run() -> Result<bool, (u8, String)> {
    let wrong = |error| (USAGE, error);
    let args = Args::parse(std::env::args_os().skip(1)).map_err(wrong)?;
    if args.help {
        print!("{HELP}");
        return Ok(true);
    }
    if let [Some(side), Some(work), Some(file)] = &args.child {
        return serve(side, work, Path::new(file), args.quick)
            .map(|()| true)
            .map_err(|error| (WRONG_TOTALS, format!("{side}: {error}")));
    }
    if args.list {
        figures::all().iter().for_each(|figure| println!("{}", figure.name));
        return Ok(true);
    }
    // Before minutes are spent on measuring what can't be compared.
    let budgets = args.check.as_deref().map(read_budgets).transpose().map_err(wrong)?;
    let report = match &args.from {
        Some(path) => read_report(path).map_err(wrong)?,
        None => measure(&args).map_err(|error| (WRONG_TOTALS, error))?,
    };
    print!("{report}");
    if let Some(path) = &args.json {
        write_report(path, &report).map_err(wrong)?;
    }
    let Some(budgets) = budgets else { return Ok(true) };
    let left_out = args.left_out();
    let wanted = |figure: &str| args.wants(figure) && !left_out.contains(&figure);
    let verdicts = budgets.check(&report, wanted);
    print!("\n{}", budget::table(&verdicts));
    Ok(!verdicts.iter().any(Verdict::is_over))
}

/// Is one side of a figure of the logs or the traces.
fn serve(side: &str, work: &str, file: &Path, quick: bool) -> Result<(), String> {
    if let Some(work) = traces::work::Work::find(work) {
        let side = spans::SIDES.iter().find(|known| known.name == side).ok_or("no such side")?;
        return traces::child::serve(side, if quick { work.quick() } else { work });
    }
    let side = logs::SIDES.iter().find(|known| known.name == side).ok_or("no such side")?;
    let work = Work::find(work).ok_or("no such work")?;
    child::serve(side, if quick { work.quick() } else { work }, file)
}

fn measure(args: &Args) -> Result<Report, String> {
    if cfg!(debug_assertions) {
        eprintln!("peers: built without optimisation, so the figures mean nothing");
    }
    let settings = args.settings();
    let mut pair = Pair::start();
    let left_out = args.left_out();
    let wanted = |figure: &Figure| args.wants(figure.name) && !left_out.contains(&figure.name);
    let wanted: Vec<_> = figures::all().into_iter().filter(wanted).collect();
    let mut rows = Vec::new();
    for (i, figure) in wanted.iter().enumerate() {
        eprintln!("[{}/{}] {}", i + 1, wanted.len(), figure.name);
        rows.push(figure.measure(&mut pair, settings)?);
    }
    Ok(Report { machine: Machine::here(), rounds: settings.rounds, rows })
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_budgets(path: &Path) -> Result<Budgets, String> {
    Budgets::parse(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_report(path: &Path) -> Result<Report, String> {
    serde_json::from_str(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_report(path: &Path, report: &Report) -> Result<(), String> {
    let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    fs::write(path, json + "\n").map_err(|error| format!("{}: {error}", path.display()))
}
