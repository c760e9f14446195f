//! Traces to try `mcp-vitals analyze` with: `cargo run --release --example slow_traces FILE` writes
//! those of 300 requests, of which some miss a cache and wait for a database.

use std::time::Duration;

use mcp_vitals::logs::LogFile;
use mcp_vitals::traces::{Parent, SpanKind, SpanStatus, TraceConfig};
use mcp_vitals::{Tracer, Vitals};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("which file?")?;
    let traces = TraceConfig::to_memory().file(LogFile::new(path));
    let vitals = Vitals::builder().service("search-server", "1.4.0").traces(traces).build()?;
    let tracer = vitals.tracer("search");
    (0..300).for_each(|number| request(&tracer, number));
    vitals.flush(Duration::from_secs(10));
    Ok(())
}

fn request(tracer: &Tracer, number: u64) {
    let mut span = tracer.root("tools/call search");
    span.set_kind(SpanKind::Server);
    span.set_attribute("gen_ai.tool.name", "search");
    span.set_attribute("jsonrpc.request.id", number);
    let tenant = if number.is_multiple_of(5) { "large" } else { "small" };
    span.set_attribute("tenant", tenant);
    let _current = span.enter();
    work(tracer, "parse", 30);
    let parent = Parent::current();
    std::thread::scope(|threads| {
        // Beside the look-up; the answer waits for both.
        threads.spawn(|| {
            if let Some(parent) = parent {
                let _span = tracer.child("audit", parent);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        look_up(tracer, number, number % 15 == 5);
    });
    work(tracer, "render", 80);
}

fn look_up(tracer: &Tracer, number: u64, misses: bool) {
    let mut span = tracer.span("look_up");
    span.set_attribute("cache", if misses { "miss" } else { "hit" });
    let _current = span.enter();
    work(tracer, "cache", 60);
    if misses {
        let mut query = tracer.span("query");
        query.set_kind(SpanKind::Client);
        query.set_attribute("db.system.name", "postgresql");
        std::thread::sleep(Duration::from_millis(3));
        if number % 45 == 5 {
            query.set_status(SpanStatus::Error, "deadlock detected");
        }
    }
}

fn work(tracer: &Tracer, name: &str, micros: u64) {
    let _span = tracer.span(name);
    std::thread::sleep(Duration::from_micros(micros));
}
