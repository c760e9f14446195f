//! What the HTTP client says in the words of the `log` crate while it sends spans never comes back into
//! the engine that it sends them for. A process of its own: there is one logger in a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::{Otlp, TraceConfig};
use mcp_vitals::{Level, Vitals};

/// Takes `requests` requests.
fn collector(requests: usize) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for _ in 0..requests {
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    (url, thread)
}

#[test]
fn an_exporter_does_not_hear_itself() {
    let (url, collector) = collector(1);
    let vitals = Vitals::builder()
        .system_metrics(false)
        .logs(LogConfig::to_memory().level(Level::Trace))
        .traces(TraceConfig::to_memory().otlp(Otlp::http(&url)))
        .build()
        .unwrap();
    vitals.log_bridge().install().unwrap();
    log::trace!("of the host");
    vitals.tracer("test").span("sent").end();
    assert!(vitals.flush(Duration::from_secs(60)));
    collector.join().unwrap();
    let lines = vitals.captured_logs();
    assert!(lines.iter().any(|line| line.contains("of the host")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("ureq")), "{lines:?}");
    // It did say something, which was dropped and counted.
    let mut text = Vec::new();
    vitals.scrape_into(&mut text);
    let text = String::from_utf8(text).unwrap();
    let own = text.lines().filter(|line| {
        line.starts_with("mcp_vitals_log_lost_total{") && line.contains("reason=\"own\"")
    });
    let own: f64 = own.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert!(own > 0.0, "{text}");
}
