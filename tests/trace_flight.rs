//! The flight recorder: what a dump has, when one is written, and what is left behind.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::{FlightRecorder, Tail, TraceConfig};
use mcp_vitals::{Error, Level, Vitals, debug, error, info};
use serde_json::Value;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mcp-vitals-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn value(vitals: &Vitals, series: &str) -> f64 {
    let mut page = Vec::new();
    vitals.scrape_into(&mut page);
    let page = String::from_utf8(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn written(vitals: &Vitals) -> Vec<Value> {
    let mut out = Vec::new();
    let count = vitals.write_flight(&mut out).unwrap();
    let lines = lines(std::str::from_utf8(&out).unwrap());
    assert_eq!(lines.len() as u64, count);
    lines
}

fn engine(recorder: FlightRecorder) -> Vitals {
    let logs = LogConfig::to_memory().at_most(Level::Info).level(Level::Debug);
    // No trace is kept: the recorder has them all the same.
    let traces = TraceConfig::to_memory().keep(Tail::new());
    Vitals::builder().logs(logs).traces(traces).flight_recorder(recorder).build().unwrap()
}

#[test]
fn a_dump_has_lines_and_spans_that_nobody_else_was_given_and_no_secrets() {
    let vitals = engine(FlightRecorder::new());
    let (logger, tracer) = (vitals.logger("l"), vitals.tracer("t"));
    debug!(logger, "before", n = 1);
    let mut span = tracer.span("query");
    {
        let _current = span.enter();
        info!(logger, "inside", password = "planted");
    }
    span.set_attribute("rows", 3);
    span.set_attribute("rows", 4);
    span.set_attribute("api_key", "planted");
    span.add_event("cache \"miss\"").attribute("key", "k");
    span.add_link(span.context()).attribute("why", "because");
    span.set_status(mcp_vitals::traces::SpanStatus::Error, "Bearer planted");
    let context = span.context();
    drop(span);
    let lines = written(&vitals);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(!format!("{lines:?}").contains("planted"), "{lines:?}");
    assert_eq!((&lines[0]["message"], &lines[0]["level"]), (&"before".into(), &"debug".into()));
    assert_eq!(vitals.captured_logs().len(), 1, "the sink has the second alone");
    let span = &lines[2];
    assert_eq!(span["span"], "query");
    assert_eq!(span["trace_id"], context.trace_id().unwrap().to_string());
    assert_eq!(span["span_id"], context.span_id().unwrap().to_string());
    assert_eq!(lines[1]["span_id"], span["span_id"]);
    assert_eq!((&span["status"], &span["kind"]), (&"error".into(), &"internal".into()));
    assert_eq!(span["status_message"], "Bearer [redacted]");
    assert_eq!(span["attributes"], serde_json::json!({"rows": 4, "api_key": "[redacted]"}));
    assert_eq!(span["events"][0]["name"], "cache \"miss\"");
    assert_eq!(span["events"][0]["attributes"]["key"], "k");
    assert_eq!(span["links"][0]["span_id"], span["span_id"]);
    assert!(span["duration_nanos"].as_u64().unwrap() > 0);
    assert!(span["start"].as_str().unwrap() <= span["timestamp"].as_str().unwrap());
}

#[test]
fn a_file_is_there_whole_for_its_owner_alone_or_not_at_all() {
    let folder = Folder::new("flight-file");
    let vitals = engine(FlightRecorder::new());
    info!(vitals.logger("l"), "line");
    let path = folder.0.join("now.jsonl");
    assert_eq!(vitals.dump_flight(&path).unwrap(), 1);
    assert_eq!(lines(&fs::read_to_string(&path).unwrap())[0]["message"], "line");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Over one that is there; nothing is left beside it.
    info!(vitals.logger("l"), "another");
    assert_eq!(vitals.dump_flight(&path).unwrap(), 2);
    assert_eq!(folder.files(), [path]);
    assert!(vitals.dump_flight(folder.0.join("none/here.jsonl")).is_err());
    assert_eq!(value(&vitals, r#"mcp_vitals_flight_dumps_total{event="written"}"#), 2.0);
}

#[test]
fn an_error_writes_one_dump_in_a_period_and_the_oldest_go() {
    let folder = Folder::new("flight-rule");
    for n in 0..4 {
        fs::write(folder.0.join(format!("flight-{n:020}-1.jsonl")), "").unwrap();
    }
    fs::write(folder.0.join("other.jsonl"), "").unwrap();
    let hour = Duration::from_secs(3_600);
    let vitals = engine(FlightRecorder::new().dump_on_error(&folder.0, hour).most_dumps(3));
    let logger = vitals.logger("l");
    info!(logger, "before");
    assert!(vitals.flush(Duration::from_secs(30)));
    assert_eq!(folder.files().len(), 5, "no error, no dump");
    error!(logger, "first");
    let began = Instant::now();
    while value(&vitals, r#"mcp_vitals_flight_dumps_total{event="written"}"#) < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    vitals.tracer("t").span("failed").record_error(&std::fmt::Error);
    while value(&vitals, r#"mcp_vitals_flight_dumps_total{event="passed_over"}"#) < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    vitals.shutdown(Duration::from_secs(30));
    let files = folder.files();
    assert_eq!(files.len(), 4, "three dumps and what is none: {files:?}");
    let newest = lines(&fs::read_to_string(&files[2]).unwrap());
    let messages: Vec<_> = newest.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["before", "first"]);
}

#[test]
fn an_error_at_the_very_end_is_dumped() {
    let folder = Folder::new("flight-end");
    let hour = Duration::from_secs(3_600);
    let vitals = engine(FlightRecorder::new().dump_on_error(&folder.0, hour));
    error!(vitals.logger("l"), "last words");
    vitals.shutdown(Duration::from_secs(30));
    let [file] = &folder.files()[..] else { panic!("{:?}", folder.files()) };
    assert!(fs::read_to_string(file).unwrap().contains("last words"));
}

#[test]
fn bytes_are_bounded_and_the_newest_are_there() {
    let vitals = engine(FlightRecorder::new().bytes(256 << 10));
    let logger = vitals.logger("l");
    for n in 0..20_000 {
        info!(logger, "line", n = n);
        if n % 500 == 0 {
            vitals.flush(Duration::from_secs(30));
        }
    }
    vitals.flush(Duration::from_secs(30));
    assert!(value(&vitals, "mcp_vitals_flight_bytes") <= f64::from(256 << 10));
    let lines = written(&vitals);
    let first = lines[0]["n"].as_u64().unwrap();
    assert!(lines.iter().map(|line| line["n"].as_u64().unwrap()).eq(first..20_000));
    // Half of what fits at least: the oldest go by blocks.
    assert!(lines.len() > (128 << 10) / 128, "{}", lines.len());
}

#[test]
fn it_is_asked_for() {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    let refused = vitals.write_flight(&mut Vec::new()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
    let alone = Vitals::builder().flight_recorder(FlightRecorder::new()).build();
    assert!(matches!(alone, Err(Error::Logs { .. })));
    let small = Vitals::builder()
        .traces(TraceConfig::to_memory())
        .flight_recorder(FlightRecorder::new().bytes(1))
        .build();
    assert!(matches!(small, Err(Error::OutOfRange { .. })));
}
