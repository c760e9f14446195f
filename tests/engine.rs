//! The engine through its public names: what is recorded is what a scrape shows.

use mcp_vitals::{Desc, Vitals};

fn engine() -> Vitals {
    Vitals::builder().build().unwrap()
}

#[test]
fn every_kind_shows_what_was_recorded() {
    let vitals = engine();
    let calls =
        vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool", "status"])).unwrap();
    calls.with(["search", "success"]).add(3);
    calls.with(["search", "error"]).inc();
    vitals.gauge("temperature", "Degrees.").unwrap().set(-1.5);
    let open = vitals.updown("open", "Open.").unwrap();
    open.add(3);
    open.dec();
    let latency = vitals
        .register(Desc::histogram("latency_seconds", "Latency.").buckets(&[0.001, 0.01]))
        .unwrap()
        .with([]);
    latency.record_nanos(1_000_000);
    latency.record_nanos(1_000_001);
    latency.observe(0.5);
    let text = vitals.export_prometheus();
    for line in [
        "# HELP calls_total Calls.\n# TYPE calls_total counter",
        "calls_total{tool=\"search\",status=\"success\"} 3",
        "calls_total{tool=\"search\",status=\"error\"} 1",
        "temperature -1.5",
        "open 2",
        "# TYPE latency_seconds histogram",
        "latency_seconds_bucket{le=\"0.001\"} 1",
        "latency_seconds_bucket{le=\"0.01\"} 2",
        "latency_seconds_bucket{le=\"+Inf\"} 3",
        "latency_seconds_sum 0.502000001",
        "latency_seconds_count 3",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n in \n{text}");
    }
}
