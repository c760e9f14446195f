//! Contexts that come from other processes and go to them: whichever the carrier, and whatever it has.

mod headers;
mod seen;

use std::collections::HashMap;
use std::path::Path;

use mcp_vitals::traces::{CarrierMut, Parent, Sampler, TraceConfig, from_fn, inject_current};
use mcp_vitals::{SpanContext, Vitals};
use proptest::prelude::*;
use seen::{span, spans};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

fn traced(config: TraceConfig) -> Vitals {
    Vitals::builder().traces(config).build().unwrap()
}

fn sent(inject: impl FnOnce(&mut HashMap<String, String>)) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    inject(&mut headers);
    headers
}

#[test]
fn every_carrier_gives_the_same() {
    let pairs = [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v")];
    let map: HashMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let upper: HashMap<String, String> =
        pairs.iter().map(|(name, value)| (name.to_uppercase(), (*value).into())).collect();
    let list: Vec<(String, Vec<u8>)> =
        pairs.iter().map(|(name, value)| ((*name).into(), value.as_bytes().into())).collect();
    let closure = |name: &str| map.get(name).cloned();
    let all = [
        Parent::extract(&pairs),
        Parent::extract(&pairs[..]),
        Parent::extract(&map),
        Parent::extract(&upper),
        Parent::extract(&list),
        Parent::extract(&from_fn(closure)),
    ];
    for parent in all {
        let parent = parent.unwrap();
        let mut written = Vec::new();
        parent
            .inject(&mut |name: &'static str, value: &str| written.push((name, value.to_owned())));
        assert_eq!(written, pairs.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(sent(|to| parent.inject(to)), map);
        assert!(parent.context().is_remote());
    }
    assert!(Parent::extract(&[("other", "x")]).is_none());
    // What was there of the same name, in whatever case, is gone.
    let mut headers = upper;
    headers.set("traceparent", "new");
    assert_eq!((headers.len(), headers["traceparent"].as_str()), (3, "new"));
}

#[cfg(any(feature = "rmcp", feature = "tower"))]
#[test]
fn http_headers_are_a_carrier_and_several_of_a_name_are_one_list() {
    let mut headers = http::HeaderMap::new();
    headers.append("traceparent", PARENT.parse().unwrap());
    for value in ["a=1", "b=2"] {
        headers.append("tracestate", value.parse().unwrap());
    }
    headers.append("baggage", http::HeaderValue::from_bytes(b"\xff=1,k=v").unwrap());
    let parent = Parent::extract(&headers).unwrap();
    assert_eq!((parent.tracestate(), parent.baggage().as_str()), ("a=1,b=2", "k=v"));
    let mut out = http::HeaderMap::new();
    parent.inject(&mut out);
    assert_eq!(out["traceparent"], PARENT);
    assert_eq!(out["tracestate"], "a=1,b=2");
}

#[test]
fn a_span_below_what_came_says_so_and_takes_on_what_it_carries() {
    let vitals = traced(TraceConfig::to_memory());
    let tracer = vitals.tracer("t");
    let came = [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v;p")];
    let parent = vitals.extract(&came).unwrap();
    let outer = tracer.child("outer", parent.with_baggage("user", "é 1"));
    let id = outer.context().span_id().unwrap().to_string();
    {
        let _current = outer.enter();
        let inner = tracer.span("inner");
        assert_eq!(inner.baggage().get("user").as_deref(), Some("é 1"));
        let headers = sent(inject_current);
        assert_eq!(headers["traceparent"], PARENT.replace("00f067aa0ba902b7", &id));
        assert_eq!(headers["tracestate"], "a=1");
        assert_eq!(headers["baggage"], "k=v;p,user=%C3%A9%201");
        assert_ne!(sent(|to| inner.inject(to))["traceparent"], headers["traceparent"]);
    }
    drop(outer);
    assert!(sent(inject_current).is_empty());
    let (outer, inner) = (span(&vitals, "outer"), span(&vitals, "inner"));
    assert_eq!((&*outer.parent, outer.remote_parent), ("00f067aa0ba902b7", true));
    assert_eq!((inner.parent, inner.remote_parent), (id, false));
    assert_eq!((&*outer.tracestate, &*inner.tracestate), ("a=1", "a=1"));
}

#[test]
fn baggage_alone_goes_with_the_trace_that_begins_below_it() {
    let vitals = traced(TraceConfig::to_memory());
    let tracer = vitals.tracer("t");
    let parent = vitals.extract(&[("baggage", "k=v"), ("tracestate", "a=1")]).unwrap();
    assert!(parent.context().trace_id().is_none());
    assert_eq!(sent(|to| parent.inject(to)), HashMap::from([("baggage".into(), "k=v".into())]));
    {
        let _current = parent.enter();
        assert!(SpanContext::current().is_none());
        let child = tracer.span("child");
        assert!(child.context().trace_id().is_some());
        let headers = sent(|to| child.inject(to));
        assert_eq!((headers.len(), headers["baggage"].as_str()), (2, "k=v"));
    }
    let child = span(&vitals, "child");
    assert_eq!((&*child.parent, &*child.tracestate, child.remote_parent), ("", "", false));
}

#[test]
fn what_is_not_sampled_says_so_with_ids_of_its_own() {
    let vitals = traced(TraceConfig::to_memory().sampler(Sampler::Never));
    let span = vitals.tracer("t").span("s");
    let text = &sent(|to| span.inject(to))["traceparent"];
    assert!(text.contains(&span.context().span_id().unwrap().to_string()));
    // Not sampled; the id is random, says the other flag.
    assert!(text.ends_with("-02"), "{text}");
    let came = PARENT.replace("-01", "-00");
    let parent = vitals.extract(&[("traceparent", came)]).unwrap();
    let child = vitals.tracer("t").child("child", parent);
    let text = &sent(|to| child.inject(to))["traceparent"];
    assert!(text.ends_with("-00") && !text.contains("00f067aa0ba902b7"), "{text}");
}

#[test]
fn an_engine_that_records_nothing_passes_on_what_came_and_begins_nothing() {
    for vitals in [Vitals::disabled(), traced(TraceConfig::propagation_only())] {
        let tracer = vitals.tracer("t");
        let parent = vitals.extract(&[("traceparent", PARENT), ("baggage", "k=v")]).unwrap();
        let span = tracer.child("s", parent);
        assert!(!span.is_recording());
        let headers = sent(|to| span.inject(to));
        assert_eq!((&*headers["traceparent"], &*headers["baggage"]), (PARENT, "k=v"));
        let _current = span.enter();
        assert_eq!(sent(|to| tracer.span("inner").inject(to)), headers);
        drop(_current);
        assert!(sent(|to| tracer.span("root").inject(to)).is_empty());
        assert!(spans(&vitals).is_empty());
    }
}

#[test]
fn each_fault_is_counted_once_a_request() {
    let vitals = traced(TraceConfig::to_memory());
    let long = format!("a={}", "v".repeat(200));
    let list = ["a", "b", "c"].map(|key| long.replacen('a', key, 1)).join(",");
    let members: String = (0..33).map(|n| format!("k{n}=v,")).collect();
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Headers, &str, &str); 8] = [
        (&[("traceparent", "")], "traceparent", "length"),
        (&[("traceparent", &PARENT.replacen("00", "ff", 1))], "traceparent", "version"),
        (&[("traceparent", PARENT), ("traceparent", PARENT)], "traceparent", "repeated"),
        (&[("traceparent", PARENT), ("tracestate", "A=,B=")], "tracestate", "format"),
        (&[("traceparent", PARENT), ("tracestate", "a=1,a=2,a=3")], "tracestate", "duplicate_key"),
        (&[("traceparent", PARENT), ("tracestate", &list)], "tracestate", "too_long"),
        (&[("traceparent", PARENT), ("tracestate", &members)], "tracestate", "members"),
        (&[("baggage", "a b=1,=,")], "baggage", "format"),
    ];
    for (headers, header, reason) in cases {
        let parent = vitals.extract(headers);
        let is_whole = parent.is_some_and(|parent| parent.context().trace_id().is_some());
        assert_eq!(is_whole, header == "tracestate", "{header} {reason}");
        let labels = [("header", header), ("reason", reason)];
        let counted = vitals.snapshot().value("mcp_vitals_propagation_errors_total", &labels);
        assert_eq!(counted, Some(1.0), "{header} {reason}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_what_goes_on_is_read_again_the_same(bytes: Vec<u8>) {
        headers::bytes_are_read_once_and_for_all(&bytes);
    }
}

/// What the fuzzer starts from, and what it has found so far.
#[test]
fn the_fuzzers_seeds_are_as_they_should_be() {
    let mut count = 0;
    for target in ["traceparent", "tracestate", "baggage"] {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        for seed in std::fs::read_dir(seeds).unwrap() {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            headers::of_target(target)(&bytes);
            count += 1;
        }
    }
    assert!(count >= 12, "only {count} seeds");
}
