//! Who asked: ids and fields that go with every line of a scope, or of a future.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task;

use pin_project_lite::pin_project;

use super::loggable::{Line, Loggable};
use crate::ring::context::{self as thread, Encoded};
use crate::ring::frame::ContextView;
use crate::ring::writer;

/// Ids and fields that go with every line: of a scope, by [`enter`](Self::enter), or of a future, by
/// [`in_context`](InContext::in_context).
///
/// ```
/// use mcp_vitals::logs::{Context, InContext};
///
/// let context = Context::new().request_id("req-7").session_id("s-1").field("tenant", "blue");
/// {
///     let _guard = context.enter();
///     // Lines of this thread carry it until the guard is dropped.
/// }
/// let work = async { /* lines of this future carry it, wherever it is polled */ };
/// let _ = work.in_context(context);
/// ```
///
/// Made once and copied into each line: about 20 ns to enter, a nanosecond or two a line. Ids are
/// cut at 255 bytes; all fields together at 8 KiB, past which a further one is left out.
#[derive(Clone, Debug, Default)]
pub struct Context {
    request_id: Option<Box<str>>,
    user_id: Option<Box<str>>,
    session_id: Option<Box<str>>,
    trace: Option<([u8; 16], [u8; 8])>,
    /// Encoded as frames carry them.
    fields: Vec<u8>,
    /// By the first that needs it.
    encoded: OnceLock<Encoded>,
}

/// Most bytes of a context's fields.
const MOST_FIELDS: usize = 8 << 10;

impl Context {
    /// Of nobody.
    pub fn new() -> Context {
        Context::default()
    }

    /// The calling thread's, to add to or to take elsewhere: with the ids of the span that is current there.
    pub fn current() -> Context {
        let traced = || {
            let active = thread::active();
            let (trace, span) = active.ids.split_first_chunk()?;
            active.is_present().then_some((*trace, *span.first_chunk()?))
        };
        let context = Context::entered();
        Context { trace: traced().or(context.trace), ..context }
    }

    /// The calling thread's, without what each line takes from the current span anyway.
    fn entered() -> Context {
        let Some(encoded) = thread::current() else { return Context::default() };
        let view = ContextView::parse(encoded.blocks().bytes()).unwrap_or_default();
        let text = |text: crate::ring::frame::Text<'_>| text.to_str().into();
        Context {
            request_id: view.request_id.map(text),
            user_id: view.user_id.map(text),
            session_id: view.session_id.map(text),
            trace: view.trace_id.zip(view.span_id),
            fields: view.field_bytes().into(),
            encoded: OnceLock::new(),
        }
    }

    /// Of the MCP request.
    pub fn request_id(mut self, id: &str) -> Context {
        self.request_id = Some(id.into());
        self.changed()
    }

    /// Of the user, as the host names them.
    pub fn user_id(mut self, id: &str) -> Context {
        self.user_id = Some(id.into());
        self.changed()
    }

    /// Of the MCP session.
    pub fn session_id(mut self, id: &str) -> Context {
        self.session_id = Some(id.into());
        self.changed()
    }

    /// Of the trace and the span that is current in it, as W3C Trace Context has them.
    pub fn trace(mut self, trace_id: [u8; 16], span_id: [u8; 8]) -> Context {
        self.trace = Some((trace_id, span_id));
        self.changed()
    }

    /// A field of its own.
    pub fn field(mut self, key: &str, value: impl Loggable) -> Context {
        let put = |writer: &mut writer::Writer<'_>| value.put(Some(key), &mut Line(writer));
        if let Some(bytes) = writer::keyed(MOST_FIELDS - self.fields.len(), &put) {
            self.fields.extend_from_slice(&bytes);
        }
        self.changed()
    }

    fn changed(mut self) -> Context {
        self.encoded = OnceLock::new();
        self
    }

    /// As frames carry it.
    fn encode(&self) -> Encoded {
        self.encoded
            .get_or_init(|| {
                let ids = [&self.request_id, &self.user_id, &self.session_id];
                let mut bytes = writer::context(ids.map(|id| id.as_deref()), self.trace);
                bytes.extend_from_slice(&self.fields);
                std::sync::Arc::new(thread::Bytes::new(&bytes))
            })
            .clone()
    }

    /// Ready to go into lines.
    pub(crate) fn ready(self) -> Ready {
        Ready(self.encode())
    }

    /// Makes it the calling thread's until the guard is dropped; then the one before is again. The
    /// second time it allocates nothing.
    pub fn enter(&self) -> Entered {
        enter(&self.encode())
    }
}

/// A context as lines carry it: to be shared, and not to be added to.
#[derive(Clone)]
pub(crate) struct Ready(pub(super) Encoded);

impl Ready {
    /// Makes it the calling thread's, for what the engine itself does.
    #[inline]
    pub(crate) fn enter(&self) -> Entered {
        enter(&self.0)
    }
}

/// The calling thread's, with these ids of a request, a user and a session.
pub(super) fn current_with(ids: [Option<&str>; 3]) -> Context {
    let mut context = Context::entered();
    let of = [&mut context.request_id, &mut context.user_id, &mut context.session_id];
    for (of, id) in of.into_iter().zip(ids) {
        if let Some(id) = id {
            *of = Some(id.into());
        }
    }
    context
}

/// A context that is the thread's until this is dropped.
#[must_use = "the context ends when the guard is dropped"]
pub struct Entered {
    before: Option<Encoded>,
    /// Of this thread.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        thread::swap(self.before.take());
    }
}

/// [`Context::enter`] with these ids, as the Python original had it; what else the context of the
/// thread has stays.
pub fn set_request_context(
    request_id: Option<&str>,
    user_id: Option<&str>,
    session_id: Option<&str>,
) -> Entered {
    current_with([request_id, user_id, session_id]).enter()
}

/// Gives a future a context.
pub trait InContext: Future + Sized {
    /// Lines that this future logs carry `context`, whichever threads poll it; also those that it
    /// logs while it is dropped.
    fn in_context(self, context: Context) -> ContextFuture<Self> {
        ContextFuture { context: Some(context.encode()), future: Some(self) }
    }
}

impl<F: Future> InContext for F {}

pin_project! {
    /// A future with a context; see [`InContext`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ContextFuture<F> {
        // None: it is polled as it is.
        pub(super) context: Option<Encoded>,
        #[pin]
        pub(super) future: Option<F>,
    }

    impl<F> PinnedDrop for ContextFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _guard = this.context.as_ref().map(enter);
            this.future.set(None);
        }
    }
}

pub(super) fn enter(context: &Encoded) -> Entered {
    Entered { before: thread::swap(Some(context.clone())), _not_send: PhantomData }
}

impl<F: Future> Future for ContextFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let this = self.project();
        let _guard = this.context.as_ref().map(enter);
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            // Only its drop takes the future out.
            None => task::Poll::Pending,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ring::frame::Value;

    pub(in crate::logs) fn current() -> (Vec<Option<String>>, Vec<(String, String)>) {
        {
            let bytes = thread::bytes();
            let view = ContextView::parse(&bytes).unwrap();
            let ids = [view.request_id, view.user_id, view.session_id];
            let field = |field: crate::ring::frame::Field<'_>| match field.value {
                Value::Str(text) => (field.key.to_string(), text.to_string()),
                other => (field.key.to_string(), format!("{other:?}")),
            };
            let ids = ids.map(|id| id.map(|id| id.to_string()));
            (ids.into(), view.fields().map(field).collect())
        }
    }

    #[test]
    fn a_scope_adds_and_takes_away() {
        assert_eq!(current(), (vec![None; 3], vec![]));
        let outer = Context::new().request_id("r").field("tenant", "blue").field("n", 7).enter();
        let inner = set_request_context(None, Some("u"), None);
        let tenant = || vec![("tenant".into(), "blue".into()), ("n".into(), "I64(7)".into())];
        assert_eq!(current(), (vec![Some("r".into()), Some("u".into()), None], tenant()));
        drop(inner);
        assert_eq!(current(), (vec![Some("r".into()), None, None], tenant()));
        drop(outer);
        assert_eq!(current().0, vec![None; 3]);
    }

    /// Lines take them from the span itself: a context that had them, too, would be longer for nothing, and
    /// outlive it.
    #[test]
    fn the_ids_of_a_span_are_for_a_context_that_is_taken_elsewhere() {
        let active = thread::Active { ids: [7; 24], flags: thread::Active::PRESENT };
        let before = thread::swap_active(active);
        let _entered = set_request_context(Some("r"), None, None);
        let bytes = thread::bytes();
        assert_eq!(ContextView::parse(&bytes).unwrap().trace_id, None);
        assert_eq!(Context::current().trace, Some(([7; 16], [7; 8])));
        thread::swap_active(before);
        assert_eq!(Context::current().trace, None);
        // Those that it was given stay.
        let _traced = Context::new().trace([1; 16], [2; 8]).enter();
        let _entered = set_request_context(Some("r"), None, None);
        assert_eq!(Context::current().trace, Some(([1; 16], [2; 8])));
    }

    #[test]
    fn guards_in_any_order_are_sound() {
        let one = Context::new().request_id("1").enter();
        let two = Context::new().request_id("2").enter();
        drop(one);
        drop(two);
        let _ = current();
        thread::swap(None);
    }

    #[test]
    fn a_future_carries_it_also_into_its_end() {
        struct Sees<'a>(&'a mut Option<String>);
        impl Drop for Sees<'_> {
            fn drop(&mut self) {
                *self.0 = current().0[0].clone();
            }
        }
        let (mut seen, mut dropped) = (None, None);
        let sees = Sees(&mut dropped);
        let future = async {
            let _sees = sees;
            seen = current().0[2].clone();
            std::future::pending::<()>().await;
        };
        let context = Context::new().request_id("r").session_id("s");
        let mut future = Box::pin(future.in_context(context));
        let mut cx = task::Context::from_waker(task::Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
        assert_eq!(current().0, vec![None; 3]);
        drop(future);
        assert_eq!((seen.as_deref(), dropped.as_deref()), (Some("s"), Some("r")));
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_too_much_left_out() {
        let long = "é".repeat(200);
        let mut context = Context::new().request_id(&long);
        for _ in 0..100 {
            context = context.field("k", long.as_str());
        }
        let _guard = context.enter();
        let (ids, fields) = current();
        assert_eq!(ids[0].as_ref().unwrap().len(), 254);
        assert_eq!(fields.len(), MOST_FIELDS / (1 + 2 + 2 + 400));
    }
}
