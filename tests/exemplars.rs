//! Exemplars: which observation is shown with which span's ids, and where none is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mcp_vitals::traces::{Parent, SpanId, Tail, TraceConfig, TraceId};
use mcp_vitals::{Desc, Format, Histogram, SpanContext, Tracer, Vitals, VitalsBuilder};
use proptest::prelude::*;

fn builder() -> VitalsBuilder {
    Vitals::builder().system_metrics(false)
}

fn traced() -> Vitals {
    builder().traces(TraceConfig::to_memory()).build().unwrap()
}

/// A parent of these ids, as if from another process.
fn parent(trace: u128, span: u64, sampled: bool) -> Parent {
    let trace = TraceId::from_bytes(trace.to_be_bytes()).unwrap();
    let span = SpanId::from_bytes(span.to_be_bytes()).unwrap();
    Parent::from(SpanContext::new(trace, span, sampled))
}

#[derive(Clone, Debug, PartialEq)]
struct Exemplar {
    trace: u128,
    span: u64,
    value: f64,
    at: f64,
}

/// By the begin of their lines, up to the count.
fn exemplars(vitals: &Vitals) -> BTreeMap<String, Exemplar> {
    let mut text = Vec::new();
    vitals.scrape_as(Format::OpenMetrics, &mut text);
    let text = String::from_utf8(text).unwrap();
    let line = |line: &str| {
        let (sample, exemplar) = line.split_once(" # ")?;
        let exemplar = exemplar.strip_prefix("{trace_id=\"").unwrap();
        let (trace, exemplar) = exemplar.split_once("\",span_id=\"").unwrap();
        let (span, exemplar) = exemplar.split_once("\"} ").unwrap();
        let (value, at) = exemplar.split_once(' ').unwrap();
        assert_eq!((trace.len(), span.len()), (32, 16));
        let (series, count) = sample.rsplit_once(' ').unwrap();
        assert!(count.parse::<u64>().unwrap() > 0);
        let exemplar = Exemplar {
            trace: u128::from_str_radix(trace, 16).unwrap(),
            span: u64::from_str_radix(span, 16).unwrap(),
            value: value.parse().unwrap(),
            at: at.parse().unwrap(),
        };
        Some((series.to_owned(), exemplar))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
}

fn ids(context: SpanContext) -> (u128, u64) {
    let trace = context.trace_id().unwrap().to_bytes();
    (u128::from_be_bytes(trace), u64::from_be_bytes(context.span_id().unwrap().to_bytes()))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn latency(vitals: &Vitals) -> Histogram {
    let desc = Desc::histogram("t_seconds", "T.").buckets(&[0.5, 1.0]);
    vitals.register(desc).unwrap().with([])
}

#[test]
fn an_observation_in_a_span_is_shown_with_its_ids_in_openmetrics_alone() {
    let vitals = traced();
    let (latency, tracer) = (latency(&vitals), vitals.tracer("test"));
    latency.record_nanos(100);
    assert!(exemplars(&vitals).is_empty(), "in no span");
    let before = now();
    let span = tracer.span("work");
    let (trace, id) = ids(span.context());
    {
        let _current = span.enter();
        latency.record_nanos(700_000_001);
    }
    latency.record_nanos(800_000_000);
    let found = exemplars(&vitals);
    let shown = &found["t_seconds_bucket{le=\"1.0\"}"];
    assert_eq!((found.len(), shown.trace, shown.span, shown.value), (1, trace, id, 0.700000001));
    assert!((before - 0.001..=now() + 0.001).contains(&shown.at), "{shown:?} {before}");
    assert_eq!(exemplars(&vitals), found, "the same in each scrape");
    assert!(!vitals.export_prometheus().contains("trace_id"));
}

#[test]
fn every_way_to_record_offers_one() {
    let vitals = traced();
    let tracer = vitals.tracer("test");
    let span = tracer.span("work");
    let _current = span.enter();
    let register = |name: &str| {
        let desc = Desc::histogram(name, "T.").highest(Duration::from_secs(9)).buckets(&[]);
        vitals.register(desc).unwrap().with([])
    };
    register("a_seconds").record(Duration::from_millis(2));
    register("b_seconds").observe(0.25);
    drop(register("c_seconds").start_timer());
    register("d_seconds").start_timer().stop();
    vitals.register(Desc::histogram("e_seconds", "T.").buckets(&[])).unwrap();
    vitals.metric("e_seconds").unwrap().observe(&[], 1.0);
    // Above the range; in an octave of several boundaries; in a family that is sampled.
    register("f_seconds").record(Duration::from_secs(10));
    let crowded = Desc::histogram("g_seconds", "T.").buckets(&[1.0, 1.1, 1.2]);
    vitals.register(crowded).unwrap().with([]).record(Duration::from_millis(1_050));
    let sampled = register("h_seconds");
    vitals.set_sampling("h_seconds", 2).unwrap();
    (0..200).for_each(|_| sampled.record_nanos(5));
    // Refused ones are none.
    register("i_seconds").record_nanos(u64::MAX);
    register("i_seconds").observe(f64::NAN);
    vitals.request("tools/call").tool("search").start().finish(mcp_vitals::Outcome::Ok);

    let (trace, id) = ids(span.context());
    let found = exemplars(&vitals);
    // A request has a span of its own in the same trace.
    let own = |series: &str| series.starts_with("mcp_");
    assert!(
        found
            .iter()
            .all(|(series, found)| found.trace == trace && (own(series) || found.span == id)),
        "{found:?}"
    );
    for name in "abcdefgh".chars() {
        let begin = format!("{name}_seconds_bucket");
        assert_eq!(found.keys().filter(|series| series.starts_with(&begin)).count(), 1, "{name}");
    }
    assert_eq!(found["f_seconds_bucket{le=\"+Inf\"}"].value, 10.0);
    assert_eq!(found["g_seconds_bucket{le=\"1.1\"}"].value, 1.05);
    assert!(!found.keys().any(|series| series.starts_with("i_")));
    assert!(found.keys().any(|series| series.starts_with("mcp_request_duration_seconds_bucket{")));
}

#[test]
fn none_of_a_span_that_is_not_sampled_or_where_they_are_off() {
    let on = || builder().exemplars(true).build().unwrap();
    let record = |vitals: &Vitals, sampled| {
        let _current = parent(0xabc, 0xdef, sampled).enter();
        latency(vitals).record_nanos(7);
        exemplars(vitals).len()
    };
    assert_eq!(record(&on(), true), 1, "of a span of another process");
    assert_eq!(record(&on(), false), 0);
    assert_eq!(record(&builder().build().unwrap(), true), 0, "an engine without traces");
    let off = builder().traces(TraceConfig::to_memory()).exemplars(false).build().unwrap();
    assert_eq!(record(&off, true), 0);
    assert_eq!(record(&Vitals::disabled(), true), 0);
}

/// Of a thread's window the largest, of the threads the newest.
#[test]
fn one_for_each_bucket() {
    let vitals = traced();
    let latency = latency(&vitals);
    let record = |nanos: u64| {
        let _current = parent(nanos.into(), 1, true).enter();
        latency.record_nanos(nanos);
    };
    for nanos in [3, 9, 4, 600_000_000, 700_000_000, 650_000_000, 2_000_000_000] {
        record(nanos);
    }
    let traces = || -> Vec<u128> { exemplars(&vitals).values().map(|found| found.trace).collect() };
    // In the order of the lines' names: +Inf, 0.5, 1.0.
    assert_eq!(traces(), [2_000_000_000, 9, 700_000_000]);
    thread::scope(|scope| scope.spawn(|| record(1)).join().unwrap());
    assert_eq!(traces(), [2_000_000_000, 1, 700_000_000]);
}

#[test]
fn a_slot_that_another_series_has_now_lends_nothing() {
    let vitals = traced();
    let desc = Desc::histogram("t_seconds", "T.").labels(["a"]).removable();
    let family = vitals.register(desc).unwrap();
    let shown = || exemplars(&vitals).into_keys().collect::<Vec<_>>();
    for round in 0..20 {
        let (old, new) = (format!("old {round}"), format!("new {round}"));
        {
            let _current = parent(5, 5, true).enter();
            family.with([&old]).record_nanos(7);
        }
        assert!(shown().iter().any(|series| series.contains(&old)), "{round}");
        family.remove([&old]);
        // Scrapes free its place, which the next one is given.
        assert_eq!(shown(), Vec::<String>::new());
        assert_eq!(shown(), Vec::<String>::new());
        family.with([&new]).record_nanos(7);
        assert_eq!(shown(), Vec::<String>::new(), "{round}");
        family.remove([&new]);
    }
}

/// What tail rules dropped is not shown; the largest observation of a series has its trace kept.
#[test]
fn only_traces_that_are_kept_are_shown_and_the_largest_is() {
    let config = TraceConfig::to_memory().keep(Tail::new().errors());
    let vitals = builder().traces(config).build().unwrap();
    let (latency, tracer) = (latency(&vitals), vitals.tracer("test"));
    let record = |nanos| {
        let span = tracer.root("work");
        {
            let _current = span.enter();
            latency.record_nanos(nanos);
        }
        span
    };
    let (small, failed, large) = (record(1), record(600_000_000), record(2_000_000_000));
    let traces = [&small, &failed, &large].map(|span| ids(span.context()).0);
    let shown = || -> Vec<u128> { exemplars(&vitals).values().map(|found| found.trace).collect() };
    assert!(shown().is_empty(), "undecided");
    // The flusher looks for the largest.
    assert!(vitals.flush(Duration::from_secs(60)));
    let mut failed = failed;
    failed.record_error(&std::fmt::Error);
    drop((small, failed, large));
    let began = Instant::now();
    while shown().len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", shown());
        vitals.flush(Duration::from_secs(60));
    }
    // In the order of the lines' names: +Inf, then 1.0; nothing below 0.5.
    assert_eq!(shown(), [traces[2], traces[1]]);
}

/// The parts of each candidate say the same, whoever writes meanwhile.
#[test]
fn what_is_shown_was_observed_so() {
    let vitals = traced();
    let family =
        vitals.register(Desc::histogram("t_seconds", "T.").labels(["a"]).buckets(&[])).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..3u64 {
            let (family, stop) = (&family, &stop);
            scope.spawn(move || {
                // Ever larger, so that each is written.
                for n in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let nanos = n * 3 + thread;
                    let _current = parent(nanos.into(), nanos, true).enter();
                    family.with([["x", "y"][n as usize % 2]]).record_nanos(nanos);
                }
            });
        }
        let mut seen = 0;
        while seen < 500 {
            for found in exemplars(&vitals).values() {
                assert_eq!(found.trace, found.span.into());
                assert_eq!(found.value, found.span as f64 / 1e9);
                seen += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// A span's own trace, on a thread that takes it over.
#[test]
fn a_future_has_its_spans_ids_on_whichever_thread() {
    use mcp_vitals::traces::InSpan;
    let vitals = traced();
    let (latency, tracer): (Histogram, Tracer) = (latency(&vitals), vitals.tracer("test"));
    let span = tracer.span("request");
    let (trace, id) = ids(span.context());
    let work = async { latency.record_nanos(5) }.in_span(span);
    thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        scope.spawn(move || runtime.block_on(work)).join().unwrap();
    });
    let found = exemplars(&vitals);
    let shown = &found["t_seconds_bucket{le=\"0.5\"}"];
    assert_eq!((shown.trace, shown.span), (trace, id));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is shown was observed in that series and bucket, in that span, and where one was
    /// observed in a span and there is room for all, one is shown: the first or a larger one.
    #[test]
    fn exemplars_are_observations(
        observed in prop::collection::vec((0usize..3, any::<u64>(), 34u32..64, any::<bool>()), 1..60),
    ) {
        let vitals = traced();
        let bounds = [0.001, 0.1, 1.0];
        let desc = Desc::histogram("t_seconds", "T.").labels(["a"]).buckets(&bounds);
        let family = vitals.register(desc).unwrap();
        let mut offered = BTreeMap::<String, Vec<(u64, u64)>>::new();
        for (n, (series, bits, shift, in_span)) in observed.into_iter().enumerate() {
            let (label, nanos, n) = (["x", "y", "\"z\""][series], bits >> shift, n as u64 + 1);
            let le = bounds.iter().find(|&&bound| nanos <= (bound * 1e9) as u64);
            let le = le.map_or("+Inf".to_owned(), |le| format!("{le:?}"));
            let label_text = label.replace('"', "\\\"");
            let key = format!("t_seconds_bucket{{a=\"{label_text}\",le=\"{le}\"}}");
            let _current = in_span.then(|| parent(n.into(), n, true).enter());
            family.with([label]).record_nanos(nanos);
            if in_span {
                offered.entry(key).or_default().push((n, nanos));
            }
        }
        let found = exemplars(&vitals);
        for (key, found) in &found {
            prop_assert_eq!(found.trace, u128::from(found.span));
            let of = offered[key].iter().find(|(n, _)| *n == found.span);
            let (_, nanos) = of.expect("one of the bucket's own");
            let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            prop_assert_eq!(found.value, format!("{whole}.{rest:09}").parse::<f64>().unwrap());
        }
        // Twelve buckets in 32 sets of four: one may push another out.
        prop_assert!(found.len() + 2 >= offered.len(), "{} of {}", found.len(), offered.len());
    }
}
