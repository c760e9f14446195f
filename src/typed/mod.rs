//! Labels as types: a set of enums is found by its index, a wrong name does not compile.
//!
//! Stands on the public API alone: a table of handles in front of a [`Family`].

mod labels;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

pub use labels::{Extent, Finite, LabelValue, Labels, Open, Values, bounded};

use crate::{Desc, Error, Family, Gauge, Kind, Vitals};

/// Most combinations that a table is made for: 96 KiB of handles of the largest kind.
const MOST_COMBINATIONS: usize = 4_096;
/// Most series that are made, at 0, when a metric is registered; of a larger set those that are used.
const DECLARED: usize = 256;
/// Where a record goes whose index is beyond the table.
pub const OTHER: &str = "_other";

/// A metric whose labels are a type `L`; see [`Vitals::register_typed`] and [`Labels`].
///
/// Cheap to clone; `Typed<Counter, Call<'static>>` in a struct takes a `Call` that borrows for less.
pub struct Typed<K, L> {
    /// A handle for each combination, where all were made at registration.
    ready: Arc<[K]>,
    core: Arc<Core<K>>,
    // Nothing of `L` is kept, and no type that is made from it: so a metric of `Call<'static>` is
    // one of `Call<'a>` too, and a field can hold it.
    labels: PhantomData<fn() -> L>,
}

struct Core<K> {
    /// A place for each combination, filled at its first use; empty where `ready` has them.
    lazy: Box<[OnceLock<K>]>,
    other: OnceLock<K>,
    family: Box<dyn LookUp<K>>,
}

/// A family, whatever its number of labels.
pub trait LookUp<K>: fmt::Debug + Send + Sync {
    /// The handle of these values.
    fn look_up(&self, values: &[&str]) -> K;
}

impl<K: Kind, const N: usize> LookUp<K> for Family<K, N> {
    fn look_up(&self, values: &[&str]) -> K {
        // Values and names come from one `Labels`, so there are as many.
        self.with(values.try_into().unwrap_or([OTHER; N]))
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

    #[inline]
    fn at(&self, index: usize) -> &K {
        // The smaller test first: of a set that is ready it is all there is.
        match self.ready.get(index) {
            Some(handle) => handle,
            None => self.made(index),
        }
    }

    fn made(&self, index: usize) -> &K {
        let core = &*self.core;
        match core.lazy.get(index) {
            Some(place) => place.get_or_init(|| core.family.look_up(L::at(index).as_ref())),
            // No derived index comes here; but a record is not lost, nor the host stopped.
            None => core.other.get_or_init(|| core.family.look_up(L::Values::all(OTHER).as_ref())),
        }
    }

    fn look_up(&self, labels: &L) -> K {
        self.core.family.look_up(labels.values().as_ref())
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
    /// is its number of combinations. The same metric may be registered by
    /// [`register`](Self::register) too, with the same label names in the same order.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn register_typed<K: Kind, L: Labels>(
        &self,
        mut desc: Desc<K, 0>,
    ) -> Result<Typed<K, L>, Error> {
        const { bounded::<L>() };
        let (mut declared, mut lazy) = (0, 0);
        if L::Extent::FINITE {
            // Within `series_limit`'s range, which ends beyond the most combinations.
            desc.series_limit.get_or_insert(L::COUNT as u32);
            match L::COUNT <= DECLARED && TypeId::of::<K>() != TypeId::of::<Gauge>() {
                true => declared = L::COUNT,
                false => lazy = L::COUNT,
            }
        }
        let family = L::NAMES.register(self, desc, (0..declared).map(L::at))?;
        let ready = (0..declared).map(|index| family.look_up(L::at(index).as_ref())).collect();
        let lazy = std::iter::repeat_with(OnceLock::new).take(lazy).collect();
        let core = Arc::new(Core { lazy, other: OnceLock::new(), family });
        Ok(Typed { ready, core, labels: PhantomData })
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
