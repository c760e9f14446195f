//! One monotonic clock for all signals.

use std::sync::LazyLock;

/// The processor's counter where it is invariant, else the system's monotonic clock; which of the
/// two, and the counter's rate, are found out once a process.
static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

/// A reading of the clock, in its own ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks(u64);

impl Ticks {
    /// Reads the clock: about 10 ns where the counter can be used.
    #[inline]
    pub(crate) fn now() -> Ticks {
        Ticks(CLOCK.raw())
    }

    /// Nanoseconds from `self` to now; 0 when the clock went back, which a counter that is not
    /// quite in step between two cores does by a few ticks.
    #[inline]
    pub(crate) fn elapsed_nanos(self) -> u64 {
        let clock = &*CLOCK;
        clock.delta_as_nanos(self.0, clock.raw())
    }
}

/// Calibrates the counter, a few milliseconds once a process, so that no caller pays for it.
pub(crate) fn warm_up() {
    LazyLock::force(&CLOCK);
}
