//! Lines from the call to the sink: what a user of the logs sees.

use std::time::Duration;

use mcp_vitals::logs::{
    Context, InContext, LogConfig, LogFile, LogFilter, LogFormat, Overflow, exception,
    set_request_context,
};
use mcp_vitals::{Level, Vitals, debug, error, info, log, warn};
use serde_json::{Value, json};

fn engine(config: LogConfig) -> Vitals {
    Vitals::builder().system_metrics(false).logs(config).build().unwrap()
}

fn captured(vitals: &Vitals) -> Vec<Value> {
    vitals.captured_logs().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `fields` are what `line` has, among others.
#[track_caller]
fn assert_has(line: &Value, fields: Value) {
    for (key, value) in fields.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} in {line}");
    }
}

#[test]
fn a_line_says_what_when_where_and_who() {
    let vitals = engine(LogConfig::to_memory());
    let logger = vitals.logger("search");
    let (tool, n) = ("swarm.init", 3u32);
    let line = line!() + 2;
    let _context = set_request_context(Some("req-1"), Some("u-2"), Some("s-3"));
    info!(logger, "indexed {n} documents", tool, n, took = Duration::from_millis(250), ok = true);
    let lines = captured(&vitals);
    assert_eq!(lines.len(), 1);
    assert_has(
        &lines[0],
        json!({
            "level": "info", "logger": "search", "message": "indexed 3 documents",
            "module": "logs", "file": "tests/logs.rs", "line": line,
            "function": "logs::a_line_says_what_when_where_and_who",
            "request_id": "req-1", "user_id": "u-2", "session_id": "s-3",
            "tool": "swarm.init", "n": 3, "took": 0.25, "ok": true,
        }),
    );
    assert_eq!(lines[0]["thread"], std::thread::current().name().unwrap());
    assert!(lines[0]["timestamp"].as_str().unwrap().starts_with("20"));
}

#[test]
fn every_kind_of_field_arrives() {
    #[derive(Debug)]
    struct Shape;
    impl std::fmt::Display for Shape {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a shape")
        }
    }
    let vitals = engine(LogConfig::to_memory());
    let logger = vitals.logger("kinds");
    let (shape, name) = (Shape, String::from("owned"));
    let wrong = "x".parse::<u8>().unwrap_err();
    warn!(
        logger,
        "kinds",
        a = -1i8, b = u64::MAX, c = 1.5f32, d = 'x', "e f" = &name, g.h = Some(2), i = None::<u8>,
        j = %shape, k = ?Shape, %shape, l = f64::NAN, m = [1u8, 2].as_slice(),
        exception = exception(&wrong),
    );
    let lines = captured(&vitals);
    assert_has(
        &lines[0],
        json!({
            "a": -1, "b": u64::MAX, "c": 1.5, "d": "x", "e f": "owned", "g.h": 2, "i": null,
            "j": "a shape", "k": "Shape", "shape": "a shape", "l": "NaN", "m": "\u{1}\u{2}",
        }),
    );
    assert_has(
        &lines[0]["exception"],
        json!({ "type": "core::num::error::ParseIntError", "message": "invalid digit found in string" }),
    );
}

#[test]
fn levels_are_taken_by_logger_and_module_and_changed_while_running() {
    let vitals =
        engine(LogConfig::to_memory().level("warn,chatty=debug".parse::<LogFilter>().unwrap()));
    let (quiet, chatty) = (vitals.logger("quiet"), vitals.logger("chatty"));
    info!(quiet, "no");
    warn!(quiet, "yes 1");
    debug!(chatty, "yes 2");
    vitals.set_log_filter("off,logs=info".parse::<LogFilter>().unwrap());
    info!(quiet, "yes 3");
    debug!(quiet, "no");
    chatty.set_level(Level::Error);
    info!(chatty, "no");
    log!(chatty, Level::Error, "yes 4");
    let messages: Vec<_> =
        captured(&vitals).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(messages, ["yes 1", "yes 2", "yes 3", "yes 4"]);
    assert_eq!(vitals.log_filter().to_string(), "off,logs=info");
}

#[test]
fn what_is_not_taken_runs_nothing() {
    let vitals = engine(LogConfig::to_memory());
    let logger = vitals.logger("x");
    let mut asked = false;
    debug!(logger, "not taken", n = std::mem::replace(&mut asked, true));
    assert!(!asked, "a value that nobody asked for");
    assert!(!logger.is_enabled(Level::Debug) && captured(&vitals).is_empty());
    let off = Vitals::disabled().logger("x");
    error!(off, "nobody");
    assert!(!off.is_enabled(Level::Error));
}

#[test]
fn a_future_takes_its_context_from_thread_to_thread() {
    let vitals = engine(LogConfig::to_memory());
    let logger = vitals.logger("future");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let work = |n: u32| {
            let logger = logger.clone();
            let context = Context::new().request_id(&n.to_string()).field("shard", n % 7);
            async move {
                for _ in 0..10 {
                    info!(logger, "step", n);
                    tokio::task::yield_now().await;
                }
            }
            .in_context(context)
        };
        let tasks: Vec<_> = (0..100).map(|n| tokio::spawn(work(n))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let lines = captured(&vitals);
    assert_eq!(lines.len(), 1_000);
    for line in &lines {
        let n = line["n"].as_u64().unwrap();
        assert_has(line, json!({ "request_id": n.to_string(), "shard": n % 7 }));
    }
}

#[test]
fn lines_of_many_threads_come_in_the_order_of_their_time() {
    let vitals = engine(LogConfig::to_memory());
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let logger = vitals.logger("order");
            scope.spawn(move || (0..500u64).for_each(|n| info!(logger, "n", thread, n)));
        }
    });
    let lines = captured(&vitals);
    assert_eq!(lines.len(), 4_000);
    let mut next = [0; 8];
    for line in &lines {
        let (thread, n) = (line["thread"].clone(), line["n"].as_u64().unwrap());
        // The field of that name gave way to the name that every line has.
        let _ = thread;
        let of = line["field.thread"].as_u64().unwrap() as usize;
        assert_eq!(n, next[of], "in order within a thread");
        next[of] += 1;
    }
}

#[test]
fn two_thousand_threads_that_log_once_and_end() {
    let vitals = engine(LogConfig::to_memory());
    for _ in 0..40 {
        std::thread::scope(|scope| {
            for n in 0..50u64 {
                let logger = vitals.logger("short");
                scope.spawn(move || info!(logger, "once", n));
            }
        });
    }
    assert_eq!(captured(&vitals).len(), 2_000);
    let used = vitals.snapshot().value("mcp_vitals_memory_used_bytes", &[]).unwrap();
    assert!(used < (64 << 20) as f64);
}

#[test]
fn what_is_lost_is_counted_and_said_in_the_log() {
    // A ring that nobody can drain fast enough, since the flusher sleeps a millisecond at least.
    let vitals = engine(LogConfig::to_memory().ring_bytes(4096).rings(1));
    let logger = vitals.logger("flood");
    for n in 0..100_000u64 {
        info!(logger, "flood", n);
    }
    error!(logger, "the end");
    let lines = captured(&vitals);
    let snapshot = vitals.snapshot();
    let lost = |level| {
        let labels = [("place", "ring"), ("level", level), ("reason", "full")];
        snapshot.value("mcp_vitals_log_lost_total", &labels).unwrap() as u64
    };
    let arrived = lines.iter().filter(|line| line["message"] == "flood").count() as u64;
    assert_eq!(arrived + lost("info"), 100_000);
    assert!(lost("info") > 0, "the ring was never full");
    assert!(lines.iter().any(|line| line["message"] == "the end"), "room is kept for errors");
    let said: u64 = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
    assert_eq!(said, lost("info") + lost("error"));
}

#[test]
fn who_blocks_loses_nothing() {
    let config =
        LogConfig::to_memory().ring_bytes(4096).overflow(Overflow::Block(Duration::from_secs(600)));
    let vitals = engine(config);
    let logger = vitals.logger("flood");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..4_000u64).for_each(|n| info!(logger, "flood", n)));
        }
    });
    assert_eq!(captured(&vitals).len(), 8_000);
}

#[test]
fn a_flight_recorder_keeps_the_newest() {
    let vitals =
        engine(LogConfig::to_memory().ring_bytes(4096).overflow(Overflow::OverwriteOldest));
    let logger = vitals.logger("flight");
    for n in 0..50_000u64 {
        info!(logger, "flight", n);
    }
    let lines = captured(&vitals);
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["n"].as_u64()).collect();
    assert_eq!(numbers.last(), Some(&49_999));
    assert!(numbers.is_sorted());
}

#[test]
fn several_sinks_each_in_its_format() {
    let folder = tempdir();
    let path = folder.join("server.log");
    let config = LogConfig::new()
        .file(LogFile::new(&path))
        .format(LogFormat::Logfmt)
        .at_most(Level::Warn)
        .memory();
    let vitals = engine(config);
    let logger = vitals.logger("both");
    info!(logger, "small");
    error!(logger, "large", code = 7);
    assert!(vitals.flush(Duration::from_secs(60)));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("code=7"), "{text}");
    assert_eq!(captured(&vitals).len(), 2);
    vitals.shutdown(Duration::from_secs(60));
    error!(logger, "nobody hears this");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_value_that_panics_or_logs_while_it_is_shown_harms_nothing() {
    struct Nested(mcp_vitals::Logger);
    impl std::fmt::Display for Nested {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("before ")?;
            info!(self.0, "inner", shown = %"within");
            f.write_str("after")
        }
    }
    struct Panics;
    impl std::fmt::Display for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            std::panic::resume_unwind(Box::new("no message"));
        }
    }
    let vitals = engine(LogConfig::to_memory());
    let logger = vitals.logger("odd");
    info!(logger, "outer", nested = %Nested(logger.clone()), panics = %Panics, last = 1);
    let lines = captured(&vitals);
    assert_has(&lines[0], json!({ "message": "inner", "shown": "within" }));
    let outer = json!({ "nested": "before after", "panics": "<panicked>", "last": 1 });
    assert_has(&lines[1], outer);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |config: LogConfig| {
        Vitals::builder().logs(config).build().map(drop).expect_err("refused").to_string()
    };
    assert!(refused(LogConfig::new()).contains("no sink"));
    assert!(refused(LogConfig::to_memory().rings(0)).contains("logs.rings"));
    assert!(refused(LogConfig::to_memory().memory()).contains("twice"));
    assert!(refused(LogConfig::to_file("/no/such/folder/x.log")).contains("/no/such/folder"));
}

#[test]
fn a_deadline_may_be_longer_than_any_clock_runs() {
    let vitals = engine(LogConfig::to_memory());
    info!(vitals.logger("patient"), "patient");
    assert!(vitals.flush(Duration::MAX));
    vitals.shutdown(Duration::MAX);
}

#[test]
fn after_the_end_nobody_makes_a_logger_take_lines_again() {
    let vitals = engine(LogConfig::to_memory());
    let logger = vitals.logger("late");
    vitals.shutdown(Duration::from_secs(60));
    logger.set_level(Level::Trace);
    assert!(!logger.is_enabled(Level::Error));
    vitals.set_log_filter(Level::Trace);
    assert!(!logger.is_enabled(Level::Error));
    assert!(!vitals.logger("new").is_enabled(Level::Error));
}

#[test]
fn a_sink_is_called_what_it_is_whatever_stands_before_it() {
    let folder = tempdir();
    let files = [folder.join("one.log"), folder.join("two.log")].map(LogFile::new);
    let [one, two] = files;
    let vitals = engine(LogConfig::new().file(one).memory().file(two));
    let text = vitals.export_prometheus();
    for sink in ["file", "memory", "file_2"] {
        assert!(text.contains(&format!("sink=\"{sink}\"")), "{sink}");
    }
    assert!(!text.contains("memory_2") && !text.contains("file_3"));
    drop(vitals);
    std::fs::remove_dir_all(folder).unwrap();
}

fn tempdir() -> std::path::PathBuf {
    let unique =
        format!("mcp-vitals-logs-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(unique);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn what_is_secret_does_not_get_out() {
    let vitals = engine(LogConfig::to_memory());
    let logger = vitals.logger("secrets");
    let header = "Bearer abc.def.ghi";
    info!(logger, "called with {header}", password = "hunter2", api_key = 7, tokens = 12);
    info!(logger, "own", value = mcp_vitals::logs::Secret::new("hunter2"), "x-note" = header);
    let lines = vitals.captured_logs().join("\n");
    assert!(!lines.contains("hunter2") && !lines.contains("abc.def"), "{lines}");
    assert!(lines.contains("\"tokens\":12"), "{lines}");
    let redacted = vitals.snapshot().value("mcp_vitals_log_redacted_total", &[]).unwrap();
    assert_eq!(redacted, 4.0);
    let shown = engine(LogConfig::to_memory().redaction(mcp_vitals::logs::Redaction::none()));
    info!(shown.logger("open"), "kept", password = "hunter2");
    assert!(shown.captured_logs()[0].contains("hunter2"));
}

#[test]
fn a_call_site_that_says_too_much_is_held_back_and_that_is_said() {
    let vitals = engine(LogConfig::to_memory().limit_per_site(10));
    let logger = vitals.logger("much");
    for n in 0..1_000u64 {
        info!(logger, "much", n);
    }
    warn!(logger, "another place");
    let lines = captured(&vitals);
    let of = |message: &str| lines.iter().filter(|line| line["message"] == message).count() as u64;
    let said: u64 = lines.iter().filter_map(|line| line["limited"].as_u64()).sum();
    // As many again in each second that the loop ran into.
    assert!(of("much") >= 10 && of("much").is_multiple_of(10) && of("another place") == 1);
    assert_eq!(of("much") + said, 1_000);
    let report = lines.iter().find(|line| line["limited"].is_u64()).unwrap();
    assert_eq!(report["of"], "much");
    assert!(report["at"].as_str().unwrap().starts_with("tests/logs.rs:"));
}

#[test]
fn the_same_line_again_is_counted_and_not_written() {
    let vitals = engine(LogConfig::to_memory().deduplicate(Duration::from_secs(600)));
    let logger = vitals.logger("again");
    for n in 0..300u64 {
        info!(logger, "again", kind = n / 100);
    }
    let lines = captured(&vitals);
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["kind"].as_u64()).collect();
    assert_eq!(kinds, [0, 1, 2]);
    let repeated: u64 = lines.iter().filter_map(|line| line["repeated"].as_u64()).sum();
    assert_eq!(repeated, 297);
    let labels = [("reason", "repeat")];
    let counted = vitals.snapshot().value("mcp_vitals_log_held_back_total", &labels);
    assert_eq!(counted, Some(297.0));
}

#[test]
fn a_line_may_leave_out_where_it_comes_from() {
    let vitals = engine(LogConfig::to_memory().without_source());
    info!(vitals.logger("short"), "short");
    let line = &captured(&vitals)[0];
    let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["level", "logger", "message", "thread", "timestamp"]);
}
