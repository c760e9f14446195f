//! A name with its labels fixed: where handles come from.

use std::fmt;
use std::marker::PhantomData;

use super::{Counter, Gauge, Histogram, UpDown};
use crate::registry::{FamilyRef, Handle, MetricKind};

pub(crate) mod sealed {
    use super::{Handle, MetricKind};

    pub trait Sealed: Clone {
        fn kind() -> MetricKind;
        fn of(handle: Handle) -> Self;
        fn disabled() -> Self;
    }
}

/// A kind of metric: [`Counter`], [`Gauge`], [`UpDown`] or [`Histogram`].
pub trait Kind: sealed::Sealed + 'static {}

macro_rules! kinds {
    ($($kind:ident)*) => {$(
        impl sealed::Sealed for $kind {
            fn kind() -> MetricKind {
                MetricKind::$kind
            }
            #[inline]
            fn of(handle: Handle) -> Self {
                $kind::new(handle)
            }
            fn disabled() -> Self {
                $kind::DISABLED
            }
        }
        impl Kind for $kind {}
    )*};
}
kinds!(Counter Gauge UpDown Histogram);

/// A metric with `N` labels; [`with`](Self::with) gives the handle of one label set.
///
/// ```
/// use mcp_vitals::Desc;
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// let jobs = vitals.register(Desc::counter("jobs_total", "Jobs done.").labels(["queue"]))?;
/// let fast = jobs.with(["fast"]); // to hold on to
/// fast.inc();
/// assert_eq!(vitals.snapshot().value("jobs_total", &[("queue", "fast")]), Some(1.0));
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
pub struct Family<K, const N: usize> {
    core: FamilyRef,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind, const N: usize> Family<K, N> {
    pub(crate) fn new(core: FamilyRef) -> Self {
        Family { core, kind: PhantomData }
    }

    /// The handle of one label set, values in the order of the label names; to record through at
    /// once, or to hold.
    ///
    /// A label set that the thread has lately looked up costs one hash and one comparison, about
    /// 11 ns with the handle; another one some 50 ns, by an index that is read without a lock, and a new
    /// one allocates. A value of more than 15 bytes costs a little more; more than eight values, or 88
    /// bytes in all, ask the index each time.
    ///
    /// Never fails. A value is cut at the value length limit, counted in
    /// `mcp_vitals_values_cut_total`. A value past the label's limit becomes `_other` and the other
    /// labels stay as they are; past the series limit or `memory_limit` all are `_other`. Both are
    /// counted in `mcp_vitals_series_overflow_total`.
    #[inline]
    pub fn with(&self, values: [&str; N]) -> K {
        match self.core.get() {
            Some(core) => K::of(core.with(&values)),
            None => K::disabled(),
        }
    }

    /// Removes a series of a family that was registered as
    /// [`removable`](crate::Desc::removable); says whether it was there.
    ///
    /// It is no longer shown, and its labels may be used again: from 0, which a scraper reads as a
    /// restart. What is recorded through a handle that was there before goes with it. Its memory is
    /// free for other series of the family once no such handle lives. Locks briefly.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.core.get().is_some_and(|core| core.remove(&values))
    }

    /// [`with`](Self::with) for text that is part of the program: known again by its address, at
    /// three quarters of the cost, and never read.
    #[inline]
    pub fn with_static(&self, values: [&'static str; N]) -> K {
        match self.core.get() {
            Some(core) => K::of(core.with_static(&values)),
            None => K::disabled(),
        }
    }
}

impl<K, const N: usize> Clone for Family<K, N> {
    fn clone(&self) -> Self {
        Family { core: self.core.clone(), kind: PhantomData }
    }
}

impl<K, const N: usize> fmt::Debug for Family<K, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.core.get().map(|core| core.spec.name.as_str());
        f.debug_struct("Family").field("name", &name).finish_non_exhaustive()
    }
}
