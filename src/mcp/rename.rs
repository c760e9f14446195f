//! The request that is being handled on this thread, for code within its handler that knows a better
//! name for it: the attribute macros.
//!
//! While a handler is polled, its record stands in a cell of the polling thread; when the poll is
//! over it goes back to where it came from. So the handler's code finds it without being handed
//! anything, and nothing is allocated or shared for it.

#[cfg(feature = "macros")]
mod by_macros;

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task;

use pin_project_lite::pin_project;

use super::request::{InFlight, Open};
use super::series::Series;
use crate::traces::EnteredSpan;

#[cfg(feature = "macros")]
pub(super) use by_macros::Named;
#[cfg(feature = "macros")]
pub(crate) use by_macros::{name_span, rename};

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
    #[cfg(feature = "macros")]
    traced: bool,
}

/// Most pairs of names that the program itself may give to what it counts; further ones are counted
/// as `_other`.
pub(super) const MOST_NAMED: usize = 256;
