//! What needs no derive; the rest is in `tests/typed_labels.rs`.

use super::{Extent, Finite, LabelValue, Labels, OTHER, Typed};
use crate::{Counter, Desc, Gauge, Kind, Vitals};

/// A set written by hand, and wrong: its index is beyond its two combinations.
struct Beyond;

impl Labels for Beyond {
    type Extent = Finite;
    type Values<'v> = [&'v str; 2];
    const NAMES: [&'static str; 2] = ["a", "b"];
    const COUNT: usize = 2;

    fn index(&self) -> usize {
        2
    }

    fn values(&self) -> [&str; 2] {
        ["x", "y"]
    }

    fn at(index: usize) -> [&'static str; 2] {
        ["x", if index == 0 { "y" } else { "z" }]
    }
}

#[test]
fn an_index_beyond_the_table_is_no_panic_and_no_other_sets_record() {
    /// What all sets have together, and the shared one alone.
    fn recorded<K: Kind>(desc: Desc<K, 0>, record: impl Fn(&K)) -> (f64, Option<f64>) {
        let name = desc.spec.name.clone();
        let vitals = Vitals::builder().system_metrics(false).build().unwrap();
        let typed: Typed<K, Beyond> = vitals.register_typed(desc).unwrap();
        (0..3).for_each(|_| record(typed.with(Beyond)));
        let snapshot = vitals.snapshot();
        let shared = snapshot.value(&name, &[("a", OTHER), ("b", OTHER)]);
        (snapshot.sum(&name, &[]), shared)
    }
    let counted = recorded(Desc::counter("counted_total", "C."), Counter::inc);
    assert_eq!(counted, (0.0, None));
    // Of a set that is made at its first use there is a place for what has none.
    let set = recorded(Desc::gauge("reading", "R."), Gauge::inc);
    assert_eq!(set, (3.0, Some(3.0)));
}

#[test]
fn a_set_is_finite_only_if_all_its_labels_are() {
    fn finite<A: LabelValue, B: LabelValue>() -> bool {
        <<A::Extent as Extent>::And<B::Extent> as Extent>::FINITE
    }
    assert!(finite::<bool, &&bool>());
    assert!(!finite::<bool, &str>());
    assert!(!finite::<String, bool>());
    assert!(!finite::<Box<str>, std::borrow::Cow<'_, str>>());
    assert!(!finite::<&str, String>());
}

#[test]
fn a_values_index_leads_back_to_its_text() {
    for flag in [false, true] {
        assert_eq!(flag.value(), flag.to_string());
        assert_eq!(<&bool>::at(flag.index()), flag.to_string());
        assert!(flag.index() < bool::COUNT);
    }
}

/// Kept by a host across threads.
#[test]
fn a_typed_metric_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Typed<Counter, Beyond>>();
    shared::<Typed<crate::Histogram, std::marker::PhantomData<*const u8>>>();
}
