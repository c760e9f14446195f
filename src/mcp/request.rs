//! The request core, which knows no transport and no SDK.

use std::sync::Arc;
use std::time::Duration;

use super::edge::Edge;
use super::lines::{self, End, Noted};
use super::method::{Method, OTHER};
use super::rename::Said;
use super::series::Series;
use super::spans::{self, Origin, Target};
use crate::catalog::Outcome;
use crate::clock::{Clock, Stopwatch};
use crate::logs::{Context, Ready};
use crate::traces::{EnteredSpan, Parent};
use crate::{Span, SpanContext, Vitals};

impl Vitals {
    /// Begins the record of one MCP request: names first, then [`start`](Request::start), then
    /// [`finish`](InFlight::finish).
    ///
    /// `method` is the JSON-RPC method as the client sent it; one that MCP does not have is counted
    /// as `_other`.
    ///
    /// ```
    /// # use mcp_vitals::{Outcome, Vitals};
    /// let vitals = Vitals::builder().build()?;
    /// vitals.mcp().learn_tools(["swarm_init"]);
    ///
    /// let request = vitals.request("tools/call").tool("swarm_init").start();
    /// // … the tool's work …
    /// request.finish(Outcome::Ok);
    ///
    /// let labels = [("tool", "swarm_init"), ("operation", "execute"), ("status", "success")];
    /// assert_eq!(vitals.snapshot().value("mcp_requests_total", &labels), Some(1.0));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// Where the engine logs, the logger `mcp` says when a request started (`debug`) and ended
    /// (`info`, or what its outcome is worth); see [`Request::context`].
    #[inline]
    pub fn request<'a>(&'a self, method: &'a str) -> Request<'a> {
        Request {
            edge: &self.mcp().edge,
            method: Method::parse(method),
            name: method,
            tool: None,
            ask: None,
            prompt: None,
            context: None,
            from: Origin::default(),
        }
    }
}

/// A request that has not started yet, from [`Vitals::request`].
#[must_use = "nothing is recorded before `start`"]
pub struct Request<'a> {
    edge: &'a Edge,
    method: Method,
    /// The method's, as the client sent it.
    name: &'a str,
    tool: Option<&'a str>,
    prompt: Option<&'a str>,
    ask: Option<&'a dyn Fn(&str) -> bool>,
    from: Origin,
    /// Small, since it is moved about: encoded where it is given.
    context: Option<Ready>,
}

impl<'a> Request<'a> {
    /// The tool that a `tools/call` names; other methods have none and ignore it. A name that the
    /// server is not known to have ([`Mcp::learn_tools`](crate::Mcp::learn_tools)) is counted as
    /// `_other`.
    #[inline]
    pub fn tool(mut self, name: &'a str) -> Self {
        self.tool = Some(name);
        self
    }

    /// Whom to ask about a tool's name that is not known yet. `server_has` may be slow: it is called
    /// a few times a second at most, and not twice within ten seconds for a name that it denied.
    #[inline]
    pub fn known_by(mut self, server_has: &'a dyn Fn(&str) -> bool) -> Self {
        self.ask = Some(server_has);
        self
    }

    /// Whose request it is, for its lines in the log. Without it they have what the calling thread's
    /// context says where the request starts and where it ends. What the handler logs is another
    /// matter: run it [`in_context`](crate::logs::InContext::in_context).
    ///
    /// ```
    /// use mcp_vitals::logs::{Context, InContext, LogConfig};
    /// # use mcp_vitals::{Outcome, Vitals, info};
    /// # use std::pin::pin;
    /// # use std::task::{self, Waker};
    /// let vitals = Vitals::builder().logs(LogConfig::to_memory()).build()?;
    /// let logger = vitals.logger("search");
    ///
    /// let context = Context::new().request_id("7").session_id("s-1");
    /// let request = vitals.request("resources/read").context(context.clone()).start();
    /// let handler = async { info!(logger, "read") }.in_context(context);
    /// # let _ = pin!(handler).poll(&mut task::Context::from_waker(Waker::noop()));
    /// // … handler.await …
    /// request.finish(Outcome::Ok);
    ///
    /// for line in vitals.captured_logs() {
    ///     assert!(line.contains("\"request_id\":\"7\""), "{line}");
    /// }
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn context(mut self, context: Context) -> Self {
        self.context = self.edge.logs().then(|| context.ready());
        self
    }

    /// The prompt that a `prompts/get` names, for its span.
    #[inline]
    pub fn prompt(mut self, name: &'a str) -> Self {
        self.prompt = Some(name);
        self
    }

    /// What the request's span is below, as it came with the request: see
    /// [`Vitals::extract`](crate::Vitals::extract). Without it that is the calling thread's current
    /// span, or else a trace begins.
    ///
    /// MCP has it in a request's `_meta`, under the bare keys `traceparent`, `tracestate` and
    /// `baggage`. What came in HTTP's headers beside that is a [`link`](Self::link).
    ///
    /// ```
    /// use mcp_vitals::traces::{InSpan, TraceConfig};
    /// # use mcp_vitals::{Outcome, Vitals};
    /// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
    /// let tracer = vitals.tracer("search");
    /// vitals.mcp().learn_tools(["swarm_init"]);
    ///
    /// let meta = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")];
    /// let parent = vitals.extract(&meta);
    /// let request = vitals.request("tools/call").tool("swarm_init").parent(parent).start();
    /// {
    ///     // Around the handler, or around each poll of its future.
    ///     let _current = request.enter();
    ///     let _query = tracer.span("database_query");
    /// }
    /// request.finish(Outcome::Ok);
    ///
    /// vitals.with_captured_spans(|spans| {
    ///     let [query, request] = spans else { panic!("{spans:?}") };
    ///     assert_eq!(request.name.to_str(), "tools/call swarm_init");
    ///     assert_eq!(query.parent_span_id, request.span_id());
    ///     assert_eq!(request.parent_span_id.unwrap().to_string(), "00f067aa0ba902b7");
    /// });
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn parent(mut self, parent: impl Into<Option<Parent>>) -> Self {
        self.from.parent = parent.into();
        self
    }

    /// A span that has to do with the request and is not what it is below; the last one counts.
    pub fn link(mut self, span: SpanContext) -> Self {
        self.from.link = Some(span);
        self
    }

    /// The request is being handled from now on: reads the clock and raises
    /// `mcp_requests_in_flight`. With a known tool or method this takes no lock and allocates
    /// nothing.
    #[inline]
    pub fn start(self) -> InFlight {
        if self.edge.is_disabled() {
            return InFlight { open: None };
        }
        let logs = self.edge.logs();
        let series = match (self.method, self.tool) {
            (Method::ToolsCall, Some(name)) => {
                self.edge.tool(name, |name| self.ask.map(|has| has(name)))
            }
            (method, _) => self.edge.method(method).clone(),
        };
        if logs || self.edge.traces() {
            return self.told(series);
        }
        InFlight::open(series, None, |_, _| Span::NONE)
    }

    /// [`start`](Self::start) where something is logged or traced.
    #[inline(never)]
    fn told(self, series: Arc<Series>) -> InFlight {
        let unknown = series.names().tool == OTHER && self.edge.logs();
        let noted = (unknown || self.context.is_some()).then(|| {
            let tool = self.tool.filter(|_| self.method == Method::ToolsCall);
            let noted = Noted::of(self.context);
            Box::new(if unknown { noted.requested(tool.unwrap_or(self.name)) } else { noted })
        });
        let Request { edge, name, from, .. } = self;
        let target = match (self.method, self.tool, self.prompt) {
            (Method::ToolsCall, Some(name), _) => Target::Tool(name),
            (Method::PromptsGet, _, Some(name)) => Target::Prompt(name),
            _ => Target::None,
        };
        InFlight::begin(edge, series, noted, name, target, || from)
    }
}

/// A request that is being handled.
///
/// However it ends, it is counted once and the in-flight gauge goes back down: dropped without
/// [`finish`](Self::finish) it counts as [`Outcome::Panic`] where the drop is part of a panic, else
/// as [`Outcome::Dropped`].
#[must_use = "dropped at once, the request counts as cancelled"]
pub struct InFlight {
    /// None once it is recorded, and from a disabled engine.
    pub(super) open: Option<Open>,
}

/// The record of a request that has not ended.
pub(super) struct Open {
    pub(super) series: Arc<Series>,
    started: Stopwatch,
    /// For its lines in the log, where there is more to say than what is counted.
    noted: Option<Box<Noted>>,
    /// Of no trace where nothing is traced.
    pub(super) span: Span,
    /// By the handler's own code.
    pub(super) said: Said,
}

impl InFlight {
    /// A record of nothing.
    #[cfg(feature = "rmcp")]
    pub(crate) const DISABLED: InFlight = InFlight { open: None };

    /// `span` begins it at so many ticks.
    #[inline]
    fn open(
        series: Arc<Series>,
        noted: Option<Box<Noted>>,
        span: impl FnOnce(&Series, u64) -> Span,
    ) -> InFlight {
        series.enter();
        let started = Clock::get().start();
        let span = span(&series, started.ticks());
        let current = current(&span);
        lines::started(series.logger(), started.ticks(), series.names(), noted.as_deref());
        drop(current);
        InFlight { open: Some(Open { series, started, noted, span, said: Said::default() }) }
    }

    /// Starts a request of the method that the client `named`, with a span where the edge traces.
    #[inline]
    pub(super) fn begin(
        edge: &Edge,
        series: Arc<Series>,
        noted: Option<Box<Noted>>,
        named: &str,
        target: Target<'_>,
        from: impl FnOnce() -> Origin,
    ) -> InFlight {
        InFlight::open(series, noted, |series, ticks| {
            if edge.traces() {
                spans::begin(edge.tracer(), series, named, target, from(), ticks)
            } else {
                Span::NONE
            }
        })
    }

    /// The request's span, for its attributes and for spans below it on other threads; nothing where
    /// the engine does not trace.
    pub fn span(&self) -> Option<&Span> {
        self.open.as_ref().map(|open| &open.span).filter(|span| span.is_any())
    }

    /// The same, to be added to: `jsonrpc.request.id` and what else the edge knows.
    pub fn span_mut(&mut self) -> Option<&mut Span> {
        self.open.as_mut().map(|open| &mut open.span).filter(|span| span.is_any())
    }

    /// Makes the request's span current until the guard is dropped: around what handles it, or around
    /// each poll of a future that does.
    pub fn enter(&self) -> Option<EnteredSpan<'_>> {
        self.span().map(Span::enter)
    }

    /// What the handler runs in.
    #[cfg(feature = "rmcp")]
    #[inline]
    pub(crate) fn context(&self) -> Option<&Ready> {
        self.open.as_ref()?.noted.as_ref()?.context()
    }

    /// Whether anything is recorded.
    #[cfg(feature = "rmcp")]
    #[inline]
    pub(crate) fn is_recording(&self) -> bool {
        self.open.is_some()
    }

    /// The request ended. Returns its duration as it was recorded, 0 from a disabled engine. Takes
    /// no lock and allocates nothing, but for a tool's first error of a kind that is the caller's
    /// fault.
    #[inline]
    pub fn finish(self, outcome: Outcome) -> Duration {
        self.finish_with(outcome, "")
    }

    /// [`finish`](Self::finish) with what a JSON-RPC error said.
    #[inline]
    pub(super) fn finish_with(mut self, outcome: Outcome, message: &str) -> Duration {
        let duration = self.close(outcome, message);
        // Empty by now: a look at what there is to drop would be a dozen instructions for nothing.
        std::mem::forget(self);
        duration
    }

    #[inline]
    fn close(&mut self, outcome: Outcome, message: &str) -> Duration {
        let Some(Open { series, started, noted, span, said }) = self.open.take() else {
            return Duration::ZERO;
        };
        let (ticks, nanos) = started.stop();
        let end = End { outcome, nanos };
        let current = current(&span);
        // Within the span: the duration may be its exemplar.
        series.leave(outcome, nanos);
        lines::ended(series.logger(), ticks, series.names(), noted.as_deref(), end);
        if current.is_some() {
            drop(current);
            spans::end(span, said.before.as_ref().unwrap_or(&series), outcome, message, ticks);
        }
        Duration::from_nanos(nanos)
    }
}

/// Its lines and its duration carry its ids.
#[inline]
fn current(span: &Span) -> Option<EnteredSpan<'_>> {
    span.is_any().then(|| span.enter())
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.open.is_some() {
            let panicking = std::thread::panicking();
            self.close(if panicking { Outcome::Panic } else { Outcome::Dropped }, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn vitals() -> Vitals {
        Vitals::builder().build().unwrap()
    }

    fn value(vitals: &Vitals, name: &str, labels: &[(&str, &str)]) -> f64 {
        vitals.snapshot().value(name, labels).unwrap_or(f64::NAN)
    }

    fn total(vitals: &Vitals, tool: &str, operation: &str, status: &str) -> f64 {
        let labels = [("tool", tool), ("operation", operation), ("status", status)];
        value(vitals, "mcp_requests_total", &labels)
    }

    #[test]
    fn a_duration_is_an_exemplar_of_its_own_span() {
        let config = crate::traces::TraceConfig::to_memory();
        let vitals = Vitals::builder().traces(config).build().unwrap();
        vitals.mcp().learn_tools(["x"]);
        let request = vitals.request("tools/call").tool("x").start();
        let ids = request.span().unwrap().context();
        let (trace, span) = (ids.trace_id().unwrap(), ids.span_id().unwrap());
        request.finish(Outcome::Ok);
        let mut page = Vec::new();
        vitals.scrape_as(crate::Format::OpenMetrics, &mut page);
        let page = String::from_utf8(page).unwrap();
        let exemplar = format!(" # {{trace_id=\"{trace}\",span_id=\"{span}\"}} ");
        let found: Vec<_> = page.lines().filter(|line| line.contains(&exemplar)).collect();
        let [line] = found[..] else { panic!("{found:?} of {page}") };
        assert!(line.starts_with("mcp_request_duration_seconds_bucket{tool=\"x\""), "{line}");
    }

    #[test]
    fn every_outcome_is_counted_once_and_leaves_nothing_in_flight() {
        let vitals = vitals();
        vitals.mcp().learn_tools(["x"]);
        let mut expected = [0.0; 3];
        for rule in crate::catalog::RULES {
            vitals.request("tools/call").tool("x").start().finish(rule.outcome);
            expected[rule.status as usize] += 1.0;
            if let Some(error_type) = rule.error_type {
                let labels = [("tool", "x"), ("operation", "execute"), ("error_type", error_type)];
                assert_eq!(value(&vitals, "mcp_request_errors_total", &labels), 1.0, "{rule:?}");
            }
        }
        for status in crate::Status::ALL {
            let counted = total(&vitals, "x", "execute", status.as_str());
            assert_eq!(counted, expected[status as usize], "{status:?}");
        }
        let count = [("tool", "x"), ("operation", "execute")];
        let timed = value(&vitals, "mcp_request_duration_seconds", &count);
        assert_eq!(timed, crate::catalog::RULES.len() as f64);
        assert_eq!(value(&vitals, "mcp_requests_in_flight", &[("tool", "x")]), 0.0);
        assert_eq!(value(&vitals, "mcp_panics_total", &[("tool", "x")]), 1.0);
        assert_eq!(value(&vitals, "mcp_cancellations_total", &[("tool", "x")]), 2.0);
    }

    #[test]
    fn guards_that_are_dropped_in_another_order_leave_no_request_behind() {
        let vitals = vitals();
        vitals.mcp().learn_tools(["x"]);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut requests = [(); 3].map(|()| vitals.request("tools/call").tool("x").start());
            let mut guards = requests.each_mut().map(|request| Some(request.make_current()));
            order.into_iter().for_each(|at| drop(guards[at].take()));
            drop(guards);
            requests.into_iter().for_each(|request| {
                request.finish(Outcome::Ok);
            });
            assert_eq!(
                value(&vitals, "mcp_requests_in_flight", &[("tool", "x")]),
                0.0,
                "{order:?}"
            );
        }
        assert_eq!(total(&vitals, "x", "execute", "success"), 18.0);
    }

    #[test]
    fn a_guard_dropped_in_a_panic_is_a_panic_and_else_it_was_dropped() {
        let vitals = vitals();
        vitals.mcp().learn_tools(["x"]);
        drop(vitals.request("tools/call").tool("x").start());
        assert_eq!(total(&vitals, "x", "execute", "cancelled"), 1.0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _request = vitals.request("tools/call").tool("x").start();
            assert_eq!(value(&vitals, "mcp_requests_in_flight", &[("tool", "x")]), 1.0);
            panic!("expected");
        }));
        assert!(caught.is_err());
        assert_eq!(value(&vitals, "mcp_panics_total", &[("tool", "x")]), 1.0);
        assert_eq!(total(&vitals, "x", "execute", "error"), 1.0);
        assert_eq!(value(&vitals, "mcp_requests_in_flight", &[("tool", "x")]), 0.0);
    }

    #[test]
    fn a_learned_tool_shows_its_series_at_0() {
        let vitals = vitals();
        vitals.mcp().learn_tools(["x"]);
        for status in ["success", "error", "cancelled"] {
            assert_eq!(total(&vitals, "x", "execute", status), 0.0);
        }
        for name in ["mcp_panics_total", "mcp_cancellations_total", "mcp_requests_in_flight"] {
            assert_eq!(value(&vitals, name, &[("tool", "x")]), 0.0, "{name}");
        }
        for error_type in ["tool_error", "internal", "panic"] {
            let labels = [("tool", "x"), ("operation", "execute"), ("error_type", error_type)];
            assert_eq!(value(&vitals, "mcp_request_errors_total", &labels), 0.0);
        }
    }

    #[test]
    fn a_name_of_the_clients_own_is_other() {
        let vitals = vitals();
        vitals.mcp().learn_tools(["x"]);
        for name in ["y", "", "x ", "X", "a\"b\n"] {
            vitals.request("tools/call").tool(name).start().finish(Outcome::Ok);
        }
        vitals.request("tools/call").start().finish(Outcome::Ok);
        vitals.request("no/such").tool("x").start().finish(Outcome::JsonRpc(-32601));
        assert_eq!(total(&vitals, "_other", "execute", "success"), 6.0);
        assert_eq!(total(&vitals, "_other", "_other", "error"), 1.0);
        assert_eq!(total(&vitals, "x", "execute", "success"), 0.0);
        let unchecked = [("reason", "unchecked")];
        assert_eq!(value(&vitals, "mcp_vitals_unknown_tool_calls_total", &unchecked), 5.0);
    }

    #[test]
    fn the_server_is_asked_once_about_a_name_that_it_denies() {
        let vitals = vitals();
        let asked = AtomicU32::new(0);
        let has = |name: &str| {
            asked.fetch_add(1, Ordering::Relaxed);
            name == "x"
        };
        for _ in 0..10 {
            for name in ["x", "y"] {
                vitals.request("tools/call").tool(name).known_by(&has).start().finish(Outcome::Ok);
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert_eq!(total(&vitals, "x", "execute", "success"), 10.0);
        assert_eq!(total(&vitals, "_other", "execute", "success"), 10.0);
    }

    #[test]
    fn tools_past_the_limit_are_other_and_counted_as_such() {
        let vitals = vitals();
        let names: Vec<String> = (0..600).map(|n| format!("tool_{n}")).collect();
        vitals.mcp().learn_tools(names.iter().map(String::as_str));
        for name in &names {
            vitals.request("tools/call").tool(name).known_by(&|_| true).start().finish(Outcome::Ok);
        }
        assert_eq!(total(&vitals, "_other", "execute", "success"), 100.0);
        let limit = [("reason", "limit")];
        assert_eq!(value(&vitals, "mcp_vitals_unknown_tool_calls_total", &limit), 100.0);
        assert_eq!(total(&vitals, "tool_0", "execute", "success"), 1.0);
    }

    #[test]
    fn methods_are_split_at_the_slash_and_a_subscription_is_not_timed() {
        let vitals = vitals();
        for (method, tool, operation) in [
            ("initialize", "server", "initialize"),
            ("ping", "server", "ping"),
            ("server/discover", "server", "discover"),
            ("prompts/get", "prompts", "get"),
            ("resources/templates/list", "resources", "templates/list"),
            ("subscriptions/listen", "subscriptions", "listen"),
        ] {
            vitals.request(method).start().finish(Outcome::Ok);
            assert_eq!(total(&vitals, tool, operation, "success"), 1.0, "{method}");
            let labels = [("tool", tool), ("operation", operation)];
            let timed = vitals.snapshot().value("mcp_request_duration_seconds", &labels);
            assert_eq!(timed, (method != "subscriptions/listen").then_some(1.0), "{method}");
        }
    }

    #[test]
    fn a_disabled_engine_asks_nobody_and_records_nothing() {
        let vitals = Vitals::disabled();
        vitals.mcp().learn_tools(["x"]);
        let ask = |_: &str| -> bool { panic!("a disabled engine has no questions") };
        let request = vitals.request("tools/call").tool("y").known_by(&ask).start();
        assert_eq!(request.finish(Outcome::Ok), Duration::ZERO);
        drop(vitals.mcp().agent_spawned("coder"));
        assert_eq!(vitals.snapshot().value("mcp_requests_total", &[]), None);
    }
}
