//! `mcp-vitals analyze`, as a user runs it.
#![cfg(feature = "cli")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mcp_vitals::Vitals;
use mcp_vitals::traces::{Service, SpanForm, SpanId, SpanStatus, TraceConfig, TraceId};
use serde_json::{Value, json};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn analyze(args: &[&str], stdin: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-vitals"))
        .arg("analyze")
        .args(args)
        .env_remove("COLUMNS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read it closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = format!("mcp-vitals-analyze-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A span of trace `trace`: number, parent, name, start and end in microseconds, whether it failed.
type Plan = (u8, u8, Option<u8>, &'static str, u64, u64, bool);

const START: u64 = 1_700_000_000_000_000;

const PLAN: [Plan; 6] = [
    (1, 1, None, "tools/call search", 0, 900, false),
    (1, 2, Some(1), "query", 100, 700, false),
    (1, 3, Some(2), "decode", 600, 650, false),
    (1, 4, Some(1), "log", 50, 80, true),
    (2, 5, None, "tools/call search", 0, 100, false),
    (2, 6, Some(9), "lost", 20, 40, false),
];

fn trace(number: u8) -> String {
    format!("{number:02x}").repeat(16)
}

fn span(number: u8) -> String {
    format!("{number:02x}").repeat(8)
}

/// As the specification has it.
fn otlp(plan: &[Plan]) -> Vec<u8> {
    let spans: Vec<Value> = plan
        .iter()
        .map(|&(of, number, parent, name, start, end, failed)| {
            json!({
                "traceId": trace(of),
                "spanId": span(number),
                "parentSpanId": parent.map(span).unwrap_or_default(),
                "name": name,
                "kind": 2,
                "startTimeUnixNano": ((START + start) * 1_000).to_string(),
                "endTimeUnixNano": ((START + end) * 1_000).to_string(),
                "attributes": [{"key": "rows", "value": {"intValue": "3"}}],
                "status": if failed { json!({"code": 2}) } else { json!({}) },
            })
        })
        .collect();
    let service = json!({"key": "service.name", "value": {"stringValue": "search-server"}});
    json!({"resourceSpans": [{
        "resource": {"attributes": [service]},
        "scopeSpans": [{"scope": {"name": "t"}, "spans": spans}],
    }]})
    .to_string()
    .into_bytes()
}

/// As this crate writes it.
fn form(form: SpanForm) -> Vec<u8> {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    let tracer = vitals.tracer("t");
    for (.., name, _, _, failed) in PLAN {
        let mut span = tracer.root(name);
        span.set_attribute("rows", 3);
        if failed {
            span.set_status(SpanStatus::Error, "why");
        }
    }
    let mut out = Vec::new();
    vitals.with_captured_spans(|spans| {
        let mut spans = spans.to_vec();
        for (record, (of, number, parent, _, start, end, _)) in spans.iter_mut().zip(PLAN) {
            let id = |number| SpanId::from_bytes([number; 8]).unwrap();
            let of = TraceId::from_bytes([of; 16]).unwrap();
            record.context = mcp_vitals::SpanContext::new(of, id(number), true);
            record.parent_span_id = parent.map(id);
            record.start_unix_nanos = (START + start) * 1_000;
            record.end_unix_nanos = (START + end) * 1_000;
        }
        let service = Service { name: "search-server", ..Service::default() };
        form.write(&service, spans, &mut out);
    });
    out
}

fn lines() -> Vec<u8> {
    [otlp(&PLAN[..3]), otlp(&PLAN[3..]), Vec::new()].join(&b'\n')
}

#[test]
fn what_is_in_the_file_is_told_by_its_content() {
    let folder = Folder::new("forms");
    let expected = analyze(&["-", "--format", "json"], &lines());
    assert_eq!((expected.code, &*expected.err), (Some(0), ""));
    let expected: Value = serde_json::from_str(&expected.out).unwrap();
    let pretty: Value = serde_json::from_slice(&otlp(&PLAN)).unwrap();
    let pretty = serde_json::to_vec_pretty(&pretty).unwrap();
    let jaeger = form(SpanForm::Jaeger);
    let document: Value = serde_json::from_slice(&jaeger).unwrap();
    let alone = document["data"].as_array().unwrap();
    let alone: Vec<Vec<u8>> = alone.iter().map(|trace| trace.to_string().into_bytes()).collect();
    let zipkin = form(SpanForm::Zipkin);
    let listed = [b"[", &zipkin[..], b"]"].concat();
    for (name, bytes) in [
        ("pretty", pretty),
        ("jaeger", jaeger),
        ("jaeger by trace", alone.join(&b'\n')),
        ("zipkin", zipkin),
        ("zipkin by trace", listed),
    ] {
        let ran = analyze(&[&folder.file("x", &bytes), "--format", "json"], b"");
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{name}");
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(found, expected, "{name}");
    }
    let trace = &expected["trace"];
    assert_eq!((&expected["traces"], &expected["spans"]), (&json!(2), &json!(6)));
    assert_eq!((&expected["failures"], &trace["duration_nanos"]), (&json!(1), &json!(900_000)));
    assert_eq!(expected["irregular"]["orphans"], 1);
    let path = |at: usize| trace["tree"][at]["path_nanos"].as_u64().unwrap();
    assert_eq!([0, 1, 2, 3].map(path), [270_000, 30_000, 550_000, 50_000]);
}

#[test]
fn packed_files_are_unpacked() {
    let folder = Folder::new("packed");
    let plain = analyze(&["-"], &lines()).out;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&lines()).unwrap();
    let gzip = gzip.finish().unwrap();
    // Two of them behind each other are one file, as `cat` makes it.
    let twice = analyze(&[&folder.file("two", &[&gzip[..], &gzip].concat())], b"");
    assert!(twice.out.contains("6 there twice, left out"), "{}", twice.out);
    assert_eq!(analyze(&[&folder.file("x.gz", &gzip)], b"").out, plain);
    #[cfg(feature = "zstd")]
    {
        let zstd = zstd::encode_all(&lines()[..], 1).unwrap();
        assert_eq!(analyze(&["-"], &zstd).out, plain);
    }
    let torn = analyze(&["-"], &gzip[..gzip.len() / 2]);
    assert!(torn.code == Some(1) && torn.err.contains("mcp-vitals:"), "{}", torn.err);
}

#[test]
fn broken_lines_are_passed_over_and_counted() {
    let mut bytes = b"{\"resourceSpans\":[{\"scopeSp\n".to_vec();
    bytes.extend_from_slice(&lines());
    bytes.extend_from_slice(b"\nnonsense\n{\"something\":\"else\"}\n\n");
    let no_id = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x"}]}]}]});
    bytes.extend_from_slice(no_id.to_string().as_bytes());
    let ran = analyze(&["-"], &bytes);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("2 traces, 6 spans, 1 failed"), "{}", ran.out);
    assert!(ran.err.contains("3 broken lines (the first: EOF"), "{}", ran.err);
    assert!(ran.err.contains("1 spans without an id or a time"), "{}", ran.err);
}

#[test]
fn a_trace_is_bars() {
    let ran = analyze(&["-", "--trace", "0101", "--width", "60"], &lines());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let expected = "\
trace 01010101010101010101010101010101, 900 µs, 4 spans
span                  took     path 0                 900 µs
tools/call search   900 µs   270 µs █░█░░░░░░░░░░░░░░░██████
  log              30.0 µs  30.0 µs  █
  query             600 µs   550 µs   ██████████████░█
    decode         50.0 µs  50.0 µs                 █
█ waited for: the critical path   ░ ran; red: it failed
";
    assert_eq!(ran.out, expected);
    // No colour where nobody looks.
    assert!(!ran.out.contains('\x1b'));
}

#[test]
fn names_drive_no_terminal_and_no_line_is_too_wide() {
    let mut plan = PLAN;
    plan[0].3 = "\x1b[31m\u{202e}red\nand 漢字漢字漢字漢字漢字漢字漢字漢字漢字 long long long long";
    for width in ["40", "60", "80", "200"] {
        let ran = analyze(&["-", "--width", width], &otlp(&plan));
        assert!(!ran.out.contains(['\x1b', '\u{202e}']), "{}", ran.out);
        let columns = |line: &str| {
            line.chars().map(|c| 1 + usize::from(c > '\u{2e80}' && c < '\u{fffd}')).sum::<usize>()
        };
        let most = ran.out.lines().filter(|line| !line.starts_with("Slowest")).map(columns).max();
        assert!(most <= width.parse().ok().max(Some(60)), "{width}: {}", ran.out);
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = Folder::new("errors");
    let lines = folder.file("lines", &lines());
    for (args, code, says) in [
        (&["nowhere.json"][..], 1, "nowhere.json: "),
        (&[&*folder.file("empty", b"")], 1, "has no spans"),
        (&[&*folder.file("else", b"{\"a\":1}")], 1, "OTLP"),
        (&[&lines, "--trace", "ff"], 1, "no trace's id begins with ff"),
        (&[&lines, "--trace", "0"], 1, "several traces"),
        (&[&lines, "--trace", "xyz"], 2, "hexadecimal"),
        (&[&lines, "--top", "0"], 2, "--top"),
        (&[&lines, "--format", "xml"], 2, "table, json"),
        (&[], 2, "FILE"),
    ] {
        let ran = analyze(args, b"");
        assert_eq!((ran.code, &*ran.out), (Some(code), ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
}

#[test]
fn the_help_fits() {
    let ran = analyze(&["--help"], b"");
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("Exit codes:") && ran.out.contains("--trace <ID>"), "{}", ran.out);
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 85, "{line}");
    }
}

/// Zipkin's server may share its caller's span.
#[test]
fn a_shared_span_is_two() {
    let span = |id: &str, parent: Option<&str>, kind: &str, service: &str, shared: bool| {
        let mut span = json!({
            "traceId": "0af7651916cd43dd", "id": id, "name": kind, "timestamp": START,
            "duration": 1000, "localEndpoint": {"serviceName": service}, "shared": shared,
        });
        if !kind.is_empty() {
            span["kind"] = kind.into();
        }
        if let Some(parent) = parent {
            span["parentId"] = parent.into();
        }
        span
    };
    let one = "0000000000000001";
    let spans = json!([
        span(one, None, "CLIENT", "a", false),
        span(one, None, "SERVER", "b", true),
        span("2", Some(one), "", "b", false),
        span("3", Some(one), "", "a", false),
    ]);
    let ran = analyze(&["-", "--format", "json"], spans.to_string().as_bytes());
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let tree = found["trace"]["tree"].as_array().unwrap();
    let mut depths: Vec<_> = tree
        .iter()
        .map(|span| (span["service"].as_str().unwrap(), span["depth"].as_u64()))
        .collect();
    depths.sort_unstable();
    assert_eq!(depths, [("a", Some(0)), ("a", Some(1)), ("b", Some(1)), ("b", Some(2))]);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let many: Vec<Plan> = (0..200).map(|at| (at, 1, None, "root", 0, 10, false)).collect();
    let folder = Folder::new("pipe");
    let path = folder.file("many", &otlp(&many[1..]));
    assert!(Path::new(&path).exists());
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-vitals"))
        .args(["analyze", &path, "--top", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}
