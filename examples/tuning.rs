//! What the builder's options cost: memory, threads, time. The figures of `docs/TUNING.md`.
//!
//! `cargo run --release --example tuning --features console` runs each variant in a process of its own,
//! one after the other, and prints a row for each on stderr. Linux only: it reads `/proc`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mcp_vitals::logs::{LogConfig, LogFile};
use mcp_vitals::traces::{FlightRecorder, Sampler, Tail, TraceConfig};
use mcp_vitals::{Level, Outcome, Vitals, VitalsBuilder};

/// Requests in a burst, and bursts; between two of them the background gets done.
const BURST: u32 = 50;
const BURSTS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_secs(4);

type Variant = (&'static str, fn(VitalsBuilder, &Path) -> VitalsBuilder);

const VARIANTS: &[Variant] = &[
    ("system_metrics(false)", |builder, _| builder.system_metrics(false)),
    ("nothing set", |builder, _| builder),
    ("exemplars(true)", |builder, _| builder.exemplars(true)),
    ("sample(request duration, 8)", |builder, _| builder.sample("mcp_request_duration_seconds", 8)),
    ("idle_expiry(requests, 1 h)", |builder, _| {
        builder.idle_expiry("mcp_requests_total", Duration::from_secs(3_600))
    }),
    ("textfile(…, 9 s)", |builder, folder| {
        builder.textfile(folder.join("mcp.prom"), Duration::from_secs(9))
    }),
    #[cfg(feature = "http")]
    ("listen(0)", |builder, _| builder.listen(0)),
    #[cfg(feature = "console")]
    ("listen(0), console(true)", |builder, _| builder.listen(0).console(true)),
    #[cfg(feature = "console")]
    ("listen(0), console(true), history(false)", |builder, _| {
        builder.listen(0).console(mcp_vitals::ConsoleConfig::new().history(false))
    }),
    #[cfg(feature = "console")]
    ("the same, logs: file, info; traces: memory", |builder, folder| {
        builder
            .listen(0)
            .console(true)
            .logs(LogConfig::to_file(folder.join("log")))
            .traces(TraceConfig::to_memory())
    }),
    ("logs: file, info", |builder, folder| builder.logs(LogConfig::to_file(folder.join("log")))),
    ("logs: file, debug", |builder, folder| {
        builder.logs(LogConfig::to_file(folder.join("log")).level(Level::Debug))
    }),
    ("logs: file, warn", |builder, folder| {
        builder.logs(LogConfig::to_file(folder.join("log")).level(Level::Warn))
    }),
    ("logs: file, info, durable", |builder, folder| {
        builder.logs(LogConfig::to_file(folder.join("log")).durable_in(folder.join("rings")))
    }),
    ("logs: file, info, deduplicate", |builder, folder| {
        let logs = LogConfig::to_file(folder.join("log"));
        builder.logs(logs.deduplicate(Duration::from_secs(1)))
    }),
    ("logs: file, info, without_source", |builder, folder| {
        builder.logs(LogConfig::to_file(folder.join("log")).without_source())
    }),
    ("traces: memory", |builder, _| builder.traces(TraceConfig::to_memory())),
    ("traces: without_store", |builder, _| {
        builder.traces(TraceConfig::to_memory().without_store())
    }),
    ("traces: memory, exemplars(false)", |builder, _| {
        builder.traces(TraceConfig::to_memory()).exemplars(false)
    }),
    ("traces: memory, open_spans", |builder, _| {
        builder.traces(TraceConfig::to_memory().open_spans(true))
    }),
    ("traces: memory, keep(errors)", |builder, _| {
        builder.traces(TraceConfig::to_memory().keep(Tail::new().errors()))
    }),
    ("traces: Sampler::Ratio(0.01)", |builder, _| {
        builder.traces(TraceConfig::to_memory().sampler(Sampler::Ratio(0.01)))
    }),
    ("traces: Sampler::Never", |builder, _| {
        builder.traces(TraceConfig::to_memory().sampler(Sampler::Never))
    }),
    ("traces: propagation_only", |builder, _| builder.traces(TraceConfig::propagation_only())),
    ("traces: memory and file", |builder, folder| {
        builder.traces(TraceConfig::to_memory().file(LogFile::new(folder.join("spans"))))
    }),
    ("traces: memory, flight_recorder", |builder, _| {
        builder.traces(TraceConfig::to_memory()).flight_recorder(FlightRecorder::new())
    }),
    ("logs: file, info; traces: memory", |builder, folder| {
        builder.logs(LogConfig::to_file(folder.join("log"))).traces(TraceConfig::to_memory())
    }),
];

fn main() {
    match std::env::args().nth(1) {
        Some(name) => variant(&name),
        None => all(),
    }
}

fn all() {
    eprintln!(
        "| option | RSS, KiB | engine, KiB | threads | ns a request | in the background | idle |"
    );
    eprintln!("|---|---:|---:|---:|---:|---:|---:|");
    let me = std::env::current_exe().expect("this program has a path");
    for name in std::iter::once("disabled").chain(VARIANTS.iter().map(|(name, _)| *name)) {
        let status = Command::new(&me).arg(name).status().expect("it starts");
        assert!(status.success(), "{name}: {status}");
    }
}

fn variant(name: &str) {
    let folder = std::env::temp_dir().join(format!("mcp-vitals-tuning-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of its own");
    let vitals = match VARIANTS.iter().find(|variant| variant.0 == name) {
        Some((_, set)) => {
            let builder = Vitals::builder().service("tuning", "1.0.0");
            set(builder, &folder).build().expect("the settings are right")
        }
        None => Vitals::disabled(),
    };
    vitals.mcp().learn_tools(["search"]);
    let mut page = Vec::new();
    for _ in 0..100 {
        requests(&vitals, BURST);
        std::thread::sleep(PAUSE);
        page.clear();
        vitals.scrape_into(&mut page);
    }

    let (mut best, before, mut mine) = (u64::MAX, processor(), 0);
    for _ in 0..BURSTS {
        let took = requests(&vitals, BURST);
        best = best.min(took);
        mine += took;
        std::thread::sleep(PAUSE);
    }
    std::thread::sleep(Duration::from_millis(100));
    let background = (processor() - before).saturating_sub(mine);
    let (rss, threads) = (status("VmRSS:"), status("Threads:"));
    let engine = vitals.snapshot().value("mcp_vitals_memory_used_bytes", &[]).unwrap_or(0.0);

    let before = processor();
    std::thread::sleep(IDLE);
    let idle = (processor() - before) as f64 / IDLE.as_nanos() as f64 * 100.0;
    eprintln!(
        "| {name} | {rss} | {:.0} | {threads} | {} | {} | {idle:.2} % |",
        engine / 1024.0,
        best / u64::from(BURST),
        background / u64::from(BURST * BURSTS),
    );
    vitals.shutdown(Duration::from_secs(2));
    drop(vitals);
    let _ = std::fs::remove_dir_all(&folder);
}

/// Nanoseconds that so many requests take their caller.
#[inline(never)]
fn requests(vitals: &Vitals, n: u32) -> u64 {
    let started = Instant::now();
    for _ in 0..n {
        let request = vitals.request("tools/call").tool("search").start();
        std::hint::black_box(&request);
        request.finish(Outcome::Ok);
    }
    started.elapsed().as_nanos() as u64
}

/// Nanoseconds of processor time of all threads that live.
fn processor() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    nanos.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// A number of `/proc/self/status`.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
