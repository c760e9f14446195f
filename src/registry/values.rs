//! The label values of one family: each text once, however many series have it.
//!
//! A series names its values by number. What is behind a number is read without a lock by whoever
//! looks a series up or scrapes it, and goes when the last series that names it has been reclaimed.

use std::collections::HashMap;
use std::sync::MutexGuard;

use super::list::List;
use crate::sync::{AtomicPtr, Ordering};

/// The value that labels past a limit share; every family's number 0.
pub(crate) const OTHER: &str = "_other";
pub(crate) const OTHER_ID: u32 = 0;

/// Texts by number.
///
/// Invariant: a pointer in it is null or from `Box::into_raw`, and is taken out by [`Labels`] alone,
/// when no series names it.
pub(crate) struct Texts(List<AtomicPtr<Box<str>>>);

/// While a value of this type is there, no series that its holder can find is reclaimed.
///
/// # Safety
/// A series is reclaimed in the engine's turn, after it was taken out of the map under its shard's
/// write lock. So it stays for whoever has the turn, and for whoever found it in the map and has the
/// shard's lock.
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

/// The lock of the map's shard in which a series was found.
pub(crate) struct Locked(());

impl Locked {
    /// For the map, while it has the lock.
    pub(super) fn new() -> Locked {
        Locked(())
    }
}

// SAFETY: lent by the map for no longer than the lock is held.
unsafe impl Keeps for Locked {}

impl Texts {
    pub(crate) fn new() -> Texts {
        let texts = Texts(List::new());
        texts.put(OTHER_ID, OTHER);
        texts
    }

    /// The text of a value that a series names. Empty where there is none.
    #[inline]
    pub(crate) fn get<'a>(&'a self, id: u32, _keeps: &'a impl Keeps) -> &'a str {
        // Acquire: the text was written before its number was given to a series.
        let text = self.0.get(id as usize).map(|place| place.load(Ordering::Acquire));
        // SAFETY: null, or by the invariant a live box: it is taken out when no series names it,
        // which `_keeps` rules out for as long as the reference lives.
        text.and_then(|text| unsafe { text.as_ref() }).map_or("", |text| text)
    }

    /// Under the births' lock, as whatever changes the texts.
    fn put(&self, id: u32, text: &str) {
        let text = Box::into_raw(Box::new(text.into()));
        match self.0.get(id as usize) {
            // Release: publishes the text.
            Some(place) => place.store(text, Ordering::Release),
            None => self.0.push(AtomicPtr::new(text)),
        }
    }

    fn take(&self, id: u32) {
        let Some(place) = self.0.get(id as usize) else { return };
        let text = place.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !text.is_null() {
            // SAFETY: from `Box::into_raw` in `put`, and by the invariant nobody reads it.
            drop(unsafe { Box::from_raw(text) });
        }
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        (0..self.0.len()).for_each(|id| self.take(id as u32));
    }
}

/// The numbers of the texts, label by label, and their uses. Kept under the births' lock.
pub(crate) struct Labels {
    by_text: Box<[HashMap<Box<str>, u32, foldhash::fast::RandomState>]>,
    /// Series that name a number.
    uses: Vec<u32>,
    free: Vec<u32>,
}

impl Labels {
    pub(crate) fn new(labels: usize) -> Labels {
        Labels {
            by_text: (0..labels).map(|_| HashMap::default()).collect(),
            uses: vec![0],
            free: Vec::new(),
        }
    }

    /// Bytes that a value takes: its text twice, a place in the map and the two lists.
    pub(crate) fn cost(text: &str) -> u64 {
        (2 * text.len() + 3 * size_of::<Box<str>>() + 48) as u64
    }

    /// Distinct values of a label, `_other` not counted.
    pub(crate) fn distinct(&self, label: usize) -> usize {
        self.by_text[label].len()
    }

    /// The number of a value that a series has.
    pub(crate) fn find(&self, label: usize, text: &str) -> Option<u32> {
        if text == OTHER { Some(OTHER_ID) } else { self.by_text[label].get(text).copied() }
    }

    /// The number of a value, with one use more.
    pub(crate) fn take(&mut self, texts: &Texts, label: usize, text: &str) -> u32 {
        if let Some(id) = self.find(label, text) {
            self.uses[id as usize] = self.uses[id as usize].saturating_add(1);
            return id;
        }
        let id = self.free.pop().unwrap_or(self.uses.len() as u32);
        texts.put(id, text);
        self.by_text[label].insert(text.into(), id);
        match self.uses.get_mut(id as usize) {
            Some(uses) => *uses = 1,
            None => self.uses.push(1),
        }
        id
    }

    /// Gives one use back; gives the bytes that became free with the last one.
    ///
    /// The caller reclaims the series: nobody reads its texts.
    pub(crate) fn give_back(&mut self, texts: &Texts, label: usize, id: u32, text: &str) -> u64 {
        let uses = &mut self.uses[id as usize];
        *uses = uses.saturating_sub(1);
        if id == OTHER_ID || *uses > 0 {
            return 0;
        }
        let cost = Labels::cost(text);
        self.by_text[label].remove(text);
        self.free.push(id);
        texts.take(id);
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;
    // SAFETY: the tests reclaim nothing while they read.
    unsafe impl Keeps for Still {}

    #[test]
    fn a_value_is_kept_once_and_goes_with_its_last_use() {
        let (texts, mut labels) = (Texts::new(), Labels::new(2));
        let a = labels.take(&texts, 0, "a");
        assert_eq!(labels.take(&texts, 0, "a"), a);
        let other_label = labels.take(&texts, 1, "a");
        assert_ne!(a, other_label);
        assert_eq!((texts.get(a, &Still), labels.distinct(0)), ("a", 1));
        assert_eq!(labels.give_back(&texts, 0, a, "a"), 0);
        assert_eq!(labels.give_back(&texts, 0, a, "a"), Labels::cost("a"));
        assert_eq!((texts.get(a, &Still), labels.distinct(0)), ("", 0));
        assert_eq!(labels.take(&texts, 0, "b"), a, "the number is used again");
        assert_eq!((texts.get(a, &Still), texts.get(other_label, &Still)), ("b", "a"));
    }

    #[test]
    fn other_is_a_number_of_its_own_and_never_goes() {
        let (texts, mut labels) = (Texts::new(), Labels::new(1));
        assert_eq!(labels.take(&texts, 0, OTHER), OTHER_ID);
        assert_eq!(labels.give_back(&texts, 0, OTHER_ID, OTHER), 0);
        assert_eq!((texts.get(OTHER_ID, &Still), labels.distinct(0)), (OTHER, 0));
    }
}
