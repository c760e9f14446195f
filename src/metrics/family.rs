//! A name with its labels fixed: where handles come from.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Counter, Gauge, Histogram, UpDown};
use crate::registry::{FamilyCore, MetricKind, Series};

pub(crate) mod sealed {
    use super::{Arc, MetricKind, Series};

    pub trait Sealed: Clone {
        fn kind() -> MetricKind;
        fn of(series: Arc<Series>) -> Self;
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
            fn of(series: Arc<Series>) -> Self {
                $kind::new(series)
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
    core: Option<Arc<FamilyCore>>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind, const N: usize> Family<K, N> {
    pub(crate) fn new(core: Option<Arc<FamilyCore>>) -> Self {
        Family { core, kind: PhantomData }
    }

    /// The handle of one label set, values in the order of the label names.
    ///
    /// Never fails: a value is cut at the value length limit, counted in
    /// `mcp_vitals_values_cut_total`, and past the series limit or `memory_limit` the handle is that
    /// of the series whose labels are all `_other`, counted in `mcp_vitals_series_overflow_total`. A known label set costs one hash and one comparison
    /// under a map shard's read lock; a new one allocates. Hold the handle where you can.
    pub fn with(&self, values: [&str; N]) -> K {
        match &self.core {
            Some(core) => K::of(core.with(&values)),
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
        let name = self.core.as_ref().map(|core| core.spec.name.as_str());
        f.debug_struct("Family").field("name", &name).finish_non_exhaustive()
    }
}
