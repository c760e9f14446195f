//! Recent traces, looked up.

use std::time::Duration;

use mcp_vitals::traces::{TraceConfig, TraceId, TraceQuery};
use mcp_vitals::{Error, Vitals};

/// What the last scrape says of a series.
fn value(vitals: &Vitals, series: &str) -> f64 {
    let mut page = Vec::new();
    vitals.scrape_into(&mut page);
    let page = String::from_utf8(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

fn engine(config: TraceConfig) -> Vitals {
    Vitals::builder().service("search", "1.2.3").traces(config).build().unwrap()
}

fn flush(vitals: &Vitals) {
    assert!(vitals.flush(Duration::from_secs(30)));
}

#[test]
fn traces_are_found_by_id_name_duration_and_error_the_newest_first() {
    let vitals = engine(TraceConfig::to_memory());
    let tracer = vitals.tracer("t");
    let mut ids = Vec::new();
    for n in 0..30 {
        let mut root = tracer.span("root");
        ids.push(root.context().trace_id().unwrap());
        drop(tracer.child(&format!("child {}", n % 3), root.context()));
        if n % 10 == 0 {
            root.record_error(&std::fmt::Error);
        }
        drop(root);
    }
    flush(&vitals);
    let traces = vitals.traces();
    assert_eq!((traces.len(), traces.is_empty()), (30, false));
    let found = |query: TraceQuery| -> Vec<usize> {
        let index = |id: TraceId| ids.iter().position(|other| *other == id).unwrap();
        let found = traces.find(&query);
        found.iter().map(|trace| index(trace.trace_id().unwrap())).collect()
    };
    assert_eq!(found(TraceQuery::new()), (10..30).rev().collect::<Vec<_>>());
    assert_eq!(found(TraceQuery::new().limit(3)), [29, 28, 27]);
    assert_eq!(found(TraceQuery::new().only_errors()), [20, 10, 0]);
    assert_eq!(found(TraceQuery::new().name("child 1").limit(2)), [28, 25]);
    assert_eq!(found(TraceQuery::new().name("child 0").only_errors()), [0]);
    assert!(found(TraceQuery::new().min_duration(Duration::from_secs(3_600))).is_empty());
    assert!(found(TraceQuery::new().name("child")).is_empty());

    let trace = traces.get(ids[20]).unwrap();
    let names: Vec<_> = trace.spans().map(|span| span.name.to_string()).collect();
    assert_eq!(names, ["child 2", "root"]);
    assert!(trace.has_error() && trace.has_root() && trace.dropped_spans() == 0);
    let root = trace.spans().last().unwrap();
    assert_eq!(trace.duration().as_nanos(), u128::from(root.duration_nanos()));
    assert_eq!(trace.start_unix_nanos(), root.start_unix_nanos);
    assert!(traces.get(TraceId::from_bytes([9; 16]).unwrap()).is_none());
    assert_eq!(value(&vitals, "mcp_vitals_trace_store_traces"), 30.0);
}

#[test]
fn a_trace_is_exported_by_its_id() {
    let vitals = engine(TraceConfig::to_memory());
    let span = vitals.tracer("t").span("query");
    let id = span.context().trace_id().unwrap();
    drop(span);
    flush(&vitals);
    let jaeger: serde_json::Value =
        serde_json::from_str(&vitals.export_jaeger(id).unwrap()).unwrap();
    assert_eq!(jaeger["data"][0]["traceID"], id.to_string());
    assert_eq!(jaeger["data"][0]["spans"][0]["operationName"], "query");
    assert_eq!(jaeger["data"][0]["processes"]["p1"]["serviceName"], "search");
    let zipkin: serde_json::Value =
        serde_json::from_str(&vitals.export_zipkin(id).unwrap()).unwrap();
    assert_eq!(zipkin[0]["traceId"], id.to_string());
    assert_eq!(zipkin[0]["localEndpoint"]["serviceName"], "search");
    assert!(vitals.export_jaeger(TraceId::from_bytes([9; 16]).unwrap()).is_none());
}

#[test]
fn a_flood_keeps_within_its_bounds_and_errors_stay() {
    let config = TraceConfig::to_memory().store(64 << 10, Duration::from_secs(3_600), 50);
    let vitals = engine(config);
    let tracer = vitals.tracer("t");
    tracer.span("failed").record_error(&std::fmt::Error);
    for n in 0..10_000 {
        let mut root = tracer.span("root");
        root.set_attribute("text", "x".repeat(n % 3_000));
        drop(root);
        if n % 50 == 0 {
            flush(&vitals);
        }
    }
    flush(&vitals);
    assert!(vitals.traces().len() <= 50);
    assert!(value(&vitals, "mcp_vitals_trace_store_bytes") <= 65_536.0);
    let evicted: f64 = ["bytes", "count", "age", "memory_limit"]
        .map(|why| {
            value(&vitals, &format!("mcp_vitals_trace_store_evicted_total{{reason=\"{why}\"}}"))
        })
        .iter()
        .sum();
    let all = value(&vitals, "mcp_vitals_spans_total");
    assert_eq!(evicted + vitals.traces().len() as f64, all);
    assert_eq!(vitals.traces().find(&TraceQuery::new().only_errors()).len(), 1);
}

#[test]
fn readers_see_whole_spans_while_the_flusher_writes() {
    let config = TraceConfig::to_memory().store(64 << 10, Duration::from_secs(3_600), 20);
    let vitals = engine(config);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let tracer = vitals.tracer("t");
            for _ in 0..3_000 {
                let root = tracer.span("root");
                drop(tracer.child("child", root.context()));
            }
        });
        while !writer.is_finished() {
            for trace in vitals.traces().find(&TraceQuery::new().limit(100)) {
                let id = trace.trace_id();
                assert!(trace.spans().count() > 0);
                assert!(trace.spans().all(|span| span.trace_id() == id));
            }
        }
    });
}

#[test]
fn there_may_be_no_store_and_bounds_have_their_ranges() {
    let vitals = engine(TraceConfig::to_memory().without_store());
    drop(vitals.tracer("t").span("s"));
    flush(&vitals);
    assert!(vitals.traces().is_empty() && vitals.traces().find(&TraceQuery::new()).is_empty());
    vitals.with_captured_spans(|spans| assert!(spans.is_empty()));
    assert!(Vitals::disabled().traces().is_empty());
    let hour = Duration::from_secs(3_600);
    for (bytes, age, traces) in
        [(1, hour, 1), (1 << 20, Duration::ZERO, 1), (1 << 20, hour, 0), (1 << 40, hour, 1)]
    {
        let config = TraceConfig::to_memory().store(bytes, age, traces);
        let built = Vitals::builder().traces(config).build();
        assert!(matches!(built, Err(Error::OutOfRange { .. })), "{bytes} {age:?} {traces}");
    }
}
