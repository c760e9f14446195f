//! The logs where things go wrong: sinks that sleep and that log themselves. What is measured on the way
//! is printed (`--nocapture`) and stands in docs/BENCHMARKS.md.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use mcp_vitals::logs::{Batch, Export, ExportError, LogConfig, LogFile};
use mcp_vitals::{Level, Vitals, info};

const FOR_EVER: Duration = Duration::from_secs(600);

fn engine(config: LogConfig) -> Vitals {
    Vitals::builder().system_metrics(false).logs(config).build().unwrap()
}

fn value(vitals: &Vitals, metric: &str, labels: &[(&str, &str)]) -> u64 {
    vitals.snapshot().sum(metric, labels) as u64
}

/// Lines of level info that were lost at `place`, whyever.
fn lost(vitals: &Vitals, place: &str) -> u64 {
    value(vitals, "mcp_vitals_log_lost_total", &[("place", place), ("level", "info")])
}

fn written(vitals: &Vitals, sink: &str) -> u64 {
    value(vitals, "mcp_vitals_log_lines_total", &[("sink", sink), ("level", "info")])
}

/// Logs each line that it gets.
struct Echo(Arc<OnceLock<Vitals>>, Arc<AtomicU64>);

impl Export for Echo {
    fn export(&mut self, batch: &Batch<'_>) -> Result<(), ExportError> {
        let vitals = self.0.wait();
        let logger = vitals.logger("echo");
        for record in batch.records() {
            self.1.fetch_add(1, Ordering::Relaxed);
            info!(logger, "exported", message = record.message.to_str().as_ref());
        }
        assert!(!vitals.flush(FOR_EVER), "it would wait for itself");
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        info!(self.0.wait().logger("echo"), "flushed");
        Ok(())
    }
}

#[test]
fn an_exporter_that_logs_does_not_feed_itself() {
    let (there, seen) = (Arc::new(OnceLock::new()), Arc::new(AtomicU64::new(0)));
    let vitals = engine(LogConfig::to_memory().export(Echo(there.clone(), seen.clone())));
    assert!(there.set(vitals.clone()).is_ok());
    let logger = vitals.logger("host");
    for round in 1..=3 {
        for n in 0..10 {
            info!(logger, "once", n);
        }
        assert!(vitals.flush(FOR_EVER));
        assert_eq!(seen.load(Ordering::Relaxed), round * 10);
    }
    assert_eq!(vitals.captured_logs().len(), 30);
    let own = |level: Level| {
        let labels = [("place", "ring"), ("level", level.as_str()), ("reason", "own")];
        value(&vitals, "mcp_vitals_log_lost_total", &labels)
    };
    // One for each line, and one for each flush of the sink, of which there is one or more a round.
    assert!(own(Level::Info) >= 33, "{}", own(Level::Info));
    assert_eq!(own(Level::Error), 0);
    assert_eq!(lost(&vitals, "ring"), own(Level::Info), "no ring was full");
    vitals.shutdown(FOR_EVER);
}

/// How far the sleeper is.
#[derive(Default)]
struct Sleep {
    begun: AtomicBool,
    may_end: Mutex<bool>,
    told: Condvar,
    ended: AtomicBool,
    lines: AtomicU64,
}

/// Sleeps over its first batch, and then is as fast as it can be.
struct Sleeper(Arc<Sleep>);

const ASLEEP: Duration = Duration::from_secs(5);

impl Export for Sleeper {
    fn export(&mut self, batch: &Batch<'_>) -> Result<(), ExportError> {
        let Sleeper(sleep) = self;
        if !sleep.begun.swap(true, Ordering::SeqCst) {
            thread::sleep(ASLEEP);
            let may_end = sleep.may_end.lock().unwrap();
            drop(sleep.told.wait_while(may_end, |may_end| !*may_end).unwrap());
            sleep.ended.store(true, Ordering::SeqCst);
        }
        let infos = batch.records().filter(|record| record.level == Level::Info);
        sleep.lines.fetch_add(infos.count() as u64, Ordering::SeqCst);
        Ok(())
    }
}

/// Bytes of this process in memory, now and at most so far.
#[cfg(target_os = "linux")]
fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[cfg(not(target_os = "linux"))]
fn resident() -> (u64, u64) {
    (0, 0)
}

#[test]
fn a_sink_that_sleeps_under_a_flood_stops_nobody_else() {
    const QUEUE: u64 = 4 << 20;
    const RING: u64 = 256 << 10;
    /// What the healthy one must write meanwhile: far more than all queues and rings hold.
    const GOES_ON: u64 = 100_000;
    let folder = std::env::temp_dir().join(format!("mcp-vitals-faults-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("flood.log");
    let sleep = Arc::new(Sleep::default());
    let (before, _) = resident();
    let config = LogConfig::new()
        .file(LogFile::new(&path).rotate_bytes(64 << 20).keep_files(2))
        .export(Sleeper(sleep.clone()))
        .queue_bytes(QUEUE as u32)
        .ring_bytes(RING as u32);
    let vitals = engine(config);
    let began = Instant::now();
    let calls: u64 = thread::scope(|scope| {
        let producers = [0u64, 1].map(|who| {
            let (logger, sleep) = (vitals.logger("flood"), &sleep);
            scope.spawn(move || {
                let mut calls = 0u64;
                while !sleep.ended.load(Ordering::Relaxed) {
                    let header = "Bearer abc.def.ghi";
                    info!(logger, "called with {header}", who, n = calls, password = "hunter2");
                    calls += 1;
                }
                calls
            })
        });
        // It sleeps on until the other has done what it could not do behind it.
        while written(&vitals, "file") < GOES_ON || !sleep.begun.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!sleep.ended.load(Ordering::SeqCst));
        *sleep.may_end.lock().unwrap() = true;
        sleep.told.notify_all();
        producers.map(|producer| producer.join().unwrap()).iter().sum()
    });
    let took = began.elapsed().as_secs_f64();
    assert!(vitals.flush(FOR_EVER));
    let (_, most) = resident();
    let in_front = lost(&vitals, "ring");
    let million = |lines: u64| lines as f64 / 1e6;
    println!("{:.2} million calls in {took:.1} s by two threads", million(calls));
    let share = |lines: u64| 100.0 * lines as f64 / calls as f64;
    println!("lost in full rings: {:.1} %", share(in_front));
    for sink in ["file", "export"] {
        let (written, lost) = (written(&vitals, sink), lost(&vitals, sink));
        assert_eq!(calls, in_front + written + lost, "{sink}: each line is written or counted");
        println!("{sink}: written {:.1} %, lost {:.1} %", share(written), share(lost));
    }
    let labels = [("place", "export"), ("level", "info"), ("reason", "full")];
    let slept_over = value(&vitals, "mcp_vitals_log_lost_total", &labels);
    assert_eq!(slept_over, lost(&vitals, "export"), "for no other reason");
    assert!(slept_over > 0, "its queue was never full");
    assert_eq!(written(&vitals, "export"), sleep.lines.load(Ordering::SeqCst));

    let bound = 2 * QUEUE + 3 * RING + (24 << 20);
    let grown = most.saturating_sub(before);
    println!("memory: {:.1} MiB more at most", grown as f64 / f64::from(1 << 20));
    assert!(grown < bound, "{grown} bytes more, of {bound}");

    // Both are there afterwards.
    info!(vitals.logger("flood"), "the end");
    assert!(vitals.flush(FOR_EVER));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().last().unwrap().contains("\"message\":\"the end\""));
    assert_eq!(written(&vitals, "export"), sleep.lines.load(Ordering::SeqCst));
    assert!(!text.contains("hunter2") && !text.contains("abc.def"));
    vitals.shutdown(FOR_EVER);
    fs::remove_dir_all(folder).unwrap();
}

/// Takes nothing until it is let.
struct Blocked(Arc<Mutex<bool>>, Arc<Condvar>);

impl Export for Blocked {
    fn export(&mut self, _: &Batch<'_>) -> Result<(), ExportError> {
        let may_end = self.0.lock().unwrap();
        drop(self.1.wait_while(may_end, |may_end| !*may_end).unwrap());
        Ok(())
    }
}

/// A flush during or after a shutdown answers for what the shutdown left behind.
#[test]
fn a_flush_says_what_a_shutdown_has_lost() {
    let (may_end, told) = (Arc::new(Mutex::new(false)), Arc::new(Condvar::new()));
    let vitals = engine(LogConfig::new().export(Blocked(may_end.clone(), told.clone())));
    info!(vitals.logger("x"), "never taken");
    assert!(!vitals.flush(Duration::from_millis(50)));
    thread::scope(|scope| {
        let during = scope.spawn(|| vitals.flush(FOR_EVER));
        vitals.shutdown(Duration::from_millis(300));
        assert!(!during.join().unwrap());
    });
    assert!(!vitals.flush(FOR_EVER));
    *may_end.lock().unwrap() = true;
    told.notify_all();

    let vitals = engine(LogConfig::to_memory());
    info!(vitals.logger("x"), "taken");
    vitals.shutdown(FOR_EVER);
    assert!(vitals.flush(FOR_EVER));
}

/// What an engine's threads cost where next to nothing happens. Not a test; prints for a minute:
/// `cargo test --release --test log_faults -- --ignored --nocapture`
#[test]
#[ignore = "measures for a minute"]
#[cfg(target_os = "linux")]
fn idle_cpu() {
    const SECONDS: u64 = 30;
    /// By thread, its name, nanoseconds on a processor, and how often it was given one.
    fn threads() -> Vec<(String, u64, u64)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc/self/task").unwrap() {
            let path = entry.unwrap().path();
            let name = fs::read_to_string(path.join("comm")).unwrap().trim().to_owned();
            let stat = fs::read_to_string(path.join("schedstat")).unwrap();
            let mut words = stat.split_whitespace().map(|word| word.parse::<u64>().unwrap());
            let (busy, _, turns) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            if ["mcp-vitals-logs", "file"].contains(&&*name) {
                found.push((name, busy, turns));
            }
        }
        found.sort();
        found
    }
    let path = std::env::temp_dir().join(format!("mcp-vitals-idle-{}.log", std::process::id()));
    let vitals = engine(LogConfig::to_file(&path));
    let logger = vitals.logger("idle");
    info!(logger, "the first");
    thread::sleep(Duration::from_secs(1));
    for (what, log) in [("idle", false), ("a line a second", true)] {
        let before = threads();
        assert_eq!(before.len(), 2, "{before:?}");
        for n in 0..SECONDS {
            if log {
                info!(logger, "once a second", n, tool = "search", ok = true);
            }
            thread::sleep(Duration::from_secs(1));
        }
        for ((name, busy, turns), (_, busy_before, turns_before)) in threads().iter().zip(&before) {
            let share = (busy - busy_before) as f64 / (SECONDS as f64 * 1e9);
            let wakes = (turns - turns_before) as f64 / SECONDS as f64;
            println!("{what}: {name}: {:.4} % of a core, {wakes:.0} wake-ups/s", share * 100.0);
        }
    }
    vitals.shutdown(FOR_EVER);
    fs::remove_file(path).unwrap();
}
