//! The console over real sockets: its routes, who may ask, and what it promises of its costs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mcp_vitals::{ConsoleConfig, Vitals};

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
