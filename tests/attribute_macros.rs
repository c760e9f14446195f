//! The attribute macros: each one, sync and async, on every way a call can end; in any order on one
//! function; on methods and generics; with an engine, with another, and without one.
#![cfg(feature = "macros")]

use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::{SpanKind, SpanStatus, TraceConfig};
use mcp_vitals::{
    Level, Outcome, Vitals, log_operation, trace_mcp_tool, traced, track_request_metrics,
};

/// An engine that keeps all, for this thread.
fn engine() -> Vitals {
    let logs = LogConfig::to_memory().level(Level::Trace);
    let traces = TraceConfig::to_memory();
    Vitals::builder().system_metrics(false).logs(logs).traces(traces).build().unwrap()
}

/// How a call is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Ok,
    Err,
    Panic,
    /// For futures.
    Dropped,
}

const SYNC: [How; 3] = [How::Ok, How::Err, How::Panic];
const ASYNC: [How; 4] = [How::Ok, How::Err, How::Panic, How::Dropped];

#[derive(Debug, PartialEq)]
struct Refused(u32);

impl Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}

fn end(how: How) -> Result<u32, Refused> {
    match how {
        How::Ok | How::Dropped => Ok(7),
        How::Err => Err(Refused(3)),
        How::Panic => panic!("expected by the test"),
    }
}

async fn end_later(how: How) -> Result<u32, Refused> {
    let mut polled = how == How::Dropped;
    std::future::poll_fn(|_| match std::mem::replace(&mut polled, true) {
        true if how != How::Dropped => Poll::Ready(()),
        _ => Poll::Pending,
    })
    .await;
    end(how)
}

/// Polls to the end; one that is to be dropped, twice.
fn drive<F: Future>(future: F, how: How) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            assert_ne!(how, How::Dropped);
            return Some(output);
        }
    }
    assert_eq!(how, How::Dropped);
    None
}

/// Runs a call that may panic, and looks whether it gave what it should.
fn call(how: How, call: impl FnOnce() -> Option<Result<u32, Refused>>) {
    let expected = match how {
        How::Ok => Some(Some(Ok(7))),
        How::Err => Some(Some(Err(Refused(3)))),
        How::Panic => None,
        How::Dropped => Some(None),
    };
    assert_eq!(catch_unwind(AssertUnwindSafe(call)).ok(), expected, "{how:?}");
}

fn value(vitals: &Vitals, name: &str, labels: &[(&str, &str)]) -> f64 {
    vitals.snapshot().value(name, labels).unwrap_or(f64::NAN)
}

fn counts(vitals: &Vitals, tool: &str, operation: &str) -> [f64; 3] {
    ["success", "error", "cancelled"].map(|status| {
        let labels = [("tool", tool), ("operation", operation), ("status", status)];
        vitals.snapshot().value("mcp_requests_total", &labels).unwrap_or(0.0)
    })
}

/// That there was one call, which ended so.
fn assert_counted(vitals: &Vitals, tool: &str, operation: &str, how: How) {
    let expected = match how {
        How::Ok => [1.0, 0.0, 0.0],
        How::Err | How::Panic => [0.0, 1.0, 0.0],
        How::Dropped => [0.0, 0.0, 1.0],
    };
    assert_eq!(counts(vitals, tool, operation), expected, "{how:?}");
    let labels = [("tool", tool), ("operation", operation)];
    assert_eq!(value(vitals, "mcp_request_duration_seconds", &labels), 1.0);
    assert_eq!(value(vitals, "mcp_requests_in_flight", &[("tool", tool)]), 0.0);
    let errors = vitals.snapshot().sum("mcp_request_errors_total", &[]);
    assert_eq!(errors, expected[1]);
    if let Some(error_type) = error_type(how).filter(|_| expected[1] == 1.0) {
        let labels = [("tool", tool), ("operation", operation), ("error_type", error_type)];
        assert_eq!(value(vitals, "mcp_request_errors_total", &labels), 1.0);
    }
    let panics = f64::from(how == How::Panic);
    assert_eq!(value(vitals, "mcp_panics_total", &[("tool", tool)]), panics);
}

fn error_type(how: How) -> Option<&'static str> {
    match how {
        How::Ok => None,
        How::Err => Some("Refused"),
        How::Panic => Some("panic"),
        How::Dropped => Some("dropped"),
    }
}

/// A span, as the tests look at it.
#[derive(Debug)]
struct Seen {
    name: String,
    scope: String,
    kind: SpanKind,
    status: SpanStatus,
    message: String,
    attributes: Vec<(String, String)>,
    events: Vec<String>,
    id: String,
    parent: Option<String>,
}

fn spans(vitals: &Vitals) -> Vec<Seen> {
    vitals.with_captured_spans(|spans| {
        let seen = spans.iter().map(|span| Seen {
            name: span.name.to_str().into(),
            scope: span.scope.to_str().into(),
            kind: span.kind,
            status: span.status,
            message: span.status_message.to_str().into(),
            attributes: span
                .attributes()
                .map(|field| {
                    let value = match field.value {
                        mcp_vitals::logs::Value::Str(text) => text.to_str().into(),
                        other => format!("{other:?}"),
                    };
                    (field.key.to_str().into(), value)
                })
                .collect(),
            events: span.events().map(|event| event.name.to_str().into()).collect(),
            id: span.span_id().unwrap().to_string(),
            parent: span.parent_span_id.map(|id| id.to_string()),
        });
        seen.collect()
    })
}

impl Seen {
    fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn assert_ended(&self, how: How) {
        let (status, message) = match how {
            How::Ok => (SpanStatus::Unset, ""),
            How::Err => (SpanStatus::Error, "refused 3"),
            How::Panic => (SpanStatus::Error, "panic"),
            How::Dropped => (SpanStatus::Error, "dropped"),
        };
        assert_eq!((self.status, self.message.as_str()), (status, message), "{self:?}");
        assert_eq!(self.attribute("error.type"), error_type(how));
        let events: &[&str] = if how == How::Err { &["exception"] } else { &[] };
        assert_eq!(self.events, events);
    }
}

fn lines(vitals: &Vitals) -> Vec<serde_json::Value> {
    vitals.captured_logs().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// That these are the two lines of one call, which ended so.
fn assert_logged(lines: &[serde_json::Value], how: How) {
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        (&lines[0]["message"], &lines[0]["level"]),
        (&"operation started".into(), &"debug".into())
    );
    assert_eq!(lines[0].get("status"), None);
    let (status, level) = match how {
        How::Ok => ("success", "info"),
        How::Err | How::Panic => ("error", "error"),
        How::Dropped => ("cancelled", "warn"),
    };
    assert_eq!(lines[1]["message"], "mcp operation");
    assert_eq!((&lines[1]["status"], &lines[1]["level"]), (&status.into(), &level.into()));
    assert!(lines[1]["duration_seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0));
    let error_type = error_type(how).filter(|_| how != How::Dropped);
    assert_eq!(lines[1].get("error_type").and_then(|name| name.as_str()), error_type);
    if how == How::Err {
        assert_eq!(lines[1]["exception"]["message"], "refused 3");
    }
    for line in lines {
        assert_eq!(line["mcp_event"], true);
        assert_eq!((&line["operation"], &line["tool"]), (&"init".into(), &"swarm".into()));
        assert!(
            line["file"].as_str().is_some_and(|file| file.ends_with("attribute_macros.rs")),
            "{line}"
        );
    }
}

#[track_request_metrics(tool = "swarm.init", operation = "execute")]
fn tracked(how: How) -> Result<u32, Refused> {
    end(how)
}

#[track_request_metrics(tool = "swarm.init", operation = "execute")]
async fn tracked_later(how: How) -> Result<u32, Refused> {
    end_later(how).await
}

#[trace_mcp_tool(tool = "swarm", operation = "init")]
fn tool_traced(how: How) -> Result<u32, Refused> {
    end(how)
}

#[trace_mcp_tool(tool = "swarm", operation = "init")]
async fn tool_traced_later(how: How) -> Result<u32, Refused> {
    end_later(how).await
}

#[traced]
fn plainly_traced(how: How) -> Result<u32, Refused> {
    end(how)
}

#[traced]
async fn plainly_traced_later(how: How) -> Result<u32, Refused> {
    end_later(how).await
}

#[log_operation(operation = "init", tool = "swarm")]
fn logged(how: How) -> Result<u32, Refused> {
    end(how)
}

#[log_operation(operation = "init", tool = "swarm")]
async fn logged_later(how: How) -> Result<u32, Refused> {
    end_later(how).await
}

#[test]
fn calls_are_counted_and_timed_whatever_becomes_of_them() {
    for how in SYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || Some(tracked(how)));
        assert_counted(&vitals, "swarm.init", "execute", how);
        assert!(lines(&vitals).is_empty() && spans(&vitals).is_empty());
    }
    for how in ASYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || drive(tracked_later(how), how));
        assert_counted(&vitals, "swarm.init", "execute", how);
    }
}

#[test]
fn spans_end_as_their_calls_do() {
    fn check(vitals: &Vitals, how: How, name: &str) {
        let spans = spans(vitals);
        assert_eq!(spans.len(), 1, "{how:?} {spans:?}");
        assert_eq!((spans[0].name.as_str(), spans[0].kind), (name, SpanKind::Internal));
        assert_eq!(spans[0].scope, module_path!());
        spans[0].assert_ended(how);
        assert_eq!(vitals.snapshot().sum("mcp_requests_total", &[]), 0.0);
    }
    for how in SYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || Some(plainly_traced(how)));
        check(&vitals, how, "plainly_traced");
    }
    for how in ASYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || drive(plainly_traced_later(how), how));
        check(&vitals, how, "plainly_traced_later");
    }
    for how in SYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || Some(tool_traced(how)));
        check(&vitals, how, "execute_tool swarm.init");
    }
    for how in ASYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || drive(tool_traced_later(how), how));
        check(&vitals, how, "execute_tool swarm.init");
        let span = &spans(&vitals)[0];
        assert_eq!(span.attribute("gen_ai.tool.name"), Some("swarm"));
        assert_eq!(span.attribute("mcp.operation.name"), Some("init"));
    }
}

#[test]
fn operations_are_logged_where_they_begin_and_how_they_end() {
    for how in SYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || Some(logged(how)));
        let lines = lines(&vitals);
        assert_logged(&lines, how);
        assert_eq!(lines[1]["function"], "attribute_macros::logged");
        assert_eq!(lines[1]["logger"], module_path!());
    }
    for how in ASYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || drive(logged_later(how), how));
        assert_logged(&lines(&vitals), how);
    }
}

#[test]
fn a_level_and_a_logger_are_the_callers_choice() {
    #[log_operation(operation = "op", tool = "t", level = "trace", logger = "quiet")]
    fn quiet() {}
    #[log_operation(operation = "op", tool = "t", level = "warn", logger = "loud")]
    fn loud() {}
    let vitals = engine();
    let _own = vitals.install_on_thread();
    quiet();
    loud();
    let seen: Vec<_> = lines(&vitals)
        .iter()
        .map(|line| format!("{} {}", line["logger"], line["level"]).replace('"', ""))
        .collect();
    assert_eq!(seen, ["quiet trace", "quiet trace", "loud debug", "loud warn"]);
}

/// One function with four attributes, in each of these orders.
macro_rules! stacked {
    ($($name:ident, $later:ident { $($attribute:tt)* })*) => {
        $(
            $($attribute)*
            fn $name(how: How) -> Result<u32, Refused> {
                end(how)
            }

            $($attribute)*
            async fn $later(how: How) -> Result<u32, Refused> {
                end_later(how).await
            }
        )*
        const STACKED: &[fn(How) -> Result<u32, Refused>] = &[$($name),*];

        fn stacked_later(order: usize, how: How) -> Option<Result<u32, Refused>> {
            let orders: &[fn(How) -> Option<Result<u32, Refused>>] =
                &[$(|how| drive($later(how), how)),*];
            orders[order](how)
        }
    };
}

stacked! {
    one, one_later {
        #[track_request_metrics(tool = "swarm.init", operation = "execute")]
        #[trace_mcp_tool(tool = "swarm", operation = "init")]
        #[log_operation(operation = "init", tool = "swarm")]
        #[traced(name = "inner")]
    }
    two, two_later {
        #[traced(name = "inner")]
        #[log_operation(operation = "init", tool = "swarm")]
        #[trace_mcp_tool(tool = "swarm", operation = "init")]
        #[track_request_metrics(tool = "swarm.init", operation = "execute")]
    }
    three, three_later {
        #[log_operation(operation = "init", tool = "swarm")]
        #[track_request_metrics(tool = "swarm.init", operation = "execute")]
        #[traced(name = "inner")]
        #[trace_mcp_tool(tool = "swarm", operation = "init")]
    }
    four, four_later {
        #[trace_mcp_tool(tool = "swarm", operation = "init")]
        #[traced(name = "inner")]
        #[track_request_metrics(tool = "swarm.init", operation = "execute")]
        #[log_operation(operation = "init", tool = "swarm")]
    }
}

#[test]
fn they_stack_in_any_order_and_each_records_once() {
    fn check(vitals: &Vitals, how: How) {
        assert_counted(vitals, "swarm.init", "execute", how);
        assert_logged(&lines(vitals), how);
        let spans = spans(vitals);
        assert_eq!(spans.len(), 2, "{spans:?}");
        spans.iter().for_each(|span| span.assert_ended(how));
        // The inner one ends first.
        assert_eq!(spans[0].parent.as_ref(), Some(&spans[1].id));
        assert_eq!(spans[1].parent, None);
        let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["execute_tool swarm.init", "inner"]);
    }
    for (order, stacked) in STACKED.iter().enumerate() {
        for how in SYNC {
            let vitals = engine();
            let _own = vitals.install_on_thread();
            call(how, || Some(stacked(how)));
            check(&vitals, how);
        }
        for how in ASYNC {
            let vitals = engine();
            let _own = vitals.install_on_thread();
            call(how, || stacked_later(order, how));
            check(&vitals, how);
        }
    }
}

#[test]
fn a_line_of_a_traced_operation_has_the_ids_of_its_span() {
    let vitals = engine();
    let _own = vitals.install_on_thread();
    one(How::Ok).unwrap();
    let outer = &spans(&vitals)[1];
    for line in lines(&vitals) {
        assert_eq!(line["span_id"], outer.id.as_str());
    }
}

#[test]
// A comma within an expression.
#[allow(clippy::unnecessary_fold)]
fn a_span_has_the_fields_and_the_kind_that_it_is_given() {
    #[traced(
        name = "query",
        kind = "client",
        scope = "db",
        fields(
            rows = rows.len(),
            db.system.name = "sqlite",
            "any key" = rows.iter().copied().fold(0, |all, row| all + row),
            table,
            %shown,
            ?seen,
            twice = %format_args!("{table}{table}"),
            listed = ?std::collections::BTreeMap::<u8, &str>::from([(1, "a"), (2, "b")]),
        )
    )]
    fn query(rows: Vec<u64>, table: &str, shown: Refused, seen: Refused) -> (usize, Refused) {
        let _ = seen;
        (rows.len(), shown)
    }
    let vitals = engine();
    let _own = vitals.install_on_thread();
    let answer = query(vec![1, 2, 3], "t", Refused(1), Refused(2));
    assert_eq!(answer, (3, Refused(1)));
    let span = &spans(&vitals)[0];
    assert_eq!(
        (span.name.as_str(), span.scope.as_str(), span.kind),
        ("query", "db", SpanKind::Client)
    );
    let expected = [
        ("rows", "U64(3)"),
        ("db.system.name", "sqlite"),
        ("any key", "U64(6)"),
        ("table", "t"),
        ("shown", "refused 1"),
        ("seen", "Refused(2)"),
        ("twice", "tt"),
        ("listed", "{1: \"a\", 2: \"b\"}"),
    ];
    let attributes: Vec<_> =
        span.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(attributes, expected);
}

#[test]
fn fields_are_not_asked_for_where_nothing_is_recorded() {
    #[traced(fields(n = panic_if_asked()))]
    fn asked() -> u32 {
        1
    }
    fn panic_if_asked() -> u32 {
        panic!("nobody records it")
    }
    assert_eq!(asked(), 1);
    let never = TraceConfig::to_memory().sampler(mcp_vitals::traces::Sampler::Never);
    let vitals = Vitals::builder().traces(never).build().unwrap();
    let _own = vitals.install_on_thread();
    assert_eq!(asked(), 1);
}

/// What functions may be: each would not compile, were it not left as it is.
mod shapes {
    use super::*;

    pub struct Server {
        pub calls: u32,
        pub names: Vec<String>,
    }

    impl Server {
        const STEP: u32 = 2;

        #[track_request_metrics(tool = "server", operation = "by_ref")]
        #[traced]
        pub fn by_ref(&self) -> u32 {
            self.calls + Self::STEP
        }

        #[traced]
        #[track_request_metrics(tool = "server", operation = "by_mut")]
        pub fn by_mut(&mut self, by: u32) -> &mut u32 {
            if by == 0 {
                return &mut self.calls;
            }
            self.calls += by;
            &mut self.calls
        }

        #[traced]
        pub fn by_value(mut self) -> Vec<String> {
            self.names.push("last".into());
            self.names
        }

        #[traced(fields(calls = self.calls))]
        pub async fn later(&mut self, name: &str) -> &str {
            self.names.push(name.to_owned());
            end_later(How::Ok).await.unwrap();
            self.names.last().unwrap()
        }

        #[log_operation(operation = "names", tool = "server")]
        #[traced]
        pub fn names<'a>(&'a self) -> impl Iterator<Item = &'a str> + use<'a> {
            self.names.iter().map(String::as_str)
        }

        #[traced]
        pub fn maybe(
            &self,
            fail: bool,
        ) -> Result<impl Iterator<Item = u32> + use<>, Box<dyn std::error::Error>> {
            let end = if fail { "x" } else { "3" }.parse::<u32>()?;
            Ok(0..end)
        }
    }

    pub trait Greets {
        async fn greet(&self, name: &str) -> String;
        #[traced(name = "default")]
        fn again(&self) -> u32 {
            1
        }
    }

    impl Greets for Server {
        #[traced]
        async fn greet(&self, name: &str) -> String {
            format!("{name} {}", self.calls)
        }
    }

    #[traced]
    #[track_request_metrics(tool = "generic", operation = "op")]
    #[log_operation(operation = "op", tool = "generic")]
    pub fn generic<'a, T, E, const N: usize>(from: &'a [T; N], error: Option<E>) -> Result<&'a T, E>
    where
        T: PartialOrd,
        E: Debug,
    {
        match error {
            Some(error) => Err(error)?,
            None => Ok(from.iter().reduce(|a, b| if b > a { b } else { a }).unwrap()),
        }
    }

    #[traced]
    pub async fn generic_later<F, T>(make: F) -> Option<T>
    where
        F: AsyncFnOnce() -> Option<T>,
    {
        let made = make().await?;
        Some(made)
    }

    #[traced]
    #[inline]
    #[must_use]
    #[allow(clippy::ptr_arg)]
    pub(crate) fn with_attributes(
        (a, b): (u32, u32),
        [first, ..]: [u32; 2],
        mut n: u32,
        _: &str,
    ) -> u32 {
        n += a + b + first;
        n
    }

    #[traced]
    pub fn with_closure_in_its_type(f: impl Fn(u32) -> u32, g: &dyn Fn(u32) -> u32) -> u32 {
        g(f(1))
    }

    #[traced]
    pub extern "C" fn from_c(n: u32) -> u32 {
        n
    }

    #[traced]
    pub fn never(fail: bool) -> ! {
        assert!(!fail, "expected by the test");
        panic!("expected, too");
    }

    #[traced]
    pub async fn never_later() -> ! {
        loop {
            end_later(How::Panic).await.ok();
        }
    }

    #[traced]
    pub fn unit() {}

    /// As `async_trait` and `rmcp`'s `#[tool]` leave an `async fn`.
    #[track_request_metrics(tool = "boxed", operation = "op")]
    #[traced]
    pub fn boxed<'a>(
        how: &'a How,
    ) -> Pin<Box<dyn Future<Output = Result<u32, Refused>> + Send + 'a>> {
        let how = *how;
        ::std::boxed::Box::pin(async move {
            let n = end_later(how).await?;
            Ok(n)
        })
    }

    #[traced]
    pub fn made(how: How) -> impl Future<Output = Result<u32, Refused>> {
        async move { end_later(how).await }
    }
}

#[test]
fn functions_keep_their_shapes() {
    use shapes::Greets as _;
    let vitals = engine();
    let _own = vitals.install_on_thread();
    let mut server = shapes::Server { calls: 1, names: vec!["a".into()] };
    assert_eq!(server.by_ref(), 3);
    *server.by_mut(2) += 1;
    assert_eq!(*server.by_mut(0), 4);
    assert_eq!(drive(server.later("b"), How::Ok), Some("b"));
    assert_eq!(server.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(server.maybe(false).unwrap().sum::<u32>(), 3);
    assert!(server.maybe(true).is_err());
    assert_eq!(drive(server.greet("hello"), How::Ok).unwrap(), "hello 4");
    assert_eq!(server.again(), 1);
    assert_eq!(server.by_value(), ["a", "b", "last"]);
    assert_eq!(shapes::generic::<_, &str, 3>(&[1, 3, 2], None), Ok(&3));
    assert_eq!(shapes::generic(&["x"], Some("no")), Err("no"));
    assert_eq!(drive(shapes::generic_later(async || Some(3)), How::Ok), Some(Some(3)));
    assert_eq!(shapes::with_attributes((1, 2), [3, 4], 5, ""), 11);
    assert_eq!(shapes::with_closure_in_its_type(|n| n + 1, &|n| n * 5), 10);
    assert_eq!(shapes::from_c(2), 2);
    shapes::unit();
    assert!(catch_unwind(|| shapes::never(true)).is_err());
    assert!(catch_unwind(|| drive(shapes::never_later(), How::Ok)).is_err());

    let spans = spans(&vitals);
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    assert_eq!(of("by_mut").len(), 2);
    assert_eq!(of("later")[0].attribute("calls"), Some("U64(4)"));
    assert_eq!(
        of("maybe").iter().map(|span| &*span.message).collect::<Vec<_>>(),
        ["", "invalid digit found in string"]
    );
    assert_eq!(of("maybe")[1].attribute("error.type"), Some("dyn Error"));
    let generic: Vec<_> = of("generic").iter().map(|span| span.message.clone()).collect();
    assert_eq!(generic, ["", "\"no\""]);
    assert_eq!((of("default").len(), of("greet").len(), of("names").len()), (1, 1, 1));
    assert_eq!((&*of("never")[0].message, &*of("never_later")[0].message), ("panic", "panic"));
    assert_eq!(counts(&vitals, "generic", "op"), [1.0, 1.0, 0.0]);
}

#[test]
fn a_future_that_others_boxed_is_recorded_while_it_runs() {
    for how in ASYNC {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        call(how, || {
            let boxed = shapes::boxed(&how);
            assert_eq!(vitals.snapshot().sum("mcp_requests_total", &[]), 0.0);
            drive(boxed, how)
        });
        assert_counted(&vitals, "boxed", "op", how);
        spans(&vitals)[0].assert_ended(how);
    }
    let vitals = engine();
    let _own = vitals.install_on_thread();
    call(How::Err, || drive(shapes::made(How::Err), How::Err));
    spans(&vitals)[0].assert_ended(How::Err);
}

#[test]
fn futures_stay_as_sendable_as_they_were_and_take_no_box() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&one_later(How::Ok));
    is_send(&four_later(How::Ok));
    #[traced(fields(%n))]
    #[track_request_metrics(tool = "t", operation = "o")]
    #[log_operation(tool = "t", operation = "o")]
    async fn with_fields(n: u32) -> Result<u32, std::rc::Rc<str>> {
        end_later(How::Ok).await.map_err(|_| "".into())
    }
    is_send(&with_fields(1));
}

#[test]
fn what_a_future_holds_goes_within_its_span() {
    struct SaysWhere<'a>(&'a RefCell<Option<mcp_vitals::SpanContext>>);
    impl Drop for SaysWhere<'_> {
        fn drop(&mut self) {
            *self.0.borrow_mut() = mcp_vitals::SpanContext::current();
        }
    }
    #[traced]
    async fn holds(held: SaysWhere<'_>, how: How) -> Result<u32, Refused> {
        let n = end_later(how).await;
        drop(held);
        n
    }
    for how in [How::Ok, How::Dropped] {
        let vitals = engine();
        let _own = vitals.install_on_thread();
        let seen = RefCell::new(None);
        let _ = drive(holds(SaysWhere(&seen), how), how);
        let id = seen.take().and_then(|context| context.span_id()).map(|id| id.to_string());
        assert_eq!(id.as_ref(), Some(&spans(&vitals)[0].id), "{how:?}");
        assert!(mcp_vitals::SpanContext::current().is_none());
    }
}

#[test]
fn a_call_within_a_panic_is_no_panic() {
    struct Calls;
    impl Drop for Calls {
        fn drop(&mut self) {
            let _ = one(How::Err);
            let _ = plainly_traced(How::Ok);
        }
    }
    let vitals = engine();
    let _own = vitals.install_on_thread();
    let caught = catch_unwind(|| {
        let _calls = Calls;
        panic!("expected by the test");
    });
    assert!(caught.is_err());
    let spans = spans(&vitals);
    spans[..2].iter().for_each(|span| span.assert_ended(How::Err));
    spans[2].assert_ended(How::Ok);
    assert_counted(&vitals, "swarm.init", "execute", How::Err);
}

#[test]
fn two_engines_each_have_their_own_and_none_is_an_engine_too() {
    let (outer, inner) = (engine(), engine());
    tracked(How::Ok).unwrap();
    {
        let _outer = outer.install_on_thread();
        tracked(How::Ok).unwrap();
        {
            let _inner = inner.install_on_thread();
            tracked(How::Ok).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| tracked(How::Ok).unwrap());
            });
            let _none = Vitals::disabled().install_on_thread();
            one(How::Ok).unwrap();
        }
        tracked(How::Err).unwrap_err();
    }
    tracked(How::Ok).unwrap();
    assert_eq!(counts(&outer, "swarm.init", "execute"), [1.0, 1.0, 0.0]);
    assert_eq!(counts(&inner, "swarm.init", "execute"), [1.0, 0.0, 0.0]);
    assert!(mcp_vitals::global().is_disabled());
}

#[test]
fn a_request_takes_the_first_name_that_is_given_and_counts_once() {
    let vitals = engine();
    let _own = vitals.install_on_thread();
    vitals.mcp().learn_tools(["swarm_init"]);
    let in_flight = |tool| value(&vitals, "mcp_requests_in_flight", &[("tool", tool)]);

    #[track_request_metrics(tool = "inner", operation = "step")]
    fn step() {}

    let mut request = vitals.request("tools/call").tool("swarm_init").start();
    assert_eq!(in_flight("swarm_init"), 1.0);
    {
        let _current = request.make_current();
        tracked(How::Err).unwrap_err();
        assert_eq!((in_flight("swarm_init"), in_flight("swarm.init")), (0.0, 1.0));
        step();
    }
    // Its outcome is the request's.
    request.finish(Outcome::Ok);
    assert_eq!(counts(&vitals, "swarm.init", "execute"), [1.0, 0.0, 0.0]);
    assert_eq!(counts(&vitals, "swarm_init", "execute"), [0.0; 3]);
    assert_eq!(counts(&vitals, "inner", "step"), [0.0; 3]);
    assert_eq!(vitals.snapshot().sum("mcp_requests_total", &[]), 1.0);
    assert_eq!(vitals.snapshot().sum("mcp_request_errors_total", &[]), 0.0);
    assert_eq!((in_flight("swarm_init"), in_flight("swarm.init")), (0.0, 0.0));
    // Its line, too.
    let ended = lines(&vitals);
    let ended = ended.iter().find(|line| line["message"] == "request ended").unwrap();
    assert_eq!((&ended["tool"], &ended["operation"]), (&"swarm.init".into(), &"execute".into()));

    // Behind it there is none.
    tracked(How::Ok).unwrap();
    assert_eq!(counts(&vitals, "swarm.init", "execute"), [2.0, 0.0, 0.0]);
}

#[test]
fn a_request_is_renamed_on_whichever_thread_polls_it() {
    let vitals = engine();
    let mut request = vitals.request("resources/read").start();
    {
        let mut handler = Box::pin(request.scope(tracked_later(How::Ok)));
        for poll in 0..2 {
            std::thread::scope(|scope| {
                let (vitals, handler) = (&vitals, &mut handler);
                scope.spawn(move || {
                    let _own = vitals.install_on_thread();
                    let ready = handler.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert_eq!(ready.is_ready(), poll == 1);
                    // Not current between the polls.
                    tracked(How::Err).unwrap_err();
                });
            });
        }
    }
    drop(request);
    assert_eq!(counts(&vitals, "swarm.init", "execute"), [0.0, 2.0, 1.0]);
    assert_eq!(counts(&vitals, "resources", "read"), [0.0; 3]);
    assert_eq!(value(&vitals, "mcp_requests_in_flight", &[("tool", "swarm.init")]), 0.0);
}

#[test]
fn a_request_of_another_engine_keeps_its_name() {
    let (vitals, other) = (engine(), engine());
    let _own = vitals.install_on_thread();
    let mut request = other.request("resources/read").start();
    {
        let _current = request.make_current();
        let mut nested = vitals.request("prompts/get").start();
        {
            let _current = nested.make_current();
            tracked(How::Ok).unwrap();
        }
        nested.finish(Outcome::Ok);
        tracked(How::Ok).unwrap();
        let panics = catch_unwind(AssertUnwindSafe(|| {
            let mut nested = vitals.request("prompts/get").start();
            let _current = nested.make_current();
            tracked(How::Panic)
        }));
        assert!(panics.is_err());
    }
    request.finish(Outcome::Ok);
    assert_eq!(counts(&other, "resources", "read"), [1.0, 0.0, 0.0]);
    assert_eq!(counts(&vitals, "swarm.init", "execute"), [2.0, 1.0, 0.0]);
    assert_eq!(vitals.snapshot().sum("mcp_requests_total", &[]), 3.0);
}
