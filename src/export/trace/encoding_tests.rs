//! What is written is read back by the messages and decoders that OpenTelemetry publishes.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, TracesData};
use proptest::prelude::*;
use prost::Message;

use crate::Vitals;
use crate::encode::otlp::{Form, Request};
use crate::logs::{ExportError, Secret};
use crate::traces::resource::Resource;
use crate::traces::{
    ExportSpans, SpanBatch, SpanContext, SpanId, SpanKind, SpanStatus, TraceConfig, TraceId, Tracer,
};

fn resource() -> Resource {
    Resource::of(&("search".into(), "1.4.0".into()), &[("deploy".into(), "eu \"1\"\n".into())])
}

/// What `make` records, in both forms and as the engine itself shows it.
fn encoded(make: impl FnOnce(&Vitals, &Tracer)) -> [Vec<u8>; 2] {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    make(&vitals, &vitals.tracer("db"));
    vitals.with_captured_spans(|spans| {
        [Form::Protobuf, Form::Json].map(|form| {
            let mut request = Request::new(form, &resource());
            let took = request.fill(&mut spans.iter().cloned(), usize::MAX, usize::MAX);
            assert_eq!(took, spans.len());
            request.bytes().to_vec()
        })
    })
}

/// Read by others; both forms say the same.
fn read(make: impl FnOnce(&Vitals, &Tracer)) -> ExportTraceServiceRequest {
    let [protobuf, json] = encoded(make);
    let read = ExportTraceServiceRequest::decode(&protobuf[..]).unwrap();
    assert_eq!(read.encode_to_vec().len(), protobuf.len(), "as short as others write it");
    let text = String::from_utf8(json).unwrap();
    assert!(!text.contains('\n'));
    let of_json: TracesData = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(of_json.resource_spans, read.resource_spans, "{text}");
    read
}

fn scopes(make: impl FnOnce(&Vitals, &Tracer)) -> Vec<ScopeSpans> {
    let mut read = read(make);
    assert_eq!(read.resource_spans.len(), 1);
    read.resource_spans.remove(0).scope_spans
}

fn span(make: impl FnOnce(&Vitals, &Tracer)) -> Span {
    let mut scopes = scopes(make);
    assert_eq!((scopes.len(), scopes[0].spans.len()), (1, 1));
    scopes.remove(0).spans.remove(0)
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, any_value::Value::StringValue(value.into()))
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

fn remote() -> SpanContext {
    let trace = TraceId::from_bytes(*b"0123456789abcdef").unwrap();
    SpanContext::new(trace, SpanId::from_bytes(*b"remotely").unwrap(), true)
}

#[test]
fn a_process_says_who_it_is_once() {
    let read = read(|_, tracer| tracer.span("x").end());
    let attributes = &read.resource_spans[0].resource.as_ref().unwrap().attributes;
    for expected in [
        text("service.name", "search"),
        text("service.version", "1.4.0"),
        text("telemetry.sdk.name", "mcp-vitals"),
        text("deploy", "eu \"1\"\n"),
        pair("process.pid", any_value::Value::IntValue(std::process::id().into())),
    ] {
        assert!(attributes.contains(&expected), "{expected:?} in {attributes:?}");
    }
}

#[test]
fn every_field_of_a_span_arrives() {
    use any_value::Value::{BoolValue, BytesValue, DoubleValue, IntValue};
    let read = span(|_, tracer| {
        let mut span = tracer.child("database_query", remote());
        span.set_kind(SpanKind::Client);
        span.set_attribute("text", "with \"quotes\" and\ttabs, æ€😀");
        span.set_attribute("yes", true);
        span.set_attribute("minus", -3);
        span.set_attribute("least", i64::MIN);
        span.set_attribute("most", u64::MAX);
        span.set_attribute("half", 0.5);
        span.set_attribute("nothing", None::<u64>);
        span.set_attribute("key", Secret::new("hidden"));
        span.set_attribute("raw", &[0_u8, 255, 7][..]);
        span.add_event("cache miss").attribute("rows", 3).attribute("hot", false);
        span.add_event("empty");
        span.add_link(remote()).attribute("why", "retry");
        span.set_status(SpanStatus::Error, "no such table");
    });
    assert_eq!(read.trace_id, b"0123456789abcdef");
    assert_eq!((read.span_id.len(), &read.parent_span_id[..]), (8, &b"remotely"[..]));
    assert_eq!(read.name, "database_query");
    assert_eq!(read.kind, SpanKind::Client as i32);
    assert_eq!(read.flags & 0x3ff, 0x301, "sampled, and a parent that is known to be remote");
    let expected = [
        text("text", "with \"quotes\" and\ttabs, æ€😀"),
        pair("yes", BoolValue(true)),
        pair("minus", IntValue(-3)),
        pair("least", IntValue(i64::MIN)),
        text("most", "18446744073709551615"),
        pair("half", DoubleValue(0.5)),
        text("key", "[redacted]"),
        pair("raw", BytesValue(vec![0, 255, 7])),
    ];
    assert_eq!(read.attributes, expected);
    assert_eq!(read.events.len(), 2);
    let event = &read.events[0];
    assert_eq!(event.name, "cache miss");
    assert_eq!(event.attributes, [pair("rows", IntValue(3)), pair("hot", BoolValue(false))]);
    assert!((read.start_time_unix_nano..=read.end_time_unix_nano).contains(&event.time_unix_nano));
    assert!(read.events[1].attributes.is_empty());
    let link = &read.links[0];
    assert_eq!(
        (&link.trace_id[..], &link.span_id[..]),
        (&b"0123456789abcdef"[..], &b"remotely"[..])
    );
    assert_eq!(link.flags, 0x301);
    assert_eq!(link.attributes, [text("why", "retry")]);
    let status = read.status.unwrap();
    assert_eq!((status.code, &*status.message), (2, "no such table"));
    let dropped =
        [read.dropped_attributes_count, read.dropped_events_count, read.dropped_links_count];
    assert_eq!(dropped, [0; 3]);
}

#[test]
fn a_first_span_has_no_parent_and_its_children_have_one_of_this_process() {
    let scopes = scopes(|vitals, tracer| {
        let parent = tracer.span("parent");
        {
            let _current = parent.enter();
            tracer.span("child").end();
            vitals.tracer("").span("nameless").end();
        }
        drop(parent);
    });
    let names: Vec<_> = scopes.iter().map(|s| s.scope.clone().unwrap_or_default().name).collect();
    assert_eq!(names, ["db", ""], "spans of a scope stand together");
    let [child, parent] = &scopes[0].spans[..] else { panic!("{scopes:?}") };
    assert_eq!((parent.parent_span_id.len(), parent.flags & 0x3fd), (0, 0x101));
    assert_eq!((&child.parent_span_id, child.flags & 0x3fd), (&parent.span_id, 0x101));
    assert_eq!(scopes[1].spans[0].parent_span_id, parent.span_id);
    assert_eq!(parent.status, None);
}

#[test]
fn an_error_is_an_exception_as_opentelemetry_has_it() {
    let read = span(|_, tracer| {
        let mut span = tracer.span("x");
        let cause = std::io::Error::other("disk");
        span.record_error(&crate::Error::Spawn(cause));
    });
    let event = &read.events[0];
    assert_eq!(event.name, "exception");
    let keys: Vec<&str> = event.attributes.iter().map(|pair| &*pair.key).collect();
    assert_eq!(keys, ["exception.type", "exception.message", "exception.stacktrace"]);
    assert_eq!(
        event.attributes[1],
        text("exception.message", "cannot start a background thread: disk")
    );
    assert_eq!(read.status.unwrap().code, 2);
}

#[test]
fn of_a_name_the_last_attribute_is_sent_and_what_was_left_out_is_counted() {
    let read = span(|_, tracer| {
        let mut span = tracer.span("x");
        for at in 0..130 {
            span.set_attribute(&format!("key{}", at / 2), at);
        }
    });
    assert_eq!(read.attributes.len(), 64);
    assert_eq!(read.attributes[1], pair("key1", any_value::Value::IntValue(3)));
    assert_eq!(read.dropped_attributes_count, 2);
}

/// JSON has no numbers that are not finite, and not every reader of OTLP knows the names that protobuf
/// gives them there.
#[test]
fn a_number_that_is_not_finite_is_a_text_in_json() {
    let [protobuf, json] = encoded(|_, tracer| {
        let mut span = tracer.span("x");
        span.set_attribute("endless", f64::NEG_INFINITY);
        span.set_attribute("none", f64::NAN);
    });
    let read = ExportTraceServiceRequest::decode(&protobuf[..]).unwrap();
    let attributes = &read.resource_spans[0].scope_spans[0].spans[0].attributes;
    assert_eq!(attributes[0], pair("endless", any_value::Value::DoubleValue(f64::NEG_INFINITY)));
    let read: TracesData = serde_json::from_slice(&json).unwrap();
    let attributes = &read.resource_spans[0].scope_spans[0].spans[0].attributes;
    assert_eq!(attributes[..], [text("endless", "-Infinity"), text("none", "NaN")]);
}

#[test]
fn requests_are_as_large_as_they_may_be_and_the_next_begins_anew() {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    for scope in 0..100 {
        for _ in 0..3 {
            vitals.tracer(&format!("scope{scope}")).span("x").end();
        }
    }
    vitals.with_captured_spans(|spans| {
        let mut request = Request::new(Form::Protobuf, &resource());
        let mut rest = spans.iter().cloned();
        assert_eq!(request.fill(&mut rest, 299, usize::MAX), 299);
        assert_eq!(request.fill(&mut rest, 299, usize::MAX), 1);
        let read = ExportTraceServiceRequest::decode(request.bytes()).unwrap();
        assert_eq!(read.resource_spans[0].scope_spans.len(), 1);
        assert_eq!(request.fill(&mut rest, 299, usize::MAX), 0);
        assert_eq!(request.fill(&mut spans.iter().cloned(), 10, 1), 1, "one at least");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a caller gives, of whatever length: both forms are read, and say the same.
    #[test]
    fn whatever_is_said_arrives(
        name in any::<String>(),
        keys in prop::collection::vec(any::<String>(), 0..6),
        values in prop::collection::vec(prop::collection::vec(any::<char>(), 0..400), 6),
        raw in prop::collection::vec(any::<u8>(), 0..20_000),
        number in any::<i32>(),
    ) {
        let values: Vec<String> = values.into_iter().map(|text| text.into_iter().collect()).collect();
        let read = span(|_, tracer| {
            let mut span = tracer.span(&name);
            for (key, value) in keys.iter().zip(&values) {
                span.set_attribute(key, value.as_str());
            }
            // Of few digits: the reader of JSON is not exact beyond.
            let number = f64::from(number) / 8.0;
            span.add_event(&values[0]).attribute("raw", &raw[..]).attribute("number", number);
        });
        if name.len() <= 256 {
            prop_assert_eq!(&read.name, &name);
        }
        let whole = keys.iter().zip(&values).enumerate().filter(|(at, (key, value))| {
            key.len() <= 255 && value.len() <= 1_024 && !keys[at + 1..].contains(key)
        });
        for (_, (key, value)) in whole {
            prop_assert!(read.attributes.contains(&text(key, value)), "{} in {:?}", key, read);
        }
    }
}

/// A measure, and no test: `cargo test --release --lib otlp_cost -- --ignored --nocapture`.
struct Measure;

impl ExportSpans for Measure {
    fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError> {
        let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
        for form in [Form::Protobuf, Form::Json] {
            let mut request = Request::new(form, &resource());
            let mut best = Duration::MAX;
            let mut spans = 0;
            for _ in 0..rounds {
                let began = std::time::Instant::now();
                spans = request.fill(&mut batch.spans(), usize::MAX, usize::MAX);
                best = best.min(began.elapsed() / spans as u32);
            }
            let size = request.bytes().len() / spans;
            crate::error::say(format_args!("{form:?}: {best:?}, {size} bytes, of {spans} spans"));
        }
        Ok(())
    }
}

#[test]
#[ignore = "a measure"]
fn otlp_cost() {
    let traces = TraceConfig::to_memory().export(Measure);
    let vitals = Vitals::builder().system_metrics(false).traces(traces).build().unwrap();
    let tracer = vitals.tracer("db");
    let parent = tracer.span("parent");
    for _ in 0..512 {
        let mut span = tracer.child("database_query", parent.as_parent());
        span.set_attribute("db.system.name", "sqlite");
        span.set_attribute("rows", 3);
        span.add_event("cache miss");
    }
    vitals.flush(Duration::from_secs(600));
}
