//! A distribution.

use std::fmt;
use std::time::Duration;

use super::timer::Timer;
use crate::clock::Clock;
use crate::registry::{FamilyCore, Handle, HistogramCells};
use crate::ring::context;
use crate::shard;
use crate::shard::cells::{Slot, Writer, add_owned};
use crate::shard::hdr::{FIRST_BUCKET, MOST_UNITS, OCTAVE_MARKS, Place, SUM};
use crate::shard::held::Part;

/// A distribution: latencies by default, or sizes and counts by [`Unit`](crate::Unit).
///
/// Log-linear buckets in the manner of HdrHistogram, in the calling thread's own cells: 64 an
/// octave, each at most 1.6 % wide, allocated by octave when a value first falls there. Classic
/// buckets, quantiles and sums are views of the same cells; `le` counts are exact, and the count
/// of a scrape is by construction the sum of its buckets. Of a family that is sampled
/// ([`Desc::sample`](crate::Desc::sample)) one observation in n is kept, and weighs n.
///
/// ```
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// let latency = vitals.histogram("job_duration_seconds", "How long jobs take.")?;
/// latency.record(std::time::Duration::from_millis(3));
/// latency.observe(0.004);
/// let snapshot = vitals.snapshot();
/// let read = snapshot.histogram("job_duration_seconds", &[]).unwrap();
/// assert_eq!(read.count(), 2);
/// assert_eq!(read.sum(), 0.007);
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone)]
pub struct Histogram {
    cells: Option<Part<FamilyCore, HistogramCells>>,
}

impl Histogram {
    pub(crate) const DISABLED: Histogram = Histogram { cells: None };

    #[inline]
    pub(crate) fn new(handle: Handle) -> Histogram {
        Histogram { cells: handle.histogram() }
    }

    /// Records one observed duration.
    ///
    /// More than the family's highest trackable value (one hour by default) is kept as just that
    /// in its bucket, whole in the sum, and counted in `mcp_vitals_clamped_total`. 2^63 nanoseconds
    /// (292 years) or more are no duration: refused, and counted in `mcp_vitals_refused_total`. Cost
    /// as [`record_nanos`](Self::record_nanos).
    #[inline]
    pub fn record(&self, elapsed: Duration) {
        // What no 64 bits hold is refused with the rest.
        self.record_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Records one observed duration of `nanos` **nanoseconds**, exposed in seconds.
    ///
    /// Wait-free, an index computation and three adds (about 2 ns); never fails. The first value in
    /// an octave allocates. Limits as [`record`](Self::record). Source: HdrHistogram's
    /// `recordValue`.
    #[inline(always)]
    pub fn record_nanos(&self, nanos: u64) {
        self.record_units(nanos);
    }

    /// Records one value in the histogram's integer unit: nanoseconds for
    /// [`Unit::Seconds`](crate::Unit), else bytes, tokens or whatever is counted. Limits as
    /// [`record`](Self::record).
    #[inline(always)]
    pub fn record_units(&self, units: u64) {
        let Some(cells) = &self.cells else { return };
        let layout = cells.layout();
        if units >= cells.kind.sampler.warm_end() {
            return record_sampled(cells, units);
        }
        let place = layout.place_warm(units);
        if !record_own(cells, units, cells.octave_warm(place.octave), place) {
            record_elsewhere(cells, units);
        }
    }

    /// Records one value in the exposed unit: seconds, bytes, tokens.
    ///
    /// Rounded to the integer unit (a nanosecond for seconds). What is not finite, negative, or 2^63
    /// integer units and more, is refused and counted in `mcp_vitals_refused_total`: it would spoil
    /// the sum for ever.
    #[inline]
    pub fn observe(&self, value: f64) {
        let Some(cells) = &self.cells else { return };
        if !value.is_finite() || value < 0.0 {
            return cells.kind.losses.refused.inc();
        }
        // `as` saturates at `u64::MAX`, which is refused.
        self.record_units((value * cells.kind.units_per_one).round() as u64);
    }

    /// Starts a timer that records here when it is dropped or stopped.
    #[inline]
    pub fn start_timer(&self) -> Timer<'_> {
        Timer::start(self)
    }

    /// Decides of a section that begins now, before its clock is read: the clock to time it by, and
    /// what it will weigh. Nothing where it is not sampled, or the histogram is disabled.
    #[inline]
    pub(super) fn begin(&self) -> Option<(Clock, u64)> {
        let cells = self.cells.as_ref()?;
        let weight = cells.kind.sampler.weigh(&cells.space);
        (weight > 0).then_some((cells.kind.clock, weight))
    }

    /// Ends a section that [`begin`](Self::begin) gave this weight.
    #[inline(always)]
    pub(super) fn end(&self, nanos: u64, weight: u64) {
        if weight == 1 {
            // Of a family that is not sampled, unless that was switched on meanwhile: then this
            // draws, and is right on average like any other.
            return self.record_nanos(nanos);
        }
        if let Some(cells) = &self.cells {
            record_anywhere(cells, nanos, weight);
        }
    }
}

/// Records one value in cells that the calling thread has; false where it has none of them.
#[inline(always)]
fn record_own(cells: &HistogramCells, units: u64, origin: Slot, place: Place) -> bool {
    // Read once: the compiler can't know that the adds below don't change it.
    let first = cells.header;
    let own = shard::own();
    // Slot 0 is in no shard's directory: an octave that nobody has allocated ends up here too, and on the
    // warm path one of several boundaries.
    let (Some(buckets), Some(header)) = (own.chunk(origin.chunk()), own.chunk(first.chunk()))
    else {
        return false;
    };
    add_owned(header.cell_after(first, SUM), units);
    add_owned(header.cell_after(first, place.bucket), 1);
    if add_owned(buckets.cell_after(origin, place.cell), 1) == 0 {
        mark_own(cells, units);
    } else if context::is_sampled() {
        // The last of all, here and there, so that nothing is kept over a call.
        offer_own(cells, units);
    }
    true
}

/// Records what the warm path has no cells for: in an octave of several boundaries, as quickly as goes; else
/// anywhere.
#[inline(never)]
fn record_elsewhere(cells: &HistogramCells, units: u64) {
    let place = cells.layout().place(units);
    if !record_own(cells, units, cells.octave(place.octave), place) {
        record_anywhere(cells, units, 1);
    }
}

/// Records what the warm path can't: of a sampled family, what its turn has come for; of another a
/// clamped value.
#[inline(never)]
fn record_sampled(cells: &HistogramCells, units: u64) {
    // What is to be refused is so whether or not its turn has come: it is counted to the last one.
    if units > MOST_UNITS {
        return record_anywhere(cells, units, 1);
    }
    if !cells.kind.sampler.passes_over() {
        record_drawn(cells, units);
    }
}

// Apart, so that what is passed over saves no registers.
#[inline(never)]
fn record_drawn(cells: &HistogramCells, units: u64) {
    let weight = cells.kind.sampler.draw(&cells.space);
    if weight > 0 {
        record_anywhere(cells, units, weight);
    }
}

/// Records `weight` observations of one value wherever it has a place: a first touch, the common
/// cells, and what [`record_sampled`] leaves.
#[inline(never)]
fn record_anywhere(cells: &HistogramCells, units: u64, weight: u64) {
    if units > MOST_UNITS {
        return cells.kind.losses.refused.inc();
    }
    if units > cells.layout().highest() {
        cells.kind.losses.clamped.add(weight);
    }
    let place = cells.layout().place(units);
    let Some(origin) = cells.octave_or_allocate(place.octave) else {
        // No budget for the octave: the observation is lost, with those that it stands for, and
        // counted.
        return cells.kind.losses.lost.add(weight);
    };
    let writer = shard::writer(&cells.space, &[origin, cells.header]);
    let (Some(buckets), Some(header)) = (writer.chunk(origin), writer.chunk(cells.header)) else {
        return cells.kind.losses.lost.add(weight);
    };
    let sum = units.saturating_mul(weight);
    writer.add_up_to(header.cell(cells.header.offset(SUM)), sum, MOST_UNITS);
    writer.add(header.cell(cells.header.offset(place.bucket)), weight);
    if writer.add(buckets.cell(origin.offset(place.cell)), weight) == 0 {
        mark(writer, cells, origin, place);
    }
    if context::is_sampled() {
        offer(cells, place.bucket, units);
    }
}

/// Offers what [`record_own`] has just recorded as an exemplar. Apart, so that who is in no span saves no
/// registers; and the bucket is found again, so that the warm path keeps nothing for it.
#[cold]
#[inline(never)]
fn offer_own(cells: &HistogramCells, units: u64) {
    offer(cells, cells.layout().place(units).bucket, units);
}

/// Offers what was just recorded, in a sampled span, as an exemplar.
#[inline]
fn offer(cells: &HistogramCells, bucket: usize, units: u64) {
    if let Some(exemplars) = &cells.kind.exemplars {
        let ids = context::active().ids;
        exemplars.offer(cells.header, bucket - FIRST_BUCKET, cells.life(), units, &ids);
    }
}

/// Marks what the calling thread has just touched in its own shard. Finds the place again, so that
/// the warm path has nothing to keep for it.
#[cold]
fn mark_own(cells: &HistogramCells, units: u64) {
    let place = cells.layout().place(units);
    mark(Writer::Own(shard::own()), cells, cells.octave(place.octave), place);
    if context::is_sampled() {
        offer(cells, place.bucket, units);
    }
}

/// Marks the octave and the cell as touched in this writer's shard, so that scrapes read them.
fn mark(writer: Writer<'_>, cells: &HistogramCells, origin: Slot, place: Place) {
    let (Some(buckets), Some(header)) = (writer.chunk(origin), writer.chunk(cells.header)) else {
        return;
    };
    let layout = cells.layout();
    let bit = 1 << layout.mark(place.octave, place.cell);
    writer.set_bits(buckets.cell(origin.offset(layout.end(place.octave))), bit);
    writer.set_bits(header.cell(cells.header.offset(OCTAVE_MARKS)), 1 << place.octave);
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").finish_non_exhaustive()
    }
}
