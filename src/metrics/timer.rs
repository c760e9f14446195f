//! A timed section.

use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Duration;

use super::Histogram;
use crate::clock::{Clock, Stopwatch};

/// Times a section of code into a [`Histogram`]; records when dropped, also by a panic.
///
/// Costs two readings of the processor's counter (about 10 ns each) and one record.
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
    /// Nothing where the histogram is disabled: the clock is the dear part.
    started: Option<Stopwatch>,
}

impl<'a> Timer<'a> {
    #[inline]
    pub(crate) fn start(histogram: &'a Histogram) -> Timer<'a> {
        Timer { histogram, started: histogram.clock().map(Clock::start) }
    }

    /// Records now, and gives what was recorded; zero when disabled.
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

    #[inline]
    fn finish(&self) -> u64 {
        let Some(started) = self.started else { return 0 };
        let nanos = started.elapsed_nanos();
        self.histogram.record_nanos(nanos);
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
        let elapsed = self.started.map(Stopwatch::elapsed_nanos);
        f.debug_struct("Timer").field("elapsed_nanos", &elapsed).finish_non_exhaustive()
    }
}
