//! The context of a request that an SDK hands to its handler.

use std::sync::Arc;

use super::context::{ContextFuture, Entered, Ready, current_with, enter};
use crate::ring::context::{self as thread, Encoded};
use crate::ring::writer;

impl Ready {
    /// Of a request, with what else the calling thread's context has.
    pub(crate) fn of_request(request_id: Option<&str>, session_id: Option<&str>) -> Ready {
        if thread::current().is_none() {
            // As nearly always: ids are the client's, and a long one is not even copied.
            let bytes = writer::context([request_id, None, session_id], None);
            return Ready(Arc::new(thread::Bytes::new(&bytes)));
        }
        current_with([request_id, None, session_id]).ready()
    }

    /// Gives a future this context, where there is one.
    #[inline]
    pub(crate) fn around<F>(context: Option<&Ready>, future: F) -> ContextFuture<F> {
        ContextFuture { context: context.map(|ready| ready.0.clone()), future: Some(future) }
    }
}

/// A context around a future that stands beside it and is not moved into it: the SDK's requests are
/// large. Made before the future, so that it goes after it; [`Beside`] is made behind it.
pub(crate) struct Around {
    context: Option<Ready>,
    /// What the thread had when the future began to be dropped.
    before: Option<Option<Encoded>>,
}

/// See [`Around`]. While the future is polled, [`enter`](Self::enter) gives it the context; dropped
/// before the future, this gives the context to what the future does when it is dropped.
pub(crate) struct Beside<'a>(&'a mut Around);

impl Around {
    #[inline]
    pub(crate) fn new(context: Option<&Ready>) -> Around {
        Around { context: context.cloned(), before: None }
    }

    #[inline]
    pub(crate) fn beside(&mut self) -> Beside<'_> {
        Beside(self)
    }
}

impl Drop for Around {
    #[inline]
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            thread::swap(before);
        }
    }
}

impl Beside<'_> {
    #[inline]
    pub(crate) fn enter(&self) -> Option<Entered> {
        self.0.context.as_ref().map(|ready| enter(&ready.0))
    }
}

impl Drop for Beside<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(Ready(context)) = self.0.context.take() {
            self.0.before = Some(thread::swap(Some(context)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task;

    use super::super::context::tests::current;
    use super::*;
    use crate::logs::Context;

    #[test]
    fn a_context_beside_a_future_is_there_from_its_first_poll_to_the_end_of_its_drop() {
        struct Sees<'a>(&'a mut Vec<Option<String>>);
        impl Drop for Sees<'_> {
            fn drop(&mut self) {
                self.0.push(current().0[0].clone());
            }
        }
        let mut seen = Vec::new();
        let sees = Sees(&mut seen);
        let ready = Context::new().request_id("r").ready();
        let mut cx = task::Context::from_waker(task::Waker::noop());
        {
            let mut around = Around::new(Some(&ready));
            let mut handler = std::pin::pin!(async move {
                sees.0.push(current().0[0].clone());
                std::future::pending::<()>().await;
                drop(sees);
            });
            let beside = around.beside();
            for _ in 0..2 {
                let _guard = beside.enter();
                assert!(handler.as_mut().poll(&mut cx).is_pending());
            }
            assert_eq!(current().0, vec![None; 3]);
        }
        assert_eq!(current().0, vec![None; 3]);
        assert_eq!(seen, [Some("r".to_owned()), Some("r".to_owned())]);
    }

    #[test]
    fn a_request_keeps_what_the_thread_had() {
        let ids = |ready: &Ready| {
            let _guard = enter(&ready.0);
            current()
        };
        let alone = Ready::of_request(Some("7"), None);
        assert_eq!(ids(&alone), (vec![Some("7".into()), None, None], vec![]));
        let _outer = Context::new().user_id("ann").request_id("outer").field("k", "v").enter();
        let (within, fields) = ids(&Ready::of_request(Some("7"), Some("s")));
        assert_eq!(within, ["7", "ann", "s"].map(|id| Some(id.to_owned())));
        assert_eq!(fields, [("k".to_owned(), "v".to_owned())]);
    }
}
