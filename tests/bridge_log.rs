//! Records of the `log` crate as lines.

use std::fmt;

use log::{Log, info, log};
use mcp_vitals::logs::{Context, LogConfig, LogFilter};
use mcp_vitals::{LogBridge, Vitals};
use serde_json::{Value, json};

fn engine(filter: &str) -> (Vitals, LogBridge) {
    // The macros ask before any logger does.
    log::set_max_level(log::LevelFilter::Trace);
    let config = LogConfig::to_memory().level(filter.parse::<LogFilter>().unwrap());
    let vitals = Vitals::builder().system_metrics(false).logs(config).build().unwrap();
    let bridge = vitals.log_bridge();
    (vitals, bridge)
}

fn captured(vitals: &Vitals) -> Vec<Value> {
    vitals.captured_logs().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(vitals: &Vitals) -> Vec<String> {
    captured(vitals).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

/// `fields` are what `line` has, among others.
#[track_caller]
fn assert_has(line: &Value, fields: Value) {
    for (key, value) in fields.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} in {line}");
    }
}

#[test]
fn a_record_is_a_line_with_its_key_values() {
    #[derive(Debug)]
    struct Shape;
    impl fmt::Display for Shape {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a shape")
        }
    }
    let (vitals, bridge) = engine("info");
    let wrong = "x".parse::<u8>().unwrap_err();
    let _context = Context::new().request_id("req-1").field("tenant", "blue").enter();
    let (line, owned) = (line!() + 1, String::from("owned"));
    info!(logger: bridge, a = -1, b = u64::MAX, c = 1.5, d = true, e = "text", f = 'x',
        g:% = Shape, h:? = Shape, i = owned.as_str(), j = u128::MAX, k = 7u128, l = None::<u8>,
        wrong:err = wrong; "indexed {}", 3);
    info!(logger: bridge, target: "audit", "plain");
    let lines = captured(&vitals);
    assert_has(
        &lines[0],
        json!({
            "level": "info", "logger": "bridge_log", "message": "indexed 3",
            "module": "bridge_log", "file": "tests/bridge_log.rs", "line": line,
            "request_id": "req-1", "tenant": "blue",
            "a": -1, "b": u64::MAX, "c": 1.5, "d": true, "e": "text", "f": "x", "g": "a shape",
            "h": "Shape", "i": "owned", "j": u128::MAX.to_string(), "k": 7, "l": null,
        }),
    );
    assert_eq!(lines[0]["exception"]["message"], "invalid digit found in string");
    assert!(lines[0].get("l").is_some());
    assert_has(&lines[1], json!({ "logger": "audit", "module": "bridge_log", "message": "plain" }));
}

#[test]
fn the_filter_decides_by_target_and_module_while_running() {
    let (vitals, bridge) = engine("trace");
    let rmcp = |bridge: &LogBridge, text: &'static str| {
        let mut builder = log::Record::builder();
        builder.level(log::Level::Debug).target("rmcp::service").module_path(Some("rmcp::service"));
        bridge.log(&builder.args(format_args!("{text}")).build());
    };
    rmcp(&bridge, "no");
    log!(logger: bridge, log::Level::Trace, "yes 1");
    vitals.set_log_filter("warn,rmcp=debug,audit=info".parse::<LogFilter>().unwrap());
    assert_eq!(bridge.max_level(), log::LevelFilter::Debug);
    rmcp(&bridge, "yes 2");
    info!(logger: bridge, "no");
    info!(logger: bridge, target: "audit::deep", "yes 3");
    vitals.set_log_filter("off,bridge_log=info".parse::<LogFilter>().unwrap());
    info!(logger: bridge, target: "whatever", "yes 4");
    assert_eq!(messages(&vitals), ["yes 1", "yes 2", "yes 3", "yes 4"]);
    let metadata = |target| log::Metadata::builder().level(log::Level::Info).target(target).build();
    assert!(bridge.enabled(&metadata("bridge_log::x")) && !bridge.enabled(&metadata("x")));
}

#[test]
fn a_record_that_is_not_taken_runs_nothing() {
    struct Never;
    impl fmt::Display for Never {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            unreachable!("nobody asked")
        }
    }
    let (vitals, bridge) = engine("info");
    log::debug!(logger: bridge, never:% = Never; "{}", Never);
    log::info!(logger: Vitals::disabled().log_bridge(), "{}", Never);
    assert!(captured(&vitals).is_empty());
    assert_eq!(Vitals::disabled().log_bridge().max_level(), log::LevelFilter::Off);
}

#[test]
fn two_engines_side_by_side() {
    let ((one, to_one), (two, to_two)) = (engine("info"), engine("warn"));
    for (n, bridge) in [&to_one, &to_two, &to_one].into_iter().enumerate() {
        info!(logger: bridge, n; "info");
        log::warn!(logger: bridge, n; "warn");
    }
    assert_eq!(messages(&one), ["info", "warn", "info", "warn"]);
    assert_eq!(messages(&two), ["warn"]);
}

#[test]
fn values_that_panic_log_or_lie_harm_nothing() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            std::panic::resume_unwind(Box::new("no message"));
        }
    }
    struct Nested(LogBridge);
    impl fmt::Display for Nested {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            info!(logger: self.0, inner = 1; "inner {}", 2);
            f.write_str("shown")
        }
    }
    struct Source(usize);
    impl log::kv::Source for Source {
        fn visit<'kvs>(
            &'kvs self,
            visitor: &mut dyn log::kv::VisitSource<'kvs>,
        ) -> Result<(), log::kv::Error> {
            for n in 0..self.0 {
                visitor.visit_pair("same".into(), n.into())?;
            }
            std::panic::resume_unwind(Box::new(Bomb));
        }
    }
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("no message"));
        }
    }
    let (vitals, bridge) = engine("info");
    let hostile = "a\n\u{1b}[31m\"}{\u{202e}";
    info!(logger: bridge, panics:% = Panics, nested:% = Nested(bridge.clone()), hostile; "{}", Panics);
    info!(logger: bridge, target: hostile, long = "x".repeat(1 << 20).as_str(); "{hostile}");
    for pairs in [2, 1_000] {
        let mut builder = log::Record::builder();
        let pairs = Source(pairs);
        builder.level(log::Level::Info).key_values(&pairs);
        bridge.log(&builder.args(format_args!("pairs")).build());
    }
    let raw = vitals.captured_logs();
    assert!(raw.iter().all(|line| line.trim_end().chars().all(|char| !char.is_control())));
    let lines = captured(&vitals);
    assert_has(&lines[0], json!({ "message": "inner 2", "inner": 1 }));
    let outer = json!({ "message": "<panicked>", "panics": "<panicked>", "nested": "shown", "hostile": hostile });
    assert_has(&lines[1], outer);
    assert_has(&lines[2], json!({ "message": hostile, "logger": hostile }));
    assert!(lines[2]["long"].as_str().unwrap().len() < 10_000);
    assert_has(&lines[3], json!({ "message": "pairs", "same": 0, "same.2": 1 }));
    assert_eq!(lines.len(), 5);
}

#[test]
fn an_engine_ends_with_its_handles() {
    let (vitals, bridge) = engine("info");
    info!(logger: bridge, "heard");
    bridge.flush();
    assert_eq!(messages(&vitals), ["heard"]);
    drop(vitals);
    assert_eq!(bridge.max_level(), log::LevelFilter::Off);
    log::error!(logger: bridge, "nobody hears this");
    bridge.flush();
}
