//! A server that answers what the test says, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread::{self, JoinHandle};

use super::*;

/// A request as the server saw it: its head, and its body.
struct Seen {
    head: String,
    body: Vec<u8>,
}

/// Answers one connection after the other, each with one of `answers`, and ends. An empty one closes
/// the connection once the request was read.
fn server(answers: &[&'static str]) -> (String, JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let answers = answers.to_vec();
    let thread = thread::spawn(move || {
        let answer = |answer: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                head += &line.to_ascii_lowercase();
                line.clear();
            }
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.shutdown(Shutdown::Both);
            Seen { head, body }
        };
        answers.iter().map(answer).collect()
    });
    (url, thread)
}

fn post(url: &str, change: impl FnOnce(&mut Settings)) -> Post {
    let mut settings = Settings::new("test", url);
    change(&mut settings);
    Post::new(&settings).unwrap()
}

fn again(answer: &'static str) -> Again {
    let (url, server) = server(&[answer]);
    let again = post(&url, |_| {}).send("text/plain", b"x").unwrap_err().again;
    server.join().unwrap();
    again
}

#[test]
fn a_body_arrives_with_its_headers_and_the_answer_is_given_back() {
    let (url, server) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]);
    let mut post = post(&url, |settings| settings.headers.push(("X-Key".into(), "k".into())));
    assert_eq!(post.send("application/x-protobuf", b"body").unwrap(), b"ok");
    let seen = &server.join().unwrap()[0];
    assert!(seen.head.starts_with("post /v1/traces http/1.1\r\n"), "{}", seen.head);
    for line in
        ["x-key: k\r\n", "content-type: application/x-protobuf\r\n", "user-agent: mcp-vitals/"]
    {
        assert!(seen.head.contains(line), "{}", seen.head);
    }
    assert_eq!(seen.body, b"body");
}

#[test]
fn a_large_body_is_packed_and_a_small_one_is_not() {
    let (url, server) = server(&["HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"; 2]);
    let mut post = post(&url, |settings| settings.gzip = true);
    let large = b"0123456789".repeat(1_000);
    post.send("text/plain", &large).unwrap();
    post.send("text/plain", b"small").unwrap();
    let seen = server.join().unwrap();
    assert!(seen[0].head.contains("content-encoding: gzip\r\n"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&seen[0].body[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, large);
    assert!(!seen[1].head.contains("content-encoding"));
    assert_eq!(seen[1].body, b"small");
}

#[test]
fn what_an_answer_means() {
    let later = Again::Later(None);
    for (answer, means) in [
        ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", Again::Never),
        ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", Again::Never),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Again::Never),
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", Again::Never),
        ("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n", Again::Smaller),
        ("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", Again::Never),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", later),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", later),
        ("HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n", later),
        (
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            Again::Later(Some(Duration::from_secs(7))),
        ),
        // No answer, half of one, and none that is HTTP.
        ("", later),
        ("HTTP/1.1 200 OK\r\ncontent-le", later),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n", later),
    ] {
        assert_eq!(again(answer), means, "{answer}");
    }
}

#[test]
fn nobody_there_is_a_reason_to_try_later() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setback = post(&format!("http://{gone}/"), |_| {}).send("text/plain", b"x").unwrap_err();
    assert_eq!(setback.again, Again::Later(None));
    assert!(setback.why.contains(&gone.to_string()), "{setback}");
}

#[test]
fn a_server_that_never_answers_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut post = post(&url, |settings| settings.timeout = Duration::from_millis(50));
    assert_eq!(post.send("text/plain", b"x").unwrap_err().again, Again::Later(None));
}

/// The second server would have answered.
#[test]
fn a_redirect_is_refused_and_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let to = elsewhere.local_addr().unwrap();
    for status in ["301 Moved", "307 Temporary Redirect"] {
        let answer =
            format!("HTTP/1.1 {status}\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(again(answer.leak()), Again::Never);
    }
    assert!(elsewhere.accept().is_err());
}

#[test]
fn an_answer_without_end_is_not_read_to_it() {
    let answer = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1 << 20));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        // Whether all of it was taken is the client's affair.
        let _ = stream.write_all(answer.as_bytes());
    });
    assert_eq!(post(&url, |_| {}).send("text/plain", b"x").unwrap().len() as u64, MOST_ANSWER);
    server.join().unwrap();
}

#[test]
fn servers_say_in_seconds_or_by_date_when_to_come_again() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
    let seconds = |after| wait(after, now).map(|wait| wait.as_secs());
    assert_eq!(seconds("7"), Some(7));
    assert_eq!(seconds(" 86400 "), Some(30));
    assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
    assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), Some(7));
    assert_eq!(seconds("Sun Nov  6 08:49:37 1994"), Some(7));
    assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
    assert_eq!(seconds("soon"), None);
    assert_eq!(seconds("-1"), None);
}

#[test]
fn what_makes_no_sense_is_refused_at_the_start() {
    let refused = |url: &str, headers: &[(&str, &str)]| {
        let mut settings = Settings::new("test", url);
        settings.headers = headers.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Post::new(&settings).err().map(|error| error.to_string())
    };
    assert_eq!(refused("http://localhost:4318/v1/traces", &[("a", "b")]), None);
    for url in ["", "localhost:4318", "/v1/traces", "ftp://host/", "http:///v1", "http://a b/"] {
        assert!(refused(url, &[]).is_some(), "{url}");
    }
    let error = refused("http://h/", &[("a b", "secret")]).unwrap();
    assert!(error.contains("a b") && !error.contains("secret"), "{error}");
    assert!(refused("http://h/", &[("a", "secret\n")]).is_some_and(|e| !e.contains("secret")));
    let https = refused("https://h/", &[]);
    assert_eq!(https.is_none(), cfg!(feature = "tls"), "{https:?}");
}
