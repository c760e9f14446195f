//! What a metric is, said once at set-up.

use std::marker::PhantomData;
use std::time::Duration;

use super::{Counter, Gauge, Histogram, Kind, UpDown};
use crate::registry::{MetricKind, Spec};

/// Boundaries for durations unless a family has its own: 100 µs to 60 s.
const DURATION_BUCKETS: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
/// Cells an octave: at most 1.6 % wide.
const CELLS_LOG2: u32 = 6;
const HOUR_NANOS: u64 = 3_600_000_000_000;
/// The upper end of what is not seconds: 2.8 × 10^14. A client that says a size of its own choice
/// does not soon fill a sum of 64 bits with it.
const HIGHEST_UNITS: u64 = 1 << 48;

/// What a histogram measures: how its integers become the exposed number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Kept in nanoseconds, exposed in seconds.
    Seconds,
    /// Kept and exposed in bytes.
    Bytes,
    /// Kept and exposed as a plain count: tokens, rows, items.
    Count,
    /// Kept in billionths, exposed as a ratio.
    Ratio,
}

impl Unit {
    fn decimals(self) -> u8 {
        match self {
            Unit::Seconds | Unit::Ratio => 9,
            Unit::Bytes | Unit::Count => 0,
        }
    }

    fn buckets(self) -> Vec<f64> {
        match self {
            Unit::Seconds => DURATION_BUCKETS.to_vec(),
            _ => Vec::new(),
        }
    }

    fn highest(self) -> u64 {
        match self {
            Unit::Seconds => HOUR_NANOS,
            _ => HIGHEST_UNITS,
        }
    }
}

/// What a metric is: its name, help, kind, labels and limits. Given to
/// [`Vitals::register`](crate::Vitals::register), which checks it.
///
/// ```
/// use mcp_vitals::{Desc, Unit};
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// let sizes = vitals.register(
///     Desc::histogram("reply_size_bytes", "Size of replies.")
///         .unit(Unit::Bytes)
///         .buckets(&[1e3, 1e4, 1e5, 1e6])
///         .labels(["tool"]),
/// )?;
/// sizes.with(["search"]).record_units(2_048);
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "register it"]
pub struct Desc<K, const N: usize> {
    pub(crate) spec: Spec,
    /// Nothing: the engine's.
    pub(crate) series_limit: Option<u32>,
    pub(crate) label_values: Option<u32>,
    pub(crate) removable: bool,
    /// Zero: never.
    pub(crate) idle: Duration,
    pub(crate) declared: Vec<[String; N]>,
    /// One in how many observations is kept.
    pub(crate) sample: u32,
    /// Whether the host said boundaries, and an upper end: else they are the unit's.
    own: (bool, bool),
    kind: PhantomData<fn() -> K>,
}

impl Desc<Counter, 0> {
    /// A total that only grows. By convention the name ends in `_total`.
    pub fn counter(name: &str, help: &str) -> Self {
        Desc::new(name, help)
    }
}

impl Desc<Gauge, 0> {
    /// A reading that is set.
    pub fn gauge(name: &str, help: &str) -> Self {
        Desc::new(name, help)
    }

    /// What is always 1, and whose labels say something. The name ends in `_info`.
    pub(crate) fn info(name: &str, help: &str) -> Self {
        let mut desc = Desc::new(name, help);
        desc.spec.kind = MetricKind::Info;
        desc
    }

    /// A total that is read elsewhere and set: shown as a counter.
    pub(crate) fn observed(name: &str, help: &str) -> Self {
        let mut desc = Desc::new(name, help);
        desc.spec.kind = MetricKind::Observed;
        desc
    }
}

impl Desc<UpDown, 0> {
    /// A level that goes up and down by events.
    pub fn updown(name: &str, help: &str) -> Self {
        Desc::new(name, help)
    }
}

impl Desc<Histogram, 0> {
    /// A distribution of durations, exposed in seconds with boundaries from 100 µs to 60 s; see
    /// [`unit`](Self::unit) and [`buckets`](Self::buckets) for others.
    pub fn histogram(name: &str, help: &str) -> Self {
        let mut desc: Self = Desc::new(name, help);
        desc.spec.bits = CELLS_LOG2;
        desc.unit(Unit::Seconds)
    }
}

impl<const N: usize> Desc<Histogram, N> {
    /// What is measured. Unless [`buckets`](Self::buckets) and
    /// [`highest_units`](Self::highest_units) say otherwise, before or after this, anything but
    /// seconds has no boundaries, and 2^48 as its highest trackable value.
    pub fn unit(mut self, unit: Unit) -> Self {
        self.spec.decimals = unit.decimals();
        if !self.own.0 {
            self.spec.buckets = unit.buckets();
        }
        if !self.own.1 {
            self.spec.highest = unit.highest();
        }
        self
    }

    /// The boundaries of the classic buckets, ascending, in the **exposed unit** (seconds, bytes),
    /// without `+Inf`; at most 500, and 64 between a value and its double (128 below twice the
    /// [cells](Self::cells_per_octave)). They cost nothing when recording, but for values between two that are
    /// less than a factor of two apart: 2 to 7 ns more.
    pub fn buckets(mut self, bounds: &[f64]) -> Self {
        // With 0.0 added, because -0.0 would be shown as just that.
        self.spec.buckets = bounds.iter().map(|bound| bound + 0.0).collect();
        self.own.0 = true;
        self
    }

    /// The highest trackable duration; default one hour. More is kept as just that in its bucket,
    /// whole in the sum, and counted. A longer one costs nothing; each octave (doubling) in which a
    /// thread records costs it 8 bytes a cell, 520 bytes by default.
    pub fn highest(self, highest: Duration) -> Self {
        self.highest_units(u64::try_from(highest.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The same in the histogram's integer unit (bytes, tokens, nanoseconds), `1..2^63`; the last
    /// boundary and one more at least.
    pub fn highest_units(mut self, highest: u64) -> Self {
        self.spec.highest = highest;
        self.own.1 = true;
        self
    }

    /// Cells between a value and its double: 16, 32, 64 (default), 128 or 256, rounded up to one
    /// of these; a cell is at most `1/cells` wide. At 256 an octave may cost a thread up to 2.7 KiB, and the
    /// values below 512 together 8 KiB.
    pub fn cells_per_octave(mut self, cells: u32) -> Self {
        self.spec.bits = cells.clamp(16, 256).next_power_of_two().ilog2();
        self
    }

    /// Keeps one observation in `n`, `1..=65_536`, at random, and lets it weigh `n`; default 1,
    /// which keeps all. Counts, sums and buckets are right on average, quantiles as right as so
    /// many kept observations can say; `docs/SAMPLING.md` has the figures. A
    /// [`Timer`](crate::Timer) that is passed over reads no clock.
    ///
    /// [`VitalsBuilder::sample`](crate::VitalsBuilder::sample) goes before this, and
    /// [`Vitals::set_sampling`](crate::Vitals::set_sampling) changes it. Of a metric that is
    /// registered twice the first registration's stands.
    pub fn sample(mut self, n: u32) -> Self {
        self.sample = n;
        self
    }
}

impl<K: Kind> Desc<K, 0> {
    fn new(name: &str, help: &str) -> Self {
        let spec = Spec {
            name: name.to_owned(),
            help: help.to_owned(),
            kind: K::kind(),
            labels: Vec::new(),
            decimals: 0,
            buckets: Vec::new(),
            bits: 0,
            highest: 0,
        };
        Desc {
            spec,
            series_limit: None,
            label_values: None,
            removable: false,
            idle: Duration::ZERO,
            declared: Vec::new(),
            sample: 1,
            own: (false, false),
            kind: PhantomData,
        }
    }

    /// The label names, in the order in which values are given; at most 16.
    pub fn labels<const N: usize>(mut self, names: [&str; N]) -> Desc<K, N> {
        self.spec.labels = names.map(str::to_owned).to_vec();
        let Desc { spec, series_limit, label_values, removable, idle, sample, own, .. } = self;
        Desc {
            spec,
            series_limit,
            label_values,
            removable,
            idle,
            sample,
            declared: Vec::new(),
            own,
            kind: PhantomData,
        }
    }
}

impl<K: Kind, const N: usize> Desc<K, N> {
    /// Most series the family may have, `1..=1_000_000`, and no fewer than are declared; default the
    /// builder's `series_limit`, or as many as are declared. Of a metric that is registered twice the
    /// first registration's limit stands.
    pub fn series_limit(mut self, series: u32) -> Self {
        self.series_limit = Some(series);
        self
    }

    /// Most distinct values that each label may have, `1..=1_000_000`, and no fewer than are
    /// declared. A further value becomes `_other`, and the other labels of its set stay as they are:
    /// an error ratio still holds while somebody floods the tools' names. Default: the
    /// builder's, or no limit where the family has one label or a series limit of its own.
    pub fn label_values_limit(mut self, values: u32) -> Self {
        self.label_values = Some(values);
        self
    }

    /// Lets [`Family::remove`](crate::Family::remove) take series out again. A look-up by labels then
    /// costs 5 ns more, which is what a fence takes, and a series 16 bytes and two more cells for
    /// each thread. Of a metric that is registered twice the first registration's word stands. A metric
    /// without labels keeps its one series.
    pub fn removable(mut self) -> Self {
        self.removable = true;
        self
    }

    /// Removes a series that nobody looked up, by labels or by name, for this long, 10 ms to 45 days,
    /// and that nobody holds a handle of; a gauge that goes up and down by events only at 0. A
    /// declared one goes like any other, the one whose labels are all `_other` stays. The next record
    /// makes it anew, from 0, which a scraper reads as a restart.
    ///
    /// It is looked for at each scrape or [`snapshot`](crate::Vitals::snapshot), and what it goes with
    /// was in an earlier one. So that it was in a scraper's, too, where several read, let the time be
    /// a few of the slowest one's intervals. Costs as [`removable`](Self::removable), which this
    /// implies.
    pub fn idle_expiry(mut self, after: Duration) -> Self {
        self.idle = after;
        self
    }

    /// Makes these label sets at once, at 0: a counter that is born at 1 is invisible to `rate`
    /// and `increase`.
    pub fn declare<'a>(mut self, sets: impl IntoIterator<Item = [&'a str; N]>) -> Self {
        self.declared.extend(sets.into_iter().map(|set| set.map(str::to_owned)));
        self
    }
}
