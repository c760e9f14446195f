//! A timed section.

use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Duration;

use super::Histogram;
use crate::clock::Stopwatch;

/// Times a section of code into a [`Histogram`]; records when dropped, also by a panic.
///
/// Costs two readings of the processor's counter (about 10 ns each) and one record. Of a histogram
/// that is sampled ([`Desc::sample`](crate::Desc::sample)) only the sections that are kept cost
/// that: it is decided at the start, and the others, 2 ns each, never read the clock.
///
/// ```
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// let latency = vitals.histogram("query_duration_seconds", "How long queries take.")?;
/// {
///     let _timer = latency.start_timer();
///     // the query
/// }
/// let elapsed = latency.start_timer().stop();
/// assert_eq!(vitals.snapshot().histogram("query_duration_seconds", &[]).unwrap().count(), 2);
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[must_use = "a timer that is not kept records at once"]
pub struct Timer<'a> {
    histogram: &'a Histogram,
    /// With what the section weighs. Nothing where it is not recorded, by sampling or because the
    /// histogram is disabled: the clock is the dear part.
    started: Option<(Stopwatch, u64)>,
}

impl<'a> Timer<'a> {
    #[inline]
    pub(crate) fn start(histogram: &'a Histogram) -> Timer<'a> {
        let started = histogram.begin().map(|(clock, weight)| (clock.start(), weight));
        Timer { histogram, started }
    }

    /// Records now, and gives the duration that was recorded; zero where none was: for a section
    /// that sampling passes over, and when disabled. Who needs every duration takes an
    /// [`Instant`](std::time::Instant) and [`Histogram::record`].
    #[inline]
    pub fn stop(self) -> Duration {
        // Not dropped again: `finish` is the whole of the destructor.
        Duration::from_nanos(ManuallyDrop::new(self).finish())
    }

    /// Ends the timer without a record.
    #[inline]
    pub fn discard(self) {
        let _ = ManuallyDrop::new(self);
    }

    // Where the section ends, as a record is: what goes through memory on its way to the reading, or is
    // saved between it and the cells, is waited for, a nanosecond of all.
    #[inline(always)]
    fn finish(&self) -> u64 {
        let Some((started, weight)) = self.started else { return 0 };
        let nanos = started.elapsed_nanos();
        self.histogram.end(nanos, weight);
        nanos
    }
}

impl Drop for Timer<'_> {
    #[inline]
    fn drop(&mut self) {
        self.finish();
    }
}

impl fmt::Debug for Timer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.started.map(|(started, _)| started.elapsed_nanos());
        f.debug_struct("Timer").field("elapsed_nanos", &elapsed).finish_non_exhaustive()
    }
}
