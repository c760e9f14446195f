//! A histogram as counts by value, and what came to it between two reads.

/// How often each value was observed, by the middles of the engine's cells; ascending, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells(Vec<(u64, u64)>);

impl Cells {
    /// Sorts and adds up what threads have counted.
    pub(super) fn of(mut parts: Vec<(u64, u64)>) -> Cells {
        parts.sort_unstable_by_key(|(value, _)| *value);
        parts.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        parts.retain(|(_, count)| *count > 0);
        Cells(parts)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The highest value.
    pub(super) fn max(&self) -> Option<u64> {
        self.0.last().map(|(value, _)| *value)
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u64, u64)>()
    }

    /// What has come since `before`. A count that is less than it was is another histogram's, which
    /// has taken the place of one that was removed: then all of it is new.
    pub(super) fn since(&self, before: &Cells) -> Cells {
        let mut new = Vec::new();
        let mut old = before.0.iter().peekable();
        for &(value, count) in &self.0 {
            match old.peek() {
                // A value that is gone.
                Some(&&(was, _)) if was < value => return self.clone(),
                Some(&&(was, had)) if was == value => {
                    old.next();
                    match count.checked_sub(had) {
                        Some(0) => {}
                        Some(more) => new.push((value, more)),
                        None => return self.clone(),
                    }
                }
                _ => new.push((value, count)),
            }
        }
        if old.next().is_some() { self.clone() } else { Cells(new) }
    }

    /// What it has more than `before`, value by value: of a sum over histograms some of which may be
    /// gone.
    pub(super) fn beyond(&self, before: &Cells) -> Cells {
        let had = |value: u64| {
            let place = before.0.binary_search_by_key(&value, |(value, _)| *value);
            place.map_or(0, |place| before.0[place].1)
        };
        let more = self.iter().map(|(value, count)| (value, count.saturating_sub(had(value))));
        Cells(more.filter(|(_, count)| *count > 0).collect())
    }

    /// Adds another's counts.
    pub(super) fn add(&mut self, other: &Cells) {
        let (mut at, mut missing) = (0, Vec::new());
        // Most values are there after a while, and are added to where they stand.
        for &(value, count) in &other.0 {
            at += self.0[at..].iter().take_while(|(own, _)| *own < value).count();
            match self.0.get_mut(at) {
                Some((own, sum)) if *own == value => *sum = sum.saturating_add(count),
                _ => missing.push((value, count)),
            }
        }
        if !missing.is_empty() {
            self.0.reserve_exact(missing.len());
            self.0.extend(missing);
            // Stable: it finds two runs, and merges them.
            self.0.sort_by_key(|(value, _)| *value);
        }
    }

    /// The value that a share of the observations does not exceed; none without any.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        self.0.iter().find_map(|&(value, here)| {
            seen = seen.saturating_add(here);
            (seen >= rank).then_some(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn cells(parts: &[(u64, u64)]) -> Cells {
        Cells::of(parts.to_vec())
    }

    #[test]
    fn what_was_removed_and_born_again_is_all_new() {
        let before = cells(&[(10, 5), (20, 5)]);
        for now in [cells(&[(10, 4), (20, 9)]), cells(&[(20, 9)]), cells(&[(10, 9)]), cells(&[])] {
            assert_eq!(now.since(&before), now);
        }
        assert_eq!(cells(&[(10, 5), (15, 1), (20, 7)]).since(&before), cells(&[(15, 1), (20, 2)]));
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Cells::default().quantile(0.5), None);
        assert_eq!(cells(&[(7, 1)]).quantile(0.0), Some(7));
        assert_eq!(cells(&[(7, 1)]).quantile(1.0), Some(7));
    }

    proptest! {
        /// The oracle is all observations in a row.
        #[test]
        fn as_all_observations_in_a_row(
            first in vec((0u64..50, 1u64..9), 0..40),
            more in vec((0u64..50, 1u64..9), 0..40),
            share in 0.0f64..=1.0,
        ) {
            let before = Cells::of(first.clone());
            let now = Cells::of(first.iter().chain(&more).copied().collect());
            let since = now.since(&before);
            prop_assert_eq!(&since, &Cells::of(more.clone()));
            prop_assert_eq!(&since, &now.beyond(&before));
            let mut sum = before.clone();
            sum.add(&since);
            prop_assert_eq!(&sum, &now);
            let mut row: Vec<u64> = Vec::new();
            more.iter().for_each(|&(value, count)| (0..count).for_each(|_| row.push(value)));
            row.sort_unstable();
            let rank = ((share * row.len() as f64).ceil() as usize).max(1);
            prop_assert_eq!(since.quantile(share), row.get(rank - 1).copied());
            prop_assert_eq!(since.count() as usize, row.len());
            prop_assert_eq!(since.max(), row.last().copied());
        }
    }
}
