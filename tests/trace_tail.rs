//! Tail rules, from the builder to what an exporter is given.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mcp_vitals::traces::{
    ExportSpans, Parent, SpanBatch, SpanContext, SpanId, Tail, TraceConfig, TraceId,
};
use mcp_vitals::{Error, Vitals, logs::ExportError};

/// What the last scrape says of a series.
fn value(vitals: &Vitals, series: &str) -> f64 {
    let mut page = Vec::new();
    vitals.scrape_into(&mut page);
    let page = String::from_utf8(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

fn verdicts(vitals: &Vitals, verdict: &str, rule: &str) -> f64 {
    let labels = format!("{{verdict=\"{verdict}\",rule=\"{rule}\"}}");
    value(vitals, &format!("mcp_vitals_tail_verdicts_total{labels}"))
}

#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<String>>>);

impl Names {
    /// Those that were exported so far.
    fn all(&self, vitals: &Vitals) -> Vec<String> {
        assert!(vitals.flush(Duration::from_secs(30)));
        self.0.lock().unwrap().clone()
    }
}

impl ExportSpans for Names {
    fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError> {
        self.0.lock().unwrap().extend(batch.spans().map(|span| span.name.to_string()));
        Ok(())
    }
}

fn engine(rules: impl Into<Option<Tail>>) -> (Vitals, Names) {
    let names = Names::default();
    let mut config = TraceConfig::to_memory().export(names.clone());
    if let Some(rules) = rules.into() {
        config = config.keep(rules);
    }
    (Vitals::builder().traces(config).build().unwrap(), names)
}

/// Waits until what a scrape says of `series` is so.
fn until(vitals: &Vitals, series: &str, is: impl Fn(f64) -> bool) {
    let began = Instant::now();
    while !is(value(vitals, series)) {
        vitals.flush(Duration::from_secs(30));
        assert!(began.elapsed() < Duration::from_secs(60), "{series}");
        thread::yield_now();
    }
}

#[test]
fn a_trace_is_kept_whole_by_the_rule_that_one_of_its_spans_meets() {
    let rules = Tail::new()
        .errors()
        .name("payment")
        .attribute("tool", "swarm.init")
        .attribute("status", "503");
    let (vitals, names) = engine(rules);
    let tracer = vitals.tracer("t");
    let trace = |name: &str, child: &dyn Fn(&mut mcp_vitals::Span)| {
        let root = tracer.span(&format!("{name}.root"));
        let _current = root.enter();
        drop(tracer.span(&format!("{name}.before")));
        child(&mut tracer.span(&format!("{name}.child")));
        drop(tracer.span(&format!("{name}.after")));
    };
    trace("plain", &|_| {});
    trace("error", &|span| span.record_error(&std::fmt::Error));
    trace("tool", &|span| span.set_attribute("tool", "swarm.init"));
    trace("other tool", &|span| span.set_attribute("tool", "swarm.init2"));
    trace("status", &|span| span.set_attribute("status", 503));
    trace("changed", &|span| {
        span.set_attribute("status", 503);
        span.set_attribute("status", 200);
    });
    trace("name", &|span| span.set_name("payment"));
    let kept = names.all(&vitals);
    let all_of = |name: &str| kept.iter().filter(|kept| kept.starts_with(name)).count();
    assert_eq!([all_of("error."), all_of("tool."), all_of("status.")], [4; 3], "{kept:?}");
    assert_eq!((all_of("name."), kept.len()), (3, 16), "{kept:?}");
    for (rule, count) in [("error", 1.0), ("attribute", 2.0), ("name", 1.0), ("slow", 0.0)] {
        assert_eq!(verdicts(&vitals, "kept", rule), count);
    }
    until(&vitals, "mcp_vitals_tail_waiting_traces", |waiting| waiting == 0.0);
    assert_eq!(verdicts(&vitals, "dropped", "rest"), 3.0);
    assert_eq!(value(&vitals, r#"mcp_vitals_tail_spans_total{verdict="dropped"}"#), 12.0);
    assert_eq!(value(&vitals, r#"mcp_vitals_tail_spans_total{verdict="kept"}"#), 16.0);
    assert_eq!(value(&vitals, "mcp_vitals_spans_total"), 28.0);
    // Nothing that was not kept is looked up either.
    vitals.with_captured_spans(|spans| assert_eq!(spans.len(), 16));
}

#[test]
fn slow_is_said_of_the_root_or_of_any() {
    let hour = Duration::from_secs(3_600);
    for (rules, kept) in [
        (Tail::new().slower_than(Duration::ZERO), 2),
        (Tail::new().any_slower_than(Duration::ZERO), 2),
        (Tail::new().slower_than(hour).any_slower_than(hour), 0),
    ] {
        let (vitals, names) = engine(rules);
        let tracer = vitals.tracer("t");
        {
            let root = tracer.span("root");
            let _current = root.enter();
            drop(tracer.span("child"));
        }
        assert_eq!(names.all(&vitals).len(), kept);
    }
    // Below a span of another process it is the request that counts, and not what is below that.
    let (vitals, names) = engine(Tail::new().slower_than(Duration::ZERO));
    let tracer = vitals.tracer("t");
    let remote = SpanContext::new(
        TraceId::from_bytes([7; 16]).unwrap(),
        SpanId::from_bytes([8; 8]).unwrap(),
        true,
    );
    let request = tracer.child("request", remote);
    drop(tracer.child("below", request.context()));
    assert!(names.all(&vitals).is_empty());
    drop(request);
    assert_eq!(names.all(&vitals), ["below", "request"]);
}

#[test]
fn one_in_n_is_the_same_for_everybody_and_needs_no_wait() {
    let engines = [engine(Tail::new().one_in(10)), engine(Tail::new().one_in(10))];
    for n in 0..2_000u32 {
        let mut id = [1; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let remote = SpanContext::new(
            TraceId::from_bytes(id).unwrap(),
            SpanId::from_bytes([8; 8]).unwrap(),
            true,
        );
        for (vitals, _) in &engines {
            let request = vitals.tracer("t").child(&format!("{n}"), Parent::from(remote));
            drop(vitals.tracer("t").child(&format!("{n}"), request.context()));
            drop(request);
            if n % 100 == 0 {
                // No ring is to be full.
                assert!(vitals.flush(Duration::from_secs(30)));
            }
        }
    }
    let [one, other] = engines.each_ref().map(|(vitals, names)| names.all(vitals));
    assert_eq!(one, other);
    // 200 traces, twice; a chance of less than one in a million to be so far off.
    assert!((280..520).contains(&one.len()), "{}", one.len());
    assert_eq!(verdicts(&engines[0].0, "kept", "share") * 2.0, one.len() as f64);
}

#[test]
fn rules_change_while_the_engine_runs() {
    let (vitals, names) = engine(None);
    let tracer = vitals.tracer("t");
    drop(tracer.span("before"));
    assert_eq!(names.all(&vitals), ["before"]);
    vitals.set_tail_rules(Tail::new().errors()).unwrap();
    assert_eq!(names.all(&vitals).len(), 1);
    drop(tracer.span("dropped"));
    let root = tracer.span("waits");
    drop(tracer.child("waits too", root.context()));
    until(&vitals, "mcp_vitals_spans_total", |spans| spans == 3.0);
    assert_eq!(names.all(&vitals).len(), 1);
    until(&vitals, "mcp_vitals_tail_waiting_traces", |waiting| waiting == 1.0);
    vitals.set_tail_rules(None).unwrap();
    drop(root);
    until(&vitals, "mcp_vitals_spans_total", |spans| spans == 4.0);
    assert_eq!(names.all(&vitals), ["before", "waits too", "waits"]);
    let wrong = vitals.set_tail_rules(Tail::new().most_traces(0));
    assert!(matches!(wrong, Err(Error::OutOfRange { field: "tail.most_traces", .. })));
}

#[test]
fn a_trace_that_was_named_is_kept() {
    let (vitals, names) = engine(Tail::new());
    let tracer = vitals.tracer("t");
    let root = tracer.span("root");
    drop(tracer.child("child", root.context()));
    drop(tracer.span("other"));
    assert!(vitals.keep_trace(root.context().trace_id().unwrap()));
    drop(root);
    until(&vitals, r#"mcp_vitals_tail_spans_total{verdict="kept"}"#, |kept| kept == 2.0);
    let mut kept = names.all(&vitals);
    kept.sort();
    assert_eq!(kept, ["child", "root"]);
}

#[test]
fn at_the_end_nothing_is_waited_for() {
    let (vitals, names) = engine(Tail::new().errors());
    let tracer = vitals.tracer("t");
    drop(tracer.span("plain"));
    let root = tracer.span("root");
    drop(tracer.child("child", root.context()));
    vitals.shutdown(Duration::from_secs(30));
    assert!(names.0.lock().unwrap().is_empty());
    assert_eq!(verdicts(&vitals, "dropped", "rest"), 1.0);
    assert_eq!(verdicts(&vitals, "dropped", "stopped"), 1.0);
    drop(root);
}

#[test]
fn a_flood_of_traces_that_never_end_stays_within_its_bounds() {
    let rules = Tail::new().errors().most_traces(100).most_bytes(64 << 10);
    let (vitals, names) = engine(rules);
    let tracer = vitals.tracer("t");
    let mut id = [3; 16];
    for n in 0..20_000u32 {
        id[..4].copy_from_slice(&n.to_be_bytes());
        let trace = TraceId::from_bytes(id).unwrap();
        let parent = SpanContext::new(trace, SpanId::from_bytes([8; 8]).unwrap(), true);
        // Its parent is of this process, and never ends.
        let root = tracer.child("root", parent);
        drop(tracer.child("child", root.context()));
        std::mem::forget(root);
        if n % 100 == 0 {
            vitals.flush(Duration::from_secs(30));
            assert!(value(&vitals, "mcp_vitals_tail_waiting_traces") <= 100.0);
            assert!(value(&vitals, "mcp_vitals_tail_waiting_bytes") <= 65_536.0);
        }
    }
    vitals.flush(Duration::from_secs(30));
    let waiting = value(&vitals, "mcp_vitals_tail_waiting_traces");
    let gone = verdicts(&vitals, "dropped", "overflow") + verdicts(&vitals, "dropped", "timeout");
    let lost = value(&vitals, r#"mcp_vitals_span_lost_total{place="ring",reason="full"}"#);
    assert_eq!(waiting + gone + lost, 20_000.0);
    assert!(names.0.lock().unwrap().is_empty());
}
