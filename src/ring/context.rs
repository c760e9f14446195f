//! The context of the calling thread: bytes that go into each of its frames.

use std::cell::RefCell;
use std::sync::Arc;

use super::frame::IDS;
use super::here::HERE;
use super::writer::{Blocks, FRONT};

/// The span that is current on a thread: its ids, as frames and W3C have them, and its flags. No
/// flags stand for nothing at all; without [`PRESENT`](Self::PRESENT) there are no ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) ids: [u8; IDS],
    pub(crate) flags: u8,
}

impl Active {
    pub(crate) const NONE: Active = Active { ids: [0; IDS], flags: 0 };
    /// There are ids. What is carried can be there without.
    pub(crate) const PRESENT: u8 = 8;

    #[inline(always)]
    pub(crate) fn is_present(&self) -> bool {
        self.flags & Active::PRESENT != 0
    }
    /// The flag that says that the trace is sampled: W3C's.
    pub(crate) const SAMPLED: u8 = 1;
}

thread_local! {
    /// A context that is put together for one line; it keeps its room for the next.
    static TOGETHER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A context's bytes, as frames carry it.
#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Bytes {
    /// The first of them, with zeroes behind.
    front: [u8; FRONT],
    length: usize,
    /// All of them, where they are more than that.
    long: Vec<u8>,
}

/// The context of a thread that has none.
pub(super) static NOBODY: Bytes = Bytes { length: 0, front: [0; FRONT], long: Vec::new() };

impl Bytes {
    pub(crate) fn new(bytes: &[u8]) -> Bytes {
        let mut front = [0; FRONT];
        let n = bytes.len().min(FRONT);
        front[..n].copy_from_slice(&bytes[..n]);
        let long = if n < bytes.len() { bytes.to_vec() } else { Vec::new() };
        Bytes { length: bytes.len(), front, long }
    }

    #[inline(always)]
    pub(crate) fn blocks(&self) -> Blocks<'_> {
        Blocks::new(&self.front, &self.long, self.length)
    }
}

/// A context, encoded.
pub(crate) type Encoded = Arc<Bytes>;

/// Makes `context` the calling thread's; gives the one before.
pub(crate) fn swap(context: Option<Encoded>) -> Option<Encoded> {
    let context = context.map_or(&raw const NOBODY, Arc::into_raw);
    let before = HERE.with(|here| here.context.replace(context));
    // SAFETY: what else there may be came from `Arc::into_raw` and has not been taken back.
    (!std::ptr::eq(before, &NOBODY)).then(|| unsafe { Arc::from_raw(before) })
}

/// The calling thread's context.
pub(crate) fn current() -> Option<Encoded> {
    let current = swap(None);
    swap(current.clone());
    current
}

/// The span that is current on the calling thread.
#[inline(always)]
pub(crate) fn active() -> Active {
    HERE.with(|here| here.active.get())
}

/// Whether there is one, and its trace is sampled: one load.
#[inline(always)]
pub(crate) fn is_sampled() -> bool {
    active().flags & Active::SAMPLED != 0
}

/// Makes `span` current; gives the one before.
#[inline(always)]
pub(crate) fn swap_active(span: Active) -> Active {
    HERE.with(|here| here.active.replace(span))
}

/// Its ids, where there is one.
///
/// # Safety
/// No other is made current while they are used.
#[inline(always)]
unsafe fn active_ids<'a>() -> Option<&'a [u8; IDS]> {
    HERE.with(|here| {
        // SAFETY: the cell is there as long as the thread, has no destructor, and is written by
        // `swap_active` alone, which the caller rules out.
        let active = unsafe { &*here.active.as_ptr() };
        active.is_present().then_some(&active.ids)
    })
}

/// The calling thread's context.
///
/// # Safety
/// Neither it nor the current span is set to another while the bytes are used.
#[inline(always)]
pub(crate) unsafe fn current_blocks<'a>() -> Blocks<'a> {
    // SAFETY: the caller's promise.
    let ids = unsafe { active_ids() };
    let current = HERE.with(|here| here.context.get());
    // SAFETY: `NOBODY`, or there is a count of this `Arc` until the next `swap`, which only this
    // thread makes, and not meanwhile.
    unsafe { &*current }.blocks().within(ids)
}

/// Calls `write` with the calling thread's context, behind which `more` has put further fields.
pub(crate) fn with_more(more: &dyn Fn(&mut Vec<u8>), write: &mut dyn FnMut(Blocks<'_>)) {
    let mut put = |buffer: &mut Vec<u8>| {
        buffer.clear();
        // SAFETY: copied at once.
        buffer.extend_from_slice(unsafe { current_blocks() }.bytes());
        if buffer.is_empty() {
            // Of nobody: no ids.
            buffer.push(0);
        }
        more(buffer);
        let length = buffer.len();
        buffer.resize(length.max(FRONT), 0);
        let Some(front) = buffer.first_chunk() else { return };
        let long = if length > FRONT { &buffer[..] } else { &[] };
        let active = active();
        let ids = active.is_present().then_some(&active.ids);
        write(Blocks::new(front, long, length).within(ids));
    };
    let done = TOGETHER.try_with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => put(&mut buffer),
        Err(_) => put(&mut Vec::new()),
    });
    if done.is_err() {
        // The thread ends.
        put(&mut Vec::new());
    }
}

/// A copy of the bytes of the calling thread's context, for tests.
#[cfg(test)]
pub(crate) fn bytes() -> Vec<u8> {
    // SAFETY: copied at once.
    unsafe { current_blocks() }.bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_set_is_current_and_none_is_freed_too_soon_or_never() {
        let context = |byte: u8| -> Encoded { Arc::new(Bytes::new(&[byte])) };
        let (one, two) = (context(1), context(2));
        assert!(swap(Some(one.clone())).is_none());
        let outer = swap(Some(two.clone()));
        assert_eq!(bytes(), [2]);
        assert_eq!(Arc::strong_count(&two), 2);
        swap(outer);
        assert_eq!((bytes(), current().as_deref()), (vec![1], Some(&Bytes::new(&[1]))));
        swap(None);
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (1, 1));
        assert!(bytes().is_empty());
    }
}
