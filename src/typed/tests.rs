//! What needs no derive; the rest is in `tests/typed_labels.rs`.

use super::{Extent, Finite, LabelValue, Labels, Typed};
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
fn an_index_beyond_the_table_is_neither_lost_nor_a_panic() {
    fn record<K: Kind>(desc: Desc<K, 0>, record: impl Fn(&K)) {
        let name = desc.spec.name.clone();
        let vitals = Vitals::builder().system_metrics(false).build().unwrap();
        let typed: Typed<K, Beyond> = vitals.register_typed(desc).unwrap();
        (0..3).for_each(|_| record(typed.with(Beyond)));
        let other = vitals.snapshot().value(&name, &[("a", "_other"), ("b", "_other")]);
        assert_eq!(other, Some(3.0), "{name}");
    }
    record(Desc::counter("counted_total", "C."), Counter::inc);
    // Made at its first use, by another way.
    record(Desc::gauge("reading", "R."), Gauge::inc);
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
