//! Spans as Zipkin's, Jaeger's and Chrome's JSON: byte for byte, and read back by a parser not ours.

use std::collections::{BTreeMap, BTreeSet};

use mcp_vitals::logs::{Field, Text, Value};
use mcp_vitals::traces::{
    Service, SpanForm, SpanId, SpanKind, SpanRecord, SpanStatus, TraceConfig, TraceId, Tracer,
};
use mcp_vitals::{SpanContext, Vitals};
use proptest::prelude::*;
use serde_json::Value as Json;

const SERVICE: Service<'static> = Service {
    name: "search",
    version: "1.4.0",
    attributes: &[("host.name", "a\"b"), ("service.name", "not this"), ("a", "theirs")],
};

fn written(form: SpanForm, service: &Service<'_>, spans: &[SpanRecord<'_>]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    form.write(service, spans.iter().cloned(), &mut out);
    out.split_off(6)
}

/// Makes spans on a thread of this name and shows them.
fn with_spans<T>(
    make: impl FnOnce(&Tracer) + Send,
    see: impl FnOnce(&mut [SpanRecord<'_>]) -> T,
) -> T {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    let tracer = vitals.tracer("scope");
    std::thread::scope(|threads| {
        let worker = std::thread::Builder::new().name("worker".to_owned());
        worker.spawn_scoped(threads, || make(&tracer)).unwrap();
    });
    vitals.with_captured_spans(|spans| see(&mut spans.to_vec()))
}

fn context(span: u8) -> SpanContext {
    let trace = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
    SpanContext::new(trace, SpanId::from_bytes([span; 8]).unwrap(), true)
}

const START: u64 = 1_700_000_000_000_000_123;

/// Two spans whose ids and times are known: one of one microsecond and a half within the other.
fn known<T>(see: impl FnOnce(&[SpanRecord<'_>]) -> T) -> T {
    let make = |tracer: &Tracer| {
        let mut inner = tracer.root("inner \"x\"");
        inner.set_kind(SpanKind::Client);
        inner.set_attribute("peer.service", "db");
        inner.set_attribute("n", 1);
        inner.set_attribute("n", i64::MIN);
        inner.set_attribute("ratio", 0.5);
        inner.set_attribute("error", false);
        inner.set_status(SpanStatus::Error, "broken\n");
        inner.add_link(context(9)).attribute("why", "because");
        drop(inner);
        tracer.root("outer").set_kind(SpanKind::Server);
    };
    with_spans(make, |spans| {
        let [inner, outer] = spans else { panic!("{spans:?}") };
        (inner.context, outer.context) = (context(2), context(1));
        inner.parent_span_id = outer.span_id();
        (outer.start_unix_nanos, outer.end_unix_nanos) = (START, START + 3_000_000);
        (inner.start_unix_nanos, inner.end_unix_nanos) = (START + 2_000, START + 3_500);
        inner.dropped_events = 4;
        see(spans)
    })
}

#[test]
fn zipkin_byte_for_byte() {
    let json = known(|spans| written(SpanForm::Zipkin, &SERVICE, spans));
    let expected = concat!(
        r#"[{"traceId":"0af7651916cd43dd8448eb211c80319c","parentId":"0101010101010101","#,
        r#""id":"0202020202020202","kind":"CLIENT","name":"inner \"x\"","#,
        r#""timestamp":1700000000000002,"duration":1,"localEndpoint":{"serviceName":"search"},"#,
        r#""remoteEndpoint":{"serviceName":"db"},"tags":{"peer.service":"db","#,
        r#""n":"-9223372036854775808","ratio":"0.5","service.version":"1.4.0","#,
        r#""host.name":"a\"b","a":"theirs","otel.status_code":"ERROR","otel.scope.name":"scope","#,
        r#""error":"broken\n","otel.dropped_events_count":"4"}},"#,
        r#"{"traceId":"0af7651916cd43dd8448eb211c80319c","id":"0101010101010101","kind":"SERVER","#,
        r#""name":"outer","timestamp":1700000000000000,"duration":3000,"#,
        r#""localEndpoint":{"serviceName":"search"},"tags":{"service.version":"1.4.0","#,
        r#""host.name":"a\"b","a":"theirs","otel.scope.name":"scope"}}]"#,
    );
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

#[test]
fn jaeger_byte_for_byte() {
    let service = Service { name: "", ..Service::default() };
    let json = known(|spans| written(SpanForm::Jaeger, &service, spans));
    let expected = concat!(
        r#"{"data":[{"traceID":"0af7651916cd43dd8448eb211c80319c","spans":["#,
        r#"{"traceID":"0af7651916cd43dd8448eb211c80319c","spanID":"0202020202020202","flags":1,"#,
        r#""operationName":"inner \"x\"","references":[{"refType":"CHILD_OF","#,
        r#""traceID":"0af7651916cd43dd8448eb211c80319c","spanID":"0101010101010101"},"#,
        r#"{"refType":"FOLLOWS_FROM","traceID":"0af7651916cd43dd8448eb211c80319c","#,
        r#""spanID":"0909090909090909"}],"startTime":1700000000000002,"duration":1,"tags":["#,
        r#"{"key":"peer.service","type":"string","value":"db"},"#,
        r#"{"key":"n","type":"int64","value":"-9223372036854775808"},"#,
        r#"{"key":"ratio","type":"float64","value":0.5},"#,
        r#"{"key":"span.kind","type":"string","value":"client"},"#,
        r#"{"key":"otel.status_code","type":"string","value":"ERROR"},"#,
        r#"{"key":"error","type":"bool","value":true},"#,
        r#"{"key":"otel.status_description","type":"string","value":"broken\n"},"#,
        r#"{"key":"otel.scope.name","type":"string","value":"scope"},"#,
        r#"{"key":"thread.name","type":"string","value":"worker"},"#,
        r#"{"key":"otel.dropped_events_count","type":"int64","value":4}],"logs":[],"#,
        r#""processID":"p1","warnings":null},"#,
        r#"{"traceID":"0af7651916cd43dd8448eb211c80319c","spanID":"0101010101010101","flags":1,"#,
        r#""operationName":"outer","references":[],"startTime":1700000000000000,"duration":3000,"#,
        r#""tags":[{"key":"span.kind","type":"string","value":"server"},"#,
        r#"{"key":"otel.scope.name","type":"string","value":"scope"},"#,
        r#"{"key":"thread.name","type":"string","value":"worker"}],"logs":[],"#,
        r#""processID":"p1","warnings":null}],"#,
        r#""processes":{"p1":{"serviceName":"unknown_service","tags":[]}},"warnings":null}],"#,
        r#""total":0,"limit":0,"offset":0,"errors":null}"#,
    );
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

#[test]
fn perfetto_byte_for_byte() {
    let json = known(|spans| written(SpanForm::Perfetto, &Service::default(), spans));
    let expected = concat!(
        r#"{"displayTimeUnit":"ns","otherData":{"start_unix_nanos":"1700000000000000123"},"#,
        r#""traceEvents":[{"ph":"M","pid":1,"tid":0,"name":"process_name","#,
        r#""args":{"name":"unknown_service"}},"#,
        r#"{"ph":"M","pid":1,"tid":1,"name":"thread_name","args":{"name":"worker"}},"#,
        r#"{"ph":"M","pid":1,"tid":1,"name":"thread_sort_index","args":{"sort_index":0}},"#,
        r#"{"ph":"X","pid":1,"tid":1,"ts":0,"dur":3000,"cat":"span","name":"outer","#,
        r#""args":{"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"0101010101010101","#,
        r#""kind":"server","scope":"scope"}},"#,
        r#"{"ph":"X","pid":1,"tid":1,"ts":2,"dur":1.5,"cat":"span","name":"inner \"x\"","#,
        r#""args":{"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"0202020202020202","#,
        r#""parent_span_id":"0101010101010101","kind":"client","status":"error","#,
        r#""status_message":"broken\n","scope":"scope","otel.dropped_events_count":4,"#,
        r#""attributes":{"peer.service":"db","n":-9223372036854775808,"ratio":0.5,"#,
        r#""error":false}}}]}"#,
    );
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

#[test]
fn no_spans_are_a_document_too() {
    for (form, expected) in [
        (SpanForm::Zipkin, "[]"),
        (SpanForm::Jaeger, r#"{"data":[],"total":0,"limit":0,"offset":0,"errors":null}"#),
    ] {
        assert_eq!(String::from_utf8(written(form, &SERVICE, &[])).unwrap(), expected);
    }
    let json = written(SpanForm::Perfetto, &SERVICE, &[]);
    let json: Json = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["traceEvents"][0]["args"]["name"], "search");
}

/// What an attribute may be set to.
#[derive(Clone, Debug)]
enum Any {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    Nothing,
    Kept,
}

fn any_value() -> impl Strategy<Value = Any> {
    prop_oneof![
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::I64),
        any::<u64>().prop_map(Any::U64),
        any::<f64>().prop_map(Any::F64),
        any_text().prop_map(Any::Text),
        Just(Any::Nothing),
        Just(Any::Kept),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        any::<String>(),
        prop::sample::select(vec![
            "a",
            "error",
            "span.kind",
            "\u{202e}\"\\\n\0",
            "event",
            "peer.service",
            "network.peer.address",
            "otel.status_code",
            "",
            "127.0.0.1",
        ])
        .prop_map(str::to_owned),
    ]
}

type Pairs = Vec<(String, Any)>;

#[derive(Clone, Debug)]
struct Planned {
    name: String,
    kind: u8,
    status: u8,
    attributes: Pairs,
    events: Vec<(String, Pairs)>,
    fails: bool,
    links: Vec<u8>,
    /// Index of an earlier one.
    parent: Option<u8>,
    start: u64,
    length: u64,
}

fn pairs(most: usize) -> impl Strategy<Value = Pairs> {
    prop::collection::vec((any_text(), any_value()), 0..most)
}

fn planned() -> impl Strategy<Value = Vec<Planned>> {
    let span = (
        (any_text(), 0u8..5, 0u8..3, prop_oneof![4 => pairs(6), 1 => pairs(60)]),
        (prop::collection::vec((any_text(), pairs(4)), 0..4), any::<bool>()),
        prop::collection::vec(0u8..8, 0..3),
        (any::<Option<u8>>(), 0u64..5_000, prop_oneof![Just(0), 0u64..5_000]),
    );
    let span = span.prop_map(|(what, (events, fails), links, (parent, start, length))| {
        let (name, kind, status, attributes) = what;
        Planned { name, kind, status, attributes, events, fails, links, parent, start, length }
    });
    prop::collection::vec(span, 0..8)
}

const KINDS: [SpanKind; 5] = [
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

fn make(tracer: &Tracer, plan: &[Planned]) {
    for planned in plan {
        let mut span = tracer.root(&planned.name);
        span.set_kind(KINDS[usize::from(planned.kind)]);
        for (key, value) in &planned.attributes {
            match value {
                Any::Bool(value) => span.set_attribute(key, *value),
                Any::I64(value) => span.set_attribute(key, *value),
                Any::U64(value) => span.set_attribute(key, *value),
                Any::F64(value) => span.set_attribute(key, *value),
                Any::Text(value) => span.set_attribute(key, value.as_str()),
                Any::Nothing => span.set_attribute(key, None::<i64>),
                Any::Kept => span.set_attribute(key, mcp_vitals::logs::Secret::new(1)),
            }
        }
        for (name, attributes) in &planned.events {
            let mut event = span.add_event(name);
            for (key, value) in attributes {
                event = match value {
                    Any::Bool(value) => event.attribute(key, *value),
                    Any::I64(value) => event.attribute(key, *value),
                    Any::U64(value) => event.attribute(key, *value),
                    Any::F64(value) => event.attribute(key, *value),
                    Any::Text(value) => event.attribute(key, value.as_str()),
                    Any::Nothing => event.attribute(key, None::<i64>),
                    Any::Kept => event.attribute(key, mcp_vitals::logs::Secret::new(1)),
                };
            }
        }
        if planned.fails {
            span.record_error(&std::io::Error::other(planned.name.clone()));
        }
        let status = [SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error];
        span.set_status(status[usize::from(planned.status)], &planned.name);
        for link in &planned.links {
            span.add_link(context(link + 1));
        }
    }
}

/// Ids and times of a plan: two traces, spans that overlap as they like.
fn place(spans: &mut [SpanRecord<'_>], plan: &[Planned]) {
    for (at, (span, planned)) in spans.iter_mut().zip(plan).enumerate() {
        let trace = TraceId::from_bytes([1 + at as u8 % 2; 16]).unwrap();
        let id = |at: u8| SpanId::from_bytes([at + 1; 8]);
        span.context = SpanContext::new(trace, id(at as u8).unwrap(), true);
        // Of the same trace, or of none that is there.
        span.parent_span_id = planned.parent.and_then(|parent| id(parent % 16));
        span.start_unix_nanos = START + planned.start;
        span.end_unix_nanos = span.start_unix_nanos + planned.length;
    }
}

fn with_plan<T>(plan: &[Planned], see: impl FnOnce(&[SpanRecord<'_>]) -> T) -> T {
    with_spans(
        |tracer| make(tracer, plan),
        |spans| {
            assert_eq!(spans.len(), plan.len());
            place(spans, plan);
            see(spans)
        },
    )
}

fn text(text: Text<'_>) -> String {
    match text.lost_bytes() {
        0 => text.to_str().into_owned(),
        lost => format!("{}…[+{lost} bytes]", text.to_str()),
    }
}

/// As JSON has it.
fn value(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::U64(value) => value.into(),
        Value::F64(value) if value.is_finite() => value.into(),
        Value::F64(value) if value.is_nan() => "NaN".into(),
        Value::F64(value) if value > 0.0 => "Infinity".into(),
        Value::F64(_) => "-Infinity".into(),
        Value::Str(value) => text(value).into(),
        Value::Redacted => "[redacted]".into(),
        other => panic!("{other:?} was not set"),
    }
}

/// As a text: numbers as they are in JSON.
fn word(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn object<'a>(fields: impl Iterator<Item = Field<'a>>) -> BTreeMap<String, Json> {
    let mut object = BTreeMap::new();
    for field in fields {
        if let Value::Error { type_name, message, traceback } = field.value {
            for (key, of) in [("type", type_name), ("message", message), ("stacktrace", traceback)]
            {
                if !of.as_bytes().is_empty() {
                    object.insert(format!("exception.{key}"), text(of).into());
                }
            }
        } else {
            object.insert(text(field.key), value(field.value));
        }
    }
    object
}

fn map(json: &Json) -> BTreeMap<String, Json> {
    let Json::Object(object) = json else { panic!("{json} is no object") };
    object.clone().into_iter().collect()
}

/// Floats that are written with so many digits may be read one step off by the parser.
fn alike(one: &Json, other: &Json) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other || (one - other).abs() <= one.abs() * 1e-15,
        _ => one == other,
    }
}

fn assert_alike(one: &BTreeMap<String, Json>, other: &BTreeMap<String, Json>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (key, value) in one {
        assert!(alike(value, &other[key]), "{key}: {value} {}", other[key]);
    }
}

/// Everything that is said twice in an object: our parser keeps the last one.
fn no_key_is_there_twice(json: &[u8]) {
    struct Once;
    impl<'de> serde::Deserialize<'de> for Once {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Once, D::Error> {
            from.deserialize_any(Once)
        }
    }
    impl<'de> serde::de::Visitor<'de> for Once {
        type Value = Once;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON without a key twice")
        }
        fn visit_unit<E>(self) -> Result<Once, E> {
            Ok(Once)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
            Ok(Once)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
            Ok(Once)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
            Ok(Once)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
            Ok(Once)
        }
        fn visit_str<E>(self, _: &str) -> Result<Once, E> {
            Ok(Once)
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Once, A::Error> {
            while list.next_element::<Once>()?.is_some() {}
            Ok(Once)
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
            let mut keys = BTreeSet::new();
            while let Some((key, Once)) = map.next_entry::<String, Once>()? {
                if !keys.insert(key.clone()) {
                    return Err(serde::de::Error::custom(format!("{key:?} twice")));
                }
            }
            Ok(Once)
        }
    }
    serde_json::from_slice::<Once>(json).unwrap();
}

const OURS: [&str; 4] = ["error", "otel.status_code", "otel.scope.name", "w3c.tracestate"];

fn check_zipkin(spans: &[SpanRecord<'_>]) {
    let json = written(SpanForm::Zipkin, &SERVICE, spans);
    no_key_is_there_twice(&json);
    let json: Vec<Json> = serde_json::from_slice(&json).unwrap();
    assert_eq!(json.len(), spans.len());
    for (json, span) in json.iter().zip(spans) {
        assert_eq!(json["traceId"], span.trace_id().unwrap().to_string());
        assert_eq!(json["id"], span.span_id().unwrap().to_string());
        let parent = span.parent_span_id.map(|id| Json::from(id.to_string()));
        assert_eq!(json.get("parentId"), parent.as_ref());
        assert_eq!(json["timestamp"], span.start_unix_nanos / 1_000);
        let name = text(span.name);
        assert_eq!(json.get("name").map_or("", |name| name.as_str().unwrap()), name);
        let mut tags = BTreeMap::new();
        for (key, value) in SERVICE.attributes.iter().chain(&[("service.version", "1.4.0")]) {
            tags.insert((*key).to_owned(), Json::from(*value));
        }
        tags.remove("service.name");
        for (key, value) in object(span.attributes()) {
            if !OURS.contains(&&*key) {
                tags.insert(key, word(&value).into());
            }
        }
        tags.insert("otel.scope.name".to_owned(), "scope".into());
        match span.status {
            SpanStatus::Unset => {}
            SpanStatus::Ok => {
                tags.insert("otel.status_code".to_owned(), "OK".into());
            }
            SpanStatus::Error => {
                tags.insert("otel.status_code".to_owned(), "ERROR".into());
                tags.insert("error".to_owned(), text(span.status_message).into());
            }
        }
        for (key, value) in map(&json["tags"]) {
            let expected = tags.remove(&key).unwrap_or_else(|| panic!("{key}"));
            let (is, expected) = (value.as_str().unwrap(), expected.as_str().unwrap().to_owned());
            // Two writers of floats.
            let float = || is.parse::<f64>().is_ok_and(|f| expected.parse() == Ok(f));
            assert!(is == expected || float(), "{key}: {is} {expected}");
        }
        assert!(tags.is_empty(), "{tags:?}");
        let annotations = json.get("annotations").map_or(&[][..], |a| a.as_array().unwrap());
        let mut expected = BTreeMap::new();
        for event in span.events() {
            let attributes = object(event.attributes());
            let key = (event.unix_nanos / 1_000, text(event.name));
            expected.entry(key).or_insert_with(Vec::new).push(attributes);
        }
        for annotation in annotations {
            let at = annotation["timestamp"].as_u64().unwrap();
            let value = annotation["value"].as_str().unwrap();
            let found = expected.iter().any(|((when, name), events)| {
                events.iter().any(|attributes| {
                    let is = match attributes.is_empty() {
                        true => value == name,
                        false => serde_json::from_str::<Json>(&format!("{{{value}}}")).is_ok_and(
                            |json| {
                                let Some(got) = json.get(name).map(map) else { return false };
                                got.len() == attributes.len()
                                    && got.iter().all(|(k, v)| {
                                        attributes.get(k).is_some_and(|is| alike(v, is))
                                    })
                            },
                        ),
                    };
                    is && *when == at
                })
            });
            assert!(found, "{annotation} of {expected:?}");
        }
        // No two alike, as the schema demands; no fewer than there are names and times.
        let unique: BTreeSet<_> = annotations.iter().map(Json::to_string).collect();
        assert_eq!(unique.len(), annotations.len());
        assert!(annotations.len() >= expected.len());
    }
}

fn typed(list: &Json) -> BTreeMap<String, Json> {
    let list = list.as_array().unwrap();
    let typed = list.iter().map(|tag| {
        let (sort, value) = (tag["type"].as_str().unwrap(), &tag["value"]);
        let big = value.as_str().and_then(|text| text.parse::<i64>().ok());
        let right = match sort {
            "bool" => value.is_boolean(),
            "int64" => value.as_i64().or(big).is_some(),
            "float64" => value.is_f64(),
            "string" => value.is_string(),
            _ => false,
        };
        assert!(right, "{tag}");
        (tag["key"].as_str().unwrap().to_owned(), word(value).into())
    });
    let map: BTreeMap<String, Json> = typed.collect();
    assert_eq!(map.len(), list.len(), "a key twice: {list:?}");
    map
}

fn check_jaeger(spans: &[SpanRecord<'_>]) {
    let json: Json = serde_json::from_slice(&written(SpanForm::Jaeger, &SERVICE, spans)).unwrap();
    let mut left: BTreeMap<String, &SpanRecord<'_>> =
        spans.iter().map(|span| (span.span_id().unwrap().to_string(), span)).collect();
    for trace in json["data"].as_array().unwrap() {
        assert_eq!(trace["processes"]["p1"]["serviceName"], "search");
        for json in trace["spans"].as_array().unwrap() {
            let span = left.remove(json["spanID"].as_str().unwrap()).unwrap();
            assert_eq!(json["traceID"], span.trace_id().unwrap().to_string());
            assert_eq!(json["traceID"], trace["traceID"]);
            assert_eq!(json["operationName"], text(span.name));
            assert_eq!(json["startTime"], span.start_unix_nanos / 1_000);
            let end = json["startTime"].as_u64().unwrap() + json["duration"].as_u64().unwrap();
            assert_eq!(end, span.end_unix_nanos / 1_000);
            let references = json["references"].as_array().unwrap();
            let of = |sort| references.iter().filter(move |one| one["refType"] == sort);
            assert_eq!(of("CHILD_OF").count(), usize::from(span.parent_span_id.is_some()));
            assert_eq!(of("FOLLOWS_FROM").count(), span.links().count());
            let tags = typed(&json["tags"]);
            assert_eq!(tags.contains_key("error"), span.status == SpanStatus::Error);
            for (key, value) in object(span.attributes()) {
                if !OURS.contains(&&*key) && key != "span.kind" {
                    let is = tags[&key].as_str().unwrap();
                    let float = || is.parse::<f64>().is_ok_and(|is| alike(&is.into(), &value));
                    assert!(is == word(&value) || float(), "{key}: {is} {value}");
                }
            }
            let logs = json["logs"].as_array().unwrap();
            assert_eq!(logs.len(), span.events().count());
            for (log, event) in logs.iter().zip(span.events()) {
                let fields = typed(&log["fields"]);
                assert_eq!(fields["event"], text(event.name));
                assert_eq!(log["timestamp"], event.unix_nanos / 1_000);
                let mut keys: BTreeSet<String> = object(event.attributes()).into_keys().collect();
                keys.insert("event".to_owned());
                assert_eq!(fields.into_keys().collect::<BTreeSet<_>>(), keys);
            }
        }
    }
    assert!(left.is_empty());
}

/// Nanoseconds, from microseconds with decimals.
fn nanos(json: &Json) -> u64 {
    (json.as_f64().unwrap() * 1_000.0).round() as u64
}

fn check_perfetto(spans: &[SpanRecord<'_>]) {
    let json = written(SpanForm::Perfetto, &SERVICE, spans);
    no_key_is_there_twice(&json);
    let json: Json = serde_json::from_slice(&json).unwrap();
    let zero = json["otherData"]["start_unix_nanos"].as_str().unwrap().parse::<u64>().unwrap();
    let events = json["traceEvents"].as_array().unwrap();
    let of = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    let mut left: BTreeMap<String, &SpanRecord<'_>> =
        spans.iter().map(|span| (span.span_id().unwrap().to_string(), span)).collect();
    let mut tracks: BTreeMap<u64, Vec<(u64, u64, &SpanRecord<'_>)>> = BTreeMap::new();
    for event in of("X") {
        let span = left.remove(event["args"]["span_id"].as_str().unwrap()).unwrap();
        let (start, length) = (nanos(&event["ts"]), nanos(&event["dur"]));
        assert_eq!(zero + start, span.start_unix_nanos);
        assert_eq!(length, span.duration_nanos());
        assert_eq!(event["name"], text(span.name));
        let mut attributes = object(span.attributes());
        for value in attributes.values_mut().filter(|value| value.as_u64() > Some(i64::MAX as u64))
        {
            *value = value.to_string().into();
        }
        match event["args"].get("attributes") {
            Some(json) => assert_alike(&map(json), &attributes),
            None => assert!(attributes.is_empty()),
        }
        tracks.entry(event["tid"].as_u64().unwrap()).or_default().push((
            start,
            start + length,
            span,
        ));
    }
    assert!(left.is_empty(), "fewer than the lanes' limit");
    for track in tracks.values() {
        for (at, (start, end, span)) in track.iter().enumerate() {
            for (from, to, outer) in &track[..at] {
                let apart = start >= to;
                let within = from <= start && end <= to && {
                    // A part of it, or of a part of it.
                    let mut up = Some(*span);
                    for _ in spans {
                        up = up.and_then(|one| {
                            spans.iter().find(|other| {
                                other.span_id() == one.parent_span_id
                                    && other.trace_id() == one.trace_id()
                            })
                        });
                        if up.is_some_and(|up| up.span_id() == outer.span_id()) {
                            break;
                        }
                    }
                    up.is_some_and(|up| up.span_id() == outer.span_id())
                };
                assert!(apart || within, "{outer:?} {span:?}");
            }
        }
    }
    assert_eq!(of("s").count(), of("f").count());
    for (from, to) in of("s").zip(of("f")) {
        assert_eq!(from["id"], to["id"]);
        for step in [from, to] {
            let at = nanos(&step["ts"]);
            let tied = tracks[&step["tid"].as_u64().unwrap()]
                .iter()
                .any(|(start, end, _)| *start <= at && (at < *end || start == end && at == *end));
            assert!(tied, "{step}");
        }
    }
    assert_eq!(of("i").count(), spans.iter().map(|span| span.events().count()).sum::<usize>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_read_back_is_what_was_recorded(plan in planned()) {
        with_plan(&plan, |spans| {
            check_zipkin(spans);
            check_jaeger(spans);
            check_perfetto(spans);
        });
    }
}

#[test]
fn lanes_end_and_what_overlaps_more_is_asynchronous() {
    let make = |tracer: &Tracer| (0..40).for_each(|_| drop(tracer.root("task")));
    let json = with_spans(make, |spans| {
        for (at, span) in spans.iter_mut().enumerate() {
            span.start_unix_nanos = START + at as u64;
            span.end_unix_nanos = START + 1_000 + at as u64;
        }
        written(SpanForm::Perfetto, &SERVICE, spans)
    });
    let json: Json = serde_json::from_slice(&json).unwrap();
    let count = |phase| {
        let events = json["traceEvents"].as_array().unwrap();
        events.iter().filter(|event| event["ph"] == phase).count()
    };
    assert_eq!((count("X"), count("b"), count("e")), (32, 8, 8));
}
