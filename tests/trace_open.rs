//! Spans that are open right now.

use std::time::Duration;

use mcp_vitals::Vitals;
use mcp_vitals::traces::TraceConfig;

fn value(vitals: &Vitals, series: &str) -> f64 {
    let mut page = Vec::new();
    vitals.scrape_into(&mut page);
    let page = String::from_utf8(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

#[test]
fn spans_are_listed_from_their_beginning_to_their_end() {
    let vitals =
        Vitals::builder().traces(TraceConfig::to_memory().open_spans(true)).build().unwrap();
    let tracer = vitals.tracer("search");
    let root = tracer.span("Bearer planted");
    let child = tracer.child("child", root.context());
    drop(tracer.child("over", root.context()));
    vitals.flush(Duration::from_secs(30));
    let open = vitals.open_spans();
    let names: Vec<_> = open.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["Bearer [redacted]", "child"]);
    assert_eq!(open[1].parent_span_id, root.context().span_id());
    assert_eq!(open[1].context.trace_id(), root.context().trace_id());
    assert_eq!(open[1].scope, "search");
    assert!(open[1].thread.contains("spans_are_listed"), "{:?}", open[1].thread);
    assert!(open[0].start_unix_nanos <= open[1].start_unix_nanos);
    assert_eq!(value(&vitals, "mcp_vitals_open_spans"), 2.0);
    assert!(value(&vitals, "mcp_vitals_open_span_oldest_seconds") > 0.0);
    // Only what has ended is a span.
    assert_eq!(value(&vitals, "mcp_vitals_spans_total"), 1.0);
    // The other way round, and on another thread.
    drop(root);
    std::thread::scope(|scope| scope.spawn(|| drop(child)).join().unwrap());
    vitals.flush(Duration::from_secs(30));
    assert!(vitals.open_spans().is_empty());
    assert_eq!(value(&vitals, "mcp_vitals_open_spans"), 0.0);
    assert_eq!(value(&vitals, "mcp_vitals_open_span_oldest_seconds"), 0.0);
    vitals.with_captured_spans(|spans| assert_eq!(spans.len(), 3));
}

#[test]
fn without_asking_none_are_listed() {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    let _span = vitals.tracer("t").span("s");
    vitals.flush(Duration::from_secs(30));
    assert!(vitals.open_spans().is_empty() && Vitals::disabled().open_spans().is_empty());
}
