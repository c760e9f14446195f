//! A value that stands in the heap, or in a mapping that somebody else keeps.

use std::any::Any;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

/// A shared value at one place for as long as this lives.
pub(crate) struct Place<T> {
    value: NonNull<T>,
    /// What keeps it there.
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: a shared reference to a `T` and a handle that are each both.
unsafe impl<T: Sync> Send for Place<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Place<T> {}

impl<T: Send + Sync + 'static> Place<T> {
    pub(crate) fn heap(value: T) -> Place<T> {
        let owner = Arc::new(value);
        Place { value: NonNull::from(&*owner), _owner: owner }
    }
}

impl<T> Place<T> {
    /// # Safety
    /// `value` points to a `T` that stays valid for as long as `owner` lives and is only shared.
    pub(crate) unsafe fn over(value: NonNull<T>, owner: Arc<dyn Any + Send + Sync>) -> Place<T> {
        Place { value, _owner: owner }
    }
}

impl<T> Deref for Place<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: valid and only shared while the owner lives, by whoever made this.
        unsafe { self.value.as_ref() }
    }
}
