//! The console over real sockets: its routes, who may ask, and what it promises of its costs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{ConsoleConfig, Desc, Error, Vitals, error, info, warn};

/// Nobody waits this long; it is what "for ever" is in a test that fails.
const LONG: Duration = Duration::from_secs(60);

fn start(config: ConsoleConfig) -> (Vitals, SocketAddr) {
    let builder = Vitals::builder().service("swarm", "1.2.3").listen(0).console(config);
    let vitals = builder.build().unwrap();
    let addr = vitals.metrics_addr().unwrap();
    (vitals, addr)
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn ask_with(addr: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = connect(addr);
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn get(addr: SocketAddr, path: &str) -> Answer {
    ask_with(addr, "GET", path, "host: localhost\r\n")
}

/// An event stream, read event by event.
struct Events(BufReader<TcpStream>);

#[derive(Debug, Default)]
struct Event {
    name: String,
    id: String,
    data: String,
    comment: bool,
}

impl Events {
    fn open(addr: SocketAddr, path: &str) -> (u16, Events) {
        let mut stream = connect(addr);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0);
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, Events(reader))
    }

    /// A line of the stream's own, out of the chunks; nothing at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).ok()? == 0 { None } else { Some(line) }
    }

    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line()?;
            // Sizes of chunks and their ends end in CR LF, and nothing of ours does.
            let Some(line) = line.strip_suffix('\n').filter(|line| !line.ends_with('\r')) else {
                continue;
            };
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                Some(("", _)) => event.comment = true,
                _ if line.is_empty() && (!event.name.is_empty() || event.comment) => {
                    return Some(event);
                }
                _ => {}
            }
        }
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn the_page_and_the_state_are_there() {
    let (vitals, addr) = start(ConsoleConfig::new());
    let index = get(addr, "/console/");
    assert_eq!(
        (index.status, index.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let redirect = get(addr, "/console");
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("console/")));
    let state = get(addr, "/console/api/state");
    assert_eq!(state.status, 200, "{}", state.body);
    let state = json(&state.body);
    assert_eq!(state["service"]["name"], "swarm");
    assert_eq!(state["requests"]["total"], 0);
    let (status, mut events) = Events::open(addr, "/console/events");
    assert_eq!(status, 200);
    for _ in 0..2 {
        let event = events.next().unwrap();
        assert_eq!(event.name, "state");
        assert_eq!(json(&event.data)["service"]["version"], "1.2.3");
    }
    vitals.shutdown(LONG);
    while events.next().is_some() {}
}

/// How often `what` happened on the way out by HTTP.
fn event(text: &str, what: &str) -> f64 {
    let series = format!("mcp_vitals_outlet_events_total{{outlet=\"http\",event=\"{what}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("{what} is declared")).parse().unwrap()
}

#[test]
fn each_route_answers_and_carries_the_headers() {
    let (vitals, addr) = start(ConsoleConfig::new());
    for (path, status, content) in [
        ("/console/", 200, "text/html; charset=utf-8"),
        ("/console/index.html", 200, "text/html; charset=utf-8"),
        ("/console/app.js", 200, "text/javascript; charset=utf-8"),
        ("/console/style.css", 200, "text/css; charset=utf-8"),
        ("/console/api/state", 200, "application/json"),
        ("/console/api/history", 200, "application/json"),
        ("/console/api/logs", 200, "application/json"),
        ("/console/api/traces", 200, "application/json"),
        ("/console/api/history?range=week", 400, "text/plain; charset=utf-8"),
        ("/console", 308, "text/plain; charset=utf-8"),
        ("/console/nothing", 404, "text/plain; charset=utf-8"),
        ("/console/../Cargo.toml", 404, "text/plain; charset=utf-8"),
        ("/console/api/", 404, "text/plain; charset=utf-8"),
        ("/console//", 404, "text/plain; charset=utf-8"),
    ] {
        let answer = get(addr, path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some(content), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let caching = answer.header("cache-control").unwrap();
        let is_file = answer.header("etag").is_some();
        assert_eq!(caching, if is_file { "no-cache" } else { "no-store" }, "{path}");
    }
    assert_eq!(get(addr, "/consoles").status, 404);
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let answer = ask_with(addr, method, "/console/", "host: localhost\r\n");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{method}");
    }
    let text = vitals.export_prometheus();
    assert_eq!(event(&text, "console"), 9.0);
    assert_eq!(event(&text, "bad_request"), 5.0 + 1.0 + 5.0);
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let (_vitals, addr) = start(ConsoleConfig::new());
    let tag = get(addr, "/console/app.js").header("etag").unwrap().to_owned();
    for known in [tag.clone(), format!("\"x\", W/{tag}")] {
        let headers = format!("host: localhost\r\nif-none-match: {known}\r\n");
        let answer = ask_with(addr, "GET", "/console/app.js", &headers);
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{known}");
        assert_eq!(answer.header("content-length"), None, "the file is not empty");
        let other = ask_with(addr, "GET", "/console/style.css", &headers);
        assert_eq!(other.status, 200);
    }
}

#[test]
fn only_by_a_name_of_this_machine() {
    let (vitals, addr) = start(ConsoleConfig::new().host("vitals.internal"));
    let port = addr.port();
    let status = |headers: &str| ask_with(addr, "GET", "/console/api/state", headers).status;
    for host in ["localhost", "127.0.0.1", &format!("127.0.0.1:{port}"), "vitals.internal:80"] {
        assert_eq!(status(&format!("host: {host}\r\n")), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1", ""] {
        assert_eq!(status(&format!("host: {host}\r\n")), 403, "{host}");
    }
    let answer = ask_with(addr, "GET", "/console/", "host: evil.example\r\n");
    assert!(answer.body.contains("ConsoleConfig::host"), "{}", answer.body);
    assert!(answer.header("content-security-policy").is_some());
    assert_eq!(status("host: localhost\r\norigin: http://evil.example\r\n"), 403);
    assert_eq!(event(&vitals.export_prometheus(), "forbidden"), 6.0);
}

#[test]
fn what_may_not_be_served_is_an_error_that_says_what_to_do() {
    let build = |listen: &str, config: ConsoleConfig| {
        Vitals::builder().listen(listen).console(config).build()
    };
    let error = build("0.0.0.0:0", ConsoleConfig::new()).unwrap_err();
    assert!(matches!(error, Error::Console { .. }));
    assert!(error.to_string().contains("beyond_loopback(true)"), "{error}");
    let open = build("0.0.0.0:0", ConsoleConfig::new().beyond_loopback(true)).unwrap();
    assert_eq!(get(open.metrics_addr().unwrap(), "/console/").status, 200);
    assert!(build("0.0.0.0:0", ConsoleConfig::from(false)).is_ok());
    let error = Vitals::builder().console(true).build().unwrap_err();
    assert!(error.to_string().contains(".listen("), "{error}");
    let off = Vitals::builder().listen(0).build().unwrap();
    assert_eq!(get(off.metrics_addr().unwrap(), "/console/").status, 404);
}

/// What `/metrics` says, by the plainest of parsers: a line is a name with labels, and a number.
fn scrape(addr: SocketAddr) -> Vec<(String, f64)> {
    let text = get(addr, "/metrics").body;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let sample = |line: &str| {
        let (series, number) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), number.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// The sum over the series of `name` that have all of `labels`.
fn sum(samples: &[(String, f64)], name: &str, labels: &[&str]) -> f64 {
    let is = |series: &str| {
        series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
    };
    samples.iter().filter(|(series, _)| is(series)).map(|(_, number)| number).sum()
}

#[test]
fn a_state_has_the_numbers_of_the_metrics() {
    let (vitals, addr) = start(ConsoleConfig::new());
    let mcp = vitals.mcp();
    for n in 0..37u64 {
        let tool = ["a", "b", "c"][n as usize % 3];
        let status = ["success", "error", "cancelled"][n as usize % 7 % 3];
        mcp.requests.with([tool, "execute", status]).inc();
        mcp.request_duration.with([tool, "execute"]).record(Duration::from_millis(n));
        mcp.tokens.with(["large", ["input", "output"][n as usize % 2]]).add(n);
    }
    mcp.request_errors.with(["a", "execute", "tool_error"]).add(3);
    mcp.request_errors.with(["a", "execute", "client_invalid_params"]).add(4);
    mcp.requests_in_flight.with(["a"]).add(2);
    mcp.requests_in_flight.with(["b"]).add(1);
    mcp.sessions_active.inc();
    mcp.agents_active.with(["coder", "busy"]).add(5);
    mcp.agents_spawned.with(["coder"]).add(9);
    mcp.agents_failed.with(["coder", "timeout"]).add(2);
    mcp.tasks_pending.with(["high"]).add(6);
    mcp.task_finished("review", mcp_vitals::Status::Success, Duration::from_millis(70));
    mcp.memory_operation("store", mcp_vitals::Status::Success);
    mcp.auth_attempts.with(["token", "failed"]).add(8);
    mcp.auth_attempts.with(["token", "success"]).add(11);
    mcp.rate_limited("u1");
    mcp.rate_limited("u2");
    mcp.inference_duration.with(["large", "predict"]).record(Duration::from_millis(5));
    // Host's own numbers change nothing.
    vitals.counter("mcp_requests_of_my_own_total", "Mine.").unwrap().add(1_000);
    // Twice, so that what a scrape or a state itself counts stands.
    let _ = (scrape(addr), get(addr, "/console/api/state"));
    let state = json(&get(addr, "/console/api/state").body);
    let metrics = scrape(addr);
    let check = |path: &str, name: &str, labels: &[&str]| {
        let said = state.pointer(path).unwrap_or_else(|| panic!("{path} in {state}"));
        assert_eq!(said.as_f64(), Some(sum(&metrics, name, labels)), "{path}");
    };
    check("/requests/total", "mcp_requests_total", &[]);
    check("/requests/errors", "mcp_requests_total", &["status=\"error\""]);
    check("/requests/cancelled", "mcp_requests_total", &["status=\"cancelled\""]);
    check("/requests/client_errors", "mcp_request_errors_total", &["\"client_"]);
    check("/requests/in_flight", "mcp_requests_in_flight", &[]);
    check("/requests/sessions", "mcp_sessions_active", &[]);
    let tools = state["tools"].as_array().unwrap();
    // Beside those that are there at 0 from the start.
    assert!(tools.iter().filter(|tool| tool["total"] != 0).count() == 3);
    for (at, tool) in tools.iter().enumerate() {
        let label = format!("tool={}", tool["tool"]);
        let operation = format!("operation={}", tool["operation"]);
        let by = |more| [label.as_str(), operation.as_str(), more];
        check(&format!("/tools/{at}/total"), "mcp_requests_total", &by(""));
        check(&format!("/tools/{at}/errors"), "mcp_requests_total", &by("status=\"error\""));
        check(&format!("/tools/{at}/cancelled"), "mcp_requests_total", &by("\"cancelled\""));
    }
    check("/agents/active/0/value", "mcp_agents_active", &["busy"]);
    check("/agents/spawned/0/total", "mcp_agents_spawned_total", &["coder"]);
    check("/agents/failed/0/total", "mcp_agents_failed_total", &["timeout"]);
    check("/tasks/pending/0/value", "mcp_tasks_pending", &["high"]);
    check("/tasks/by_status/0/total", "mcp_task_duration_seconds_count", &["success"]);
    check("/neural/models/0/tokens_in", "mcp_neural_tokens_processed_total", &["input"]);
    check("/neural/models/0/tokens_out", "mcp_neural_tokens_processed_total", &["output"]);
    check("/neural/models/0/inferences", "mcp_neural_inference_duration_seconds_count", &[]);
    check("/memory/operations/0/total", "mcp_memory_operations_total", &["store"]);
    check("/auth/success", "mcp_auth_attempts_total", &["success"]);
    check("/auth/failed", "mcp_auth_attempts_total", &["failed"]);
    check("/auth/rate_limit_hits", "mcp_auth_rate_limit_exceeded_total", &[]);
    check("/engine/memory_limit", "mcp_vitals_memory_limit_bytes", &[]);
    check("/engine/series", "mcp_vitals_series", &[]);
    check("/engine/records_common", "mcp_vitals_common_records_total", &[]);
    // The scrape of this comparison came after the state.
    let scrapes = sum(&metrics, "mcp_vitals_scrape_duration_seconds_count", &[]);
    assert_eq!(state["engine"]["scrapes"].as_f64(), Some(scrapes));
    // Percentiles are of observations: 36 ms is the longest.
    let longest = state["requests"]["max_ms"].as_f64().unwrap();
    assert!((longest / 36.0 - 1.0).abs() < 0.016, "{longest}");
}

#[test]
fn hostile_names_come_as_they_are() {
    let (vitals, addr) = start(ConsoleConfig::new());
    let names = [
        "quote\"quote",
        "</script><script>alert(1)</script>",
        "line\nline\r\ndata: forged\n\nevent: state",
        "back\\slash\u{0}\u{1b}[31m",
        "ünïcödé ✓ \u{2028}\u{2029} \u{202e}rtl",
        "",
        "_other",
    ];
    for (n, name) in names.iter().enumerate() {
        vitals.mcp().requests.with([name, "execute", "success"]).add(n as u64 + 1);
    }
    let found = |text: &str| {
        let state = json(text);
        for (n, name) in names.iter().enumerate() {
            let mut tools = state["tools"].as_array().unwrap().iter();
            let tool = tools.find(|tool| tool["tool"] == *name);
            let total = tool.and_then(|tool| tool["total"].as_u64());
            assert_eq!(total, Some(n as u64 + 1), "{name:?} in {text}");
        }
    };
    found(&get(addr, "/console/api/state").body);
    let (_, mut events) = Events::open(addr, "/console/events");
    for _ in 0..2 {
        let event = events.next().unwrap();
        assert_eq!(event.name, "state", "nothing forges an event");
        found(&event.data);
    }
    let history = json(&get(addr, "/console/api/history").body);
    assert!(history["fine"]["tools"].as_object().unwrap().contains_key(names[1]));
}

/// The tool with the most requests may be the last that came, and a limit's own `_other` another row.
#[test]
fn of_many_tools_the_busiest_are_told_apart_and_the_others_add_up() {
    let (vitals, addr) = start(ConsoleConfig::new());
    for n in 0..150 {
        vitals.mcp().requests.with([&format!("tool_{n}"), "execute", "success"]).add(3);
    }
    vitals.mcp().requests.with(["_other", "_other", "success"]).add(500);
    vitals.mcp().requests.with(["busy", "execute", "success"]).add(1_000);
    let state = json(&get(addr, "/console/api/state").body);
    let tools = state["tools"].as_array().unwrap();
    let sum = |key: &str| tools.iter().map(|tool| tool[key].as_f64().unwrap()).sum::<f64>();
    let all = |key: &str| state["requests"][key].as_f64().unwrap();
    assert_eq!(tools[0]["tool"], "busy");
    assert!(tools[0]["rate"].as_f64().unwrap() > 0.0, "{}", tools[0]);
    assert_eq!(sum("total"), all("total"));
    assert!((sum("rate") / all("rate") - 1.0).abs() < 1e-9, "{} {}", sum("rate"), all("rate"));
    let others: Vec<_> = tools.iter().filter(|tool| tool["tool"] == "_other").collect();
    assert_eq!((others.len(), &others[0]["summed"]), (1, &true.into()));
    assert!(tools.iter().filter(|tool| tool["summed"] == true).count() == 1);
}

/// Hosts count by what clients say.
#[test]
fn counts_that_are_too_large_to_be_added_up_break_nothing() {
    let (vitals, addr) = start(ConsoleConfig::new());
    let mcp = vitals.mcp();
    for name in ["a", "b"] {
        mcp.requests.with([name, "execute", "success"]).add(u64::MAX - 1);
        mcp.requests.with([name, "execute", "error"]).add(u64::MAX - 1);
        mcp.tokens.with([name, "input"]).add(u64::MAX - 1);
        mcp.tokens.with([name, "output"]).add(u64::MAX - 1);
        mcp.auth_attempts.with([name, "failed"]).add(u64::MAX - 1);
    }
    for path in ["api/state", "events", "api/history"] {
        assert_eq!(Events::open(addr, &format!("/console/{path}")).0, 200, "{path}");
    }
    let (_, mut events) = Events::open(addr, "/console/events");
    for _ in 0..2 {
        assert_eq!(events.next().unwrap().name, "state");
    }
}

#[test]
fn a_ninth_viewer_is_told_and_a_place_that_is_left_is_free() {
    let (vitals, addr) = start(ConsoleConfig::new());
    let viewer = || Events::open(addr, "/console/events");
    let mut viewers: Vec<_> = (0..8).map(|_| viewer()).collect();
    assert!(viewers.iter().all(|(status, _)| *status == 200));
    let ninth = get(addr, "/console/events");
    assert_eq!(ninth.status, 503);
    assert!(ninth.body.contains("8 viewers") && ninth.body.contains("close"), "{}", ninth.body);
    let state = json(&get(addr, "/console/api/state").body);
    assert_eq!(state["engine"]["console"]["viewers"], 8);
    // The others go on.
    assert!(viewers.iter_mut().all(|(_, events)| events.next().is_some()));
    viewers.pop();
    while viewer().0 != 200 {
        std::thread::yield_now();
    }
    assert!(event(&vitals.export_prometheus(), "console_viewer") >= 9.0);
    assert!(event(&vitals.export_prometheus(), "console_full") >= 1.0);
}

#[test]
fn states_come_by_themselves_and_what_is_counted_is_in_the_next() {
    let (vitals, addr) = start(ConsoleConfig::new().history(false));
    let (_, mut events) = Events::open(addr, "/console/events");
    let total = |event: Event| json(&event.data)["requests"]["total"].as_u64().unwrap();
    assert_eq!(total(events.next().unwrap()), 0);
    vitals.mcp().requests.with(["a", "execute", "success"]).add(7);
    // One may have been on its way.
    let mut last = 0;
    for _ in 0..3 {
        last = total(events.next().unwrap());
    }
    assert_eq!(last, 7);
    let history = json(&get(addr, "/console/api/history").body);
    assert!(!history["fine"]["t"].as_array().unwrap().is_empty(), "kept while somebody looks");
}

#[test]
fn shutdown_ends_open_streams_at_once() {
    let (vitals, addr) = start(ConsoleConfig::new());
    let mut viewers: Vec<_> = (0..8).map(|_| Events::open(addr, "/console/events").1).collect();
    let started = std::time::Instant::now();
    vitals.shutdown(LONG);
    // Not a matter of time: the deadline is a minute, and nothing waits for it.
    assert!(started.elapsed() < LONG / 2);
    for events in &mut viewers {
        while events.next().is_some() {}
    }
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn the_engine_ends_with_its_last_handle_whoever_looks() {
    let (vitals, addr) = start(ConsoleConfig::new());
    let (_, mut events) = Events::open(addr, "/console/events");
    events.next().unwrap();
    let alive = std::sync::Arc::new(());
    let held = alive.clone();
    // What the engine owns goes with it.
    let count = move || std::sync::Arc::strong_count(&held) as f64;
    let _asked = vitals.callback_gauge(Desc::gauge("held", "Held."), [], count).unwrap();
    drop(vitals);
    while events.next().is_some() {}
    while std::sync::Arc::strong_count(&alive) > 1 {
        std::thread::yield_now();
    }
}

/// With lines and traces to be shown.
fn start_logging() -> (Vitals, SocketAddr) {
    let builder = Vitals::builder().service("swarm", "1.2.3").listen(0).console(true);
    let vitals = builder.logs(LogConfig::new()).traces(TraceConfig::to_memory()).build().unwrap();
    let addr = vitals.metrics_addr().unwrap();
    (vitals, addr)
}

#[test]
fn recent_lines_are_found_and_followed() {
    let (vitals, addr) = start_logging();
    let logger = vitals.logger("search");
    info!(logger, "before", n = 1);
    warn!(logger, "careful </script>", n = 2);
    assert!(vitals.flush(LONG));
    let lines = json(&get(addr, "/console/api/logs").body);
    assert_eq!((&lines["on"], &lines["lost"]), (&true.into(), &0.into()));
    let messages = |lines: &serde_json::Value| -> Vec<String> {
        let of = |line: &serde_json::Value| line["line"]["message"].as_str().unwrap().to_owned();
        lines["lines"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(messages(&lines), ["before", "careful </script>"]);
    let some = json(&get(addr, "/console/api/logs?level=warn&text=CAREFUL&limit=5").body);
    assert_eq!(messages(&some), ["careful </script>"]);
    assert_eq!(get(addr, "/console/api/logs?level=loud").status, 400);
    let (status, mut events) = Events::open(addr, "/console/logs/events?level=warn");
    assert_eq!(status, 200);
    let (_, mut from_first) = Events::open(addr, "/console/logs/events?after=1");
    info!(logger, "not asked for");
    error!(logger, "after");
    let event = events.next().unwrap();
    assert_eq!((event.name.as_str(), event.id.as_str()), ("line", "4"));
    assert_eq!(json(&event.data)["message"], "after");
    let next = |events: &mut Events| json(&events.next().unwrap().data)["message"].clone();
    assert_eq!(next(&mut from_first), "careful </script>");
    assert_eq!(next(&mut from_first), "not asked for");
    // As many follow the lines as the state, and none takes the other's place.
    let _more: Vec<_> = (0..6).map(|_| Events::open(addr, "/console/logs/events").1).collect();
    assert_eq!(get(addr, "/console/logs/events").status, 503);
    let cost = json(&get(addr, "/console/api/state").body)["engine"]["console"].clone();
    assert_eq!((&cost["viewers"], &cost["followers"]), (&0.into(), &8.into()));
    vitals.shutdown(LONG);
    while events.next().is_some() {}
}

#[test]
fn recent_traces_are_listed_and_looked_up() {
    let (vitals, addr) = start_logging();
    let tracer = vitals.tracer("search");
    let mut span = tracer.span("tools/call <b>");
    span.set_attribute("quote\"", "\n");
    let id = span.context().trace_id().unwrap();
    span.end();
    assert!(vitals.flush(LONG));
    let traces = json(&get(addr, "/console/api/traces?name=TOOLS").body);
    assert_eq!(traces["on"], true);
    assert_eq!(traces["traces"][0]["root"]["name"], "tools/call <b>");
    assert_eq!(traces["traces"][0]["trace_id"], id.to_string());
    let one = get(addr, &format!("/console/api/traces/{id}"));
    assert_eq!(one.status, 200);
    assert_eq!(json(&one.body)["spans"][0]["attributes"][0], serde_json::json!(["quote\"", "\n"]));
    for id in ["0123456789abcdef0123456789abcdef", "nonsense", "", "a/b"] {
        assert_eq!(get(addr, &format!("/console/api/traces/{id}")).status, 404, "{id:?}");
    }
    assert_eq!(get(addr, "/console/api/traces?min_ms=-1").status, 400);
}

#[test]
fn without_logs_and_traces_the_console_says_so() {
    let (_vitals, addr) = start(ConsoleConfig::new());
    assert_eq!(json(&get(addr, "/console/api/logs").body)["on"], false);
    assert_eq!(json(&get(addr, "/console/api/traces").body)["on"], false);
    assert_eq!(get(addr, "/console/logs/events").status, 404);
}

#[test]
fn a_slow_request_leads_to_its_trace() {
    let (vitals, addr) = start_logging();
    let (_, mut events) = Events::open(addr, "/console/events");
    events.next().unwrap();
    let request = vitals.request("tools/call").tool("search").known_by(&|_| true).start();
    let id = request.span().unwrap().context().trace_id().unwrap().to_string();
    request.finish(mcp_vitals::Outcome::Ok);
    let state = json(&get(addr, "/console/api/state").body);
    let tools = state["tools"].as_array().unwrap();
    let tool = tools.iter().find(|tool| tool["tool"] == "search").unwrap();
    assert_eq!(tool["exemplar"]["trace_id"], id);
    assert!(tool["exemplar"]["ms"].as_f64().unwrap() > 0.0);
    // And so does the point of the chart that it is in.
    for _ in 0..3 {
        events.next().unwrap();
    }
    let history = json(&get(addr, "/console/api/history?range=fine").body);
    let slow = history["fine"]["tools"]["search"]["slow"].as_array().unwrap();
    let shown: Vec<_> = slow.iter().filter(|slow| !slow.is_null()).collect();
    assert_eq!(shown.len(), 1, "in one point: {slow:?}");
    assert_eq!(shown[0]["trace_id"], id);
    assert!(history["coarse"].is_null());
}
