//! What it costs the logs' own thread to keep lines for the console: a measure, and no test.
//!
//! `cargo test --release --features console --test console_cost -- --ignored --nocapture`

#![cfg(target_os = "linux")]

use std::time::Duration;

use mcp_vitals::logs::{Batch, Export, ExportError, LogConfig};
use mcp_vitals::{ConsoleConfig, Vitals, info};

/// Nanoseconds on a processor of the process's thread of this name.
fn cpu_of(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let of = tasks.flatten().map(|task| task.path());
    let of = of.filter(|task| read(task.join("comm")).trim() == name);
    of.map(|task| read(task.join("schedstat")))
        .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

struct Nowhere;

impl Export for Nowhere {
    fn export(&mut self, _: &Batch<'_>) -> Result<(), ExportError> {
        Ok(())
    }
}

/// Nanoseconds of the flusher for a line: the least of some rounds.
fn cost(logs: LogConfig, console: ConsoleConfig) -> u64 {
    const LINES: u64 = 1_000;
    let builder = Vitals::builder().system_metrics(false).logs(logs).listen(0).console(console);
    let vitals = builder.build().unwrap();
    let logger = vitals.logger("search");
    // Bursts, each shorter than a ring: what the flusher needs to wake up is shared by its lines.
    let round = |_| {
        let before = cpu_of("mcp-vitals-logs");
        for n in 0..LINES {
            info!(logger, "tool called", tool = "agent_spawn", n, took = Duration::from_millis(3));
        }
        assert!(vitals.flush(Duration::from_secs(60)));
        (cpu_of("mcp-vitals-logs") - before) / LINES
    };
    (0..300).map(round).min().unwrap()
}

#[test]
#[ignore = "measures for some seconds"]
fn what_a_line_costs_the_flusher() {
    let sinks: [(&str, fn() -> LogConfig); 2] = [
        ("a JSON sink", LogConfig::to_memory),
        ("an exporter", || LogConfig::new().export(Nowhere)),
    ];
    for (name, logs) in &sinks {
        let none = cost(logs(), false.into());
        let console = cost(logs(), true.into());
        println!("{name}: {none} ns a line without the console, {console} ns with it");
    }
    let alone = cost(LogConfig::new(), true.into());
    println!("no sink: {alone} ns a line with the console");
}
