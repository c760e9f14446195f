//! One trace in the forms that other systems read: `cargo run --example trace_forms FOLDER` writes
//! `zipkin.json` (for `POST /api/v2/spans`), `jaeger.json` (for "Upload" in Jaeger's UI) and
//! `perfetto.json` (for <https://ui.perfetto.dev>), and stops.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mcp_vitals::logs::Secret;
use mcp_vitals::traces::{InSpan, Parent, Service, SpanForm, SpanKind, TraceConfig};
use mcp_vitals::{Tracer, Vitals};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("which folder?")?;
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
    request(&vitals.tracer("search"));

    let service = Service {
        name: "search-server",
        version: "1.4.0",
        attributes: &[("deployment.environment.name", "test")],
    };
    let forms = [
        ("zipkin.json", SpanForm::Zipkin),
        ("jaeger.json", SpanForm::Jaeger),
        ("perfetto.json", SpanForm::Perfetto),
    ];
    for (name, form) in forms {
        let mut json = Vec::new();
        vitals.with_captured_spans(|spans| {
            form.write(&service, spans.iter().cloned(), &mut json);
        });
        std::fs::write(folder.join(name), json)?;
    }
    Ok(())
}

/// A request whose parts run on two threads, and on one of them by turns.
fn request(tracer: &Tracer) {
    let mut span = tracer.span("tools/call search");
    span.set_kind(SpanKind::Server);
    span.set_attribute("mcp.method.name", "tools/call");
    span.set_attribute("jsonrpc.request.id", 7);
    span.set_attribute("api_key", Secret::new("hunter2"));
    span.set_attribute("quote", "\"\\\n\u{202e}漢");
    span.set_attribute("largest", u64::MAX);
    span.set_attribute("share", 0.25);
    span.set_attribute("nothing", f64::NAN);
    let _current = span.enter();
    let parent = Parent::current();
    std::thread::scope(|threads| {
        threads.spawn(|| query(tracer, parent));
    });
    turns(tracer);
    drop(tracer.span("render"));
}

fn query(tracer: &Tracer, parent: Option<Parent>) {
    let mut span = match parent {
        Some(parent) => tracer.child("query", parent),
        None => tracer.span("query"),
    };
    span.set_kind(SpanKind::Client);
    span.set_attribute("peer.service", "postgres");
    span.set_attribute("network.peer.address", "192.0.2.7");
    span.set_attribute("network.peer.port", 5432);
    span.add_event("retry").attribute("try", 2).attribute("after", "1 s");
    std::thread::sleep(Duration::from_millis(2));
    span.record_error(&"x".parse::<u16>().expect_err("x is no number"));
}

/// Two futures that take turns on this thread: their spans overlap, and neither is the other's part.
fn turns(tracer: &Tracer) {
    let mut first = tracer.span("fetch a");
    let second = tracer.span("fetch b");
    first.add_link(second.context());
    let mut first = pin!(pause(2).in_span(first));
    let mut second = pin!(pause(3).in_span(second));
    let mut cx = Context::from_waker(Waker::noop());
    let mut open = [true, true];
    while open != [false, false] {
        open[0] = open[0] && first.as_mut().poll(&mut cx).is_pending();
        open[1] = open[1] && second.as_mut().poll(&mut cx).is_pending();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ready at the `turns`th look.
fn pause(turns: u32) -> impl Future<Output = ()> {
    let mut left = turns;
    std::future::poll_fn(move |_| {
        left -= 1;
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
}
