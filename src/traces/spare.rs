//! What spans that have ended leave to the next ones.

use std::cell::Cell;
use std::mem::{self, ManuallyDrop};
use std::sync::LazyLock;

use crossbeam_queue::ArrayQueue;

use super::span::Open;

/// Kept by a thread.
const MOST: u32 = 32;
/// Kept for all threads: of spans that end elsewhere than they begin.
const SHARED: usize = 256;

/// Says that the thread ends.
struct End {
    /// Whether there is anything to do then.
    is_set: Cell<bool>,
}

thread_local! {
    // Const and without a destructor: what has one is asked at each use whether that has run. `END`
    // drops what is here.
    /// The last one that was given back, with the others behind it.
    static FIRST: Cell<ManuallyDrop<Option<Box<Open>>>> =
        const { Cell::new(ManuallyDrop::new(None)) };
    /// How many more are kept; none before the first comes, and once the thread ends.
    static ROOM: Cell<u32> = const { Cell::new(0) };
    static END: End = const { End { is_set: Cell::new(false) } };
}

static ALL: LazyLock<ArrayQueue<Box<Open>>> = LazyLock::new(|| ArrayQueue::new(SHARED));

#[inline(always)]
fn pop() -> Option<Box<Open>> {
    let mut first = ManuallyDrop::into_inner(FIRST.take())?;
    FIRST.set(ManuallyDrop::new(first.next.take()));
    ROOM.set(ROOM.get() + 1);
    Some(first)
}

/// Into room that is there.
#[inline(always)]
fn push(mut open: Box<Open>) {
    ROOM.set(ROOM.get() - 1);
    // It has none behind it: to ask for that, and to drop it, is a call for each span.
    debug_assert!(open.next.is_none());
    mem::forget(mem::replace(&mut open.next, ManuallyDrop::into_inner(FIRST.take())));
    FIRST.set(ManuallyDrop::new(Some(open)));
}

impl Drop for End {
    fn drop(&mut self) {
        while pop().is_some() {}
        ROOM.set(0);
    }
}

/// One that is to be filled.
#[inline(always)]
pub(super) fn take() -> Box<Open> {
    match pop() {
        Some(open) => open,
        None => elsewhere(),
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
    if ROOM.get() > 0 { push(open) } else { without_room(open) }
}

/// The thread's first one makes room; later ones have too many before them.
#[cold]
#[inline(never)]
fn without_room(open: Box<Open>) {
    match END.try_with(|end| end.is_set.replace(true)) {
        Ok(false) => {
            ROOM.set(MOST);
            push(open);
        }
        Ok(true) => share(open),
        // Where the thread ends it goes with the rest.
        Err(_) => {}
    }
}

/// For another thread; what all together have enough of is dropped.
fn share(open: Box<Open>) {
    let _ = ALL.push(open);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};

    use super::*;

    /// Ends after the thread's spares do, or before.
    struct Late(Sender<bool>);

    impl Drop for Late {
        fn drop(&mut self) {
            give_back(Open::new());
            let is_late = END.try_with(|_| ()).is_err();
            let kept = std::iter::from_fn(pop).count();
            // All that was kept is gone, and nothing comes any more.
            let _ = self.0.send(is_late && (kept, ROOM.get()) == (0, 0));
        }
    }

    thread_local! {
        static LATE: Cell<Option<Late>> = const { Cell::new(None) };
    }

    #[test]
    fn a_thread_keeps_so_many_and_none_when_it_ends() {
        let (sender, is_right) = mpsc::channel();
        let thread = std::thread::spawn(|| {
            LATE.set(Some(Late(sender)));
            for _ in 0..2 {
                (0..MOST + 2).for_each(|_| give_back(Open::new()));
                assert_eq!(ROOM.get(), 0);
                assert_eq!(std::iter::from_fn(pop).count(), MOST as usize);
                assert_eq!(ROOM.get(), MOST);
            }
            give_back(Open::new());
        });
        thread.join().unwrap();
        // What a thread has first is dropped last where the standard library keeps the list.
        assert!(is_right.recv().unwrap() || !cfg!(target_os = "linux"));
    }
}
