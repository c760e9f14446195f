//! A timed section.

use std::time::Duration;

use super::Histogram;
use crate::clock::Ticks;

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
#[derive(Debug)]
pub struct Timer<'a> {
    histogram: &'a Histogram,
    /// Nothing where the histogram is disabled, or the timer done: the clock is the dear part.
    started: Option<Ticks>,
}

impl<'a> Timer<'a> {
    #[inline]
    pub(crate) fn start(histogram: &'a Histogram) -> Timer<'a> {
        Timer { histogram, started: (!histogram.is_disabled()).then(Ticks::now) }
    }

    /// Records now, and gives what was recorded; zero when disabled.
    #[inline]
    pub fn stop(mut self) -> Duration {
        Duration::from_nanos(self.finish())
    }

    /// Ends the timer without a record.
    #[inline]
    pub fn discard(mut self) {
        self.started = None;
    }

    #[inline]
    fn finish(&mut self) -> u64 {
        let Some(started) = self.started.take() else { return 0 };
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
