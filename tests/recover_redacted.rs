//! What a process kept out of its lines and spans stays out when somebody else recovers them.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use mcp_vitals::logs::{LogConfig, LogFile, LogFormat, Redaction};
use mcp_vitals::recover::Recovery;
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{Vitals, info};
use serde_json::Value;

const CHILD: &str = "MCP_VITALS_REDACTED_CHILD";

fn folder(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("mcp-vitals-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

fn start(folder: &Path, lines: Redaction, spans: Option<Redaction>) -> Vitals {
    let file = LogFile::new(folder.join("log"));
    let logs = LogConfig::new().file(file).durable_in(folder.join("rings")).redaction(lines);
    let mut traces = TraceConfig::to_memory();
    if let Some(spans) = spans {
        traces = traces.redaction(spans);
    }
    Vitals::builder().service("kept", "1").logs(logs).traces(traces).build().unwrap()
}

/// Does nothing unless started below: writes a line and a span until nothing of them was drained, and
/// ends without a word.
#[test]
fn child() {
    let Ok(folder) = env::var(CHILD) else { return };
    let lines = Redaction::none().key("national_id");
    #[cfg(feature = "patterns")]
    let lines = lines.pattern("iban=([A-Z0-9]+)").unwrap();
    let vitals = start(Path::new(&folder), lines, Some(Redaction::none().key("card")));
    let logger = vitals.logger("l");
    let tracer = vitals.tracer("scope");
    let mut span = tracer.span("pay");
    for key in ["national_id", "card", "visa_card", "other"] {
        span.set_attribute(key, "planted");
    }
    info!(logger, "iban=DE0012", national_id = "planted", card = "planted", other = "planted");
    span.end();
    std::process::abort()
}

/// Leaves a line and a span in `folder`.
fn leave_behind(folder: &Path) {
    // A child's flusher may be quicker than its end: then nothing is left.
    for _ in 0..20 {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(CHILD, folder);
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(!ended.success());
        if recover(folder, Redaction::none()).lines().count() == 2 {
            return;
        }
        fs::remove_dir_all(folder.join("rings")).unwrap();
    }
    panic!("nothing was ever left");
}

fn recover(folder: &Path, redaction: Redaction) -> String {
    let mut out = Vec::new();
    let recovery = Recovery::new().keep().redact(redaction);
    recovery.write(folder.join("rings"), LogFormat::Json, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The line and the span.
fn parts(text: &str) -> [Value; 2] {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (spans, lines): (Vec<_>, Vec<_>) = lines.partition(|line| line.get("span_name").is_some());
    let [line, span] = [lines, spans].map(|mut found| {
        assert_eq!(found.len(), 1, "{text}");
        found.remove(0)
    });
    [line, span]
}

/// `others`: what the reader's own rules make of a field, in the line and in the span.
fn check(text: &str, others: [&str; 2]) {
    let [line, span] = parts(text);
    let of = |found: &Value, key: &str| found[key].as_str().unwrap().to_owned();
    assert_eq!([of(&line, "other"), of(&span, "other")], others, "{text}");
    let keys = ["national_id", "card"];
    assert_eq!(keys.map(|key| of(&line, key)), ["[redacted]", "planted"], "{text}");
    assert_eq!(keys.map(|key| of(&span, key)), ["planted", "[redacted]"], "{text}");
    assert_eq!(of(&span, "visa_card"), "[redacted]", "{text}");
    assert_eq!(text.contains("DE0012"), !cfg!(feature = "patterns"), "{text}");
}

#[test]
fn whoever_recovers_keeps_out_what_the_process_kept_out() {
    let folder = folder("recover-redacted");
    leave_behind(&folder);
    check(&recover(&folder, Redaction::none()), ["planted", "planted"]);
    let other = || Redaction::none().key("other");
    check(&recover(&folder, other()), ["[redacted]", "[redacted]"]);
    // The next start, whose own rules are for spans.
    drop(start(&folder, Redaction::none(), Some(other())));
    check(&fs::read_to_string(folder.join("log")).unwrap(), ["planted", "[redacted]"]);
    assert_eq!(fs::read_dir(folder.join("rings")).unwrap().count(), 0);
    let _ = fs::remove_dir_all(&folder);
}
