//! What the engine says of its own traces, and what is kept out of them.

use std::sync::{Arc, Mutex};

use mcp_vitals::logs::{ExportError, Redaction, Secret};
use mcp_vitals::traces::{ExportSpans, SpanBatch, TraceConfig};
use mcp_vitals::{Vitals, logs::LogConfig};

/// What the last scrape says of a series.
fn value(vitals: &Vitals, series: &str) -> f64 {
    let mut page = Vec::new();
    vitals.scrape_into(&mut page);
    let page = String::from_utf8(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

/// Refuses what it is told to.
#[derive(Clone, Default)]
struct Exporter {
    seen: Arc<Mutex<Vec<String>>>,
    fails: Arc<Mutex<u32>>,
}

impl ExportSpans for Exporter {
    fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError> {
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Err("not now".into());
        }
        let mut seen = self.seen.lock().unwrap();
        seen.extend(batch.spans().map(|span| format!("{span:?} {}", span.status_message)));
        Ok(())
    }
}

#[test]
fn spans_are_counted_on_each_step() {
    let exporter = Exporter::default();
    *exporter.fails.lock().unwrap() = 1;
    let config = TraceConfig::to_memory().export(exporter.clone()).export(exporter.clone());
    let vitals = Vitals::builder().traces(config).build().unwrap();
    let tracer = vitals.tracer("t");
    assert_eq!(value(&vitals, "mcp_vitals_spans_total"), 0.0);
    for _ in 0..3 {
        let mut span = tracer.span("s");
        (0..130).for_each(|n| span.set_attribute("n", n));
    }
    assert!(vitals.flush(std::time::Duration::from_secs(30)));
    let of = |series: &str| value(&vitals, series);
    assert_eq!(of("mcp_vitals_spans_total"), 3.0);
    assert_eq!(of(r#"mcp_vitals_span_items_dropped_total{item="attribute"}"#), 6.0);
    assert_eq!(of(r#"mcp_vitals_span_items_dropped_total{item="link"}"#), 0.0);
    for name in ["export", "export_2"] {
        assert_eq!(of(&format!("mcp_vitals_span_exported_total{{exporter=\"{name}\"}}")), 3.0);
        assert_eq!(of(&format!("mcp_vitals_span_queued_bytes{{exporter=\"{name}\"}}")), 0.0);
    }
    let errors = ["export", "export_2"].map(|name| {
        let labels = format!("{{exporter=\"{name}\",event=\"error\"}}");
        of(&format!("mcp_vitals_span_exporter_events_total{labels}"))
    });
    assert_eq!(errors.iter().sum::<f64>(), 1.0);
    assert_eq!(exporter.seen.lock().unwrap().len(), 6);
    for reason in ["full", "own"] {
        let series = format!("mcp_vitals_span_lost_total{{place=\"ring\",reason=\"{reason}\"}}");
        assert_eq!(of(&series), 0.0);
    }
}

#[test]
fn spans_that_find_their_ring_full_are_counted_and_the_rest_arrive() {
    let logs = LogConfig::to_memory().ring_bytes(4096).rings(1);
    let vitals = Vitals::builder().logs(logs).traces(TraceConfig::to_memory()).build().unwrap();
    let tracer = vitals.tracer("t");
    let all = 100_000;
    for _ in 0..all {
        drop(tracer.span("a span of some length"));
    }
    vitals.flush(std::time::Duration::from_secs(30));
    let lost = value(&vitals, r#"mcp_vitals_span_lost_total{place="ring",reason="full"}"#);
    assert_eq!(value(&vitals, "mcp_vitals_spans_total") + lost, f64::from(all));
}

#[test]
fn what_is_secret_is_neither_kept_nor_exported() {
    let exporter = Exporter::default();
    let config = TraceConfig::to_memory().export(exporter.clone());
    let vitals = Vitals::builder().traces(config).build().unwrap();
    let tracer = vitals.tracer("t");
    let mut span = tracer.span("GET with Bearer planted-1");
    span.set_attribute("db.password", "planted-2");
    span.set_attribute("url", "/?a=Basic%20planted-3");
    span.set_attribute("wrapped", Secret::new("planted-4"));
    span.set_attribute("max_tokens", 7);
    span.add_event("sent Bearer planted-5").attribute("api_key", "planted-6");
    span.add_link(span.context()).attribute("cookie", "planted-7");
    span.record_error(&std::io::Error::other("401 for Bearer planted-8"));
    drop(span);
    drop(tracer.span("plain"));
    vitals.with_captured_spans(|spans| {
        assert_eq!(spans.len(), 2);
        let span = &spans[0];
        assert_eq!(span.name.to_str(), "GET with Bearer [redacted]");
        let attributes: Vec<_> = span.attributes().map(|of| format!("{of:?}")).collect();
        assert!(attributes[3].contains("U64(7)") || attributes[3].contains("I64(7)"));
        let events: Vec<_> = span
            .events()
            .map(|of| format!("{} {:?}", of.name, of.attributes().collect::<Vec<_>>()))
            .collect();
        let links: Vec<_> =
            span.links().map(|of| format!("{:?}", of.attributes().collect::<Vec<_>>())).collect();
        let all = format!("{span:?} {events:?} {links:?} {}", span.status_message);
        assert!(!all.contains("planted"), "{all}");
        assert_eq!((events.len(), links.len()), (2, 1));
    });
    let seen = exporter.seen.lock().unwrap().concat();
    assert!(seen.contains("plain") && !seen.contains("planted"), "{seen}");
    // The error's text stands in its event and in the status.
    assert_eq!(value(&vitals, "mcp_vitals_span_redacted_total"), 8.0);
}

#[test]
fn rules_are_the_logs_unless_the_traces_have_their_own() {
    let said = |traces: TraceConfig| {
        let logs = LogConfig::to_memory().redaction(Redaction::new().key("card"));
        let vitals = Vitals::builder().logs(logs).traces(traces).build().unwrap();
        let mut span = vitals.tracer("t").span("s");
        span.set_attribute("card", "4111");
        span.set_attribute("token", "abc");
        drop(span);
        vitals.with_captured_spans(|spans| {
            spans[0].attributes().map(|of| format!("{:?}", of.value)).collect::<Vec<_>>()
        })
    };
    assert_eq!(said(TraceConfig::to_memory()), ["Redacted", "Redacted"]);
    let none = said(TraceConfig::to_memory().redaction(Redaction::none()));
    assert!(none[0].contains("4111") && none[1].contains("abc"), "{none:?}");
}
