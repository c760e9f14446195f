//! A function, or the future that an `async` one is, within a record.

use std::future::Future;
use std::pin::Pin;
use std::task;

use pin_project_lite::pin_project;

use super::failure::Failure;

/// How what is recorded ended.
pub enum End<'a> {
    /// It returned, with an error or without.
    Returned(Option<Failure<'a>>),
    /// It panicked.
    Panicked,
    /// A future was dropped before it was ready.
    Dropped,
}

/// What one macro records of one call.
pub trait Record: Sized {
    /// What is there while the function runs; while the future is polled.
    type Scope<'a>
    where
        Self: 'a;

    /// The function runs from now on.
    fn enter(&self) -> Self::Scope<'_>;

    /// It has ended; comes once.
    fn end(self, end: End<'_>);
}

/// Ends a record where it was not taken out before: on the way of a panic, or of a drop.
struct Unfinished<R: Record>(Option<R>);

impl<R: Record> Drop for Unfinished<R> {
    #[inline]
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            let panicking = std::thread::panicking();
            record.end(if panicking { End::Panicked } else { End::Dropped });
        }
    }
}

/// Runs `body` within `record`, where there is one.
#[inline(always)]
pub fn run<R: Record, T>(
    record: Option<R>,
    body: impl FnOnce() -> T,
    failure: impl for<'a> FnOnce(&'a T) -> Option<Failure<'a>>,
) -> T {
    let mut record = Unfinished(record);
    let output = {
        let _scope = record.0.as_ref().map(R::enter);
        body()
    };
    if let Some(record) = record.0.take() {
        record.end(End::Returned(failure(&output)));
    }
    output
}

/// Runs `body` within `record`, where there is one, whenever it is polled.
#[inline(always)]
pub fn watch<R, F, J>(record: Option<R>, body: F, failure: J) -> Watched<R, F, J>
where
    R: Record,
    F: Future,
    J: for<'a> Fn(&'a F::Output) -> Option<Failure<'a>>,
{
    Watched { body: Some(body), record, failure }
}

pin_project! {
    /// A future within a record.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Watched<R: Record, F, J> {
        #[pin]
        body: Option<F>,
        record: Option<R>,
        failure: J,
    }

    impl<R: Record, F, J> PinnedDrop for Watched<R, F, J> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let record = Unfinished(this.record.take());
            // Within its record to the end.
            let _scope = record.0.as_ref().map(R::enter);
            this.body.set(None);
        }
    }
}

/// Ends a record whose future panics, at once: who catches it may keep the future for long, and drops
/// it when nothing panics any more.
struct Polling<'a, R: Record>(&'a mut Option<R>);

impl<R: Record> Drop for Polling<'_, R> {
    fn drop(&mut self) {
        drop(Unfinished(self.0.take()));
    }
}

impl<R, F, J> Future for Watched<R, F, J>
where
    R: Record,
    F: Future,
    J: for<'a> Fn(&'a F::Output) -> Option<Failure<'a>>,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            // Polled after it was ready: as any future, it may do as it likes.
            return task::Poll::Pending;
        };
        let polling = Polling(this.record);
        let poll = {
            let _scope = polling.0.as_ref().map(R::enter);
            body.poll(cx)
        };
        if let task::Poll::Ready(output) = &poll {
            {
                // What the future holds goes within its record.
                let _scope = polling.0.as_ref().map(R::enter);
                this.body.set(None);
            }
            if let Some(record) = polling.0.take() {
                record.end(End::Returned((this.failure)(output)));
            }
        }
        // It did not panic, and holds nothing but a reference.
        std::mem::forget(polling);
        poll
    }
}
