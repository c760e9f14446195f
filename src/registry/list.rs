//! An append-only list that readers walk while others append.

use std::sync::OnceLock;

use crate::sync::{AtomicUsize, Ordering};

/// Entries of the first bucket: most families have one series.
const FIRST: usize = 1;
/// A million entries, and the one that is called `_other`.
pub(super) const BUCKETS: usize = 20;

type Bucket<T> = Box<[OnceLock<T>]>;

/// Entries in buckets that double, so that nothing is ever moved: appending is amortised constant
/// and never stops a reader, and a reader never stops an append.
pub(crate) struct List<T> {
    reserved: AtomicUsize,
    buckets: [OnceLock<Bucket<T>>; BUCKETS],
}

impl<T> List<T> {
    pub(crate) fn new() -> Self {
        List { reserved: AtomicUsize::new(0), buckets: [const { OnceLock::new() }; BUCKETS] }
    }

    /// Bytes an entry costs, for the budget.
    pub(crate) const fn entry_cost() -> u64 {
        // Half of the last bucket may be empty.
        2 * size_of::<OnceLock<T>>() as u64
    }

    pub(crate) fn push(&self, value: T) {
        // Relaxed: only hands out places. `OnceLock` publishes the entry itself.
        let index = self.reserved.fetch_add(1, Ordering::Relaxed);
        let (bucket, offset) = place(index);
        let entries = self.buckets[bucket]
            .get_or_init(|| (0..FIRST << bucket).map(|_| OnceLock::new()).collect());
        let _ = entries[offset].set(value);
    }

    /// The entry at a place; nothing where it is just being appended.
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (bucket, offset) = place(index);
        self.buckets[bucket].get()?.get(offset)?.get()
    }

    /// How many places were given out; the entries of the last ones may not be there yet.
    pub(crate) fn len(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }
}

/// The bucket of an entry, and where in it the entry is.
#[inline]
pub(super) fn place(index: usize) -> (usize, usize) {
    let from = index + FIRST;
    let bucket = (from / FIRST).ilog2() as usize;
    (bucket, from - (FIRST << bucket))
}

/// Entries of a bucket.
pub(super) fn bucket_len(bucket: usize) -> usize {
    FIRST << bucket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_their_order() {
        let list = List::new();
        (0..1_000).for_each(|n| list.push(n));
        assert!((0..1_000).all(|n| list.get(n) == Some(&n)) && list.get(1_000).is_none());
    }

    #[test]
    fn nothing_is_lost_when_threads_append_and_read_at_once() {
        let list = List::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let list = &list;
                scope.spawn(move || (0..2_000).for_each(|n| list.push(thread * 10_000 + n)));
            }
            for _ in 0..100 {
                let count = || (0..list.len()).filter_map(|n| list.get(n)).count();
                let seen = count();
                assert!(count() >= seen);
            }
        });
        let mut all: Vec<i32> = (0..list.len()).map(|n| *list.get(n).unwrap()).collect();
        all.sort_unstable();
        let expected: Vec<i32> =
            (0..4).flat_map(|t| (0..2_000).map(move |n| t * 10_000 + n)).collect();
        assert_eq!(all, expected);
    }
}
