//! The endpoint over real sockets, against a stub of the engine, with limits short enough to run
//! into. What the whole crate promises over HTTP is in `tests/serve_http.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::listen::Limits;
use super::{Endpoint, Listen, OnPortTaken};
use crate::error::Error;
use crate::export::Event;
use crate::export::stub::Stub;

const GET: &str = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const SHORT: Duration = Duration::from_millis(50);
/// Nobody waits this long; it is what "for ever" is in a test that fails.
const LONG: Duration = Duration::from_secs(60);

fn patient() -> Limits {
    Limits { head: LONG, answer: LONG, idle: LONG, ..Limits::default() }
}

fn start(text: impl Into<Vec<u8>>, limits: Limits) -> (Endpoint, SocketAddr, Arc<Stub>) {
    let stub = Arc::new(Stub::new(text));
    let config = Listen { limits, ..Listen::new(0.into()) };
    let endpoint = super::start(&config, stub.clone()).unwrap();
    let addr = endpoint.addr().unwrap();
    assert!(addr.ip().is_loopback());
    (endpoint, addr, stub)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn send(addr: SocketAddr, request: &str) -> TcpStream {
    let mut stream = connect(addr);
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Everything up to the end of the connection, in whichever way it ends.
fn drain(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    bytes
}

fn ask(addr: SocketAddr, request: &str) -> String {
    String::from_utf8(drain(send(addr, request))).unwrap()
}

/// A text that no socket's buffers hold.
fn large() -> Vec<u8> {
    b"large 1\n".repeat(4 << 20)
}

/// One that the endpoint holds while it is not read: returns once the answer has begun.
fn begin_slow_read(addr: SocketAddr) -> TcpStream {
    let mut stream = send(addr, GET);
    stream.read_exact(&mut [0; 1]).unwrap();
    stream
}

#[test]
fn answers() {
    let (_endpoint, addr, stub) = start("a_total 1\n", patient());
    let got = ask(addr, GET);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    assert!(got.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{got}");
    assert!(got.contains("content-length: 10\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\na_total 1\n"), "{got}");

    let got = ask(addr, "HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    assert!(got.contains("content-length: 10\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\n"), "{got}");

    let got = ask(addr, "GET /metrics?x=y HTTP/1.0\r\n\r\n");
    assert!(got.ends_with("a_total 1\n"), "{got}");
    let got = ask(addr, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("ok\n"), "{got}");
    let got = ask(addr, "GET /other HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 404 "), "{got}");
    let body = "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\
                connection: close\r\n\r\nx";
    let got = ask(addr, body);
    assert!(got.starts_with("HTTP/1.1 405 "), "{got}");
    assert!(got.contains("allow: GET, HEAD\r\n"), "{got}");
    assert_eq!(stub.seen(Event::HttpScrape), 3);
    assert_eq!(stub.seen(Event::HttpHealth), 1);
    assert_eq!(stub.seen(Event::HttpBadRequest), 2);

    stub.end();
    assert!(ask(addr, GET).starts_with("HTTP/1.1 503 "));
    let got = ask(addr, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 503 "), "{got}");
}

#[test]
fn the_format_that_is_asked_for() {
    let (_endpoint, addr, stub) = start("a_total 1\n", patient());
    let asked = |accept: &str| {
        let end = "host: x\r\nconnection: close\r\n\r\n";
        ask(addr, &format!("GET /metrics HTTP/1.1\r\naccept: {accept}\r\n{end}"))
    };
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let got = asked(prometheus);
    let content = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(got.contains(content) && got.ends_with("a_total 1\n# EOF\n"), "{got}");
    assert!(got.contains("vary: accept, accept-encoding\r\n"), "{got}");
    for accept in ["*/*", "text/plain;version=0.0.4;q=1,*/*;q=0.1", "\u{e9}"] {
        let got = asked(accept);
        assert!(
            got.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            "{got}"
        );
        assert!(got.ends_with("\r\n\r\na_total 1\n"), "{got}");
    }
    // Two lines are one list.
    let got = asked("text/plain;q=0.5\r\naccept: application/openmetrics-text");
    assert!(got.ends_with("# EOF\n"), "{got}");
    assert_eq!(stub.seen(Event::HttpScrape), 5);
}

#[test]
fn gzip_for_who_takes_it() {
    let text = "a_total{label=\"value\"} 1\n".repeat(1000);
    let (_endpoint, addr, _stub) = start(text.clone(), patient());
    let request =
        "GET /metrics HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n";
    let got = drain(send(addr, request));
    let head_end = got.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (head, body) = got.split_at(head_end);
    assert!(String::from_utf8_lossy(head).contains("content-encoding: gzip\r\n"));
    assert!(body.len() < text.len() / 10, "{}", body.len());
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    assert!(ask(addr, GET).ends_with(&text));
}

#[test]
fn the_families_that_are_asked_for() {
    let text = format!("a_total 1\nb 2\n{}", "c{n=\"1\"} 1\n".repeat(1000));
    let (_endpoint, addr, stub) = start(text.clone(), patient());
    let request = |method: &str, query: &str, more: &str| {
        format!("{method} /metrics?{query} HTTP/1.1\r\nhost: x\r\n{more}connection: close\r\n\r\n")
    };
    let body = |query: &str, more: &str| {
        let got = ask(addr, &request("GET", query, more));
        let (head, body) = got.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{got}");
        body.to_owned()
    };
    assert_eq!(body("name[]=a_total", ""), "a_total 1\n");
    assert_eq!(body("x=y&name%5B%5D=b&name%5B%5D=a_total&name[]=b", ""), "a_total 1\nb 2\n");
    let open = "accept: application/openmetrics-text\r\n";
    assert_eq!(body("name[]=b", open), "b 2\n# EOF\n");
    assert_eq!(body("name[]=nobody", ""), "");
    assert_eq!(body("name[]=nobody", open), "# EOF\n");
    assert_eq!(body("name=b", ""), text);

    let got = ask(addr, &request("HEAD", "name[]=a_total", ""));
    assert!(got.contains("content-length: 10\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    let got = drain(send(addr, &request("GET", "name[]=c", "accept-encoding: gzip\r\n")));
    let end = got.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&got[..end]).contains("content-encoding: gzip\r\n"));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&got[end..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text[text.find('c').unwrap()..]);
    assert_eq!(stub.seen(Event::HttpScrape), 8);

    let many = (0..65).map(|n| format!("name[]=n{n}")).collect::<Vec<_>>().join("&");
    for (query, why) in [
        (&*many, "name[]: at most 64 names\n"),
        (&format!("name[]={}", "x".repeat(257)), "name[]: a name has at most 256 bytes\n"),
    ] {
        let got = ask(addr, &request("GET", query, ""));
        assert!(got.starts_with("HTTP/1.1 400 ") && got.ends_with(why), "{got}");
        let got = ask(addr, &request("HEAD", query, ""));
        assert!(got.starts_with("HTTP/1.1 400 ") && got.ends_with("\r\n\r\n"), "{got}");
    }
    assert_eq!(stub.seen(Event::HttpBadRequest), 4);
    stub.end();
    let got = ask(addr, &request("GET", "name[]=b", ""));
    assert!(got.starts_with("HTTP/1.1 503 "), "{got}");
}

#[test]
fn a_connection_serves_many_requests() {
    let (_endpoint, addr, stub) = start("a_total 1\n", patient());
    let mut stream = connect(addr);
    for _ in 0..10 {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"a_total 1\n") {
            let mut bytes = [0; 512];
            let read = stream.read(&mut bytes).unwrap();
            assert_ne!(read, 0);
            got.extend_from_slice(&bytes[..read]);
        }
    }
    assert_eq!(stub.seen(Event::HttpScrape), 10);
}

#[test]
fn a_client_that_closed_its_side_is_answered() {
    let (_endpoint, addr, _stub) = start("a_total 1\n", patient());
    let stream = send(addr, GET);
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(drain(stream).ends_with(b"a_total 1\n"));
}

#[test]
fn a_head_that_trickles_in_has_one_deadline() {
    let limits = Limits { head: Duration::from_secs(1), ..patient() };
    let (_endpoint, addr, stub) = start("a_total 1\n", limits);
    let silent = connect(addr);
    let mut stream = send(addr, "GET /metrics HTTP/1.1\r\n");
    // Each byte is in time; the head is not, long before it is too large. The write fails once the
    // endpoint has closed.
    while stub.seen(Event::HttpHeadTimeout) + stub.seen(Event::HttpBadRequest) < 2
        && stream.write_all(b"x").is_ok()
    {
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(stub.seen(Event::HttpBadRequest), 0, "ended by its size, not by its time");
    // And the one that said nothing at all.
    stub.wait_for(Event::HttpHeadTimeout, 2);
    assert!(drain(silent).is_empty());
}

#[test]
fn a_reader_that_takes_nothing_holds_up_nobody_and_is_closed() {
    let limits =
        Limits { answer: Duration::from_millis(1500), held_bytes: usize::MAX, ..patient() };
    let (_endpoint, addr, stub) = start(large(), limits);
    let slow: Vec<_> = (0..4).map(|_| begin_slow_read(addr)).collect();
    stub.set_text("a_total 1\n");
    for _ in 0..20 {
        assert!(ask(addr, GET).ends_with("a_total 1\n"));
    }
    stub.wait_for(Event::HttpSlowReader, 4);
    assert_eq!(stub.seen(Event::HttpScrape), 24);
    for slow in slow {
        let got = drain(slow);
        assert!(got.len() < large().len(), "cut short");
    }
}

#[test]
fn a_reader_that_takes_a_little_at_a_time_is_closed_at_the_same_deadline() {
    let limits = Limits { answer: Duration::from_secs(1), ..patient() };
    let (_endpoint, addr, stub) = start(large(), limits);
    let mut slow = begin_slow_read(addr);
    // Progress all the time, at a pace that needs many times the deadline for all of it.
    while stub.seen(Event::HttpSlowReader) == 0 {
        match slow.read(&mut [0; 64 << 10]) {
            Ok(0) => panic!("it was let to read to the end"),
            Ok(_) => thread::sleep(Duration::from_millis(20)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                break;
            }
        }
    }
    stub.wait_for(Event::HttpSlowReader, 1);
}

#[test]
fn slow_readers_lose_the_oldest_texts_past_a_bound() {
    let limits = Limits { held_bytes: 1, ..patient() };
    let (_endpoint, addr, stub) = start(large(), limits);
    // Four times the newest is the bound here, so that the fifth and sixth cost the oldest two.
    let mut slow: Vec<_> = (0..6).map(|_| begin_slow_read(addr)).collect();
    stub.wait_for(Event::HttpEvicted, 2);
    let newest = slow.split_off(2);
    for slow in slow {
        assert!(drain(slow).len() < large().len());
    }
    for slow in newest {
        assert!(drain(slow).ends_with(b"large 1\n"));
    }
    assert_eq!(stub.seen(Event::HttpEvicted), 2);
}

/// Nobody shares the text of some families, so that each slow reader holds one of its own.
#[test]
fn slow_readers_of_some_families_are_within_the_same_bound() {
    let limits = Limits { held_bytes: 1, ..patient() };
    let (_endpoint, addr, stub) = start(large(), limits);
    let some = GET.replace("/metrics", "/metrics?name[]=large");
    let slow: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = send(addr, &some);
            stream.read_exact(&mut [0; 1]).unwrap();
            stream
        })
        .collect();
    stub.wait_for(Event::HttpEvicted, 2);
    // A short one beside them costs nobody a long one.
    for _ in 0..4 {
        assert!(ask(addr, &GET.replace("/metrics", "/metrics?name[]=x")).ends_with("\r\n\r\n"));
    }
    let whole = slow.into_iter().map(drain).filter(|got| got.ends_with(b"large 1\n"));
    assert_eq!(whole.count(), 4);
    assert_eq!(stub.seen(Event::HttpEvicted), 2);
}

#[test]
fn an_idle_connection_is_closed_without_a_count() {
    let limits = Limits { idle: SHORT, ..patient() };
    let (_endpoint, addr, stub) = start("a_total 1\n", limits);
    let stream = send(addr, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(drain(stream).ends_with(b"a_total 1\n"));
    let unexpected = [Event::HttpHeadTimeout, Event::HttpSlowReader, Event::HttpHungUp];
    assert!(unexpected.iter().all(|&event| stub.seen(event) == 0));
}

#[test]
fn past_the_limit_idle_connections_make_room_and_busy_ones_do_not() {
    let limits = Limits { connections: 2, ..patient() };
    let (_endpoint, addr, stub) = start("a_total 1\n", limits);
    let keep = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    let idle: Vec<_> = (0..2)
        .map(|n| {
            let mut stream = send(addr, keep);
            stream.read_exact(&mut [0; 32]).unwrap();
            stub.wait_for(Event::HttpScrape, n + 1);
            stream
        })
        .collect();
    // They idle once their answers are in the system's hands; a newcomer may have to ask again.
    let mut waiting = Vec::new();
    while stub.seen(Event::HttpMadeRoom) < 2 {
        waiting.push(send(addr, "GET /metrics HTTP/1.1\r\n"));
        thread::sleep(Duration::from_millis(5));
    }
    drop(idle);
    // All others of them were refused, the last ones perhaps not yet.
    let refused = waiting.len() - 2;
    stub.wait_for(Event::HttpRefused, refused);
    let got = drain(connect(addr));
    assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 503 "));
    assert_eq!(stub.seen(Event::HttpRefused), refused + 1);
    drop(waiting);
    // The two that hung up in the middle of their heads are gone, and there is room again.
    stub.wait_for(Event::HttpHungUp, 2);
    assert!(ask(addr, GET).ends_with("a_total 1\n"));
}

#[test]
fn heads_that_are_too_large_or_no_http() {
    let (_endpoint, addr, stub) = start("a_total 1\n", patient());
    let large = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let mut stream = connect(addr);
    // The endpoint need not take it all.
    let _ = stream.write_all(large.as_bytes());
    let got = drain(stream);
    assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 431 "));
    stub.wait_for(Event::HttpBadRequest, 1);

    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1000));
    assert!(ask(addr, &many).starts_with("HTTP/1.1 431 "));
    let long = format!("GET /{} HTTP/1.0\r\n\r\n", "y".repeat(15 << 10));
    let got = ask(addr, &long);
    assert!(got.starts_with("HTTP/1.0 404 "), "{got}");
    assert!(ask(addr, "\x16\x03\x01 no HTTP\r\n\r\n").starts_with("HTTP/1.1 400 "));
    stub.wait_for(Event::HttpBadRequest, 4);
    assert!(ask(addr, GET).ends_with("a_total 1\n"));
}

#[test]
fn clients_that_hang_up_leave_nothing_behind() {
    let limits = Limits { connections: 4, ..patient() };
    let (_endpoint, addr, stub) = start(large(), limits);
    for n in 1..=16 {
        // In the middle of the head, and in the middle of the answer.
        match n % 2 {
            0 => drop(send(addr, "GET /metrics HT")),
            _ => drop(begin_slow_read(addr)),
        }
        stub.wait_for(Event::HttpHungUp, n);
    }
    assert_eq!(stub.seen(Event::HttpRefused), 0, "each one's place was free again");
}

#[test]
fn scrapes_that_come_together_are_answered_together() {
    let text = "a_total{label=\"value\"} 1\n".repeat(10_000);
    let limits = Limits { connections: 256, ..patient() };
    let (_endpoint, addr, stub) = start(text.clone(), limits);
    let clients: Vec<_> = (0..200).map(|_| thread::spawn(move || ask(addr, GET))).collect();
    for client in clients {
        assert!(client.join().unwrap().ends_with(&text));
    }
    assert_eq!(stub.seen(Event::HttpScrape), 200);
    let rendered = usize::try_from(stub.scrapes()).unwrap();
    assert_eq!(rendered + stub.seen(Event::HttpShared), 200);
}

#[test]
fn a_taken_port_by_each_policy() {
    let (_endpoint, addr, stub) = start("a_total 1\n", patient());
    let start = |on_port_taken| {
        let config = Listen { on_port_taken, ..Listen::new(addr.into()) };
        super::start(&config, stub.clone())
    };
    let error = start(OnPortTaken::Fail).err().unwrap();
    assert!(matches!(error, Error::Listen { addr: told, .. } if told == addr), "{error}");
    let other = start(OnPortTaken::Ephemeral).unwrap();
    let elsewhere = other.addr().unwrap();
    assert_eq!(elsewhere.ip(), addr.ip());
    assert_ne!(elsewhere, addr);
    assert!(ask(elsewhere, GET).ends_with("a_total 1\n"));
    let mut none = start(OnPortTaken::Skip).unwrap();
    assert_eq!(none.addr(), None);
    assert!(none.stop(LONG));
    // 192.0.2.0/24 is nobody's: no policy is for that.
    for policy in [OnPortTaken::Fail, OnPortTaken::Ephemeral, OnPortTaken::Skip] {
        let config = Listen { on_port_taken: policy, ..Listen::new("192.0.2.1:0".into()) };
        assert!(super::start(&config, stub.clone()).is_err());
    }
    assert!(super::start(&Listen::new("no address".into()), stub.clone()).is_err());
}

/// A server's `main` is mostly inside a runtime already, and a taken port is no reason to panic.
#[test]
fn inside_a_runtime_a_taken_port_is_an_error_too() {
    let (_endpoint, addr, stub) = start("a_total 1\n", patient());
    let start = |on_port_taken| {
        let config = Listen { on_port_taken, ..Listen::new(addr.into()) };
        super::start(&config, stub.clone())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert!(matches!(start(OnPortTaken::Fail), Err(Error::Listen { .. })));
        assert_eq!(start(OnPortTaken::Skip).unwrap().addr(), None);
        let elsewhere = start(OnPortTaken::Ephemeral).unwrap();
        assert!(elsewhere.addr().is_some());
    });
}

#[test]
fn stopping_lets_answers_end_and_closes_the_rest() {
    let (mut endpoint, addr, stub) = start(large(), patient());
    let silent = connect(addr);
    let mut idle = send(addr, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    idle.read_exact(&mut [0; 32]).unwrap();
    let reading = begin_slow_read(addr);
    let reader = thread::spawn(move || drain(reading));
    assert!(endpoint.stop(LONG));
    assert!(reader.join().unwrap().ends_with(b"large 1\n"));
    assert!(drain(silent).is_empty());
    drain(idle);
    assert!(TcpStream::connect(addr).is_err(), "the port is closed");
    assert!(endpoint.stop(LONG), "a second stop is harmless");
    assert_eq!(stub.seen(Event::HttpScrape), 1);
}

#[test]
fn stopping_does_not_wait_past_the_deadline() {
    let (mut endpoint, addr, stub) = start(large(), patient());
    let reading = begin_slow_read(addr);
    assert!(endpoint.stop(SHORT));
    assert!(drain(reading).len() < large().len());
    // The thread is gone, and with it what it held of the engine.
    assert_eq!(Arc::strong_count(&stub), 1);
}

fn with_log_level() -> (Endpoint, SocketAddr, Arc<Stub>) {
    let stub = Arc::new(Stub::new("a_total 1\n"));
    let config = Listen { limits: patient(), log_level: true, ..Listen::new(0.into()) };
    let endpoint = super::start(&config, stub.clone()).unwrap();
    let addr = endpoint.addr().unwrap();
    (endpoint, addr, stub)
}

/// A request to `/log-level` from this machine, by this machine's name.
fn log_level(addr: SocketAddr, method: &str, more: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "{method} /log-level HTTP/1.1\r\nhost: {addr}\r\n{more}content-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    ask(addr, &request)
}

#[test]
fn the_filter_of_the_logs_is_told_and_changed() {
    let (_endpoint, addr, stub) = with_log_level();
    let got = log_level(addr, "GET", "", "");
    assert!(got.starts_with("HTTP/1.1 404 ") && got.ends_with("nothing is logged\n"), "{got}");
    stub.set_filter("info");
    let got = log_level(addr, "GET", "", "");
    assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n\r\ninfo\n"), "{got}");
    let got = log_level(addr, "POST", "", "info,rmcp=warn\n");
    assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n\r\ninfo,rmcp=warn\n"));
    let chunked = "POST /log-level HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n3\r\ndeb\r\n2\r\nug\r\n0\r\n\r\n";
    assert!(ask(addr, chunked).ends_with("\r\n\r\ndebug\n"));
    let own = format!("origin: http://{addr}\r\n");
    assert!(log_level(addr, "POST", &own, "trace").starts_with("HTTP/1.1 200 "));
    let got = log_level(addr, "HEAD", "", "");
    assert!(got.contains("content-length: 6\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    assert_eq!(stub.seen(Event::HttpLogLevel), 5);

    let got = log_level(addr, "POST", "", "no!");
    assert!(got.starts_with("HTTP/1.1 400 ") && got.ends_with("\"no!\" is no filter\n"), "{got}");
    assert!(log_level(addr, "POST", "", " \n").starts_with("HTTP/1.1 400 "));
    let got = log_level(addr, "DELETE", "", "");
    assert!(got.starts_with("HTTP/1.1 405 ") && got.contains("allow: GET, HEAD, POST\r\n"));
    assert!(log_level(addr, "GET", "", "").ends_with("\r\n\r\ntrace\n"), "as it was");
}

#[test]
fn a_filter_is_text_and_within_a_kibibyte() {
    let (_endpoint, addr, stub) = with_log_level();
    stub.set_filter("info");
    let fits = "a".repeat(1024);
    assert!(log_level(addr, "POST", "", &fits).starts_with("HTTP/1.1 200 "));
    for length in [1025, 1900] {
        let got = log_level(addr, "POST", "", &"b".repeat(length));
        assert!(got.starts_with("HTTP/1.1 413 "), "{got}");
    }
    // One that does not say how long it is.
    let head = "POST /log-level HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("200\r\n{}\r\n", "c".repeat(512));
    let got = ask(addr, &(head.to_owned() + &chunk.repeat(3)));
    assert!(got.starts_with("HTTP/1.1 413 "), "{got}");
    let mut stream =
        send(addr, "POST /log-level HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n");
    stream.write_all(&[0xff, 0xfe]).unwrap();
    let mut got = [0; 12];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"HTTP/1.1 400");
    assert!(log_level(addr, "GET", "", "").ends_with(&(fits + "\n")));
}

#[test]
fn nobody_but_this_machine_by_its_name_changes_the_filter() {
    let (_endpoint, addr, stub) = with_log_level();
    stub.set_filter("info");
    for headers in [
        "host: evil.example\r\n",
        "host: localhost\r\norigin: http://evil.example\r\n",
        "host: localhost\r\norigin: null\r\n",
        "host: localhost\r\norigin: http://localhost:3000\r\n",
        "host: localhost\r\nhost: evil.example\r\n",
    ] {
        for method in ["GET", "POST"] {
            let request = format!(
                "{method} /log-level HTTP/1.1\r\n{headers}content-length: 3\r\n\
                 connection: close\r\n\r\noff"
            );
            let got = ask(addr, &request);
            assert!(got.starts_with("HTTP/1.1 403 "), "{headers}: {got}");
        }
    }
    let got = ask(addr, "GET /log-level HTTP/1.0\r\n\r\n");
    assert!(got.starts_with("HTTP/1.0 403 ") || got.starts_with("HTTP/1.1 403 "), "{got}");
    assert_eq!(stub.seen(Event::HttpForbidden), 11);
    assert!(log_level(addr, "GET", "", "").ends_with("\r\n\r\ninfo\n"));
}

#[test]
fn a_filter_that_never_comes_is_waited_for_as_long_as_an_answer() {
    let stub = Arc::new(Stub::new("a_total 1\n"));
    stub.set_filter("info");
    let limits = Limits { answer: SHORT, ..patient() };
    let config = Listen { limits, log_level: true, ..Listen::new(0.into()) };
    let endpoint = super::start(&config, stub.clone()).unwrap();
    let addr = endpoint.addr().unwrap();
    let head = "POST /log-level HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nde";
    assert!(drain(send(addr, head)).is_empty());
    stub.wait_for(Event::HttpSlowReader, 1);
}

#[test]
fn without_leave_there_is_no_log_level() {
    let (_endpoint, addr, stub) = start("a_total 1\n", patient());
    stub.set_filter("info");
    for method in ["GET", "POST"] {
        assert!(log_level(addr, method, "", "off").starts_with("HTTP/1.1 404 "), "{method}");
    }
    assert_eq!(stub.seen(Event::HttpLogLevel) + stub.seen(Event::HttpForbidden), 0);
}

#[test]
fn who_has_no_token_gets_nothing_but_the_health() {
    let stub = Arc::new(Stub::new("a_total 1\n"));
    stub.set_filter("info");
    let token = Some("0123456789abcdef".to_owned());
    let config = Listen { limits: patient(), log_level: true, token, ..Listen::new(0.into()) };
    let endpoint = super::start(&config, stub.clone()).unwrap();
    let addr = endpoint.addr().unwrap();
    let asked = |method: &str, path: &str, more: &str| {
        let end = format!("host: {addr}\r\n{more}connection: close\r\n\r\n");
        ask(addr, &format!("{method} {path} HTTP/1.1\r\n{end}"))
    };
    let right = "authorization: Bearer 0123456789abcdef\r\n";
    for wrong in ["", "authorization: Bearer 0123456789abcdeg\r\n"] {
        for path in ["/metrics", "/log-level", "/other"] {
            let got = asked("GET", path, wrong);
            assert!(got.starts_with("HTTP/1.1 401 "), "{got}");
            assert!(got.contains("www-authenticate: Bearer realm=\"metrics\"\r\n"), "{got}");
            assert!(!got.contains("a_total"), "{got}");
        }
        assert!(asked("HEAD", "/metrics", wrong).ends_with("\r\n\r\n"));
        assert!(asked("GET", "/healthz", wrong).ends_with("\r\n\r\nok\n"));
    }
    assert_eq!((stub.scrapes(), stub.seen(Event::HttpUnauthorized)), (0, 8));
    assert!(asked("GET", "/metrics", right).ends_with("\r\n\r\na_total 1\n"));
    assert!(asked("GET", "/log-level", right).ends_with("\r\n\r\ninfo\n"));
    assert!(asked("GET", "/other", right).starts_with("HTTP/1.1 404 "));

    let config = Listen { token: Some("short".to_owned()), ..Listen::new(0.into()) };
    let refused = super::start(&config, stub).err().unwrap().to_string();
    assert!(refused.contains("16 to 1024") && !refused.contains("short"), "{refused}");
}
