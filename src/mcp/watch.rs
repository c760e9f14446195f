//! Runs one handler's future under one in-flight record.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use rmcp::ErrorData;

use super::outcome::Outcome;
use super::request::InFlight;

/// What the client reads when a handler panicked and the wrapper answers for it. The panic's own
/// message may hold anything and stays here.
const PANICKED: &str = "internal error: the request's handler panicked";

/// Awaits `future` and records how it ended: by `judge` for a result, by its code for an error, as
/// cancelled where `withdrawn` says that nobody waits for the answer any more. Unpolled or dropped
/// half-way, the record is that of a dropped [`InFlight`].
pub(super) async fn watch<T>(
    request: InFlight,
    answer_panics: bool,
    withdrawn: impl Fn() -> bool,
    future: impl Future<Output = Result<T, ErrorData>>,
    judge: impl FnOnce(&T) -> Outcome,
) -> Result<T, ErrorData> {
    match caught(answer_panics, future).await {
        Ok(result) => {
            if request.is_recording() {
                request.finish(if withdrawn() {
                    Outcome::Cancelled
                } else {
                    match &result {
                        Ok(answer) => judge(answer),
                        Err(error) => Outcome::JsonRpc(error.code.0),
                    }
                });
            }
            result
        }
        Err(_) => {
            request.finish(Outcome::Panic);
            Err(ErrorData::internal_error(PANICKED, None))
        }
    }
}

/// The future's own output, or the payload of a panic where `catch` is set; else a panic goes its
/// way.
async fn caught<F: Future>(catch: bool, future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if !catch {
            return future.as_mut().poll(context).map(Ok);
        }
        // Unwind safe as far as this goes: a future that panicked is never polled again. What the
        // handler left behind in its own state is what a panic in a task of its own leaves, too.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => std::task::Poll::Ready(Err(payload)),
        }
    })
    .await
}

/// Asks the server's own code, which may panic, whether it has a tool: a panic counts as a no.
pub(super) fn ask(question: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(question)).unwrap_or(false)
}
