//! What it costs the logs' own thread to keep lines for the console, and recording that somebody looks:
//! measures, and no tests.
//!
//! `cargo test --release --features console --test console_cost -- --ignored --nocapture`

#![cfg(target_os = "linux")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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
    let exporter = || LogConfig::new().export(Nowhere);
    for (name, logs) in
        [("a JSON sink", LogConfig::to_memory as fn() -> _), ("an exporter", exporter)]
    {
        let none = cost(logs(), false.into());
        let console = cost(logs(), true.into());
        println!("{name}: {none} ns a line without the console, {console} ns with it");
    }
    let alone = cost(LogConfig::new(), true.into());
    println!("no sink: {alone} ns a line with the console");
}

/// Nanoseconds of a counter's and a histogram's record: the median of rounds, over three seconds.
fn recording(viewers: usize, console: ConsoleConfig) -> [f64; 2] {
    let builder = Vitals::builder().system_metrics(false).listen(0).console(console);
    let vitals = builder.build().unwrap();
    let addr = vitals.metrics_addr().unwrap();
    for _ in 0..viewers {
        let mut stream = TcpStream::connect(addr).unwrap();
        let ask = b"GET /console/events HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(ask).unwrap();
        std::thread::spawn(move || while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {});
    }
    let counter = vitals.mcp().requests.with(["search", "execute", "success"]);
    let histogram = vitals.mcp().request_duration.with(["search", "execute"]);
    const RECORDS: u64 = 100_000;
    let time = |record: &dyn Fn(u64)| {
        let started = Instant::now();
        (0..RECORDS).for_each(record);
        started.elapsed().as_nanos() as f64 / RECORDS as f64
    };
    let (mut counts, mut records) = (Vec::new(), Vec::new());
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        counts.push(time(&|_| black_box(&counter).inc()));
        records.push(time(&|n| black_box(&histogram).record_nanos(black_box(1_000 + n * 64))));
    }
    [counts, records].map(|mut rounds| {
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    })
}

#[test]
#[ignore = "measures for some seconds"]
fn what_viewers_cost_recording() {
    for (name, viewers, console) in
        [("console off", 0, false), ("nobody looks", 0, true), ("eight viewers", 8, true)]
    {
        // In turns twice: what differs from one to the next is the machine's.
        for _ in 0..2 {
            let [count, record] = recording(viewers, console.into());
            println!("{name}: {count:.2} ns a counter, {record:.2} ns a histogram");
        }
    }
}
