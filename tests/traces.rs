//! Spans: their ids, times, parents and bounds, from a tracer to what an exporter reads.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use mcp_vitals::logs::{Batch, Export, ExportError, LogConfig, Overflow};
use mcp_vitals::traces::{
    ExportSpans, InSpan, Sampler, SpanBatch, SpanRecord, SpanStatus, TraceConfig,
};
use mcp_vitals::{Vitals, info};

fn vitals() -> Vitals {
    Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap()
}

fn named<'a, 'b>(spans: &'a [SpanRecord<'b>], name: &str) -> &'a SpanRecord<'b> {
    spans.iter().find(|span| span.name.to_str() == name).unwrap()
}

#[test]
fn a_span_says_all_that_was_set() {
    let vitals = vitals();
    let tracer = vitals.tracer("search");
    let mut outer = tracer.span("outer");
    outer.set_attribute("tool", "swarm.init");
    outer.set_attribute("n", 3);
    {
        let _current = outer.enter();
        let mut inner = tracer.span("inner");
        inner.add_event("cache miss").attribute("rows", 7).attribute("key", "k");
        inner.add_link(outer.context()).attribute("why", "because");
        inner.record_error(&"x".parse::<u16>().unwrap_err());
    }
    drop(outer);
    vitals.with_captured_spans(|spans| {
        let (outer, inner) = (named(spans, "outer"), named(spans, "inner"));
        assert_eq!(spans.len(), 2);
        assert_eq!(outer.parent_span_id, None);
        assert_eq!(inner.parent_span_id, outer.span_id());
        assert_eq!(inner.trace_id(), outer.trace_id());
        assert!(inner.start_unix_nanos >= outer.start_unix_nanos);
        assert!(inner.end_unix_nanos <= outer.end_unix_nanos);
        let attributes: Vec<_> = outer.attributes().map(|field| format!("{field:?}")).collect();
        assert_eq!(attributes.len(), 2, "{attributes:?}");
        let events: Vec<_> = inner.events().collect();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].name.to_str(), "cache miss");
        assert_eq!(events[0].attributes().count(), 2);
        assert_eq!(events[1].name.to_str(), "exception");
        assert!(events[0].unix_nanos >= inner.start_unix_nanos);
        assert!(events[0].unix_nanos <= events[1].unix_nanos);
        let links: Vec<_> = inner.links().collect();
        assert_eq!(links[0].context.span_id(), outer.span_id());
        assert_eq!(links[0].attributes().count(), 1);
        assert_eq!(inner.status, SpanStatus::Error);
        assert_eq!(inner.status_message.to_str(), "invalid digit found in string");
        assert_eq!(outer.status, SpanStatus::Unset);
        assert_eq!(outer.scope.to_str(), "search");
    });
}

#[test]
fn a_status_is_not_taken_back() {
    let vitals = vitals();
    let tracer = vitals.tracer("t");
    let mut failed = tracer.span("failed");
    failed.set_status(SpanStatus::Error, "why");
    failed.set_status(SpanStatus::Unset, "");
    let mut fine = tracer.span("fine");
    fine.set_status(SpanStatus::Error, "why");
    fine.set_status(SpanStatus::Ok, "");
    fine.set_status(SpanStatus::Error, "why");
    drop((failed, fine));
    vitals.with_captured_spans(|spans| {
        let failed = named(spans, "failed");
        assert_eq!((failed.status, &*failed.status_message.to_str()), (SpanStatus::Error, "why"));
        assert_eq!(named(spans, "fine").status, SpanStatus::Ok);
    });
}

#[test]
fn a_span_that_fails_again_and_again_says_what_came_last_and_has_room_for_more() {
    let vitals = vitals();
    let tracer = vitals.tracer("t");
    let mut span = tracer.span("s");
    span.set_attribute("first", 1);
    for n in 0..1_000 {
        span.set_status(SpanStatus::Error, &format!("{n}: {}", "x".repeat(200)));
        if n == 500 {
            span.set_name("another");
            span.add_event("e").attribute("n", 1).attribute("m", 2);
        }
    }
    span.set_attribute("last", 2);
    drop(span);
    vitals.with_captured_spans(|spans| {
        let span = named(spans, "another");
        assert!(span.status_message.to_str().starts_with("999: "), "{}", span.status_message);
        let keys: Vec<_> = span.attributes().map(|field| field.key.to_string()).collect();
        assert_eq!((keys, span.dropped_attributes), (vec!["first".into(), "last".into()], 0));
        assert_eq!(span.events().next().unwrap().attributes().count(), 2);
    });
}

/// Receivers refuse ids of zeroes, and with them the whole request.
#[test]
fn there_is_no_link_to_no_span() {
    let vitals = vitals();
    let tracer = vitals.tracer("t");
    let mut span = tracer.span("s");
    span.add_link(Vitals::disabled().tracer("t").span("none").context()).attribute("n", 1);
    span.add_link(span.context()).attribute("n", 2);
    drop(span);
    vitals.with_captured_spans(|spans| {
        let links: Vec<_> = spans[0].links().map(|link| link.context.span_id()).collect();
        assert_eq!((&*links, spans[0].dropped_links), (&[spans[0].span_id()][..], 0));
    });
}

#[test]
fn a_future_has_its_span_and_says_how_it_ended() {
    let vitals = vitals();
    let tracer = vitals.tracer("t");
    let mut cx = Context::from_waker(Waker::noop());
    let done = async { drop(tracer.span("child")) }.in_span(tracer.span("done"));
    assert!(pin!(done).poll(&mut cx).is_ready());
    {
        let mut left = pin!(std::future::pending::<()>().in_span(tracer.span("left")));
        assert!(left.as_mut().poll(&mut cx).is_pending());
    }
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _span = tracer.span("panics");
        panic!("expected");
    }));
    assert!(panics.is_err());
    assert!(mcp_vitals::SpanContext::current().is_none());
    vitals.with_captured_spans(|spans| {
        assert_eq!(named(spans, "child").parent_span_id, named(spans, "done").span_id());
        assert_eq!(named(spans, "done").status, SpanStatus::Unset);
        for (name, why) in [("left", "dropped"), ("panics", "panic")] {
            let span = named(spans, name);
            assert_eq!((span.status, &*span.status_message.to_str()), (SpanStatus::Error, why));
        }
    });
}

/// Who catches a panic keeps the future, as a server does that answers for its handlers.
#[test]
fn a_future_that_panicked_ends_its_span_there_and_not_when_it_is_dropped() {
    let vitals = vitals();
    let tracer = vitals.tracer("t");
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = Box::pin(async { panic!("expected") }.in_span(tracer.span("panics")));
    let poll = std::panic::AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_ready());
    assert!(std::panic::catch_unwind(poll).is_err());
    assert!(mcp_vitals::SpanContext::current().is_none());
    let after = tracer.span("after");
    drop(future);
    drop(after);
    vitals.with_captured_spans(|spans| {
        let names: Vec<_> = spans.iter().map(|span| span.name.to_string()).collect();
        assert_eq!(names, ["panics", "after"]);
        let span = named(spans, "panics");
        assert_eq!((span.status, &*span.status_message.to_str()), (SpanStatus::Error, "panic"));
    });
}

#[test]
fn what_is_too_much_is_left_out_and_counted() {
    let vitals = vitals();
    let tracer = vitals.tracer("t");
    let mut span = tracer.span(&"é".repeat(200));
    for n in 0..200 {
        span.set_attribute("n", n);
        span.add_event("e").attribute("n", n);
        span.add_link(span.context());
    }
    drop(span);
    let mut long = tracer.span("long");
    long.set_attribute("text", "x".repeat(100_000));
    drop(long);
    vitals.with_captured_spans(|spans| {
        let span = &spans[0];
        assert_eq!(span.name.to_str().len(), 256);
        let counts = [span.attributes().count(), span.events().count(), span.links().count()];
        assert_eq!(counts, [128; 3]);
        assert_eq!([span.dropped_attributes, span.dropped_events, span.dropped_links], [72; 3]);
        let mcp_vitals::logs::Value::Str(text) = spans[1].attributes().next().unwrap().value else {
            panic!("no text");
        };
        assert_eq!((text.as_bytes().len(), text.lost_bytes()), (8 << 10, 100_000 - (8 << 10)));
    });
}

#[test]
fn what_is_not_sampled_goes_with_its_trace_and_is_not_recorded() {
    let config = TraceConfig::to_memory().sampler(Sampler::Never);
    let vitals = Vitals::builder().traces(config).build().unwrap();
    let tracer = vitals.tracer("t");
    let root = tracer.span("root");
    let child = tracer.child("child", root.context());
    assert_eq!(child.context().trace_id(), root.context().trace_id());
    assert!(!child.context().is_sampled() && !child.is_recording());
    drop((root, child));
    vitals.with_captured_spans(|spans| assert!(spans.is_empty()));
    assert!(Vitals::disabled().tracer("t").span("s").context().trace_id().is_none());
}

#[test]
fn a_line_within_a_span_has_its_ids() {
    let vitals = Vitals::builder()
        .logs(LogConfig::to_memory())
        .traces(TraceConfig::to_memory())
        .build()
        .unwrap();
    let (logger, tracer) = (vitals.logger("l"), vitals.tracer("t"));
    let span = tracer.span("s");
    info!(logger, "outside");
    {
        let _current = span.enter();
        info!(logger, "inside", n = 1);
        let context = mcp_vitals::logs::Context::current();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _context = context.enter();
                info!(logger, "elsewhere");
            });
        });
    }
    let ids = span.context();
    let lines = vitals.captured_logs();
    let of = |name: &str| lines.iter().find(|line| line.contains(name)).unwrap();
    for inside in ["inside", "elsewhere"] {
        for id in [ids.trace_id().unwrap().to_string(), ids.span_id().unwrap().to_string()] {
            assert!(of(inside).contains(&id), "{lines:?}");
        }
    }
    assert!(!of("outside").contains("trace_id"), "{lines:?}");
}

/// An exporter that takes its time.
struct Slow(Arc<AtomicUsize>);

impl ExportSpans for Slow {
    fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError> {
        for _ in 0..50 {
            std::hint::black_box(format!("{:?}", batch.spans().next()));
        }
        self.0.fetch_add(batch.spans().count(), Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn where_callers_wait_no_span_is_lost() {
    const SPANS: usize = 50_000;
    let exported = Arc::<AtomicUsize>::default();
    let logs = LogConfig::to_memory().overflow(Overflow::Block(Duration::from_secs(60)));
    let traces = TraceConfig::to_memory().queue_bytes(64 << 10).export(Slow(exported.clone()));
    let vitals = Vitals::builder().logs(logs.ring_bytes(64 << 10)).traces(traces).build().unwrap();
    let tracer = vitals.tracer("t");
    (0..SPANS).for_each(|_| tracer.root("flood").end());
    assert!(vitals.flush(Duration::from_secs(60)));
    assert_eq!(exported.load(Ordering::Relaxed), SPANS);
}

/// An exporter whose other side is away.
struct Away;

impl ExportSpans for Away {
    fn export(&mut self, _: &SpanBatch<'_>) -> Result<(), ExportError> {
        Err("nobody there".into())
    }
}

/// Hands each line's message on.
struct Tells(mpsc::Sender<String>);

impl Export for Tells {
    fn export(&mut self, batch: &Batch<'_>) -> Result<(), ExportError> {
        batch.records().try_for_each(|record| self.0.send(record.message.to_string()))?;
        Ok(())
    }
}

/// Within the time that a caller would wait, and many times that which it takes.
#[test]
fn where_callers_wait_no_line_waits_for_an_exporter_of_spans_that_fails() {
    let (tells, told) = mpsc::channel();
    let logs = LogConfig::to_memory().export(Tells(tells));
    let logs = logs.overflow(Overflow::Block(Duration::from_secs(600)));
    let traces = TraceConfig::to_memory().queue_bytes(64 << 10).export(Away);
    let vitals = Vitals::builder().logs(logs).traces(traces).build().unwrap();
    let (logger, tracer) = (vitals.logger("l"), vitals.tracer("t"));
    (0..4_000).for_each(|_| tracer.root("flood").end());
    info!(logger, "still here");
    let line = told.recv_timeout(Duration::from_secs(60));
    assert_eq!(line.as_deref(), Ok("still here"));
}
