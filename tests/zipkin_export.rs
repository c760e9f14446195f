//! Spans on their way to a Zipkin server: what it is sent, and what it says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use mcp_vitals::Vitals;
use mcp_vitals::traces::{TraceConfig, Zipkin};
use serde_json::Value;

/// A request: its first line and headers in lower case, and its body.
type Request = (String, Vec<u8>);

fn request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// A server of which `answer` says what each request gets, by its number and its body; and the requests.
fn server(
    answer: impl Fn(usize, &[u8]) -> &'static str + Send + 'static,
) -> (String, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some(request) = request(&mut stream) {
                let answer = answer(number, &request.1);
                number += 1;
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                if sender.send(request).is_err() {
                    return;
                }
            }
        }
    });
    (url, requests)
}

fn next(requests: &mpsc::Receiver<Request>) -> Request {
    requests.recv_timeout(Duration::from_secs(30)).expect("a request")
}

#[test]
fn a_span_arrives_as_zipkin_has_it_and_is_sent_again_when_asked_to() {
    let (url, requests) = server(|number, _| match number {
        0 => "503 Service Unavailable\r\nretry-after: 0",
        _ => "202 Accepted",
    });
    let zipkin = Zipkin::to(&url).header("x-key", "k");
    let traces = TraceConfig::to_memory().resource("deployment.environment.name", "test");
    let traces = traces.zipkin(zipkin);
    let vitals = Vitals::builder().service("search", "1.4.0").traces(traces).build().unwrap();
    vitals.tracer("scope").span("query").set_attribute("rows", 3);
    vitals.flush(Duration::from_secs(30));
    let (first, again) = (next(&requests), next(&requests));
    assert_eq!(first.1, again.1);
    assert!(first.0.starts_with("post /api/v2/spans http/1.1\r\n"), "{}", first.0);
    assert!(first.0.contains("content-type: application/json\r\n"), "{}", first.0);
    assert!(first.0.contains("x-key: k\r\n"), "{}", first.0);
    let spans: Value = serde_json::from_slice(&first.1).unwrap();
    assert_eq!(spans.as_array().unwrap().len(), 1);
    let span = &spans[0];
    assert_eq!(
        (&span["name"], &span["localEndpoint"]["serviceName"]),
        (&"query".into(), &"search".into())
    );
    let tags = &span["tags"];
    assert_eq!((&tags["rows"], &tags["service.version"]), (&"3".into(), &"1.4.0".into()));
    assert_eq!(tags["deployment.environment.name"], "test");
    assert!(tags["process.pid"].is_string() && tags.get("service.name").is_none(), "{tags}");
}

#[test]
fn many_spans_are_several_requests_and_none_is_there_twice() {
    // Far fewer than one turn of the flusher has.
    const MOST: usize = 10;
    let count = |body: &[u8]| serde_json::from_slice::<Vec<Value>>(body).unwrap().len();
    let (url, requests) = server(move |_, body| match count(body) {
        ..=MOST => "202 Accepted",
        _ => "413 Content Too Large",
    });
    let traces = TraceConfig::to_memory().zipkin(Zipkin::to(&format!("{url}/api/v2/spans/")));
    let vitals = Vitals::builder().traces(traces).build().unwrap();
    let tracer = vitals.tracer("scope");
    (0..600).for_each(|at| drop(tracer.span(&at.to_string())));
    vitals.flush(Duration::from_secs(30));
    let (mut names, mut refused) = (Vec::new(), 0);
    while names.len() < 600 {
        let (head, body) = next(&requests);
        assert!(head.starts_with("post /api/v2/spans http"), "{head}");
        let spans: Vec<Value> = serde_json::from_slice(&body).unwrap();
        assert!(spans.len() <= 512);
        // What the server finds too large is cut in two.
        if spans.len() > MOST {
            refused += 1;
            continue;
        }
        names.extend(spans.iter().map(|span| span["name"].as_str().unwrap().to_owned()));
    }
    assert!(refused > 0);
    let all: Vec<String> = (0..600).map(|at| at.to_string()).collect();
    assert_eq!(names, all);
}

#[test]
fn what_is_no_address_is_refused_when_the_engine_is_built() {
    for (url, timeout) in [("localhost:9411", 1), ("ftp://x", 1), ("http://localhost:9411", 0)] {
        let zipkin = Zipkin::to(url).timeout(Duration::from_millis(timeout));
        assert!(!format!("{zipkin:?}").contains("localhost"), "an address may be a secret");
        let traces = TraceConfig::to_memory().zipkin(zipkin);
        assert!(Vitals::builder().traces(traces).build().is_err(), "{url}");
    }
}
