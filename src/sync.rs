//! The one door to atomics: the standard library's, or loom's under `--cfg vitals_loom`.

#[cfg(vitals_loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
};
#[cfg(not(vitals_loom))]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
};

pub(crate) use std::sync::atomic::Ordering;

/// Locks a mutex whose data stays valid whatever its last holder did: a panic elsewhere must not
/// turn into one here.
#[cfg(not(vitals_loom))]
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs what may panic, a host's code say; nothing when it did. The panic has been reported by the
/// host's hook. What the closure left half done is its own.
#[cfg(not(vitals_loom))]
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Option<T> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => Some(done),
        Err(payload) => {
            // What is thrown may panic when it is dropped. What that throws is left lying: there
            // is no end to it.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(again);
            }
            None
        }
    }
}

#[cfg(all(test, not(vitals_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_whose_payload_panics_goes_no_further() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::resume_unwind(Box::new(()));
            }
        }
        assert_eq!(contained(|| std::panic::resume_unwind(Box::new(Bomb))), None::<u8>);
        assert_eq!(contained(|| 7), Some(7));
    }
}
