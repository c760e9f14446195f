//! Which values go past a label's limit the most, as far as a few counts can tell.
//!
//! The Space-Saving algorithm (Metwally, Agrawal, El Abbadi 2005): a value that is not among those
//! that are counted takes the place of the least, and its count. So a count is never too low, too
//! high by `error` at most, and no value is left out that made more than one in [`KEPT`] of all.

use std::collections::HashMap;
use std::sync::{Mutex, TryLockError};

use super::name;
use crate::shard::space::Space;
use crate::sync::lock;

/// Values that are counted for each label.
const KEPT: usize = 16;
/// Bytes of a value that are kept.
const MOST_BYTES: usize = 64;

/// The offenders of an engine, by family and label.
#[derive(Default)]
pub(crate) struct Offenders(Mutex<HashMap<(u64, usize), Vec<Offender>>>);

/// A value past a label's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offender {
    pub(crate) value: String,
    pub(crate) count: u64,
    /// By how much the count may be too high.
    pub(crate) error: u64,
}

impl Offenders {
    /// What one label's values take at most.
    const COST: u64 = (KEPT * (size_of::<Offender>() + MOST_BYTES) + 64) as u64;

    /// Counts a value. Never waits: where another thread is counting at the moment, this one is left
    /// out, which a flood can afford. Nothing is kept of labels past the budget.
    pub(crate) fn note(&self, space: &Space, family: u64, label: usize, value: &str) {
        let mut all = match self.0.try_lock() {
            Ok(all) => all,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !all.contains_key(&(family, label)) && !space.charge(Self::COST) {
            return;
        }
        let kept = all.entry((family, label)).or_insert_with(|| Vec::with_capacity(KEPT));
        count(kept, name::cut(value, MOST_BYTES));
    }

    /// Whether nothing went past a limit so far.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// The values of one label, the heaviest first.
    pub(crate) fn heaviest(&self, family: u64, label: usize) -> Vec<Offender> {
        let mut heaviest = lock(&self.0).get(&(family, label)).cloned().unwrap_or_default();
        heaviest.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        heaviest
    }
}

fn count(kept: &mut Vec<Offender>, value: &str) {
    if let Some(offender) = kept.iter_mut().find(|offender| offender.value == value) {
        offender.count += 1;
        return;
    }
    if kept.len() < KEPT {
        // Once for good: what takes this place later is written over it.
        let mut text = String::with_capacity(MOST_BYTES);
        text.push_str(value);
        return kept.push(Offender { value: text, count: 1, error: 0 });
    }
    if let Some(least) = kept.iter_mut().min_by_key(|offender| offender.count) {
        least.value.clear();
        least.value.push_str(value);
        least.error = least.count;
        least.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The oracle counts everything.
        #[test]
        fn a_count_is_never_too_low_and_no_heavy_value_is_missing(
            values in prop::collection::vec(0u32..60, 1..2_000),
        ) {
            let (space, offenders) = (Space::new(1 << 20), Offenders::default());
            let mut exact = HashMap::<String, u64>::new();
            for value in &values {
                // Half of them one of a few.
                let value = if value % 2 == 0 { value % 6 } else { *value }.to_string();
                offenders.note(&space, 7, 1, &value);
                *exact.entry(value).or_default() += 1;
            }
            let heaviest = offenders.heaviest(7, 1);
            prop_assert!(heaviest.len() <= KEPT && heaviest.is_sorted_by(|a, b| a.count >= b.count));
            for offender in &heaviest {
                let exact = exact[&offender.value];
                prop_assert!(offender.count >= exact && offender.count - offender.error <= exact);
            }
            for (value, count) in exact {
                if count > values.len() as u64 / KEPT as u64 {
                    prop_assert!(heaviest.iter().any(|offender| offender.value == value));
                }
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (space, offenders) = (Space::new(3 * Offenders::COST), Offenders::default());
        for label in 0..10 {
            offenders.note(&space, 1, label, &"x".repeat(10_000));
        }
        let kept = |label| offenders.heaviest(1, label).len();
        assert_eq!((0..10).map(kept).collect::<Vec<_>>(), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(offenders.heaviest(1, 0)[0].value.len(), MOST_BYTES);
    }
}
