//! Runs one handler's future under one in-flight record.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use rmcp::ErrorData;

use super::request::InFlight;
use crate::catalog::Outcome;
use crate::logs::Beside;
use crate::sync::contained;
use crate::traces::Aside;

/// What the client reads when a handler panicked and the wrapper answers for it. The panic's own
/// message may hold anything and stays here.
const PANICKED: &str = "internal error: the request's handler panicked";

/// Awaits `handler` and records how it ended: by `judge` for a result, by its code for an error, as
/// cancelled where `withdrawn` says that nobody waits for the answer any more. Dropped half-way, the
/// record is that of a dropped [`InFlight`].
///
/// The handler is pinned by the caller, so that it is not moved again: its future holds the whole
/// request.
pub(super) async fn watch<T>(
    mut request: InFlight,
    answer_panics: bool,
    withdrawn: impl Fn() -> bool,
    scope: (Beside<'_>, Aside<'_>),
    mut handler: Pin<&mut impl Future<Output = Result<T, ErrorData>>>,
    judge: impl FnOnce(&T) -> Outcome,
) -> Result<T, ErrorData> {
    let ended = poll_fn(|context| {
        let _scope = (scope.0.enter(), scope.1.enter());
        let _current = request.hold();
        if !answer_panics {
            return handler.as_mut().poll(context).map(Some);
        }
        // Unwind safe as far as this goes: a future that panicked is never polled again. What the
        // handler left behind in its own state is what a panic in a task of its own leaves, too.
        match contained(|| handler.as_mut().poll(context)) {
            Some(poll) => poll.map(Some),
            None => Poll::Ready(None),
        }
    });
    match ended.await {
        Some(result) => {
            if request.is_recording() {
                let (outcome, message) = match &result {
                    _ if withdrawn() => (Outcome::Cancelled, ""),
                    Ok(answer) => (judge(answer), ""),
                    Err(error) => (Outcome::JsonRpc(error.code.0), &*error.message),
                };
                request.finish_with(outcome, message);
            }
            result
        }
        None => {
            request.finish(Outcome::Panic);
            Err(ErrorData::internal_error(PANICKED, None))
        }
    }
}

/// Awaits `handler`, an expression that makes the future of a request, by [`watch`], as the owner of
/// `server` wants it. `token` is cancelled when the client withdraws the request.
macro_rules! watched {
    ($server:ident, $record:expr, $token:expr, $handler:expr, $judge:expr $(,)?) => {{
        let record = $record;
        let token = record.is_recording().then(|| $token.clone());
        let withdrawn = move || token.as_ref().is_some_and(|token| token.is_cancelled());
        // In this order: the handler is dropped after the scopes and before what is around it.
        let mut around = $crate::logs::Around::new(record.context());
        let mut late = $crate::traces::Late::new(record.span().map($crate::Span::as_parent));
        let handler = std::pin::pin!($handler);
        let scope = (around.beside(), late.aside());
        watch(record, $server.answer_panics, withdrawn, scope, handler, $judge).await
    }};
}
pub(super) use watched;

/// Asks the server's own code, which may panic, whether it has a tool: a panic counts as a no.
pub(super) fn ask(question: impl FnOnce() -> bool) -> bool {
    contained(question).unwrap_or(false)
}
