//! The label values of one family: each text once, however many series have it.
//!
//! A series names its values by number. What is behind a number is read without a lock by whoever
//! looks a series up or scrapes it, and goes when the last series that names it has been reclaimed.

use std::sync::{MutexGuard, OnceLock};

use dashmap::DashMap;

use super::list::{self, BUCKETS};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};

/// The value that labels past a limit share; every family's number 0.
pub(crate) const OTHER: &str = "_other";
pub(crate) const OTHER_ID: u32 = 0;

/// Texts by number.
///
/// Invariant: a pointer in it is null or from `Box::into_raw`, and is taken out by [`Values`] alone,
/// when no series names it.
pub(crate) struct Texts([OnceLock<Bucket>; BUCKETS]);

/// Null where there is no text.
type Bucket = Box<[AtomicPtr<Box<str>>]>;

/// While a value of this type is there, no series that its holder can find is reclaimed.
///
/// # Safety
/// A series is reclaimed in the engine's turn and under the births' lock, after it was taken out of
/// the index and every pin of before is gone. So it stays for whoever has one of these.
pub(crate) unsafe trait Keeps {}

/// The engine's turn: one scrape, snapshot or removal at a time.
pub(crate) struct Turn<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl<'a> Turn<'a> {
    /// `guard` is that of the engine's turn.
    pub(super) fn new(guard: MutexGuard<'a, ()>) -> Turn<'a> {
        Turn { _guard: guard }
    }
}

// SAFETY: what reclaims has the turn `&mut`.
unsafe impl Keeps for Turn<'_> {}

/// Somebody looks series of one family up.
pub(crate) struct Looking(());

impl Looking {
    /// For whoever has pinned the thread's shard, or has the births' lock, and lends this for no
    /// longer; or for a family whose series are never reclaimed.
    pub(super) fn new() -> Looking {
        Looking(())
    }
}

// SAFETY: a reclaim has the births' lock, and waits until no shard is pinned from before the series
// was taken out of the index. Who pins later does not find it there.
unsafe impl Keeps for Looking {}

impl Texts {
    pub(crate) fn new() -> Texts {
        let texts = Texts([const { OnceLock::new() }; BUCKETS]);
        texts.put(OTHER_ID, OTHER);
        texts
    }

    /// The text of a value that a series names. Empty where there is none.
    #[inline]
    pub(crate) fn get<'a>(&'a self, id: u32, _keeps: &'a impl Keeps) -> &'a str {
        // Acquire: the text was written before its number was given to a series.
        let text = self.place(id).map(|place| place.load(Ordering::Acquire));
        // SAFETY: null, or by the invariant a live box: it is taken out when no series names it,
        // which `_keeps` rules out for as long as the reference lives.
        text.and_then(|text| unsafe { text.as_ref() }).map_or("", |text| text)
    }

    #[inline]
    fn place(&self, id: u32) -> Option<&AtomicPtr<Box<str>>> {
        let (bucket, offset) = list::place(id as usize);
        self.0[bucket].get()?.get(offset)
    }

    /// Under the births' lock, as whatever changes the texts.
    fn put(&self, id: u32, text: &str) {
        let (bucket, offset) = list::place(id as usize);
        let empty = || (0..list::bucket_len(bucket)).map(|_| AtomicPtr::default()).collect();
        let text = Box::into_raw(Box::new(text.into()));
        // Release: publishes the text.
        self.0[bucket].get_or_init(empty)[offset].store(text, Ordering::Release);
    }

    fn take(&self, id: u32) {
        let Some(place) = self.place(id) else { return };
        let text = place.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !text.is_null() {
            // SAFETY: from `Box::into_raw` in `put`, and by the invariant nobody reads it.
            drop(unsafe { Box::from_raw(text) });
        }
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        let ids = (0..BUCKETS).take_while(|&bucket| self.0[bucket].get().is_some());
        let ids: usize = ids.map(list::bucket_len).sum();
        (0..ids).for_each(|id| self.take(id as u32));
    }
}

/// The numbers of the texts, label by label. Read by anybody, changed under the births' lock.
pub(crate) struct Values {
    pub(crate) texts: Texts,
    by_text: Box<[ByText]>,
}

struct ByText {
    ids: DashMap<Box<str>, u32, foldhash::fast::RandomState>,
    /// As many as `ids` has.
    distinct: AtomicU32,
}

/// The series that name a number, and numbers that none names. Kept under the births' lock.
pub(crate) struct Uses {
    uses: Vec<u32>,
    free: Vec<u32>,
}

/// Fewest that the map takes: new values are rare, and floods of them only read.
const SHARDS: usize = 2;

impl Values {
    pub(crate) fn new(labels: usize) -> Values {
        let by_text = || ByText {
            ids: DashMap::with_hasher_and_shard_amount(Default::default(), SHARDS),
            distinct: AtomicU32::new(0),
        };
        Values { texts: Texts::new(), by_text: (0..labels).map(|_| by_text()).collect() }
    }

    /// Bytes that a label takes without values.
    pub(crate) const LABEL_COST: u64 = (size_of::<ByText>() + SHARDS * 128) as u64;

    /// Bytes that a value takes: its text twice, a place in the map and the two lists.
    pub(crate) fn cost(text: &str) -> u64 {
        (2 * text.len() + 3 * size_of::<Box<str>>() + 48) as u64
    }

    /// Distinct values of a label, `_other` not counted.
    pub(crate) fn distinct(&self, label: usize) -> u32 {
        // Acquire: whoever sees the last value counted finds it by its text.
        self.by_text[label].distinct.load(Ordering::Acquire)
    }

    /// Whether a series' number is that of `text`.
    #[inline]
    pub(crate) fn is(&self, id: &AtomicU32, text: &str, keeps: &impl Keeps) -> bool {
        // Relaxed: as `Places::id`.
        same(self.texts.get(id.load(Ordering::Relaxed), keeps), text)
    }

    /// The number of a value that a series has. Takes a read lock.
    pub(crate) fn find(&self, label: usize, text: &str) -> Option<u32> {
        if text == OTHER {
            return Some(OTHER_ID);
        }
        self.by_text[label].ids.get(text).map(|id| *id)
    }

    /// The number of a value, with one use more.
    pub(crate) fn take(&self, uses: &mut Uses, label: usize, text: &str) -> u32 {
        if let Some(id) = self.find(label, text) {
            uses.uses[id as usize] = uses.uses[id as usize].saturating_add(1);
            return id;
        }
        let id = uses.free.pop().unwrap_or(uses.uses.len() as u32);
        self.texts.put(id, text);
        let ByText { ids, distinct } = &self.by_text[label];
        ids.insert(text.into(), id);
        // Release: see `distinct`.
        distinct.fetch_add(1, Ordering::Release);
        match uses.uses.get_mut(id as usize) {
            Some(uses) => *uses = 1,
            None => uses.uses.push(1),
        }
        id
    }

    /// Gives one use back; gives the bytes that became free with the last one.
    ///
    /// The caller reclaims the series: nobody reads its texts.
    pub(crate) fn give_back(&self, uses: &mut Uses, label: usize, id: u32, text: &str) -> u64 {
        let left = &mut uses.uses[id as usize];
        *left = left.saturating_sub(1);
        if id == OTHER_ID || *left > 0 {
            return 0;
        }
        let cost = Values::cost(text);
        let ByText { ids, distinct } = &self.by_text[label];
        ids.remove(text);
        distinct.fetch_sub(1, Ordering::Relaxed);
        uses.free.push(id);
        self.texts.take(id);
        cost
    }
}

impl Uses {
    pub(crate) fn new() -> Uses {
        Uses { uses: vec![0], free: Vec::new() }
    }
}

/// Whether two texts are the same; without a call where they are short, which most values are.
#[inline]
fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    // Both ends, which overlap.
    if let (Some(a), Some(b), 8..=16) = (ends::<8>(a), ends::<8>(b), a.len()) {
        return a == b;
    }
    if let (Some(a), Some(b), 4..8) = (ends::<4>(a), ends::<4>(b), a.len()) {
        return a == b;
    }
    a == b
}

#[inline]
fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    bytes.first_chunk().zip(bytes.last_chunk())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Still;
    // SAFETY: the tests reclaim nothing while they read.
    unsafe impl Keeps for Still {}

    #[test]
    fn a_value_is_kept_once_and_goes_with_its_last_use() {
        let (values, mut uses) = (Values::new(2), Uses::new());
        let text = |id| values.texts.get(id, &Still);
        let a = values.take(&mut uses, 0, "a");
        assert_eq!(values.take(&mut uses, 0, "a"), a);
        let other_label = values.take(&mut uses, 1, "a");
        assert_ne!(a, other_label);
        assert_eq!((text(a), values.distinct(0)), ("a", 1));
        assert_eq!(values.give_back(&mut uses, 0, a, "a"), 0);
        assert_eq!(values.give_back(&mut uses, 0, a, "a"), Values::cost("a"));
        assert_eq!((text(a), values.distinct(0)), ("", 0));
        assert_eq!(values.take(&mut uses, 0, "b"), a, "the number is used again");
        assert_eq!((text(a), text(other_label)), ("b", "a"));
    }

    proptest! {
        #[test]
        fn texts_are_the_same_where_their_bytes_are(a in "[ab]{0,20}", b in "[ab]{0,20}") {
            prop_assert_eq!(same(&a, &b), a == b);
            prop_assert!(same(&a, &a.clone()));
            let last = |text: &str| format!("{text}x");
            prop_assert!(!same(&a, &last(&a)) && !same(&last(&a), &(a + "y")));
        }
    }

    #[test]
    fn other_is_a_number_of_its_own_and_never_goes() {
        let (values, mut uses) = (Values::new(1), Uses::new());
        assert_eq!(values.take(&mut uses, 0, OTHER), OTHER_ID);
        assert_eq!(values.give_back(&mut uses, 0, OTHER_ID, OTHER), 0);
        assert_eq!((values.texts.get(OTHER_ID, &Still), values.distinct(0)), (OTHER, 0));
    }
}
