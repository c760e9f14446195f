//! Sends spans with every field that there is by OTLP, for a receiver that checks them.
//!
//! ```text
//! otlp_spans http|json|grpc URL     to a collector
//! otlp_spans file PATH              as lines of JSON
//! otlp_spans env                    as OpenTelemetry's variables say
//! otlp_spans store URL PATH         by gRPC and as lines of JSON, for a store that is asked what it has
//! ```
//!
//! A store keeps attributes as JSON: it gets no bytes, and no number that JSON does not have.
//!
//! It says what became of the spans on stderr, and exits with 1 where one was lost.

use std::process::ExitCode;
use std::time::Duration;

use mcp_vitals::Vitals;
use mcp_vitals::logs::{LogFile, Secret};
use mcp_vitals::traces::{
    Otlp, SpanContext, SpanId, SpanKind, SpanStatus, TraceConfig, TraceId, Tracer,
};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let to_memory = TraceConfig::to_memory;
    let key = |otlp: Otlp| otlp.header("X-Key", "open sesame").gzip(true);
    let traces = match arguments[..] {
        ["http", url] => to_memory().otlp(key(Otlp::http(url))),
        ["json", url] => to_memory().otlp(key(Otlp::http(url).json())),
        ["grpc", url] => to_memory().otlp(key(Otlp::grpc(url))),
        ["file", path] => to_memory().file(LogFile::new(path)),
        ["env"] => TraceConfig::from_env()?,
        ["store", url, path] => to_memory().otlp(key(Otlp::grpc(url))).file(LogFile::new(path)),
        _ => {
            return Err("otlp_spans http|json|grpc URL, file PATH, env, or store URL PATH".into());
        }
    };
    let to_a_store = arguments.first() == Some(&"store");
    let vitals = Vitals::builder()
        .service("otlp_spans", "1.2.3")
        .system_metrics(false)
        .traces(traces.resource("deployment.environment.name", "test \"1\"").resource("shard", 7))
        .build()?;
    full(&vitals.tracer("full"), to_a_store);
    many(&vitals.tracer("many"));
    let all = vitals.flush(Duration::from_secs(30));
    let mut text = Vec::new();
    vitals.scrape_into(&mut text);
    for line in String::from_utf8(text)?.lines().filter(|line| line.starts_with("mcp_vitals_span"))
    {
        eprintln!("{line}");
    }
    vitals.shutdown(Duration::from_secs(10));
    Ok(all)
}

/// A span with everything, below one of another process; and one below it.
fn full(tracer: &Tracer, as_json: bool) {
    let trace = TraceId::from_bytes(*b"0123456789abcdef").expect("not all zero");
    let remote = SpanContext::new(trace, SpanId::from_bytes(*b"remotely").expect("so"), true);
    let mut span = tracer.child("full æ€😀", remote);
    span.set_kind(SpanKind::Server);
    span.set_attribute("text", "with \"quotes\",\nlines and æ€😀");
    span.set_attribute("long", "0123456789".repeat(40).as_str());
    span.set_attribute("yes", true);
    span.set_attribute("minus", -3);
    span.set_attribute("most", i64::MAX);
    span.set_attribute("beyond", u64::MAX);
    span.set_attribute("half", 0.5);
    if !as_json {
        span.set_attribute("endless", f64::INFINITY);
    }
    span.set_attribute("nothing", None::<i64>);
    span.set_attribute("key", Secret::new("hidden"));
    if !as_json {
        span.set_attribute("raw", &[0_u8, 255, 7][..]);
    }
    span.add_event("cache miss").attribute("rows", 3).attribute("hot", false);
    span.record_error(&std::io::Error::other("no such table"));
    span.add_link(remote).attribute("why", "retry");
    {
        let _current = span.enter();
        let mut child = tracer.span("child");
        child.set_kind(SpanKind::Client);
        child.set_status(SpanStatus::Ok, "");
    }
    for at in 0..130 {
        span.add_event(&format!("event {at}"));
    }
}

/// More spans than one request takes.
fn many(tracer: &Tracer) {
    for at in 0..1_000 {
        tracer.span("many").set_attribute("at", at);
    }
}
