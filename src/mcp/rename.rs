//! The request that is being handled on this thread, for code within its handler that knows a better
//! name for it: the attribute macros.
//!
//! While a handler is polled, its record stands in a cell of the polling thread; when the poll is
//! over it goes back to where it came from. So the handler's code finds it without being handed
//! anything, and nothing is allocated or shared for it.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task;

use pin_project_lite::pin_project;

use super::edge::Edge;
use super::handle::Mcp;
use super::method::Method;
use super::request::{InFlight, Open};
use super::series::Series;
use crate::sync::lock;
use crate::traces::EnteredSpan;

thread_local! {
    // Without a destructor, so that it costs no test of whether it is still there: what a leaked
    // guard leaves in it is leaked, too.
    static CURRENT: Cell<Option<ManuallyDrop<Open>>> = const { Cell::new(None) };
}

/// A request that is its thread's current one until this is dropped, from [`InFlight::enter`].
#[must_use = "the request is current for as long as the guard lives"]
pub struct InRequest<'a> {
    _span: Option<EnteredSpan<'static>>,
    _held: Held<'a>,
}

/// The record in the cell of its thread, until this is dropped.
pub(super) struct Held<'a> {
    request: &'a mut InFlight,
    before: Option<ManuallyDrop<Open>>,
    /// Whether there is anything to be taken back.
    held: bool,
    _of_thread: PhantomData<*const ()>,
}

impl InFlight {
    /// Makes it the calling thread's current request until the guard is dropped, and its span the
    /// current one, as [`enter`](Self::enter) does, so that
    /// `#[track_request_metrics]` and `#[trace_mcp_tool]` on what is called meanwhile give this
    /// request their names, and count nothing beside it. The `rmcp` wrappers do so by themselves.
    ///
    /// Not to be held over an `await`: see [`scope`](Self::scope). A guard that is leaked leaks the
    /// request.
    pub fn make_current(&mut self) -> InRequest<'_> {
        let span = self.span().map(|span| span.as_parent().enter());
        InRequest { _span: span, _held: self.hold() }
    }

    /// The same without the span.
    #[inline]
    pub(super) fn hold(&mut self) -> Held<'_> {
        let open = self.open.take();
        let held = open.is_some();
        let before = if held { CURRENT.replace(open.map(ManuallyDrop::new)) } else { None };
        Held { request: self, before, held, _of_thread: PhantomData }
    }

    /// [`make_current`](Self::make_current) for as long as `handler` is being polled, on whichever thread.
    ///
    /// ```
    /// # use mcp_vitals::{Outcome, Vitals};
    /// # async fn handle(vitals: &Vitals) {
    /// let mut request = vitals.request("tools/call").tool("swarm_init").start();
    /// let answer = request.scope(async { /* the tool's work */ }).await;
    /// request.finish(Outcome::Ok);
    /// # }
    /// ```
    pub fn scope<F: Future>(&mut self, handler: F) -> RequestFuture<'_, F> {
        RequestFuture { request: self, handler }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.held {
            let before = self.before.take();
            // Where guards are not dropped in the order in which they were made, another has taken ours
            // already, and what it left us is whoever's: no record is lost, and none stays behind.
            let open = match CURRENT.take() {
                Some(open) => {
                    CURRENT.set(before);
                    Some(open)
                }
                None => before,
            };
            self.request.open = open.map(ManuallyDrop::into_inner);
        }
    }
}

pin_project! {
    /// A handler's future within its request, from [`InFlight::scope`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct RequestFuture<'a, F> {
        request: &'a mut InFlight,
        #[pin]
        handler: F,
    }
}

impl<F: Future> Future for RequestFuture<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let this = self.project();
        let _current = this.request.make_current();
        this.handler.poll(cx)
    }
}

/// What the handler's code has said of its request.
///
/// The first to say a name is the outermost: what it calls is a part of the same.
#[derive(Default)]
pub(super) struct Said {
    /// What it was counted as before.
    pub(super) before: Option<Arc<Series>>,
    traced: bool,
}

#[cfg_attr(not(feature = "macros"), allow(dead_code))]
fn with_current<T>(see: impl FnOnce(&mut Open) -> T) -> Option<T> {
    let mut open = CURRENT.take()?;
    let seen = see(&mut open);
    CURRENT.set(Some(open));
    Some(seen)
}

/// Gives the thread's current request the names of `series`, the first time that anybody does, and
/// says whether there is such a request of the same engine.
#[cfg_attr(not(feature = "macros"), allow(dead_code))]
pub(crate) fn rename(series: &Arc<Series>) -> bool {
    let renamed = with_current(|open| {
        if open.series.engine() != series.engine() {
            return false;
        }
        if open.said.before.is_none() {
            // Up before down: see `Agent::set_status`.
            series.enter();
            open.series.leave_to_another();
            open.said.before = Some(std::mem::replace(&mut open.series, series.clone()));
        }
        true
    });
    renamed.unwrap_or(false)
}

/// Names the span of the thread's current request, and says whether there is such a span, of a request
/// of this engine.
#[cfg_attr(not(feature = "macros"), allow(dead_code))]
pub(crate) fn name_span(engine: u64, tool: &'static str, operation: &'static str) -> bool {
    let named = with_current(|open| {
        if open.series.engine() != engine || !open.span.is_any() {
            return false;
        }
        if !std::mem::replace(&mut open.said.traced, true) && open.span.is_recording() {
            let method = open.said.before.as_ref().unwrap_or(&open.series).method();
            open.span.set_name_of(&[method.name(), " ", tool, ".", operation]);
            open.span.set_attribute("gen_ai.tool.name", tool);
            open.span.set_attribute("mcp.operation.name", operation);
        }
        true
    });
    named.unwrap_or(false)
}

/// Most pairs of names that the program itself may give to what it counts; further ones are counted
/// as `_other`.
pub(super) const MOST_NAMED: usize = 256;

/// The series that the program itself has named, by tool and operation.
#[derive(Default)]
pub(super) struct Named(Mutex<HashMap<[&'static str; 2], Arc<Series>>>);

#[cfg_attr(not(feature = "macros"), allow(dead_code))]
impl Mcp {
    /// Which engine this is: no other of the process has the number.
    pub(crate) fn engine(&self) -> u64 {
        self.edge.id
    }

    /// See [`Edge::named`].
    pub(crate) fn named(&self, tool: &'static str, operation: &'static str) -> Arc<Series> {
        self.edge.named(tool, operation)
    }
}

impl Edge {
    /// The series of these names, which are the program's own text and no client's. Locks: to be
    /// looked up once and held.
    #[cfg_attr(not(feature = "macros"), allow(dead_code))]
    fn named(&self, tool: &'static str, operation: &'static str) -> Arc<Series> {
        let mut named = lock(&self.named.0);
        if let Some(series) = named.get(&[tool, operation]) {
            return series.clone();
        }
        if named.len() >= MOST_NAMED {
            return self.method(Method::Other).clone();
        }
        let series = Arc::new(self.series(Method::ToolsCall, tool, operation));
        named.insert([tool, operation], series.clone());
        series
    }
}
