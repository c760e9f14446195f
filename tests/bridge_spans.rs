//! Spans of `tracing` as the engine's own: what they say, whose children they are, what lines within
//! them carry.

use std::error::Error;
use std::fmt;

use mcp_vitals::logs::{LogConfig, LogFilter, Value};
use mcp_vitals::traces::{InSpan, Sampler, SpanKind, SpanRecord, SpanStatus, TraceConfig};
use mcp_vitals::{Level, SpanContext, TracingOptions, Vitals};
use tracing::field::Empty;
use tracing::{Instrument, debug_span, error, error_span, info, info_span, instrument, warn};
use tracing_subscriber::layer::SubscriberExt;

fn engine(traces: TraceConfig) -> Vitals {
    let builder = Vitals::builder().system_metrics(false).traces(traces);
    builder.logs(LogConfig::to_memory()).build().unwrap()
}

fn under(vitals: &Vitals, options: TracingOptions, work: impl FnOnce()) {
    let layer = vitals.tracing_layer_with(options);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, work);
}

/// The engine on which `work` was done.
fn traced(options: TracingOptions, work: impl FnOnce(&Vitals)) -> Vitals {
    let vitals = engine(TraceConfig::to_memory());
    under(&vitals, options, || work(&vitals));
    vitals
}

fn named<'a, 'b>(spans: &'a [SpanRecord<'b>], name: &str) -> &'a SpanRecord<'b> {
    let found = spans.iter().find(|span| span.name.to_str() == name);
    found.unwrap_or_else(|| panic!("no span {name} in {spans:?}"))
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Str(text) => text.to_str().into_owned(),
        other => format!("{other:?}"),
    }
}

fn attributes(span: &SpanRecord<'_>) -> Vec<(String, String)> {
    let pair = |field: mcp_vitals::logs::Field<'_>| (field.key.to_string(), text(&field.value));
    span.attributes().map(pair).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}

/// The ids of a line of JSON, as it stands there.
fn ids(lines: &[String], message: &str) -> Option<(String, String)> {
    let message = format!("\"message\":\"{message}\"");
    let line = lines.iter().find(|line| line.contains(&message)).expect(&message);
    let of = |key: &str| {
        let from = line.find(&format!("\"{key}\":\""))? + key.len() + 4;
        Some(line[from..].split('"').next()?.to_owned())
    };
    of("trace_id").zip(of("span_id"))
}

fn ids_of(context: SpanContext) -> Option<(String, String)> {
    Some((context.trace_id()?.to_string(), context.span_id()?.to_string()))
}

#[derive(Debug)]
struct Shape;

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shape")
    }
}

#[derive(Debug)]
struct Wrong(std::num::ParseIntError);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong")
    }
}

impl Error for Wrong {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn wrong() -> Wrong {
    Wrong("x".parse::<u8>().unwrap_err())
}

#[test]
fn a_span_has_its_fields_as_attributes_of_their_types() {
    let vitals = traced(TracingOptions::new(), |_| {
        let span = info_span!(
            target: "my::target", "work", a = -1i8, b = u64::MAX, c = 1.5f32, d = true, e = "text",
            f = %Shape, g = ?Shape, h = u128::MAX, r#type = "raw", late = Empty, never = Empty
        );
        span.record("late", 7);
        span.record("e", "more");
    });
    vitals.with_captured_spans(|spans| {
        let span = named(spans, "work");
        assert_eq!(span.scope.to_str(), "my::target");
        assert_eq!((span.kind, span.status), (SpanKind::Internal, SpanStatus::Unset));
        assert!(span.parent_span_id.is_none() && span.trace_id().is_some());
        let huge = u128::MAX.to_string();
        let expected = pairs([
            ("a", "I64(-1)"),
            ("b", "U64(18446744073709551615)"),
            ("c", "F64(1.5)"),
            ("d", "Bool(true)"),
            ("e", "text"),
            ("f", "a shape"),
            ("g", "Shape"),
            ("h", &huge),
            ("type", "raw"),
            ("late", "I64(7)"),
            ("e", "more"),
        ]);
        assert_eq!(attributes(span), expected);
    });
}

#[test]
fn fields_that_opentelemetry_has_a_meaning_for_have_it() {
    let vitals = traced(TracingOptions::new(), |_| {
        let span = info_span!(
            "plain",
            otel.name = "GET /x",
            otel.kind = "Server",
            otel.status_code = Empty,
            otel.other = 1
        );
        span.record("otel.status_code", "OK");
        info_span!("b", otel.name = %"shown", otel.kind = ?SpanKind::Client, otel.status_code = "nonsense");
        info_span!("c", otel.status_description = "no reason", otel.kind = "no kind");
        info_span!("d", otel.status_code = "ERROR", otel.status_message = %Shape);
        let e = info_span!("e", error = Empty);
        e.record("error", &wrong() as &(dyn Error + 'static));
    });
    vitals.with_captured_spans(|spans| {
        let plain = named(spans, "GET /x");
        assert_eq!((plain.kind, plain.status), (SpanKind::Server, SpanStatus::Ok));
        assert_eq!(attributes(plain), pairs([("otel.other", "I64(1)")]));
        let shown = named(spans, "shown");
        assert_eq!((shown.kind, shown.status), (SpanKind::Client, SpanStatus::Unset));
        for (name, why) in [("c", "no reason"), ("d", "a shape")] {
            let span = named(spans, name);
            assert_eq!((span.status, &*span.status_message.to_str()), (SpanStatus::Error, why));
            assert_eq!((span.kind, span.attributes().count()), (SpanKind::Internal, 0));
        }
        // As there: an error that is a field says what went wrong, and not that the span did.
        let failed = named(spans, "e");
        assert_eq!((failed.status, failed.events().count()), (SpanStatus::Unset, 0));
        let expected = pairs([
            ("exception.message", "wrong"),
            ("exception.stacktrace", "caused by: invalid digit found in string"),
            ("error", "wrong"),
        ]);
        assert_eq!(attributes(failed), expected);
    });
}

#[test]
fn where_a_span_stands_is_said_when_asked() {
    let line = std::cell::Cell::new(0);
    let options = TracingOptions::new().code_location(true).level(true);
    let vitals = traced(options, |_| {
        line.set(line!() + 1);
        drop(error_span!("here"));
    });
    vitals.with_captured_spans(|spans| {
        let line = format!("U64({})", line.get());
        let expected = pairs([
            ("level", "error"),
            ("code.file.path", "tests/bridge_spans.rs"),
            ("code.line.number", &line),
            ("code.module.name", "bridge_spans"),
        ]);
        assert_eq!(attributes(named(spans, "here")), expected);
    });
}

#[test]
fn a_parent_is_the_one_that_is_named_or_else_the_current_one_of_either_sort() {
    let vitals = traced(TracingOptions::new(), |vitals| {
        let tracer = vitals.tracer("own");
        let request = tracer.span("request");
        let elsewhere = {
            let _request = request.enter();
            let handler = info_span!("handler").entered();
            // Not taken: as if it were not there.
            let _debug = debug_span!("unseen").entered();
            info_span!("inner").in_scope(|| {
                assert!(SpanContext::current().is_some());
                let own = tracer.span("own");
                let _own = own.enter();
                drop(info_span!("deep"));
            });
            drop(info_span!(parent: None, "root"));
            let elsewhere = info_span!(parent: &handler, "elsewhere");
            drop(info_span!(parent: elsewhere.id(), "by id"));
            elsewhere
        };
        assert!(SpanContext::current().is_none());
        drop(info_span!("outside"));
        let _elsewhere = elsewhere.entered();
        // Of a parent that nobody takes `tracing` knows nothing: a root.
        let unseen = debug_span!("unseen too");
        drop(info_span!(parent: &unseen, "orphan"));
    });
    vitals.with_captured_spans(|spans| {
        let parents = [
            ("handler", "request"),
            ("inner", "handler"),
            ("own", "inner"),
            ("deep", "own"),
            ("elsewhere", "handler"),
            ("by id", "elsewhere"),
        ];
        for (child, parent) in parents {
            let (child, parent) = (named(spans, child), named(spans, parent));
            assert_eq!(child.parent_span_id, parent.span_id(), "{child:?}");
            assert_eq!(child.trace_id(), parent.trace_id());
        }
        for name in ["request", "root", "outside", "orphan"] {
            assert_eq!(named(spans, name).parent_span_id, None, "{name}");
        }
        assert_eq!(spans.len(), parents.len() + 4);
    });
}

#[test]
fn follows_from_is_a_link() {
    let vitals = traced(TracingOptions::new(), |_| {
        let (cause, effect) = (info_span!("cause"), info_span!("effect"));
        effect.follows_from(&cause);
        effect.follows_from(debug_span!("unseen"));
        drop(cause);
        assert!(effect.id().is_some());
    });
    vitals.with_captured_spans(|spans| {
        let links: Vec<_> =
            named(spans, "effect").links().map(|link| link.context.span_id()).collect();
        assert_eq!(links, [named(spans, "cause").span_id()]);
    });
}

#[test]
fn lines_have_the_ids_of_the_innermost_span() {
    let mut expected = Vec::new();
    let vitals = traced(TracingOptions::new(), |vitals| {
        let logger = vitals.logger("own");
        let bridge = vitals.log_bridge();
        let record = |message: &str| {
            let arguments = format_args!("{message}");
            let record =
                log::Record::builder().level(log::Level::Info).args(arguments).target("x").build();
            log::Log::log(&bridge, &record);
        };
        let current = || SpanContext::current().and_then(ids_of);
        info!("before");
        expected.push(("before", None));
        let outer = info_span!("outer");
        let by_log = tracing_log::LogTracer::new();
        outer.in_scope(|| {
            info!("event");
            record("record");
            mcp_vitals::info!(logger, "line");
            let arguments = log::Record::builder()
                .level(log::Level::Info)
                .args(format_args!("by tracing-log"))
                .target("x")
                .build();
            log::Log::log(&by_log, &arguments);
            for name in ["event", "record", "line", "by tracing-log"] {
                expected.push((name, current()));
            }
            let inner = info_span!("inner").entered();
            info!("within");
            expected.push(("within", current()));
            info!(parent: &outer, "of the outer");
            info!(parent: None, "of none");
            expected.push(("of none", None));
            drop(inner);
            info!("outer again");
            expected.push(("of the outer", current()));
            expected.push(("outer again", current()));
        });
        info!("after");
        expected.push(("after", None));
    });
    let lines = vitals.captured_logs();
    for (message, expected) in expected {
        assert_eq!(ids(&lines, message), expected, "{message}");
    }
    let outer = ids(&lines, "event").unwrap();
    assert!(outer.0.len() == 32 && outer.1.len() == 16);
    assert_ne!(ids(&lines, "within").unwrap().1, outer.1);
    vitals.with_captured_spans(|spans| {
        assert_eq!(ids_of(named(spans, "outer").context), Some(outer));
    });
}

#[instrument(err)]
fn fails(n: u64) -> Result<(), Wrong> {
    info!("trying {n}");
    Err(wrong())
}

#[test]
fn an_error_within_a_span_is_its_status_and_an_event() {
    let vitals = traced(TracingOptions::new(), |_| {
        fails(3).unwrap_err();
        info_span!("said").in_scope(|| {
            warn!("not this");
            error!(n = 3, what = %Shape, "no room");
        });
        info_span!("typed").in_scope(|| {
            let wrong = wrong();
            error!(error = &wrong as &(dyn Error + 'static));
        });
        let ok = info_span!("ok", otel.status_code = "ok");
        error!(target: "elsewhere", parent: &ok, "late");
    });
    // All are lines as well.
    assert_eq!(vitals.captured_logs().len(), 6);
    vitals.with_captured_spans(|spans| {
        let events = |name: &str| -> Vec<(String, Vec<(String, String)>)> {
            let fields = |event: &mcp_vitals::traces::SpanEvent<'_>| {
                event
                    .attributes()
                    .map(|field| (field.key.to_string(), text(&field.value)))
                    .collect()
            };
            let all = named(spans, name).events();
            all.map(|event| (event.name.to_str().into_owned(), fields(&event))).collect()
        };
        let status = |name: &str| {
            let span = named(spans, name);
            (span.status, span.status_message.to_str().into_owned())
        };
        let place = [("level", "error"), ("target", "bridge_spans")];
        let with = |more: &[(&str, &str)]| {
            let all = place.iter().chain(more);
            all.map(|(key, value)| (key.to_string(), value.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(status("fails"), (SpanStatus::Error, "wrong".into()));
        let expected = ("exception".to_owned(), with(&[("exception.message", "wrong")]));
        assert_eq!(events("fails"), [expected]);
        assert_eq!(attributes(named(spans, "fails")), pairs([("n", "U64(3)")]));
        assert_eq!(status("said"), (SpanStatus::Error, "no room".into()));
        let expected = ("no room".to_owned(), with(&[("n", "I64(3)"), ("what", "a shape")]));
        assert_eq!(events("said"), [expected]);
        assert_eq!(status("typed"), (SpanStatus::Error, "wrong".into()));
        let (name, fields) = &events("typed")[0];
        assert_eq!((&**name, &*fields[2].0), ("exception", "exception"));
        assert!(fields[2].1.contains("invalid digit"), "{fields:?}");
        assert_eq!((status("ok").0, events("ok").len()), (SpanStatus::Ok, 1));
    });
}

#[test]
fn which_spans_and_which_halves_is_for_the_host_to_say() {
    let work = || {
        let _info = info_span!("info", n = 1).entered();
        let _debug = debug_span!("debug").entered();
        let _sdk = info_span!(target: "rmcp::service", "serve").entered();
        info!("line");
        warn!("warned");
    };
    let names = |vitals: &Vitals| {
        vitals.with_captured_spans(|spans| {
            let mut names: Vec<_> =
                spans.iter().map(|span| span.name.to_str().into_owned()).collect();
            names.sort_unstable();
            names
        })
    };
    let run = |options: TracingOptions| {
        let vitals = traced(options, |_| work());
        (names(&vitals), vitals.captured_logs().len())
    };
    let new = TracingOptions::new;
    assert_eq!(run(new()), (vec!["info".to_owned()], 2));
    assert_eq!(run(new().lines(false)), (vec!["info".to_owned()], 0));
    assert_eq!(run(new().spans(LogFilter::off())), (vec![], 2));
    let all = new().spans("debug".parse().unwrap());
    assert_eq!(run(all), (vec!["debug".into(), "info".into(), "serve".into()], 2));
    let some = new().spans("off,rmcp=info".parse().unwrap());
    assert_eq!(run(some), (vec!["serve".into()], 2));
    // What was wanted for its span alone is no line, and gives a line no fields.
    let vitals = engine(TraceConfig::to_memory());
    vitals.set_log_filter("off,other=info".parse::<LogFilter>().unwrap());
    under(&vitals, new().span_events(Level::Warn), || {
        let _span = info_span!("span", n = 1).entered();
        warn!("warned");
        info!(target: "other", "other");
    });
    let lines = vitals.captured_logs();
    assert!(lines.len() == 1 && !lines[0].contains("\"n\""), "{lines:?}");
    assert!(ids(&lines, "other").is_some());
    vitals.with_captured_spans(|spans| {
        let span = named(spans, "span");
        assert_eq!((span.events().count(), span.status), (1, SpanStatus::Unset));
    });
    // Logs without traces, traces without logs.
    let logs = Vitals::builder().logs(LogConfig::to_memory()).build().unwrap();
    under(&logs, new(), || {
        work();
        assert!(SpanContext::current().is_none());
    });
    assert_eq!((names(&logs).len(), logs.captured_logs().len()), (0, 2));
    let traces = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    under(&traces, new(), work);
    assert_eq!(names(&traces), ["info"]);
    under(&Vitals::disabled(), new(), work);
}

#[test]
fn a_trace_that_is_not_sampled_has_ids_and_asks_for_no_values() {
    struct Never;
    impl fmt::Display for Never {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            unreachable!("nobody asked")
        }
    }
    let vitals = engine(TraceConfig::to_memory().sampler(Sampler::Never));
    under(&vitals, TracingOptions::new().lines(false), || {
        let outer = info_span!("outer", value = %Never, late = Empty).entered();
        outer.record("late", tracing::field::display(Never));
        let of_outer = SpanContext::current().unwrap();
        let _inner = info_span!("inner").entered();
        let of_inner = SpanContext::current().unwrap();
        assert_eq!(of_inner.trace_id(), of_outer.trace_id());
        assert_ne!(of_inner.span_id(), of_outer.span_id());
        assert!(!of_inner.is_sampled());
        mcp_vitals::info!(vitals.logger("l"), "line");
    });
    assert!(ids(&vitals.captured_logs(), "line").is_some());
    vitals.with_captured_spans(|spans| assert!(spans.is_empty()));
}

#[test]
fn values_that_panic_or_record_harm_nothing() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            std::panic::resume_unwind(Box::new("no message"));
        }
    }
    struct Records(tracing::Span);
    impl fmt::Display for Records {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.record("seen", "by its value");
            self.0.in_scope(|| drop(info_span!("within")));
            f.write_str("shown")
        }
    }
    let vitals = traced(TracingOptions::new().span_events(Level::Info), |_| {
        let span = info_span!("span", panics = %Panics, seen = Empty, late = Empty);
        let _span = span.clone().entered();
        span.record("late", tracing::field::display(Records(span.clone())));
        info!(a = %Panics, b = %Records(span), error = %Panics);
    });
    vitals.with_captured_spans(|spans| {
        let span = named(spans, "span");
        let fields = attributes(span);
        assert_eq!(fields[0], ("panics".to_owned(), "<panicked>".to_owned()));
        assert!(fields.contains(&("late".to_owned(), "shown".to_owned())), "{fields:?}");
        assert!(fields.contains(&("seen".to_owned(), "by its value".to_owned())), "{fields:?}");
        assert_eq!(span.events().count(), 1);
    });
}

#[test]
fn a_span_that_ends_in_a_panic_says_so() {
    let vitals = traced(TracingOptions::new(), |_| {
        let caught = std::panic::catch_unwind(|| {
            let _span = info_span!("panics").entered();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(caught.is_err() && SpanContext::current().is_none());
    });
    vitals.with_captured_spans(|spans| {
        assert_eq!(named(spans, "panics").status, SpanStatus::Error);
    });
}

#[test]
fn of_two_engines_in_a_subscriber_the_first_that_takes_a_span_has_it() {
    let (one, two) = (engine(TraceConfig::to_memory()), engine(TraceConfig::to_memory()));
    let options = TracingOptions::new().spans("debug".parse().unwrap());
    let subscriber = tracing_subscriber::registry()
        .with(one.tracing_layer())
        .with(two.tracing_layer_with(options));
    tracing::subscriber::with_default(subscriber, || {
        let _info = info_span!("info").entered();
        let debug = debug_span!("debug", late = Empty).entered();
        debug.record("late", 1);
        error!("heard");
        drop(debug);
        drop(info_span!("child"));
    });
    let parent = one.with_captured_spans(|spans| {
        assert_eq!(spans.len(), 2);
        assert_eq!(named(spans, "child").parent_span_id, named(spans, "info").span_id());
        named(spans, "info").span_id()
    });
    two.with_captured_spans(|spans| {
        let debug = named(spans, "debug");
        assert_eq!((spans.len(), debug.parent_span_id), (1, parent));
        assert_eq!((attributes(debug).len(), debug.events().count()), (1, 1));
    });
}

#[test]
fn where_contexts_are_only_passed_on_another_makes_the_spans() {
    use mcp_vitals::traces::{SpanId, TraceId};
    let vitals = engine(TraceConfig::propagation_only());
    let remote = SpanContext::new(
        TraceId::from_bytes([1; 16]).unwrap(),
        SpanId::from_bytes([2; 8]).unwrap(),
        true,
    );
    under(&vitals, TracingOptions::new(), || {
        let _remote = mcp_vitals::traces::Parent::from(remote).enter();
        let _span = info_span!("span").entered();
        assert_eq!(SpanContext::current(), Some(remote));
        info!("line");
    });
    assert_eq!(ids(&vitals.captured_logs(), "line"), ids_of(remote));
}

#[test]
fn a_layer_outlives_its_engine() {
    let vitals = engine(TraceConfig::to_memory());
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        let open = info_span!("open").entered();
        drop(vitals);
        error!("nobody hears this");
        drop(info_span!("late"));
        drop(open);
        assert!(SpanContext::current().is_none());
    });
}

#[instrument(skip_all, fields(task))]
async fn step(task: u64, depth: u64) {
    tokio::task::yield_now().await;
    info!(task, depth, "step");
    if depth > 0 {
        Box::pin(step(task, depth - 1)).await;
    }
    tokio::task::yield_now().await;
}

#[test]
fn parents_are_right_across_tasks_and_threads() {
    const TASKS: u64 = 64;
    let vitals = engine(TraceConfig::to_memory());
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    let dispatch = tracing::Dispatch::new(subscriber);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .on_thread_start({
            let dispatch = dispatch.clone();
            // For as long as the thread lives.
            move || std::mem::forget(tracing::dispatcher::set_default(&dispatch))
        })
        .build()
        .unwrap();
    let tracer = vitals.tracer("own");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                // Every other one within a span of our own, as a request's handler is.
                let work = async move {
                    step(task, 2).instrument(info_span!("outer", task)).await;
                    assert!(tracing::Span::current().is_none());
                };
                if task % 2 == 0 {
                    tokio::spawn(work)
                } else {
                    let mut request = tracer.root("request");
                    request.set_attribute("task", task);
                    tokio::spawn(work.in_span(request))
                }
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(SpanContext::current().is_none());
    });
    let lines = vitals.captured_logs();
    assert_eq!(lines.len(), 3 * TASKS as usize);
    vitals.with_captured_spans(|spans| {
        assert_eq!(spans.len() as u64, 4 * TASKS + TASKS / 2);
        let by_id = |id| spans.iter().find(|span| span.span_id() == Some(id)).unwrap();
        for span in spans {
            // Up to the root there are the names in their order, all of one trace and one task.
            let mut names = vec![span.name.to_str().into_owned()];
            let mut at = span;
            while let Some(parent) = at.parent_span_id {
                assert_eq!(at.trace_id(), span.trace_id());
                at = by_id(parent);
                names.push(at.name.to_str().into_owned());
            }
            names.reverse();
            let task = |span: &SpanRecord<'_>| text(&span.attributes().next().unwrap().value);
            let of = task(at);
            let task: u64 = of.strip_prefix("U64(").unwrap().trim_end_matches(')').parse().unwrap();
            let whole = ["request", "outer", "step", "step", "step"];
            assert_eq!(names, whole[1 - task as usize % 2..][..names.len()]);
        }
        let ids: std::collections::HashSet<_> =
            spans.iter().filter_map(|s| ids_of(s.context)).collect();
        for line in &lines {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = |key: &str| line[key].as_str().unwrap().to_owned();
            assert!(ids.contains(&(id("trace_id"), id("span_id"))), "{line}");
        }
    });
}
