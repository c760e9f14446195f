//! From labels by name, in any order, to a series.

use super::entries::Found;
use super::family::FamilyCore;
use super::handle::Handle;
use super::name::{LabelName, MOST_LABELS};

impl FamilyCore {
    /// Records through what `make` makes of the series' handle, and keeps it in: a kind of metric.
    /// Whether the labels are the family's: each of its own exactly once.
    #[inline]
    pub(crate) fn record_by_name<K>(
        &self,
        labels: &[(&str, &str)],
        make: impl FnOnce(Handle) -> K,
        record: impl FnOnce(&K),
    ) -> bool {
        match self.kept_by_name(labels) {
            Some(found) if !self.is_removable() => self.lend(found, make, record),
            found => match self.look_up_by_name(found, labels) {
                Some(handle) => record(&make(handle)),
                None => return false,
            },
        }
        true
    }

    /// Removes the series; nothing where the labels are not the family's.
    pub(crate) fn remove_by_name(&self, labels: &[(&str, &str)]) -> Option<bool> {
        self.in_order(labels, |values| self.remove(values))
    }

    /// What the thread's cache has for them. A copy of the code for each usual number of labels: in one
    /// for all of them the values' words would not stay in registers.
    #[inline(never)]
    fn kept_by_name(&self, labels: &[(&str, &str)]) -> Option<Found> {
        match labels.len() {
            0 => self.kept_in_order::<0>(labels),
            1 => self.kept_in_order::<1>(labels),
            2 => self.kept_in_order::<2>(labels),
            3 => self.kept_in_order::<3>(labels),
            4 => self.kept_in_order::<4>(labels),
            _ => self.in_order(labels, |values| self.kept_any(values))?,
        }
    }

    #[inline(always)]
    fn kept_in_order<const N: usize>(&self, labels: &[(&str, &str)]) -> Option<Found> {
        let names: &[LabelName; N] = self.label_names().try_into().ok()?;
        let labels: &[_; N] = labels.try_into().ok()?;
        let mut values = [""; N];
        for at in 0..N {
            values[at] = value_of(&names[at], at, labels)?;
        }
        self.kept(&values)
    }

    // Each time where series may be removed, else where the cache has nothing.
    #[inline(never)]
    fn look_up_by_name(&self, found: Option<Found>, labels: &[(&str, &str)]) -> Option<Handle> {
        self.in_order(labels, |values| self.handle_after(found, values))
    }

    /// The values in the family's order; nothing unless each label is there exactly once.
    fn in_order<R>(&self, labels: &[(&str, &str)], with: impl FnOnce(&[&str]) -> R) -> Option<R> {
        let names = self.label_names();
        if labels.len() != names.len() {
            return None;
        }
        let mut values = [""; MOST_LABELS];
        for (at, name) in names.iter().enumerate() {
            // As many labels as names, and each name is found: so none is there twice.
            values[at] = value_of(name, at, labels)?;
        }
        Some(with(&values[..names.len()]))
    }
}

/// The value of the label of that name: looked for first where the family has it.
#[inline(always)]
fn value_of<'a>(name: &LabelName, at: usize, labels: &[(&str, &'a str)]) -> Option<&'a str> {
    match labels.get(at) {
        Some((label, value)) if name.is(label) => Some(value),
        _ => value_elsewhere(name, labels),
    }
}

#[inline(never)]
fn value_elsewhere<'a>(name: &LabelName, labels: &[(&str, &'a str)]) -> Option<&'a str> {
    labels.iter().find(|(label, _)| name.is(label)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::super::family::{Limits, Losses, MetricKind, Spec};
    use super::super::table::Table;
    use super::*;
    use crate::metrics::{Counter, Gauge, Histogram, UpDown};
    use crate::shard;
    use crate::shard::cells;
    use crate::shard::space::Space;
    use crate::sync::Ordering;

    const NAMES: [&str; 6] = ["a", "bcde", "operation", "b_and_sixteen_is", "f", "g"];
    const ROUNDS: u64 = 100;

    fn family(kind: MetricKind, labels: usize, removable: bool) -> (Table, Arc<FamilyCore>) {
        let table = Table::new(Arc::new(Space::new(64 << 20)), &[]);
        let spec = Spec {
            name: "m".into(),
            help: "M.".into(),
            kind,
            labels: NAMES[..labels].iter().map(|&name| name.into()).collect(),
            decimals: 0,
            buckets: vec![10.0, 100.0],
            bits: 6,
            highest: 1 << 40,
        };
        let (series, label_values) = (1_000, 1_000);
        let limits = Limits { series, label_values, value_length: 64, removable, idle: 0 };
        let family = table.register(spec, limits, Losses::none).unwrap();
        (table, family)
    }

    /// Pairs for the `n`th series, not always in the family's order.
    fn labels(labels: usize, n: u64) -> Vec<(&'static str, String)> {
        let value =
            |(at, name): (usize, &&'static str)| (*name, format!("{name}_{}", n + at as u64));
        let mut pairs: Vec<_> = NAMES[..labels].iter().enumerate().map(value).collect();
        pairs.rotate_left(n as usize % labels.max(1));
        pairs
    }

    fn borrowed<'a>(labels: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
        labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// On a thread of its own, whose cache nobody else has warmed.
    fn check(kind: MetricKind, count: usize, removable: bool) {
        let (_table, family) = family(kind, count, removable);
        let series = if count == 0 { 1 } else { 5 };
        for round in 0..ROUNDS {
            let pairs = labels(count, round % series);
            let pairs = &borrowed(&pairs);
            let recorded = match kind {
                MetricKind::Histogram => {
                    family.record_by_name(pairs, Histogram::new, |h| h.record_units(50))
                }
                MetricKind::UpDown => family.record_by_name(pairs, UpDown::new, |u| u.inc()),
                MetricKind::Gauge => family.record_by_name(pairs, Gauge::new, |g| g.add(1.0)),
                _ => family.record_by_name(pairs, Counter::new, |c| c.inc()),
            };
            assert!(recorded, "{pairs:?}");
        }
        for n in 0..series {
            let mut pairs = labels(count, n);
            pairs.sort_by_key(|(name, _)| NAMES.iter().position(|other| other == name));
            let values: Vec<_> = pairs.iter().map(|(_, value)| value.as_str()).collect();
            let handle = family.handle_after(None, &values);
            let (place, slot) = (handle.found().place(), handle.slot());
            let first = match (kind, family.places().histogram(place)) {
                // The sum stands first.
                (_, Some(histogram)) => cells::total(shard::all_cells(), histogram.header) / 50,
                (MetricKind::Gauge, _) => {
                    let word = shard::common_cell(slot).unwrap();
                    f64::from_bits(word.load(Ordering::Relaxed)) as u64
                }
                _ => cells::total(shard::all_cells(), slot),
            };
            assert_eq!(first, ROUNDS / series);
        }
        // What was lent was neither counted nor given back, and all else was both.
        let balance = |slot| {
            cells::total(shard::all_cells(), slot)
                .wrapping_sub(cells::total(shard::all_cells(), slot.offset(1)))
        };
        for place in 0..=series as u32 {
            assert_eq!(balance(family.handles_at(place)), 0, "{kind:?}, {count} labels");
        }
    }

    #[test]
    fn labels_in_any_order_are_their_series_and_no_handle_is_left() {
        for kind in
            [MetricKind::Counter, MetricKind::UpDown, MetricKind::Gauge, MetricKind::Histogram]
        {
            for count in 0..=NAMES.len() {
                for removable in [false, true] {
                    thread::spawn(move || check(kind, count, removable)).join().unwrap();
                }
            }
        }
    }

    #[test]
    fn labels_that_are_not_the_familys_record_nothing() {
        let (_table, family) = family(MetricKind::Counter, 2, false);
        let right = [("a", "x"), ("bcde", "y")];
        let record = |labels: &[(&str, &str)]| {
            family.record_by_name(labels, Counter::new, |counter| counter.inc())
        };
        assert!((0..ROUNDS).all(|_| record(&right)));
        for wrong in [
            &[][..],
            &right[..1],
            &[("a", "x"), ("a", "y")],
            &[("a", "x"), ("bcdf", "y")],
            &[("a", "x"), ("bcde", "y"), ("f", "z")],
        ] {
            assert!(!record(wrong), "{wrong:?}");
            assert_eq!(family.remove_by_name(wrong), None);
        }
        let handle = family.handle_after(None, &["x", "y"]);
        assert_eq!(cells::total(shard::all_cells(), handle.slot()), ROUNDS);
    }
}
