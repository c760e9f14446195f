//! `/metrics` and `/healthz` over real sockets, and mounted in axum. Time-outs and limits are
//! tested where they can be set: in `src/serve/tests.rs`.
#![cfg(feature = "http")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mcp_vitals::{Desc, Error, OnPortTaken, Vitals};

/// What "for ever" is in a test that fails.
const LONG: Duration = Duration::from_secs(60);

fn serving() -> (Vitals, SocketAddr) {
    let vitals = Vitals::builder().listen(0).build().unwrap();
    let addr = vitals.metrics_addr().unwrap();
    (vitals, addr)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn ask(addr: SocketAddr, request: &str) -> String {
    let mut stream = connect(addr);
    stream.write_all(request.as_bytes()).unwrap();
    let mut got = Vec::new();
    if let Err(error) = stream.read_to_end(&mut got) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    String::from_utf8(got).unwrap()
}

fn scrape(addr: SocketAddr) -> String {
    ask(addr, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

/// The value of the series written as `series`.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(series));
    lines.find_map(|rest| rest.strip_prefix(' ')?.parse().ok())
}

fn event(text: &str, event: &str) -> f64 {
    let series =
        |event| format!("mcp_vitals_outlet_events_total{{outlet=\"http\",event=\"{event}\"}}");
    value(text, &series(event)).unwrap_or_else(|| panic!("{event} is declared:\n{text}"))
}

#[test]
fn what_is_counted_is_what_is_scraped() {
    let (vitals, addr) = serving();
    let jobs = vitals.counter("jobs_total", "Jobs done.").unwrap();
    for done in 1..=20 {
        jobs.inc();
        // Not once the number of a moment ago, whoever else scrapes.
        assert_eq!(value(&scrape(addr), "jobs_total"), Some(f64::from(done)));
    }
    assert_eq!(event(&scrape(addr), "scrape"), 20.0);
    let health = ask(addr, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n"), "{health}");
}

#[test]
fn nothing_listens_unless_asked() {
    assert_eq!(Vitals::builder().build().unwrap().metrics_addr(), None);
    assert_eq!(Vitals::disabled().metrics_addr(), None);
    let (vitals, addr) = serving();
    assert!(addr.ip().is_loopback(), "a port alone is not for other machines");
    vitals.shutdown(LONG);
    assert_eq!(vitals.metrics_addr(), None);
    assert!(TcpStream::connect(addr).is_err());
    vitals.shutdown(LONG);
}

#[test]
fn the_last_handle_closes_the_port() {
    let (vitals, addr) = serving();
    let other = vitals.clone();
    drop(vitals);
    assert!(scrape(addr).starts_with("HTTP/1.1 200 "));
    drop(other);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn hostile_clients_side_by_side_with_a_scraper() {
    let (vitals, addr) = serving();
    // A text that no socket's buffers hold.
    let wide = Desc::gauge("wide", "Many series.").labels(["label"]).series_limit(100_000);
    let wide = vitals.register(wide).unwrap();
    for n in 0..50_000 {
        wide.with([&format!("{n:0>100}")]).set(1.0);
    }
    let send = |request: &str| {
        let mut stream = connect(addr);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let get = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..10 {
        // One that never ends its head, one that never reads, one that hangs up in its answer.
        held.push(send("GET /metrics HTTP/1.1\r\nx: "));
        held.push(send(get));
        let mut leaves = send(get);
        leaves.read_exact(&mut [0; 100]).unwrap();
        drop(leaves);
        let mut huge = connect(addr);
        let _ = huge.write_all(&[b'x'; 1 << 20]);
        // The scraper beside them gets all of it.
        let got = scrape(addr);
        assert!(got.starts_with("HTTP/1.1 200 "));
        assert_eq!(
            value(&got, "mcp_vitals_series"),
            value(&vitals.export_prometheus(), "mcp_vitals_series")
        );
    }
    // One byte at a time, while others scrape.
    let mut slow = send(get);
    for _ in 0..50 {
        slow.read_exact(&mut [0; 1]).unwrap();
        assert!(ask(addr, "GET /healthz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
    }
    assert!(event(&vitals.export_prometheus(), "hung_up") >= 1.0);
    assert!(event(&vitals.export_prometheus(), "bad_request") >= 1.0);
}

#[test]
fn two_hundred_at_once_are_each_served_or_told() {
    let (vitals, addr) = serving();
    vitals.counter("jobs_total", "Jobs done.").unwrap().inc();
    let clients: Vec<_> = (0..200).map(|_| thread::spawn(move || scrape(addr))).collect();
    let mut served = 0;
    let mut refused = 0;
    for client in clients {
        let got = client.join().unwrap();
        if got.starts_with("HTTP/1.1 200 ") {
            assert_eq!(value(&got, "jobs_total"), Some(1.0), "all of it");
            served += 1;
        } else {
            assert!(got.is_empty() || got.starts_with("HTTP/1.1 503 "), "{got}");
            refused += 1;
        }
    }
    let text = vitals.export_prometheus();
    assert_eq!(event(&text, "scrape"), f64::from(served));
    assert_eq!(event(&text, "refused"), f64::from(refused));
    assert!(served >= 64, "as many as there are places: {served}");
}

#[test]
fn a_taken_port_by_each_policy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let build = |policy| Vitals::builder().listen(addr).on_port_taken(policy).build();
    let error = build(OnPortTaken::Fail).unwrap_err();
    assert!(matches!(&error, Error::Listen { addr: told, .. } if *told == addr));
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    let elsewhere = build(OnPortTaken::Ephemeral).unwrap();
    let other = elsewhere.metrics_addr().unwrap();
    assert_ne!(other, addr);
    assert!(scrape(other).starts_with("HTTP/1.1 200 "));
    let without = build(OnPortTaken::Skip).unwrap();
    assert_eq!(without.metrics_addr(), None);
    without.counter("still_total", "Works.").unwrap().inc();
    assert!(without.export_prometheus().contains("still_total 1\n"));
}

#[test]
fn what_is_no_address_is_an_error_of_the_build() {
    for text in ["", "nonsense", "127.0.0.1:99999", "192.0.2.1:0"] {
        let error = Vitals::builder().listen(text).on_port_taken(OnPortTaken::Skip).build();
        assert!(matches!(error, Err(Error::Listen { .. })), "{text}");
    }
}

/// The variable that makes [`child`] one of the copies: the address that all of them are told.
const CHILD: &str = "MCP_VITALS_TEST_SERVE_CHILD";

/// Not a test but the copy that the next one starts: it listens, tells where, and ends with stdin.
#[test]
fn child() {
    let Ok(addr) = std::env::var(CHILD) else { return };
    let vitals =
        Vitals::builder().listen(addr).on_port_taken(OnPortTaken::Ephemeral).build().unwrap();
    let mine = vitals.gauge("child_pid", "Which one it is.").unwrap();
    mine.set(f64::from(std::process::id()));
    // A line of its own: the harness has begun one with the test's name.
    println!("\naddr={}", vitals.metrics_addr().unwrap());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    vitals.shutdown(LONG);
}

#[test]
fn five_copies_with_one_setting_all_answer() {
    // Of an address of its own: nobody else is given the port meanwhile.
    let host = if cfg!(target_os = "linux") { "127.0.0.77:0" } else { "127.0.0.1:0" };
    let free = TcpListener::bind(host).unwrap().local_addr().unwrap();
    let copies: Vec<Child> = (0..5)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["child", "--exact", "--nocapture"])
                .env(CHILD, free.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut addrs = Vec::new();
    let mut running = Vec::new();
    for mut copy in copies {
        let mut out = BufReader::new(copy.stdout.take().unwrap());
        let addr = loop {
            let mut line = String::new();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the copy ended");
            if let Some(addr) = line.strip_prefix("addr=") {
                break addr.trim().parse::<SocketAddr>().unwrap();
            }
        };
        addrs.push(addr);
        running.push((copy, addr, out));
    }
    assert!(addrs.contains(&free), "one of them has the port that was asked for: {addrs:?}");
    // All run: each answers for itself.
    for (copy, addr, _) in &running {
        assert_eq!(value(&scrape(*addr), "child_pid"), Some(f64::from(copy.id())));
    }
    for (mut copy, _, mut out) in running {
        drop(copy.stdin.take());
        out.read_to_end(&mut Vec::new()).unwrap();
        assert!(copy.wait().unwrap().success());
    }
}

/// A scrape by what Prometheus makes of `params`, and what else a client may ask for.
fn scrape_only(addr: SocketAddr, query: &str) -> String {
    let request = format!("GET /metrics?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let got = ask(addr, &request);
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    body.to_owned()
}

/// An engine with families of several kinds, and the text of two of them.
fn with_families(vitals: &Vitals) -> &'static str {
    vitals.counter("jobs_total", "Jobs done.").unwrap().add(3);
    vitals.gauge("queue_length", "Jobs that wait.").unwrap().set(1.5);
    let wait = Desc::histogram("wait_seconds", "How long.").buckets(&[0.5]).labels(["queue"]);
    vitals.register(wait).unwrap().with(["a"]).record_nanos(250_000_000);
    "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 3\n\
     # HELP wait_seconds How long.\n# TYPE wait_seconds histogram\n\
     wait_seconds_bucket{queue=\"a\",le=\"0.5\"} 1\n\
     wait_seconds_bucket{queue=\"a\",le=\"+Inf\"} 1\n\
     wait_seconds_sum{queue=\"a\"} 0.25\nwait_seconds_count{queue=\"a\"} 1\n"
}

#[test]
fn the_families_that_are_named_are_scraped() {
    let (vitals, addr) = serving();
    let two = with_families(&vitals);
    assert_eq!(scrape_only(addr, "name%5B%5D=wait_seconds&name%5B%5D=jobs_total"), two);
    assert_eq!(scrape_only(addr, "name[]=jobs&x=1&name[]=wait_seconds_sum&name[]=nobody"), two);
    assert_eq!(scrape_only(addr, "name[]=nobody"), "");
    let all = scrape(addr);
    assert!(two.lines().all(|line| all.contains(line)), "{all}");
    assert_eq!(value(&all, "queue_length"), Some(1.5));
    assert_eq!(value(&all, "mcp_vitals_scrape_duration_seconds_count"), Some(0.0));
    assert_eq!(event(&all, "scrape"), 3.0);
}

/// Says that it is over when it is dropped, also by a panic.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Many clients that each send many requests at once, for something else each: whole answers go to those
/// who ask for all, for some, or for the health meanwhile.
#[test]
fn a_flood_of_names_keeps_nobody_from_an_answer() {
    let (vitals, addr) = serving();
    let two = with_families(&vitals);
    let wide = Desc::gauge("wide", "Many series.").labels(["label"]).series_limit(100_000);
    let wide = vitals.register(wide).unwrap();
    for n in 0..2_000 {
        wide.with([&format!("{n:0>100}")]).set(1.0);
    }
    let over = AtomicBool::new(false);
    let over = &over;
    thread::scope(|scope| {
        let _until = Until(over);
        for client in 0..12 {
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let mut stream = connect(addr);
                    let query = format!("name[]=wide&name[]=x{client}");
                    let request = format!("GET /metrics?{query} HTTP/1.1\r\nhost: x\r\n\r\n");
                    // Twenty at once, of which one is begun to be read.
                    let _ = stream.write_all(request.repeat(20).as_bytes());
                    let _ = stream.read(&mut [0; 1 << 10]);
                }
            });
        }
        for _ in 0..20 {
            let got = scrape(addr);
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
            assert_eq!(value(body, "queue_length"), Some(1.5));
            assert_eq!(scrape_only(addr, "name[]=jobs_total&name[]=wait_seconds"), two);
            let health = ask(addr, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            assert!(health.ends_with("\r\n\r\nok\n"), "{health}");
        }
    });
}

#[cfg(feature = "tower")]
mod mounted {
    use super::*;

    #[test]
    fn axum_serves_it() {
        let vitals = Vitals::builder().build().unwrap();
        let jobs = vitals.counter("jobs_total", "Jobs done.").unwrap();
        let service = vitals.metrics_service().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let app = axum::Router::new().route_service("/metrics", service);
        runtime.spawn(async { axum::serve(listener, app).await });

        for done in 1..=10 {
            jobs.inc();
            let got = scrape(addr);
            assert!(got.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
            assert_eq!(value(&got, "jobs_total"), Some(f64::from(done)));
        }
        let clients: Vec<_> = (0..100).map(|_| thread::spawn(move || scrape(addr))).collect();
        for client in clients {
            assert_eq!(value(&client.join().unwrap(), "jobs_total"), Some(10.0));
        }
        let request = |method: &str| {
            format!("{method} /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        };
        let head = ask(addr, &request("HEAD"));
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(!head.contains("content-length: 0\r\n"), "{head}");
        let post = ask(addr, &request("POST"));
        assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"), "{post}");

        let two = with_families(&vitals);
        let two = two.replace("jobs_total 3", "jobs_total 13");
        assert_eq!(scrape_only(addr, "name%5B%5D=wait_seconds&name[]=jobs_total&x=y"), two);
        assert_eq!(scrape_only(addr, "name[]=nobody"), "");
        let head = ask(addr, &request("HEAD").replace("/metrics", "/metrics?name[]=jobs"));
        let length = format!("content-length: {}\r\n", two.find("# HELP wait").unwrap());
        assert!(head.contains(&length) && head.ends_with("\r\n\r\n"), "{head}");
        let many: String = (0..65).map(|n| format!("name[]={n}&")).collect();
        let bad = ask(addr, &request("GET").replace("/metrics", &format!("/metrics?{many}")));
        assert!(bad.starts_with("HTTP/1.1 400 "), "{bad}");
        assert!(bad.ends_with("name[]: at most 64 names\n"), "{bad}");

        let text = vitals.export_prometheus();
        let events = |event: &str| {
            let outlet = "mcp_vitals_outlet_events_total{outlet=\"tower\"";
            value(&text, &format!("{outlet},event=\"{event}\"}}"))
        };
        assert_eq!(events("scrape"), Some(114.0));
        assert_eq!(events("bad_request"), Some(2.0));
        // The service does not keep the engine.
        drop(vitals);
        assert!(scrape(addr).starts_with("HTTP/1.1 503 "));
    }

    #[test]
    fn it_answers_in_the_format_that_is_asked_for() {
        let vitals = Vitals::builder().build().unwrap();
        let service = vitals.metrics_service().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (accept, content, ending) in [
            ("application/openmetrics-text;q=0.5,*/*;q=0.1", "application/openmetrics-text", true),
            ("text/html,*/*", "text/plain", false),
        ] {
            use tower_service::Service;
            let request = http::Request::get("/metrics").header("accept", accept).body(()).unwrap();
            let response = runtime.block_on(service.clone().call(request)).unwrap();
            let headers = response.headers();
            assert!(headers["content-type"].to_str().unwrap().starts_with(content));
            assert_eq!(headers["vary"], "accept");
            let body = runtime.block_on(http_body_util::BodyExt::collect(response.into_body()));
            let body = body.unwrap().to_bytes();
            assert_eq!(body.ends_with(b"# EOF\n"), ending);
        }
    }

    #[test]
    fn more_scrapes_by_names_than_may_be_there_are_told() {
        use tower_service::Service;
        let vitals = Vitals::builder().build().unwrap();
        let mut service = vitals.metrics_service().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut ask = |path: &str| service.call(http::Request::get(path).body(()).unwrap());
        let some: Vec<_> = (0..64).map(|n| ask(&format!("/metrics?name[]=n{n}"))).collect();
        let status = |answer: mcp_vitals::MetricsFuture| -> u16 {
            runtime.block_on(answer).unwrap().status().into()
        };
        assert_eq!(status(ask("/metrics?name[]=one_more")), 503);
        assert_eq!(status(ask("/metrics")), 200);
        // Whether they were waited for or not.
        drop(some);
        assert_eq!(status(ask("/metrics?name[]=one_more")), 200);
        let refused = "mcp_vitals_outlet_events_total{outlet=\"tower\",event=\"refused\"}";
        assert_eq!(value(&vitals.export_prometheus(), refused), Some(1.0));
    }

    #[test]
    fn a_disabled_engine_mounts_too() {
        assert!(Vitals::disabled().metrics_service().is_ok());
    }
}

#[test]
fn the_log_level_of_an_engine_is_changed_where_that_is_allowed() {
    use mcp_vitals::logs::LogConfig;
    use mcp_vitals::{Level, debug};
    let post = |addr: SocketAddr, body: &str| {
        let length = body.len();
        ask(
            addr,
            &format!(
                "POST /log-level HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            ),
        )
    };
    let logs = || LogConfig::to_memory().level(Level::Warn);
    let builder = || Vitals::builder().listen(0).log_level_endpoint(true);
    let vitals = builder().logs(logs()).build().unwrap();
    let addr = vitals.metrics_addr().unwrap();
    let got = post(addr, "info,search=debug");
    assert!(got.ends_with("\r\n\r\ninfo,search=debug,rmcp=info\n"), "{got}");
    assert_eq!(vitals.log_filter().to_string(), "info,search=debug,rmcp=info");
    debug!(vitals.logger("search"), "taken now");
    assert_eq!(vitals.captured_logs().len(), 1);
    let got = post(addr, "info,search=loud");
    assert!(got.starts_with("HTTP/1.1 400 ") && got.contains("\"loud\" is no level"), "{got}");
    let text = scrape(addr);
    assert_eq!((event(&text, "log_level"), event(&text, "bad_request")), (1.0, 1.0));

    // Not allowed, and nothing to change.
    let closed = Vitals::builder().listen(0).logs(logs()).build().unwrap();
    assert!(post(closed.metrics_addr().unwrap(), "off").starts_with("HTTP/1.1 404 "));
    let silent = builder().build().unwrap();
    assert!(post(silent.metrics_addr().unwrap(), "info").starts_with("HTTP/1.1 404 "));
}
