//! What is listed and shown, read by another parser, against what a host looks up.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::Vitals;
use crate::logs::LogConfig;
use crate::traces::{SpanKind, TraceConfig};

fn engine(traces: TraceConfig) -> Vitals {
    let builder = Vitals::builder().system_metrics(false).service("swarm", "1.2.3");
    builder.traces(traces).listen(0).console(true).build().unwrap()
}

fn listed(vitals: &Vitals, query: &str) -> Vec<Json> {
    assert!(vitals.flush(Duration::from_secs(60)));
    let query = TracesQuery::read(query).unwrap();
    let list: Json = serde_json::from_slice(&list(vitals.shown_traces(), &query)).unwrap();
    assert_eq!(list["on"], true);
    list["traces"].as_array().unwrap().clone()
}

fn names(vitals: &Vitals, query: &str) -> Vec<String> {
    let name = |trace: &Json| trace["root"]["name"].as_str().unwrap().to_owned();
    listed(vitals, query).iter().map(name).collect()
}

fn shown_by(vitals: &Vitals, id: &str) -> Json {
    serde_json::from_slice(&one(vitals.shown_traces(), id).unwrap()).unwrap()
}

#[test]
fn the_list_says_what_the_traces_say() {
    let vitals = engine(TraceConfig::to_memory());
    let tracer = vitals.tracer("test");
    for name in ["tools/call search", "tools/call STRASSE \"x\"", "ping\n\u{202e}"] {
        let mut root = tracer.span(name);
        let _current = root.enter();
        tracer.span("a part that is of no account").end();
        let mut failing = tracer.span("another");
        if name.starts_with("ping") {
            failing.set_status(SpanStatus::Error, "no");
        }
        drop(failing);
        drop(_current);
        root.set_kind(SpanKind::Server);
    }
    let all = listed(&vitals, "");
    assert_eq!(all.len(), 3);
    for trace in &all {
        let id: TraceId = trace["trace_id"].as_str().unwrap().parse().unwrap();
        let stored = vitals.traces().get(id).unwrap();
        assert_eq!(trace["spans"], 3);
        assert_eq!(trace["root"]["service"], "swarm");
        // Reading JSON may be off by a last digit.
        let near =
            |key: &str, nanos: f64| (trace[key].as_f64().unwrap() - nanos / 1e6).abs() < 1e-3;
        assert!(near("duration_ms", stored.duration().as_nanos() as f64), "{trace}");
        assert!(near("start_unix_ms", stored.start_unix_nanos() as f64), "{trace}");
        assert_eq!(trace["errors"], u32::from(stored.has_error()));
        let whole = shown_by(&vitals, trace["trace_id"].as_str().unwrap());
        for key in ["trace_id", "root", "start_unix_ms", "duration_ms", "errors"] {
            assert_eq!(whole[key], trace[key], "{key}");
        }
    }
    let newest = ["ping\n\u{202e}", "tools/call STRASSE \"x\"", "tools/call search"];
    assert_eq!(names(&vitals, "limit=2"), newest[..2]);
    assert_eq!(names(&vitals, "name=CALL"), newest[1..]);
    assert_eq!(names(&vitals, "name=strasse+%22"), newest[1..2]);
    assert_eq!(names(&vitals, "errors=1"), newest[..1]);
    assert_eq!(names(&vitals, "name=a+part"), [""; 0]);
    assert_eq!(names(&vitals, "min_ms=3600000"), [""; 0]);
    assert_eq!(names(&vitals, "min_ms=0&errors=0&name=&limit="), newest);
}

#[test]
fn a_trace_is_called_by_its_root_as_soon_as_that_has_ended() {
    let vitals = engine(TraceConfig::to_memory());
    let tracer = vitals.tracer("test");
    let root = tracer.span("root");
    let current = root.enter();
    tracer.span("part").end();
    assert_eq!(names(&vitals, ""), ["part"]);
    drop(current);
    drop(root);
    assert_eq!(names(&vitals, ""), ["root"]);
}

#[test]
fn a_trace_has_all_that_its_spans_say() {
    let vitals = engine(TraceConfig::to_memory());
    let tracer = vitals.tracer("test");
    let linked = tracer.span("linked").context();
    let mut root = tracer.span("root");
    let id = root.context().trace_id().unwrap().to_string();
    {
        let _current = root.enter();
        let mut part = tracer.span("part \"quoted\"\n");
        part.set_kind(SpanKind::Client);
        part.set_attribute("n", u64::MAX);
        part.set_attribute("n", 7);
        part.set_attribute("text", "<b>\u{0}");
        part.set_attribute("ratio", 0.5);
        part.set_attribute("ok", true);
        part.set_attribute("password", "hunter2");
        part.add_event("retried").attribute("after", 2);
        part.add_link(linked);
        part.record_error(&std::fmt::Error);
    }
    root.set_attribute("big", u64::MAX);
    drop(root);
    vitals.flush(Duration::from_secs(60));
    let whole = shown_by(&vitals, &id);
    let spans = whole["spans"].as_array().unwrap();
    assert_eq!((spans.len(), &whole["truncated"], &whole["left_out"]), (2, &0.into(), &0.into()));
    let (root, part) = (&spans[0], &spans[1]);
    assert_eq!((&root["name"], &root["depth"]), (&"root".into(), &0.into()));
    assert_eq!((&root["parent_id"], &root["message"]), (&Json::Null, &Json::Null));
    assert_eq!((&root["status"], &root["kind"]), (&"unset".into(), &"internal".into()));
    assert_eq!(root["attributes"], serde_json::json!([["big", "18446744073709551615"]]));
    assert_eq!((&part["parent_id"], &part["depth"]), (&root["span_id"], &1.into()));
    assert_eq!((&part["name"], &part["kind"]), (&"part \"quoted\"\n".into(), &"client".into()));
    assert_eq!((&part["failed"], &part["status"]), (&true.into(), &"error".into()));
    let attributes: HashSet<(String, String)> =
        serde_json::from_value(part["attributes"].clone()).unwrap();
    let expected = [
        ("n", "7"),
        ("text", "<b>\0"),
        ("ratio", "0.5"),
        ("ok", "true"),
        ("password", "[redacted]"),
    ];
    for (key, value) in expected {
        assert!(attributes.contains(&(key.into(), value.into())), "{key} in {attributes:?}");
    }
    let events = part["events"].as_array().unwrap();
    assert_eq!(events[0]["name"], "retried");
    assert_eq!(events[0]["attributes"], serde_json::json!([["after", "2"]]));
    assert_eq!(events[1]["attributes"][0][0], "exception.type");
    let at = |of: &Json, key: &str| of[key].as_f64().unwrap();
    let begins = at(part, "start_ms");
    let ends = begins + at(part, "duration_ms");
    assert!((begins - 1e-3..=ends + 1e-3).contains(&at(&events[0], "at_ms")), "{part}");
    let link = serde_json::json!([{
        "trace_id": linked.trace_id().unwrap().to_string(),
        "span_id": linked.span_id().unwrap().to_string(),
    }]);
    assert_eq!(part["links"], link);
    // Each instant is charged to one span, and the pieces say to which.
    let charged = |key: &str| spans.iter().map(|span| at(span, key)).sum::<f64>();
    assert!((charged("path_ms") - at(&whole, "duration_ms")).abs() < 1e-6);
    let mut by_piece = [0.0; 2];
    for piece in whole["path"].as_array().unwrap() {
        by_piece[piece["span"].as_u64().unwrap() as usize] +=
            at(piece, "end_ms") - at(piece, "start_ms");
    }
    for (span, sum) in spans.iter().zip(by_piece) {
        assert!((at(span, "path_ms") - sum).abs() < 1e-6);
    }
    assert!((at(root, "self_ms") + at(part, "duration_ms") - at(root, "duration_ms")).abs() < 1e-6);
}

#[test]
fn what_is_not_there_is_not_found_and_what_makes_no_sense_is_refused() {
    let vitals = engine(TraceConfig::to_memory());
    for id in ["", "x", "..", &"0".repeat(32), &"a".repeat(32), &"é".repeat(16), &"a".repeat(5_000)]
    {
        assert!(one(vitals.shown_traces(), id).is_none(), "{id}");
    }
    assert!(one(None, &"a".repeat(32)).is_none());
    let refused = |query: &str| TracesQuery::read(query).unwrap_err().to_string();
    for ms in ["x", "-1", "NaN", "inf", "1e300", "-inf"] {
        assert_eq!(refused(&format!("min_ms={ms}")), "min_ms: milliseconds, 0 and more");
    }
    assert_eq!(refused("errors=yes"), "errors: 1 or 0");
    assert_eq!(TracesQuery::read("limit=1000").unwrap().limit, MOST);
    assert_eq!(TracesQuery::read("min_ms=1.5").unwrap().least, Duration::from_micros(1_500));
    let off = serde_json::json!({"on": false, "traces": []});
    let none = TracesQuery::read("").unwrap();
    let answer = |vitals: &Vitals| list(vitals.shown_traces(), &none);
    let logs = Vitals::builder().logs(LogConfig::to_memory()).build().unwrap();
    let passed_on = engine(TraceConfig::propagation_only());
    for vitals in [Vitals::disabled(), logs, passed_on] {
        assert_eq!(serde_json::from_slice::<Json>(&answer(&vitals)).unwrap(), off);
    }
}

#[test]
fn of_a_trace_with_too_many_spans_the_longest_are_shown_and_the_path_with_them() {
    let vitals = engine(TraceConfig::to_memory());
    let tracer = vitals.tracer("test");
    let root = tracer.span("root");
    let id = root.context().trace_id().unwrap().to_string();
    {
        let _current = root.enter();
        for n in 0..MOST_SPANS + 500 {
            tracer.span("part").end();
            if n % 500 == 0 {
                assert!(vitals.flush(Duration::from_secs(60)));
            }
        }
    }
    drop(root);
    assert!(vitals.flush(Duration::from_secs(60)));
    assert_eq!(listed(&vitals, "")[0]["spans"], MOST_SPANS + 501);
    let whole = shown_by(&vitals, &id);
    let spans = whole["spans"].as_array().unwrap();
    assert_eq!((spans.len(), &whole["truncated"]), (MOST_SPANS, &501.into()));
    assert_eq!(spans[0]["name"], "root");
    for piece in whole["path"].as_array().unwrap() {
        let span = &spans[piece["span"].as_u64().unwrap() as usize];
        let (start, end) = (&piece["start_ms"], &piece["end_ms"]);
        assert!(span["start_ms"].as_f64() <= start.as_f64() && start.as_f64() < end.as_f64());
    }
}

proptest! {
    /// A tree is given by the parent of each; children may outlast their parents.
    #[test]
    fn the_longest_come_with_all_that_they_are_within(
        given in prop::collection::vec((any::<prop::sample::Index>(), 0u64..50, 0u64..60), 1..60),
        most in 1usize..60,
    ) {
        let trace_id = TraceId::from_bytes([1; 16]).unwrap();
        let id = |n: usize| SpanId::from_bytes((n as u64 + 1).to_be_bytes()).unwrap();
        let spans = given.iter().enumerate().map(|(n, (parent, start, took))| {
            let mut span = SpanData::new(trace_id, id(n), "", 1_000 + start, 1_000 + start + took);
            span.parent_span_id = (n > 0).then(|| id(parent.index(n)));
            span
        });
        let analysis = Analysis::of(spans.collect());
        let spans: Vec<_> = analysis.trace(trace_id).unwrap().spans().collect();
        let kept = longest(&spans, most);
        prop_assert_eq!(kept.len(), most.min(spans.len()));
        prop_assert!(kept.is_sorted());
        let is_kept: HashSet<SpanId> = kept.iter().map(|&at| spans[at].span.span_id).collect();
        for &at in &kept {
            if let Some(parent) = spans[at].span.parent_span_id {
                prop_assert!(is_kept.contains(&parent));
            }
        }
        // None that is left out took longer than any that is shown, alone or by one within it.
        let took = |at: usize| spans[at].end_unix_nanos - spans[at].start_unix_nanos;
        let parent = |of: usize| {
            let id = spans[of].span.parent_span_id?;
            spans.iter().position(|span| span.span.span_id == id)
        };
        let is_within = |at: usize, of: usize| {
            std::iter::successors(Some(at), |&at| parent(at)).any(|at| at == of)
        };
        let counts = |of: usize| {
            (0..spans.len()).filter(|&at| is_within(at, of)).map(took).max().unwrap()
        };
        let least = kept.iter().map(|&at| counts(at)).min().unwrap();
        for at in (0..spans.len()).filter(|at| !kept.contains(at)) {
            prop_assert!(counts(at) <= least);
        }
    }
}
