//! `mcp-vitals demo`, the real binary, as a user runs it: what it prints, where it serves, how it
//! ends, and that its metrics hold what its clients sent.

#![cfg(feature = "cli")]

mod mcp_examples;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use mcp_examples::{Folder, sample};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A demo that runs. Dropped, it is killed.
struct Demo {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Both streams as they grow, closed at their ends.
    stderr: Stream,
    stdout: Stream,
}

/// One of a child's streams, read on a thread so that no pipe fills up.
struct Stream {
    lines: Receiver<String>,
    seen: String,
}

impl Stream {
    fn of(pipe: impl Read + Send + 'static) -> Stream {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Stream { lines, seen: String::new() }
    }

    /// The next line; nothing at the end.
    fn line(&mut self) -> Option<String> {
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(_) => panic!("silent for too long after: {}", self.seen),
        };
        self.seen += &line;
        self.seen.push('\n');
        Some(line)
    }

    /// Waits for a line that begins with `prefix`; what follows it.
    fn after(&mut self, prefix: &str) -> String {
        while let Some(line) = self.line() {
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
        panic!("ended without {prefix:?}: {}", self.seen);
    }

    /// Everything up to the end.
    fn rest(&mut self) -> &str {
        while self.line().is_some() {}
        &self.seen
    }
}

impl Demo {
    fn start(args: &[&str]) -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-vitals"))
            .arg("demo")
            .args(args)
            // Whatever it is, the demo's client has to pass it by.
            .env("http_proxy", "http://127.0.0.1:1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        Demo {
            stdin: child.stdin.take(),
            stderr: Stream::of(child.stderr.take().expect("piped")),
            stdout: Stream::of(child.stdout.take().expect("piped")),
            child,
        }
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([name, &pid]).status().expect("kill runs");
        assert!(done.success());
    }

    /// Waits for the end.
    fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "never ended: {}", self.stderr.seen);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for an end that went well and left stdout empty; what stderr said.
    fn ended_well(&mut self) -> String {
        self.ended_well_after(0)
    }

    /// The same after so many lines on stdout.
    fn ended_well_after(&mut self, lines: usize) -> String {
        let status = self.ended();
        let said = self.stderr.rest().to_owned();
        assert!(status.success(), "{status}: {said}");
        assert_eq!(self.stdout.rest().lines().count(), lines, "{}", self.stdout.seen);
        said
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of one GET, by hand.
fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("a plain URL");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!head.to_lowercase().contains("chunked"), "{head}");
    body.to_owned()
}

/// The sum over all samples of a name that have these labels.
fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once('{'));
    let samples = samples.filter(|(rest, _)| rest.is_empty());
    let values = samples.filter_map(|(_, rest)| {
        let (own, value) = rest.rsplit_once("} ")?;
        let has = |(key, wanted): &(&str, &str)| own.contains(&format!("{key}=\"{wanted}\""));
        labels.iter().all(has).then(|| value.parse::<f64>().ok()).flatten()
    });
    values.sum()
}

type Counts = BTreeMap<[String; 3], u64>;

/// The client's tally.
fn tally(path: &Path) -> Counts {
    let text = std::fs::read_to_string(path).expect("the tally was written");
    let rows: Value = serde_json::from_str(&text).expect("JSON");
    let rows = rows["requests"].as_array().expect("rows").iter().map(|row| {
        let text = |name: &str| row[name].as_str().expect(name).to_owned();
        ([text("tool"), text("operation"), text("status")], row["count"].as_u64().expect("count"))
    });
    rows.collect()
}

/// `mcp_requests_total` without what is at 0.
fn held(metrics: &str) -> Counts {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("mcp_requests_total{"));
    let rows = lines.map(|line| {
        let (labels, count) = line.rsplit_once("} ").expect("a sample");
        let text = |name: &str| {
            let at = labels.split(',').find_map(|label| label.strip_prefix(&format!("{name}=\"")));
            at.expect("a label").trim_end_matches('"').to_owned()
        };
        let count = count.parse::<u64>().expect("a count");
        ([text("tool"), text("operation"), text("status")], count)
    });
    rows.filter(|(_, count)| *count > 0).collect()
}

/// A load on free ports that writes a tally.
fn loaded(folder: &Folder, more: &[&str]) -> (Demo, PathBuf) {
    let path = folder.path().join("tally.json");
    let file = path.to_str().expect("a plain path");
    let mut args = vec!["--mcp", "0", "--metrics", "0", "--seed", "7", "--tally", file];
    args.extend(more);
    (Demo::start(&args), path)
}

#[test]
fn after_the_load_the_metrics_hold_what_the_clients_counted() {
    let folder = Folder::new("demo-load");
    let (mut demo, path) =
        loaded(&folder, &["--rate", "150", "--clients", "3", "--duration", "4s", "--linger", "5m"]);
    let mcp = demo.stderr.after("mcp: ");
    let metrics = demo.stderr.after("metrics: ");
    assert!(mcp.starts_with("http://127.0.0.1:") && mcp.ends_with("/mcp"), "{mcp}");
    assert!(metrics.starts_with("http://127.0.0.1:") && metrics.ends_with("/metrics"));
    demo.stderr.after("still serving");
    let sent = tally(&path);
    let text = get(&metrics);
    assert_eq!(held(&text), sent);
    assert_eq!(sent[&["server", "initialize", "success"].map(str::to_owned)], 3);
    for ((tool, operation), count) in totals(&sent) {
        let labels = [("tool", &*tool), ("operation", &*operation)];
        let timed = sample(&text, "mcp_request_duration_seconds_count", &labels);
        assert_eq!(timed, Some(count as f64), "{tool} {operation}");
    }
    assert!(text.contains("\nmcp_sessions_total 3\n"), "{text}");
    assert!(text.contains("\nmcp_tasks_running 0\n"), "{text}");

    #[cfg(unix)]
    {
        demo.signal("-INT");
        let said = demo.ended_well();
        assert!(said.contains("the metrics hold exactly these"), "{said}");
        assert!(!said.contains('\x1b'), "colours without a terminal: {said}");
    }
}

/// What a load makes sooner or later, all of it through the library's public helpers.
const SEEN: &[(&str, &[(&str, &str)])] = &[
    ("mcp_requests_total", &[("tool", "_other"), ("operation", "_other")]),
    ("mcp_requests_total", &[("tool", "prompts"), ("operation", "get"), ("status", "error")]),
    ("mcp_requests_total", &[("tool", "server"), ("operation", "ping"), ("status", "success")]),
    ("mcp_requests_total", &[("tool", "agent_finish"), ("status", "success")]),
    ("mcp_requests_total", &[("tool", "agent_spawn"), ("status", "success")]),
    ("mcp_requests_total", &[("tool", "swarm_init"), ("status", "success")]),
    ("mcp_requests_total", &[("tool", "swarm_init"), ("status", "error")]),
    ("mcp_requests_total", &[("tool", "task_orchestrate"), ("status", "cancelled")]),
    ("mcp_request_errors_total", &[("tool", "_other"), ("error_type", "client_invalid_params")]),
    ("mcp_request_errors_total", &[("tool", "auth_login"), ("error_type", "tool_error")]),
    ("mcp_request_errors_total", &[("tool", "neural_predict"), ("error_type", "internal")]),
    ("mcp_request_errors_total", &[("tool", "neural_predict"), ("error_type", "panic")]),
    ("mcp_agents_spawned_total", &[("type", "coder")]),
    ("mcp_agents_failed_total", &[]),
    ("mcp_agents_active", &[("status", "idle")]),
    ("mcp_task_duration_seconds_count", &[("task_type", "review"), ("status", "success")]),
    ("mcp_task_duration_seconds_count", &[("task_type", "research"), ("status", "cancelled")]),
    ("mcp_memory_operations_total", &[("operation", "store"), ("status", "success")]),
    ("mcp_neural_inference_duration_seconds_count", &[("model", "large")]),
    ("mcp_neural_tokens_processed_total", &[("model", "small"), ("direction", "output")]),
    ("mcp_auth_attempts_total", &[("method", "password"), ("status", "failed")]),
    ("mcp_auth_rate_limit_exceeded_total", &[]),
    ("mcp_panics_total", &[("tool", "neural_predict")]),
    ("mcp_cancellations_total", &[("tool", "task_orchestrate")]),
];

#[cfg(unix)]
#[test]
fn a_load_shows_every_metric_and_every_end() {
    let mut demo = Demo::start(&["--mcp", "0", "--metrics", "0", "--seed", "7", "--rate", "300"]);
    let metrics = demo.stderr.after("metrics: ");
    let deadline = Instant::now() + PATIENCE;
    let text = loop {
        let text = get(&metrics);
        let missing = SEEN.iter().find(|(name, labels)| sum(&text, name, labels) <= 0.0);
        let Some(missing) = missing else { break text };
        assert!(Instant::now() < deadline, "never came: {missing:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    for entry in mcp_vitals::catalog::CATALOG {
        if cfg!(target_os = "linux") || !entry.name.starts_with("mcp_system") {
            assert!(text.contains(&format!("# TYPE {} {}", entry.name, entry.kind)), "{entry:?}");
        }
    }
    demo.signal("-INT");
    let said = demo.ended_well();
    assert!(said.contains("the metrics hold exactly these"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// Counts by tool and operation.
fn totals(sent: &Counts) -> BTreeMap<(String, String), u64> {
    let mut totals = BTreeMap::new();
    for ([tool, operation, _], count) in sent {
        *totals.entry((tool.clone(), operation.clone())).or_default() += count;
    }
    totals
}

#[cfg(unix)]
#[test]
fn a_signal_in_the_middle_of_the_load_ends_it_cleanly() {
    for name in ["-INT", "-TERM"] {
        let folder = Folder::new(&format!("demo{name}"));
        let (mut demo, path) = loaded(&folder, &["--rate", "60", "--linger", "5m"]);
        let metrics = demo.stderr.after("metrics: ");
        let deadline = Instant::now() + PATIENCE;
        while held(&get(&metrics)).values().sum::<u64>() < 30 {
            assert!(Instant::now() < deadline, "no load: {}", demo.stderr.seen);
        }
        demo.signal(name);
        let said = demo.ended_well();
        assert!(said.contains("the metrics hold exactly these"), "{said}");
        assert!(!said.contains("still serving"), "{said}");
        assert!(tally(&path).values().sum::<u64>() >= 30);
    }
}

/// One request of protocol version 2026-07-28, which needs no session.
fn post_without_a_session(url: &str) {
    let rest = url.strip_prefix("http://").expect("a plain URL");
    let (host, path) = rest.split_once('/').expect("a path");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
    let body = body.to_string();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(host).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all((head + &body).as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.contains("swarm_init"), "{answer}");
}

#[cfg(unix)]
#[test]
fn a_request_that_no_client_of_the_demo_sent_is_found_and_is_exit_code_1() {
    let mut demo = Demo::start(&["--mcp", "0", "--metrics", "0", "--rate", "20"]);
    let mcp = demo.stderr.after("mcp: ");
    post_without_a_session(&mcp);
    demo.signal("-INT");
    assert_eq!(demo.ended().code(), Some(1));
    let said = demo.stderr.rest();
    assert!(said.contains("they differ") && said.contains("1 too many"), "{said}");
}

#[test]
fn an_unwritable_tally_is_an_error() {
    let folder = Folder::new("demo-tally");
    let path = folder.path().join("no/such/folder/tally.json");
    let path = path.to_str().expect("a plain path");
    let mut demo =
        Demo::start(&["--mcp", "0", "--metrics", "0", "--duration", "200ms", "--tally", path]);
    assert_eq!(demo.ended().code(), Some(1));
    let said = demo.stderr.rest();
    assert!(said.contains("cannot write the tally") && said.contains("no/such"), "{said}");
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("an address").to_string();
    for (option, other) in [("--metrics", "--mcp"), ("--mcp", "--metrics")] {
        let mut demo = Demo::start(&[option, &addr, other, "0"]);
        assert_eq!(demo.ended().code(), Some(1));
        let said = demo.stderr.rest();
        assert!(said.contains(&addr) && said.contains(option), "{said}");
        assert_eq!(demo.stdout.rest(), "");
    }
}

#[test]
fn default_ports_that_are_taken_are_no_error() {
    // Somebody has them, be it this test or another program.
    let taken = ["127.0.0.1:8000", "127.0.0.1:8080"].map(TcpListener::bind);
    let mut demo = Demo::start(&["--no-load", "--duration", "100ms"]);
    let (mcp, metrics) = (demo.stderr.after("mcp: "), demo.stderr.after("metrics: "));
    assert!(!mcp.contains(":8000/") && !metrics.contains(":8080/"), "{mcp} {metrics}");
    let said = demo.ended_well();
    assert!(said.contains("port 8080 is taken") && said.contains("port 8000 is taken"), "{said}");
    drop(taken);
}

#[test]
fn help_goes_to_stdout_and_tells_every_option() {
    let mut demo = Demo::start(&["--help"]);
    assert!(demo.ended().success());
    let help = demo.stdout.rest();
    for option in [
        "--mcp",
        "--metrics",
        "--native",
        "--no-console",
        "--textfile",
        "--stdio",
        "--rate",
        "--clients",
        "--duration",
        "--no-load",
        "--seed",
        "--log-file",
        "--trace-file",
        "--otlp",
        "--zipkin",
        "--sample",
        "--durable",
        "--log-format",
        "--log-level",
        "--tally",
        "--linger",
    ] {
        assert!(help.contains(option), "{option} is missing in {help}");
    }
    assert!(help.contains("Examples:") && !help.contains('\x1b'), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 85), "{help}");
}

#[cfg(unix)]
#[test]
fn without_a_load_the_server_waits_for_clients() {
    let mut demo = Demo::start(&["--no-load", "--mcp", "0", "--metrics", "0"]);
    post_without_a_session(&demo.stderr.after("mcp: "));
    demo.signal("-INT");
    let said = demo.ended_well();
    assert!(said.contains("The metrics hold 1 request."), "{said}");
}

#[test]
fn the_console_is_there_unless_it_is_not_wanted() {
    let mut demo = Demo::start(&["--no-load", "--mcp", "0", "--metrics", "0"]);
    let console = demo.stderr.after("console: ");
    assert!(get(&console).contains("<title>"), "{console}");
    let said = |path: &str| -> Value {
        serde_json::from_str(&get(&format!("{console}api/{path}"))).expect("JSON")
    };
    assert_eq!(said("state")["service"]["name"], "mcp-vitals-demo");
    assert_eq!((&said("logs")["on"], &said("traces")["on"]), (&true.into(), &true.into()));
    demo.signal("-INT");
    demo.ended_well();
    let mut without = Demo::start(&["--no-load", "--no-console", "--mcp", "0", "--metrics", "0"]);
    without.stderr.after("waiting for clients");
    without.signal("-INT");
    assert!(!without.ended_well().contains("console"));
}

#[test]
fn on_stdio_stdout_is_the_protocol_and_the_end_of_stdin_is_the_end() {
    let folder = Folder::new("demo-stdio");
    let textfile = folder.path().join("demo.prom");
    let mut demo = Demo::start(&[
        "--stdio",
        "--metrics",
        "0",
        "--textfile",
        textfile.to_str().expect("a path"),
    ]);
    let metrics = demo.stderr.after("metrics: ");
    let mut stdin = demo.stdin.take().expect("piped");
    let mut send = |message: Value| writeln!(stdin, "{message}").expect("it reads");
    let ask = |id: u64, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let client = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    });
    let mut answer = |id: u64| {
        let line = demo.stdout.line().expect("an answer");
        let message: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((message["jsonrpc"].as_str(), message["id"].as_u64()), (Some("2.0"), Some(id)));
        message
    };
    send(ask(1, "initialize", client));
    assert_eq!(answer(1)["result"]["serverInfo"]["name"], "mcp-vitals-demo");
    send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    send(ask(2, "tools/list", json!({})));
    let listed = answer(2);
    let tools = listed["result"]["tools"].as_array().expect("tools");
    let mut names: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "agent_finish",
            "agent_spawn",
            "auth_login",
            "memory_usage",
            "neural_predict",
            "swarm_init",
            "task_orchestrate"
        ]
    );
    send(ask(3, "tools/call", json!({"name": "swarm_init", "arguments": {"topology": "ring"}})));
    assert_ne!(answer(3)["result"]["isError"], true);
    // The bug: answered, and not a word of it on either stream.
    let empty = json!({"model": "small", "prompt": ""});
    send(ask(4, "tools/call", json!({"name": "neural_predict", "arguments": empty})));
    assert_eq!(answer(4)["error"]["code"], -32603);
    let panics = [("tool", "neural_predict")];
    assert_eq!(sample(&get(&metrics), "mcp_panics_total", &panics), Some(1.0));
    drop(stdin);

    let said = demo.ended_well_after(4);
    assert!(!said.contains("panicked"), "{said}");
    let text = std::fs::read_to_string(&textfile).expect("the textfile");
    let called = [("tool", "swarm_init"), ("status", "success")];
    assert_eq!(sample(&text, "mcp_requests_total", &called), Some(1.0));
}

#[test]
fn on_stdio_a_textfile_stands_in_for_the_port() {
    let folder = Folder::new("demo-textfile");
    let textfile = folder.path().join("demo.prom");
    let mut demo = Demo::start(&["--stdio", "--textfile", textfile.to_str().expect("a path")]);
    demo.stderr.after("textfile: ");
    drop(demo.stdin.take());
    let said = demo.ended_well();
    assert!(!said.contains("http://"), "{said}");
    assert!(textfile.exists());
}

/// The lines of a log, each JSON.
fn log_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the log was written");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[cfg(unix)]
#[test]
fn every_request_of_the_load_is_a_line_of_the_log() {
    let folder = Folder::new("demo-log");
    let log = folder.path().join("demo.log");
    let log_path = log.to_str().expect("a plain path");
    let (mut demo, tally_path) =
        loaded(&folder, &["--rate", "150", "--log-file", log_path, "--linger", "5m"]);
    let metrics = demo.stderr.after("metrics: ");
    assert_eq!(demo.stderr.after("log: "), log_path);
    let deadline = Instant::now() + PATIENCE;
    let happened = ["mcp_agents_spawned_total", "mcp_auth_attempts_total"];
    loop {
        let text = get(&metrics);
        let enough = held(&text).values().sum::<u64>() >= 300;
        if enough && happened.iter().all(|name| sum(&text, name, &[]) > 0.0) {
            break;
        }
        assert!(Instant::now() < deadline, "no load: {}", demo.stderr.seen);
    }
    // Ctrl-C loses nothing.
    demo.signal("-INT");
    let said = demo.ended_well();
    assert!(!said.contains("request ended"), "lines between the report's: {said}");

    let lines = log_lines(&log);
    let mut ended = Counts::new();
    for line in lines.iter().filter(|line| line["message"] == "request ended") {
        let text = |name: &str| line[name].as_str().expect(name).to_owned();
        *ended.entry([text("tool"), text("operation"), text("status")]).or_default() += 1;
        assert!(line["request_id"].is_string(), "{line}");
        // The SDK tells it in the answer to `initialize`.
        assert_eq!(line["session_id"].is_string(), line["operation"] != "initialize", "{line}");
    }
    assert_eq!(ended, tally(&tally_path));
    for flag in ["agent_event", "task_event", "auth_event"] {
        let mut of_it = lines.iter().filter(|line| line[flag] == true).peekable();
        assert!(of_it.peek().is_some(), "no {flag}");
        for line in of_it {
            assert!(line["logger"] == "swarm" && line["session_id"].is_string(), "{line}");
        }
    }
    let text = std::fs::read_to_string(&log).expect("the log");
    assert!(!text.contains("swordfish"), "a secret that a client sent");
}

#[cfg(unix)]
#[test]
fn every_request_of_the_load_is_a_trace_and_what_it_waited_for_is_below_it() {
    let folder = Folder::new("demo-traces");
    let file = folder.path().join("traces.jsonl");
    let path = file.to_str().expect("a plain path");
    let (mut demo, tally_path) = loaded(&folder, &["--trace-file", path, "--duration", "3s"]);
    assert_eq!(demo.stderr.after("traces: "), path);
    demo.ended_well();

    let each = |value: &Value, key: &str| value[key].as_array().expect(key).clone();
    let spans: Vec<Value> = log_lines(&file)
        .iter()
        .flat_map(|line| each(line, "resourceSpans"))
        .flat_map(|resource| each(&resource, "scopeSpans"))
        .flat_map(|scope| each(&scope, "spans"))
        .collect();
    let ids: BTreeMap<&str, &Value> =
        spans.iter().map(|span| (span["spanId"].as_str().expect("an id"), span)).collect();
    let (roots, below): (Vec<&Value>, Vec<&Value>) =
        spans.iter().partition(|span| span["parentSpanId"].as_str().is_none_or(str::is_empty));
    assert_eq!(roots.len() as u64, tally(&tally_path).values().sum::<u64>());
    assert!(roots.iter().all(|root| root["kind"] == 2), "of kind SERVER");
    assert!(below.len() > roots.len() / 4, "{} below {}", below.len(), roots.len());
    for span in below {
        let parent = ids[span["parentSpanId"].as_str().expect("an id")];
        assert_eq!(parent["traceId"], span["traceId"]);
    }
}

#[cfg(unix)]
#[test]
fn the_level_of_a_running_demo_is_changed_over_http() {
    let folder = Folder::new("demo-level");
    let log = folder.path().join("demo.log");
    let log_path = log.to_str().expect("a plain path");
    let mut demo = Demo::start(&[
        "--no-load",
        "--mcp",
        "0",
        "--metrics",
        "0",
        "--log-level",
        "off",
        "--log-file",
        log_path,
    ]);
    let mcp = demo.stderr.after("mcp: ");
    let metrics = demo.stderr.after("metrics: ");
    let url = metrics.replace("/metrics", "/log-level");
    assert_eq!(get(&url), "off\n");
    post_without_a_session(&mcp);
    let host = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL").0;
    let mut stream = TcpStream::connect(host).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!(
        "POST /log-level HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 5\r\n\r\ndebug"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.ends_with("\r\n\r\ndebug,rmcp=info\n"), "{answer}");
    post_without_a_session(&mcp);
    demo.signal("-TERM");
    demo.ended_well();
    let messages: Vec<_> = log_lines(&log).iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["request started", "request ended"]);
}

#[test]
fn logs_go_to_stderr_only_where_a_level_was_asked_for() {
    let args = ["--mcp", "0", "--metrics", "0", "--duration", "500ms", "--rate", "50"];
    let quiet = Demo::start(&args).ended_well();
    assert!(!quiet.contains("request ended"), "{quiet}");
    let more = ["--log-level", "info", "--log-format", "logfmt"];
    let said = Demo::start(&[&args[..], &more].concat()).ended_well();
    let ended: Vec<_> = said.lines().filter(|line| line.contains("request ended")).collect();
    assert!(ended.len() >= 4, "{said}");
    assert!(ended.iter().all(|line| line.contains("request_id=")), "{ended:?}");
    // The report is the last, and whole.
    let report = said.rfind("and the metrics hold exactly these").expect("a report");
    assert!(said.rfind("request ended").is_some_and(|line| line < report), "{said}");
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    let folder = Folder::new("demo-no-log");
    // A folder is in its place.
    let path = folder.path().to_str().expect("a plain path");
    let mut demo = Demo::start(&["--mcp", "0", "--metrics", "0", "--log-file", path]);
    assert_eq!(demo.ended().code(), Some(1));
    assert!(demo.stderr.rest().contains(path), "{}", demo.stderr.seen);
}
