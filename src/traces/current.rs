//! The span that is current: of a scope, or of a future.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task;

use pin_project_lite::pin_project;

use super::context::{Carried, Parent, flag};
use super::span::Span;
use crate::ring::context::{Active, active, swap_active};

thread_local! {
    /// Of the current span, where its flags say `CARRIED`.
    static CARRIED: Cell<Option<Arc<Carried>>> = const { Cell::new(None) };
}

/// What the current span, `active`, carries.
pub(crate) fn carried(active: Active) -> Option<Arc<Carried>> {
    if active.flags & flag::CARRIED == 0 {
        return None;
    }
    let copy = |cell: &Cell<Option<Arc<Carried>>>| {
        let carried = cell.take();
        cell.set(carried.clone());
        carried
    };
    // Nothing where the thread ends.
    CARRIED.try_with(copy).ok().flatten()
}

/// Makes a span current; gives what was before.
#[inline(always)]
pub(super) fn swap(active: Active, carried: Option<Arc<Carried>>) -> Before {
    let before = swap_active(active);
    let carried = if (active.flags | before.flags) & flag::CARRIED == 0 {
        None
    } else {
        CARRIED.try_with(|cell| cell.replace(carried)).ok().flatten()
    };
    Before { active: before, carried }
}

/// What was current before.
pub(super) struct Before {
    pub(super) active: Active,
    carried: Option<Arc<Carried>>,
}

impl Before {
    #[inline(always)]
    pub(super) fn restore(&mut self) {
        swap(self.active, self.carried.take());
    }
}

/// A span that is the thread's current one until this is dropped; then the one before is. So guards of one
/// thread are dropped in the reverse of the order in which they were made, as scopes do by themselves.
#[must_use = "the span is current for as long as the guard lives"]
pub struct EnteredSpan<'a> {
    before: Before,
    /// Of this thread, and of this span.
    _of: PhantomData<(*const (), &'a Span)>,
}

impl Drop for EnteredSpan<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.before.restore();
    }
}

#[inline(always)]
pub(super) fn enter<'a>(active: Active, carried: Option<Arc<Carried>>) -> EnteredSpan<'a> {
    EnteredSpan { before: swap(active, carried), _of: PhantomData }
}

impl Parent {
    /// Makes it the calling thread's current span until the guard is dropped: for work that a span
    /// of another thread, or of another process, has caused.
    pub fn enter(&self) -> EnteredSpan<'static> {
        enter(self.context.active, self.carried.clone())
    }
}

/// The span of a future that stands beside it: current where the future is polled, by
/// [`enter`](Aside::enter), and while it is dropped. Made before the future, so that it goes after it;
/// [`Aside`] is made behind it.
#[cfg(feature = "rmcp")]
pub(crate) struct Late {
    parent: Option<Parent>,
    /// What was current when the future began to be dropped.
    before: Option<Before>,
}

/// See [`Late`].
#[cfg(feature = "rmcp")]
pub(crate) struct Aside<'a>(&'a mut Late);

#[cfg(feature = "rmcp")]
impl Late {
    #[inline]
    pub(crate) fn new(parent: Option<Parent>) -> Late {
        Late { parent, before: None }
    }

    #[inline]
    pub(crate) fn aside(&mut self) -> Aside<'_> {
        Aside(self)
    }
}

#[cfg(feature = "rmcp")]
impl Drop for Late {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut before) = self.before.take() {
            before.restore();
        }
    }
}

#[cfg(feature = "rmcp")]
impl Aside<'_> {
    #[inline]
    pub(crate) fn enter(&self) -> Option<EnteredSpan<'static>> {
        self.0.parent.as_ref().map(Parent::enter)
    }
}

#[cfg(feature = "rmcp")]
impl Drop for Aside<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(Parent { context, carried }) = self.0.parent.take() {
            self.0.before = Some(swap(context.active, carried));
        }
    }
}

/// The span that is current now.
#[inline(always)]
pub(super) fn current() -> Active {
    active()
}

/// Gives a future a span.
pub trait InSpan: Future + Sized {
    /// `span` is current whenever this future is polled, on whichever thread, and ends with it: as it
    /// says itself where the future is ready, with an error where it panics or is dropped before.
    fn in_span(self, span: Span) -> SpanFuture<Self> {
        SpanFuture { future: Some(self), span: Some(span) }
    }
}

impl<F: Future> InSpan for F {}

pin_project! {
    /// A future with a span, from [`InSpan::in_span`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct SpanFuture<F> {
        #[pin]
        future: Option<F>,
        span: Option<Span>,
    }

    impl<F> PinnedDrop for SpanFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let Some(mut span) = this.span.take() else { return };
            if this.future.is_some() {
                // In its own span to the end.
                let _current = span.enter();
                this.future.set(None);
            }
            span.abandon();
        }
    }
}

/// Ends the span of a future that panics, at once: who catches it may keep the future for long, and
/// drops it when nothing panics any more.
struct Polling<'a>(&'a mut Option<Span>);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        if let Some(mut span) = self.0.take() {
            span.abandon();
        }
    }
}

impl<F: Future> Future for SpanFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            // Polled after it was ready: as any future, it may do as it likes.
            return task::Poll::Pending;
        };
        let polling = Polling(this.span);
        let poll = {
            let _current = polling.0.as_ref().map(Span::enter);
            future.poll(cx)
        };
        if poll.is_ready() {
            {
                // What the future holds goes within its span.
                let _current = polling.0.as_ref().map(Span::enter);
                this.future.set(None);
            }
            drop(polling.0.take());
        }
        // It did not panic, and holds nothing but a reference.
        std::mem::forget(polling);
        poll
    }
}
