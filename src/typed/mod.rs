//! Labels as types: a set of enums is found by its index, a wrong name does not compile.
//!
//! Stands on the public API alone: a table of handles in front of a [`Family`].

mod labels;
#[cfg(test)]
mod tests;

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use labels::{Extent, Finite, LabelValue, Labels, Open, Values, bounded};

use crate::{Desc, Error, Family, Gauge, Kind, Vitals};

/// Most combinations that a table is made for: 96 KiB of handles of the largest kind.
const MOST_COMBINATIONS: usize = 4_096;
/// Most series that are made, at 0, when a metric is registered; of a larger set those that are used.
const DECLARED: usize = 256;
/// Combinations up to which a set has a table of its own: as long for each, and a power of two, so that
/// an index needs no test (a third off the whole record). Two kibibytes of counters a metric.
const READY: usize = 64;
/// Where a record goes whose index is beyond the table.
pub const OTHER: &str = "_other";

/// A metric whose labels are a type `L`; see [`Vitals::register_typed`] and [`Labels`].
///
/// Cheap to clone; `Typed<Counter, Call<'static>>` in a struct takes a `Call` that borrows for less.
pub struct Typed<K, L> {
    /// A handle for each combination, where these are few. After the last one, and where they are many
    /// or not known, handles that record nothing: no derived index comes to them.
    ready: Arc<[Ready<K>; READY]>,
    core: Arc<Core<K>>,
    // Nothing of `L` is kept, and no type that is made from it: so a metric of `Call<'static>` is
    // one of `Call<'a>` too, and a field can hold it.
    labels: PhantomData<fn() -> L>,
}

/// A handle in 32 bytes, by which an index becomes a place with one shift: a record is 0.89 ns so, and 1.01
/// where counters stand 24 bytes apart.
#[repr(align(32))]
struct Ready<K>(K);

struct Core<K> {
    /// A place for each combination, filled at its first use; none where `ready` has them.
    lazy: Box<[OnceLock<K>]>,
    other: OnceLock<K>,
    family: Box<dyn AnyFamily<K>>,
}

/// A family, whatever its number of labels. Told apart by `Any` and not called by a slice of values:
/// an array that was just written stalls the processor when it is copied.
pub trait AnyFamily<K>: Any + fmt::Debug + Send + Sync {
    /// The handle of what is nowhere else.
    fn other(&self) -> K;
}

impl<K: Kind, const N: usize> AnyFamily<K> for Family<K, N> {
    fn other(&self) -> K {
        self.with([OTHER; N])
    }
}

impl<K: Kind, L: Labels> Typed<K, L> {
    /// The handle of one label set: `&K` where all labels are finite (enums and `bool`), else `K`.
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use mcp_vitals::{Counter, Desc, Labels, Typed};
    ///
    /// #[derive(Labels)]
    /// enum Status {
    ///     Success,
    ///     Error,
    /// }
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// let jobs: Typed<Counter, Status> =
    ///     vitals.register_typed(Desc::counter("jobs_total", "Jobs done."))?;
    /// jobs.with(Status::Success).inc();
    /// let text = vitals.export_prometheus();
    /// assert!(text.contains("jobs_total{status=\"success\"} 1\n"));
    /// assert!(text.contains("jobs_total{status=\"error\"} 0\n"));
    /// # }
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// Finite: an index and one load from a table, wait-free; the first use of a combination that
    /// was not made at registration allocates. Open: cost and limits of [`Family::with`].
    #[inline]
    pub fn with(&self, labels: L) -> <L::Extent as Extent>::Handle<'_, K> {
        L::Extent::find(self, &labels)
    }

    /// Whether the set's handles are in `ready`. Known when `K` and `L` are: it costs no test.
    #[inline(always)]
    fn is_ready() -> bool {
        L::COUNT <= READY && Self::is_declared()
    }

    /// Whether all series are made at registration.
    #[inline(always)]
    fn is_declared() -> bool {
        // No reading is not the reading 0.
        L::Extent::FINITE && L::COUNT <= DECLARED && TypeId::of::<K>() != TypeId::of::<Gauge>()
    }

    #[inline]
    fn at(&self, index: usize) -> &K {
        if Self::is_ready() {
            return &self.ready[index % READY].0;
        }
        match self.core.lazy.get(index).and_then(OnceLock::get) {
            Some(handle) => handle,
            None => self.make(index),
        }
    }

    #[cold]
    fn make(&self, index: usize) -> &K {
        let core = &*self.core;
        match core.lazy.get(index) {
            Some(place) => place.get_or_init(|| L::at(index).look_up(&*core.family)),
            // No derived index comes here either; but a record is not lost.
            None => core.other.get_or_init(|| core.family.other()),
        }
    }

    #[inline]
    fn look_up(&self, labels: &L) -> K {
        labels.values().look_up(&*self.core.family)
    }
}

impl Vitals {
    /// Registers a metric whose labels are the fields of a struct, or the variants of an enum.
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use mcp_vitals::{Counter, Desc, Labels, Typed};
    ///
    /// #[derive(Labels)]
    /// struct Call<'a> {
    ///     tool: &'a str,
    ///     cached: bool,
    /// }
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// let calls: Typed<Counter, Call> =
    ///     vitals.register_typed(Desc::counter("calls_total", "Calls."))?;
    /// calls.with(Call { tool: "search", cached: true }).inc();
    /// # let labels = [("tool", "search"), ("cached", "true")];
    /// # assert_eq!(vitals.snapshot().value("calls_total", &labels), Some(1.0));
    /// # }
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// Where all labels are finite and make at most 256 combinations, all these series are there at
    /// once, at 0: a counter that is born at 1 is invisible to `rate`. Not so for a [`Gauge`]: no
    /// reading is not the reading 0. Unless `desc` says otherwise, the series limit of a finite set
    /// is its number of combinations. Its series are held for as long as the metric: `removable` and
    /// `idle_expiry` have no part in them.
    ///
    /// The same metric may be registered by [`register`](Self::register) too, with the same label
    /// names in the same order: to declare or to remove series of an open set.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn register_typed<K: Kind, L: Labels>(
        &self,
        mut desc: Desc<K, 0>,
    ) -> Result<Typed<K, L>, Error> {
        const { bounded::<L>() };
        if L::Extent::FINITE {
            // Within `series_limit`'s range, which ends beyond the most combinations.
            desc.series_limit.get_or_insert(L::COUNT as u32);
            // The table would go on recording into a series that is no longer shown.
            desc.removable = false;
            desc.idle = Duration::ZERO;
        }
        let count = |is: bool| if is { L::COUNT } else { 0 };
        let declared = count(Typed::<K, L>::is_declared());
        let ready = count(Typed::<K, L>::is_ready());
        let nothing = L::NAMES.register(&Vitals::disabled(), desc.clone(), std::iter::empty())?;
        let family = L::NAMES.register(self, desc, (0..declared).map(L::at))?;
        let ready = std::array::from_fn(|index| match index < ready {
            true => Ready(L::at(index).look_up(&*family)),
            false => Ready(nothing.other()),
        });
        let lazy = count(L::Extent::FINITE && !Typed::<K, L>::is_ready());
        let lazy = std::iter::repeat_with(OnceLock::new).take(lazy).collect();
        let core = Arc::new(Core { lazy, other: OnceLock::new(), family });
        Ok(Typed { ready: Arc::new(ready), core, labels: PhantomData })
    }
}

impl<K, L> Clone for Typed<K, L> {
    fn clone(&self) -> Self {
        Typed { ready: self.ready.clone(), core: self.core.clone(), labels: PhantomData }
    }
}

impl<K, L> fmt::Debug for Typed<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.core.family).finish()
    }
}
