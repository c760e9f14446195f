//! The context of the calling thread: bytes that go into each of its frames.

use std::cell::Cell;
use std::ptr::null;
use std::sync::Arc;

thread_local! {
    // Const and without a destructor, so that it is there while other thread-locals are destroyed:
    // made by `Arc::into_raw`, or null. A guard that is leaked leaks its context.
    static CURRENT: Cell<*const Box<[u8]>> = const { Cell::new(null()) };
}

/// A context, encoded as frames carry it.
pub(crate) type Encoded = Arc<Box<[u8]>>;

/// Makes `context` the calling thread's; gives the one before.
pub(crate) fn swap(context: Option<Encoded>) -> Option<Encoded> {
    let before = CURRENT.replace(context.map_or(null(), Arc::into_raw));
    // SAFETY: what `CURRENT` holds came from `Arc::into_raw` and has not been taken back.
    (!before.is_null()).then(|| unsafe { Arc::from_raw(before) })
}

/// The calling thread's context.
pub(crate) fn current() -> Option<Encoded> {
    let current = swap(None);
    swap(current.clone());
    current
}

/// Runs `write` with the bytes of the calling thread's context. For code of this crate that calls
/// none of a host's: the context must not be swapped meanwhile.
#[inline(always)]
pub(crate) fn with<R>(write: impl FnOnce(&[u8]) -> R) -> R {
    let current = CURRENT.get();
    if current.is_null() {
        return write(&[]);
    }
    // SAFETY: `CURRENT` holds a count of this `Arc` until the next `swap`, which only this thread
    // does, and not within `write`.
    write(unsafe { &*current })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_set_is_current_and_none_is_freed_too_soon_or_never() {
        let context = |byte: u8| -> Encoded { Arc::new([byte].into()) };
        let (one, two) = (context(1), context(2));
        assert!(swap(Some(one.clone())).is_none());
        let outer = swap(Some(two.clone()));
        assert_eq!(with(<[u8]>::to_vec), [2]);
        assert_eq!(Arc::strong_count(&two), 2);
        swap(outer);
        assert_eq!((with(<[u8]>::to_vec), current().as_deref()), (vec![1], Some(&[1].into())));
        swap(None);
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (1, 1));
        assert_eq!(with(<[u8]>::len), 0);
    }
}
