//! Events and spans of `tracing` as lines.

use std::fmt;

use mcp_vitals::logs::{Context, InContext, LogConfig, LogFilter};
use mcp_vitals::{Level, Vitals};
use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::{
    Instrument, Span, debug, debug_span, error, info, info_span, instrument, trace, warn,
};
use tracing_subscriber::layer::SubscriberExt;

fn engine(filter: &str) -> Vitals {
    let config = LogConfig::to_memory().level(filter.parse::<LogFilter>().unwrap());
    Vitals::builder().system_metrics(false).logs(config).build().unwrap()
}

/// What `work` logs, under the filter `filter`.
fn lines(filter: &str, work: impl FnOnce(&Vitals)) -> Vec<Value> {
    let vitals = engine(filter);
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    tracing::subscriber::with_default(subscriber, || work(&vitals));
    captured(&vitals)
}

fn captured(vitals: &Vitals) -> Vec<Value> {
    vitals.captured_logs().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

/// `fields` are what `line` has, among others.
#[track_caller]
fn assert_has(line: &Value, fields: Value) {
    for (key, value) in fields.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} in {line}");
    }
}

#[derive(Debug)]
struct Shape;

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shape")
    }
}

#[test]
fn an_event_is_a_line_with_fields_of_every_kind() {
    let wrong: Box<dyn std::error::Error> = "x".parse::<u8>().unwrap_err().into();
    let at = line!() + 2;
    let lines = lines("info", |_| {
        info!(
            a = -1i8, b = u64::MAX, c = 1.5f32, d = true, e = "text", f = String::from("owned"),
            g = %Shape, h = ?Shape, i = [1u8, 2].as_slice(), j = u128::MAX, k = 7i128,
            l = None::<u8>, m = Some(3), n.o = 4, r#type = "raw", p = f64::INFINITY,
            "indexed {}", 3
        );
        error!(error = &*wrong, after = 1, "failed");
        info!(only = 1);
        warn!(target: "audit", "plain");
    });
    assert_has(
        &lines[0],
        json!({
            "level": "info", "logger": "bridge_tracing", "message": "indexed 3",
            "module": "bridge_tracing", "file": "tests/bridge_tracing.rs", "line": at,
            "a": -1, "b": u64::MAX, "c": 1.5, "d": true, "e": "text", "f": "owned",
            "g": "a shape", "h": "Shape", "i": "\u{1}\u{2}", "j": u128::MAX.to_string(), "k": 7,
            "m": 3, "n.o": 4, "type": "raw", "p": "Infinity",
        }),
    );
    assert!(lines[0].get("l").is_none() && lines[0].get("span").is_none());
    assert_eq!(lines[1]["exception"]["message"], "invalid digit found in string");
    assert_has(&lines[1], json!({ "message": "failed", "after": 1, "level": "error" }));
    assert_has(&lines[2], json!({ "message": "", "only": 1 }));
    assert_has(&lines[3], json!({ "logger": "audit", "module": "bridge_tracing" }));
}

#[test]
fn spans_give_their_fields_the_outermost_first() {
    let vitals = engine("info");
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        let outer = info_span!("request", id = "r-1", user = Empty, n = 1);
        let _request = Context::new().request_id("req-9").field("tenant", "blue").enter();
        outer.in_scope(|| {
            info!("one");
            let inner = info_span!("tool", name = "add", n = 2);
            outer.record("user", "ann");
            inner.in_scope(|| info!(n = 3, "two"));
            let elsewhere = info_span!(parent: None, "root");
            info!(parent: &elsewhere, "three");
            inner.record("name", 7);
            inner.record("name", 8);
            let _debug = debug_span!("unseen", x = 1).entered();
            info!(parent: &inner, "four");
            info!("five");
        });
        info!("six");
    });
    let lines = captured(&vitals);
    assert_has(
        &lines[0],
        json!({ "message": "one", "request_id": "req-9", "tenant": "blue", "id": "r-1", "n": 1,
            "span": "request" }),
    );
    assert!(lines[0].get("user").is_none());
    assert_has(
        &lines[1],
        json!({ "id": "r-1", "user": "ann", "n": 1, "n.2": 2, "n.3": 3, "name": "add",
            "span": "request:tool" }),
    );
    assert_has(&lines[2], json!({ "message": "three", "span": "root", "tenant": "blue" }));
    assert!(lines[2].get("id").is_none());
    assert_has(&lines[3], json!({ "message": "four", "name": 8, "span": "request:tool" }));
    assert_has(&lines[4], json!({ "message": "five", "id": "r-1", "span": "request" }));
    assert!(lines[5].get("span").is_none() && lines[5].get("id").is_none());
    let raw = &vitals.captured_logs()[1];
    let at = |key: &str| raw.find(key).unwrap();
    assert!(at("tenant") < at("\"id\"") && at("\"id\"") < at("\"name\""), "{raw}");
}

#[instrument(skip(vitals))]
async fn step(vitals: &Vitals, n: u64) {
    for _ in 0..5 {
        info!("step");
        tokio::task::yield_now().await;
    }
    let _ = vitals;
}

#[test]
fn spans_and_contexts_go_with_futures_from_thread_to_thread() {
    let vitals = engine("info");
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    let dispatch = tracing::Dispatch::new(subscriber);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start({
            let dispatch = dispatch.clone();
            // For as long as the thread lives.
            move || std::mem::forget(tracing::dispatcher::set_default(&dispatch))
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let work = |n: u64| {
            let vitals = vitals.clone();
            let context = Context::new().request_id(&n.to_string());
            let work = async move { step(&vitals, n).await };
            let outer = async move {
                let span = info_span!("outer", shard = n % 7);
                work.instrument(span).await;
                assert!(Span::current().is_none());
            };
            outer.in_context(context)
        };
        let tasks: Vec<_> = (0..60).map(|n| tokio::spawn(work(n))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let lines = captured(&vitals);
    assert_eq!(lines.len(), 300);
    for line in &lines {
        let n = line["n"].as_u64().unwrap();
        let has = json!({ "request_id": n.to_string(), "shard": n % 7, "span": "outer:step" });
        assert_has(line, has);
    }
}

#[test]
fn the_filter_decides_by_target_and_module_while_running() {
    fn all(round: &str) {
        trace!("trace {round}");
        debug!("debug {round}");
        info!("info {round}");
        debug!(target: "rmcp::service", "rmcp debug {round}");
        info!(target: "rmcp::service", "rmcp info {round}");
    }
    let lines = lines("debug", |vitals| {
        all("1");
        vitals.set_log_filter("off,rmcp=debug".parse::<LogFilter>().unwrap());
        all("2");
        vitals.set_log_filter("off,bridge_tracing=trace,rmcp=off".parse::<LogFilter>().unwrap());
        all("3");
        vitals.set_log_filter(Level::Info);
        all("4");
        vitals.set_log_filter(LogFilter::off());
        all("5");
    });
    let expected = [
        "debug 1",
        "info 1",
        "rmcp info 1",
        "rmcp debug 2",
        "rmcp info 2",
        "trace 3",
        "debug 3",
        "info 3",
        "rmcp debug 3",
        "rmcp info 3",
        "info 4",
        "rmcp info 4",
    ];
    // Of a module that is taken, though its target is not: the longest name that fits decides.
    assert_eq!(messages(&lines), expected);
}

#[test]
fn the_filter_is_changed_from_a_thread_without_a_subscriber() {
    let lines = lines("off", |vitals| {
        let event = |n: u64| info!(n, "event");
        event(1);
        std::thread::scope(|scope| {
            scope.spawn(|| vitals.set_log_filter(Level::Info));
        });
        event(2);
        // Another engine comes and goes, on a thread that has no subscriber either.
        std::thread::scope(|scope| {
            let other = || drop(engine("info").tracing_layer::<tracing_subscriber::Registry>());
            scope.spawn(other);
        });
        event(3);
    });
    assert_eq!(lines.iter().map(|line| &line["n"]).collect::<Vec<_>>(), [2, 3]);
}

/// Counts the events that it sees.
struct Counts(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Counts {
    fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn engines_and_other_layers_do_not_disturb_one_another() {
    let (one, two, three) = (engine("info"), engine("debug"), engine("trace"));
    let count = std::sync::Arc::default();
    let both = tracing_subscriber::registry()
        .with(one.tracing_layer())
        .with(two.tracing_layer())
        .with(Counts(std::sync::Arc::clone(&count)));
    let other = tracing_subscriber::registry().with(three.tracing_layer());
    let work = |n: u64| {
        let span = info_span!("span", n, late = Empty);
        span.record("late", n);
        let _span = span.entered();
        let _debug = debug_span!("inner", deep = n).entered();
        trace!("trace");
        debug!("debug");
        info!("info");
    };
    tracing::subscriber::with_default(both, || {
        work(1);
        tracing::subscriber::with_default(other, || work(2));
        work(3);
    });
    let spans = |vitals: &Vitals| -> Vec<String> {
        let show = |line: &Value| format!("{} {} {}", line["message"], line["span"], line["late"]);
        captured(vitals).iter().map(|line| show(line).replace('"', "")).collect()
    };
    assert_eq!(
        spans(&two),
        ["debug span:inner 1", "info span:inner 1", "debug span:inner 3", "info span:inner 3"]
    );
    assert_eq!(spans(&three), ["trace span:inner 2", "debug span:inner 2", "info span:inner 2"]);
    assert_eq!(spans(&one), ["info span 1", "info span 3"]);
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 6, "it sees what it saw");
}

#[test]
fn values_that_panic_log_or_lie_harm_nothing() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            std::panic::resume_unwind(Box::new("no message"));
        }
    }
    struct Records(Span);
    impl fmt::Display for Records {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.record("seen", "by its value");
            f.write_str("shown")
        }
    }
    let hostile = "a\n\u{1b}[31m\"}{\u{202e}";
    let vitals = engine("info");
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("span", panics = %Panics, seen = Empty, hostile);
        let _span = span.clone().entered();
        info!(a = %Panics, b = %Records(span), hostile, c = %Shape, "{}", Panics);
        let many = "x".repeat(5_000);
        let long = info_span!("long", many, tail = 1).entered();
        let mut spans = Vec::new();
        for depth in 0..50 {
            spans.push(info_span!("deep", depth, many).entered());
        }
        info!(long = "y".repeat(1 << 20), "deep");
        while spans.pop().is_some() {}
        drop(long);
    });
    let raw = vitals.captured_logs();
    assert!(raw.iter().all(|line| line.trim_end().chars().all(|char| !char.is_control())));
    let lines = captured(&vitals);
    assert_has(
        &lines[0],
        json!({ "seen": "by its value", "message": "<panicked>", "a": "<panicked>", "b": "shown", "c": "a shape",
            "hostile": hostile, "hostile.2": hostile, "panics": "<panicked>" }),
    );
    // The innermost, as many as there is room for.
    let depths = |line: &Value| {
        let is_depth = |key: &&String| key.starts_with("depth");
        line.as_object().unwrap().keys().filter(is_depth).count()
    };
    assert_eq!(depths(&lines[1]), 3);
    let raw = raw[1].len();
    assert!(raw < 40_000, "{raw}");
    let cut = vitals.snapshot().value("mcp_vitals_log_span_fields_cut_total", &[]).unwrap();
    assert_eq!(cut, 1.0 + 50.0 + 1.0, "each long value, and the line that has not all of them");
}

#[test]
fn an_event_of_more_fields_than_a_frame_counts_keeps_the_first() {
    let lines = lines("info", |_| {
        info!(
            a0 = 1, a1 = 1, a2 = 1, a3 = 1, a4 = 1, a5 = 1, a6 = 1, a7 = 1, a8 = 1, a9 = 1,
            b0 = %1, b1 = %2, b2 = %3, b3 = %4, b4 = %5, b5 = %6, b6 = %7, b7 = %8, b8 = %9,
            c0 = None::<u8>, c1 = Empty, c2 = 5, c3 = %"after", "many"
        );
    });
    assert_has(&lines[0], json!({ "a9": 1, "b0": "1", "b8": "9", "c2": 5, "c3": "after" }));
    assert!(lines[0].get("c0").is_none());
}

#[test]
fn records_of_log_that_come_by_tracing_are_what_they_were() {
    let vitals = engine("info,noisy=off");
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    let tracer = tracing_log::LogTracer::new();
    let record = |level, target: &str, text: &str| {
        let mut builder = log::Record::builder();
        builder.level(level).target(target).module_path(Some("app::search"));
        builder.file(Some("src/search.rs")).line(Some(12));
        log::Log::log(&tracer, &builder.args(format_args!("said {text}")).build());
    };
    tracing::subscriber::with_default(subscriber, || {
        let _span = info_span!("span", n = 1).entered();
        record(log::Level::Info, "app", "one");
        record(log::Level::Debug, "app", "two");
        record(log::Level::Warn, "noisy", "three");
        record(log::Level::Warn, "audit", "four");
    });
    let lines = captured(&vitals);
    assert_eq!(messages(&lines), ["said one", "said four"]);
    assert_has(
        &lines[0],
        json!({ "logger": "app", "module": "app::search", "file": "src/search.rs", "line": 12,
            "level": "info", "n": 1, "span": "span" }),
    );
    assert_has(&lines[1], json!({ "logger": "audit", "level": "warn" }));
    assert!(lines[0].get("log.target").is_none());
}

#[test]
fn an_engine_ends_with_its_handles() {
    let name = format!("mcp-vitals-bridge-{}.log", std::process::id());
    let path = std::env::temp_dir().join(name);
    let logs = LogConfig::to_file(&path);
    let vitals = Vitals::builder().system_metrics(false).logs(logs).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    let lines = || std::fs::read_to_string(&path).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        info!("heard");
        // The layer does not keep it: its end writes everything out.
        drop(vitals);
        assert_eq!(lines().lines().count(), 1);
        error!("nobody hears this");
    });
    assert_eq!(lines().lines().count(), 1);
    std::fs::remove_file(&path).unwrap();
}
