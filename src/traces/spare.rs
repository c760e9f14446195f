//! What spans that have ended leave to the next ones.

use std::cell::Cell;
use std::sync::LazyLock;

use crossbeam_queue::ArrayQueue;

use super::span::Open;

/// Kept by a thread.
const MOST: u32 = 32;
/// Kept for all threads: of spans that end elsewhere than they begin.
const SHARED: usize = 256;

thread_local! {
    /// The last one that was given back, with the others behind it.
    static SPARE: Cell<Option<Box<Open>>> = const { Cell::new(None) };
}

static ALL: LazyLock<ArrayQueue<Box<Open>>> = LazyLock::new(|| ArrayQueue::new(SHARED));

/// One that is to be filled.
#[inline(always)]
pub(super) fn take() -> Box<Open> {
    let taken = SPARE.try_with(|spare| {
        let mut first = spare.take()?;
        spare.set(first.next.take());
        Some(first)
    });
    match taken {
        Ok(Some(open)) => open,
        _ => elsewhere(),
    }
}

#[cold]
#[inline(never)]
fn elsewhere() -> Box<Open> {
    ALL.pop().unwrap_or_else(Open::new)
}

/// Keeps one that is not needed any more.
#[inline(always)]
pub(super) fn give_back(mut open: Box<Open>) {
    open.clear();
    let kept = SPARE.try_with(|spare| {
        let first = spare.take();
        let behind = first.as_ref().map_or(0, |first| first.behind + 1);
        if behind >= MOST {
            spare.set(first);
            return Some(open);
        }
        (open.behind, open.next) = (behind, first);
        spare.set(Some(open));
        None
    });
    // Where the thread ends it goes with the rest.
    if let Ok(Some(open)) = kept {
        share(open);
    }
}

/// For another thread; what all together have enough of is dropped.
#[cold]
#[inline(never)]
fn share(open: Box<Open>) {
    let _ = ALL.push(open);
}
