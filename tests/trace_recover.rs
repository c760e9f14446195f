//! Spans that were in the rings when their process was killed.
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use mcp_vitals::logs::{LogConfig, LogFile, LogFormat, Overflow};
use mcp_vitals::recover::Recovery;
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{Vitals, info};
use serde_json::Value;

const CHILD: &str = "MCP_VITALS_TRACE_CHILD";

fn folder(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("mcp-vitals-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

/// Does nothing unless started by the test below: begins spans and ends every other one, with a line
/// each, for ever.
#[test]
fn child() {
    let Ok(folder) = env::var(CHILD) else { return };
    let folder = Path::new(&folder);
    let logs = LogConfig::new()
        .file(LogFile::new(folder.join("log")))
        .durable_in(folder.join("rings"))
        .overflow(Overflow::Block(Duration::from_secs(600)));
    let traces = TraceConfig::to_memory().open_spans(true);
    let vitals = Vitals::builder().service("kept", "1").logs(logs).traces(traces).build().unwrap();
    let (logger, tracer) = (vitals.logger("l"), vitals.tracer("scope"));
    let mut open = Vec::new();
    for number in 0u64.. {
        let mut span = tracer.span("work");
        let id = span.context().span_id().unwrap();
        let _ = io::stderr().write_all(format!("begun {id}\n").as_bytes());
        span.set_attribute("number", number);
        span.set_attribute("password", "planted");
        if number % 2 == 0 {
            open.push(span);
        } else {
            let _ = io::stderr().write_all(format!("ends {id}\n").as_bytes());
        }
        info!(logger, "line", number = number);
    }
}

#[test]
fn spans_in_the_rings_of_a_killed_process_are_recovered_and_open_ones_said_to_be() {
    let folder = folder("trace-recover");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, &folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut begun, mut ends) = (HashSet::new(), HashSet::new());
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut read = |line: String| match line.split_once(' ') {
        Some(("begun", id)) => begun.insert(id.to_owned()),
        Some(("ends", id)) => ends.insert(id.to_owned()),
        _ => false,
    };
    for _ in 0..20_000 {
        read(said.next().unwrap().unwrap());
    }
    child.kill().unwrap();
    said.for_each(|line| {
        read(line.unwrap_or_default());
    });
    child.wait().unwrap();

    let mut out = Vec::new();
    let recovered = Recovery::new().write(folder.join("rings"), LogFormat::Json, &mut out).unwrap();
    assert_eq!((recovered.foreign, recovered.torn), (0, 0), "{recovered}");
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("planted"), "{out}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(recovered.lines, lines.len() as u64);
    let spans: Vec<&Value> = lines.iter().filter(|line| line["span_name"] == "work").collect();
    assert!(!spans.is_empty(), "{out}");
    let newest = spans.iter().map(|span| span["start_unix_nanos"].as_u64().unwrap()).max();
    let mut seen = HashSet::new();
    for span in spans {
        let id = span["span_id"].as_str().unwrap().to_owned();
        assert_eq!((&span["logger"], &span["recovered"]), (&"scope".into(), &true.into()));
        assert!(span["trace_id"].as_str().is_some_and(|id| id.len() == 32), "{span}");
        assert!(span["start_unix_nanos"].as_u64().unwrap() > 1_600_000_000_000_000_000);
        if span["span_open"] == false {
            assert!(ends.contains(&id), "{span}");
            assert!(span["duration_nanos"].is_u64() && span["password"] == "[redacted]", "{span}");
        } else {
            // The last one's frame stands in the ring before the process says its id, and the kill
            // may fall between the two; all before it were said.
            let last = span["start_unix_nanos"].as_u64() == newest;
            assert!(last || begun.contains(&id), "{span}");
        }
        assert!(seen.insert(id), "twice: {span}");
    }
    let _ = fs::remove_dir_all(&folder);
}
