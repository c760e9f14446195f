//! The newest state, rendered once for all who follow it.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::sync::lock;

/// Where the sampler posts and viewers look.
#[derive(Default)]
pub(super) struct Board(Mutex<Posted>);

#[derive(Default)]
struct Posted {
    /// How many there have been.
    number: u64,
    latest: Bytes,
    /// Nothing comes any more.
    over: bool,
    /// One for each viewer that has seen the newest, and those of some that have left since.
    waiting: Vec<Waker>,
}

impl Board {
    /// Puts `latest` up, and wakes who waits.
    pub(super) fn post(&self, latest: Bytes) {
        let mut posted = lock(&self.0);
        posted.number += 1;
        posted.latest = latest;
        wake(std::mem::take(&mut posted.waiting), posted);
    }

    /// Ends every stream.
    pub(super) fn close(&self) {
        let mut posted = lock(&self.0);
        posted.over = true;
        wake(std::mem::take(&mut posted.waiting), posted);
    }

    pub(super) fn is_over(&self) -> bool {
        lock(&self.0).over
    }

    /// The number of the newest.
    pub(super) fn number(&self) -> u64 {
        lock(&self.0).number
    }

    /// The newest, where it is another than `seen`, which becomes its number; nothing at the end. Who
    /// comes late has missed what was between.
    pub(super) fn poll(&self, seen: &mut u64, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut posted = lock(&self.0);
        if posted.over {
            return Poll::Ready(None);
        }
        if posted.number > *seen {
            *seen = posted.number;
            return Poll::Ready(Some(posted.latest.clone()));
        }
        if !posted.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            posted.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// Outside of the lock.
fn wake<T>(waiting: Vec<Waker>, lock: T) {
    drop(lock);
    waiting.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_late_gets_the_newest_and_each_once() {
        let (board, mut seen) = (Board::default(), 0);
        let mut context = Context::from_waker(Waker::noop());
        assert!(board.poll(&mut seen, &mut context).is_pending());
        board.post("a".into());
        board.post("b".into());
        assert_eq!(board.poll(&mut seen, &mut context), Poll::Ready(Some("b".into())));
        assert!(board.poll(&mut seen, &mut context).is_pending());
        board.close();
        assert_eq!(board.poll(&mut seen, &mut context), Poll::Ready(None));
    }
}
