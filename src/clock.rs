//! One monotonic clock for all signals.

use std::sync::LazyLock;

use crate::shard::counter;
use crate::sync::{AtomicU64, Ordering};

/// Calibrated once a process.
static CLOCK: LazyLock<Calibrated> = LazyLock::new(|| {
    let source = quanta::Clock::new();
    // Nanoseconds in 2^40 ticks: a rate with an error of one in 10^12.
    Calibrated::new(source.delta_as_nanos(0, 1 << 40), 40, source)
});

struct Calibrated {
    /// The processor's counter where it is invariant, else the system's monotonic clock.
    source: quanta::Clock,
    /// Whether that is the counter that [`counter::read`] reads: where it stands, in three
    /// instructions. A call into the library is ten, and all that is in registers has to be saved
    /// around it. `lift` is then 0.
    is_counter: bool,
    /// `(ticks << lift) * rate / 2^64` nanoseconds: the upper half of one product. A shift by a
    /// variable after it, as the library does, is two nanoseconds more in every timed call.
    rate: u64,
    lift: u32,
}

impl Calibrated {
    /// For a clock that makes `nanos` in `2^span_log2` ticks.
    fn new(nanos: u64, span_log2: u32, source: quanta::Clock) -> Calibrated {
        let rate = u128::from(nanos) << (64 - span_log2);
        // Ticks of a nanosecond or longer: the rate alone does not fit 64 bits.
        let lift = (128 - rate.leading_zeros()).saturating_sub(64);
        // Slower than a tick a nanosecond is none that a processor of today has.
        let is_counter = lift == 0 && is_counter(&source);
        Calibrated { source, is_counter, rate: (rate >> lift) as u64, lift }
    }

    #[inline(always)]
    fn ticks(&self) -> u64 {
        if self.is_counter
            && let Some(ticks) = counter::read()
        {
            ticks
        } else {
            self.read_slowly()
        }
    }

    #[cold]
    #[inline(never)]
    fn read_slowly(&self) -> u64 {
        self.source.raw()
    }

    #[inline]
    fn nanos(&self, ticks: u64) -> u64 {
        self.nanos_of_counter(ticks << self.lift)
    }

    /// [`nanos`](Self::nanos) of the counter, whose lift is 0: a shift less between the reading and what
    /// waits for it.
    #[inline(always)]
    fn nanos_of_counter(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.rate)) >> 64) as u64
    }
}

/// Whether `source` reads the processor's counter, which it does not say: then a reading lies between
/// two of the counter. Another clock's might by chance, but not again and again.
fn is_counter(source: &quanta::Clock) -> bool {
    (0..4).all(|_| {
        let (before, ticks, after) = (counter::read(), source.raw(), counter::read());
        before.zip(after).is_some_and(|(before, after)| (before..=after).contains(&ticks))
    })
}

/// The process's clock, taken at set-up, so that a reading needs no test of whether it is
/// calibrated.
#[derive(Clone, Copy)]
pub(crate) struct Clock(&'static Calibrated);

/// A moment on the clock, to measure from.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch {
    clock: Clock,
    ticks: u64,
}

impl Clock {
    /// Calibrates at the first call of a process, a few milliseconds.
    pub(crate) fn get() -> Clock {
        Clock(LazyLock::force(&CLOCK))
    }

    /// Reads the clock: about 10 ns where the counter can be used.
    #[inline(always)]
    pub(crate) fn ticks(self) -> u64 {
        self.0.ticks()
    }

    /// Whether it is the processor's counter, which [`counter`](Self::counter) reads.
    pub(crate) fn is_counter(self) -> bool {
        self.0.is_counter
    }

    /// [`ticks`](Self::ticks), by whoever knows that this [is the counter](Self::is_counter).
    #[inline(always)]
    pub(crate) fn counter(self) -> u64 {
        counter::read().unwrap_or_else(|| self.ticks())
    }

    /// How many nanoseconds so many ticks are.
    #[inline]
    pub(crate) fn nanos(self, ticks: u64) -> u64 {
        self.0.nanos(ticks)
    }

    /// Nanoseconds in 2^40 ticks: the rate, for whoever reads ticks in another process.
    pub(crate) fn rate(self) -> u64 {
        self.0.nanos(1 << 40)
    }

    /// About how many ticks make so many nanoseconds.
    pub(crate) fn ticks_of(self, nanos: u64) -> u64 {
        let in_a_million = self.0.nanos(1 << 20).max(1);
        (u128::from(nanos) << 20).div_ceil(u128::from(in_a_million)) as u64
    }

    /// Reads the clock, to measure from.
    #[inline]
    pub(crate) fn start(self) -> Stopwatch {
        Stopwatch { clock: self, ticks: self.ticks() }
    }
}

impl Stopwatch {
    /// Reads the clock: nanoseconds since the start; 0 when the clock went back, which a counter
    /// that is not quite in step between two cores does by a few ticks.
    #[inline]
    pub(crate) fn elapsed_nanos(self) -> u64 {
        let Clock(calibrated) = self.clock;
        // The upper halves are the same but where a second or two have passed, or a multiple of them has
        // just begun. To put both halves together is two steps, for which a timer's next reading waits.
        if calibrated.is_counter
            && let Some((upper, lower)) = counter::halves()
            && upper == (self.ticks >> u32::BITS) as u32
            && let Some(ticks) = lower.checked_sub(self.ticks as u32)
        {
            return calibrated.nanos_of_counter(u64::from(ticks));
        }
        self.stop().1
    }

    /// [`elapsed_nanos`](Self::elapsed_nanos) after the reading itself, which a line about the end
    /// has, too.
    #[inline]
    pub(crate) fn stop(self) -> (u64, u64) {
        let Clock(calibrated) = self.clock;
        if calibrated.is_counter
            && let Some(now) = counter::read()
        {
            (now, self.until(now, |ticks| calibrated.nanos_of_counter(ticks)))
        } else {
            self.stop_slowly()
        }
    }

    #[cold]
    #[inline(never)]
    fn stop_slowly(self) -> (u64, u64) {
        let Clock(calibrated) = self.clock;
        let now = calibrated.read_slowly();
        (now, self.until(now, |ticks| calibrated.nanos(ticks)))
    }

    #[inline(always)]
    fn until(self, now: u64, nanos: impl FnOnce(u64) -> u64) -> u64 {
        // A branch, not a saturating subtraction: it is always predicted, and a conditional move
        // would stand between the counter and everything after it.
        match now.checked_sub(self.ticks) {
            Some(ticks) => nanos(ticks),
            None => went_back(),
        }
    }

    /// The reading of the start.
    #[inline]
    pub(crate) fn ticks(self) -> u64 {
        self.ticks
    }
}

/// How often the clock went back since the process began.
static WENT_BACK: AtomicU64 = AtomicU64::new(0);

#[cold]
fn went_back() -> u64 {
    // Relaxed: a count publishes nothing.
    WENT_BACK.fetch_add(1, Ordering::Relaxed);
    0
}

/// Intervals that were kept as 0 because the clock went back, in the whole process.
pub(crate) fn times_went_back() -> u64 {
    WENT_BACK.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Against the system's clock; the bounds are the two readings around ours, and a thousandth
    /// for the rates.
    #[test]
    fn a_span_is_as_long_as_the_system_says() {
        let clock = Clock::get();
        let outer = Instant::now();
        let stopwatch = clock.start();
        let inner = Instant::now();
        std::thread::sleep(Duration::from_millis(50));
        let least = inner.elapsed();
        let nanos = stopwatch.elapsed_nanos();
        let most = outer.elapsed();
        let slack = most / 1_000;
        let span = Duration::from_nanos(nanos);
        assert!(span + slack >= least && span <= most + slack, "{least:?} {span:?} {most:?}");
    }

    #[test]
    fn readings_in_place_are_those_of_the_library() {
        let clock = Clock::get();
        let source = &clock.0.source;
        let mut before = source.raw();
        for _ in 0..1_000 {
            let readings = [clock.ticks(), source.raw(), clock.start().ticks(), source.raw()];
            for now in readings {
                assert!(before <= now, "{before} {now}");
                before = now;
            }
        }
        if clock.is_counter() {
            assert!(source.raw() <= clock.counter() && clock.counter() <= source.raw());
        }
        let slow = Calibrated { is_counter: false, ..Calibrated::new(1 << 40, 40, source.clone()) };
        assert!(source.raw() <= slow.ticks() && slow.ticks() <= source.raw());
    }

    #[test]
    fn a_clock_that_went_back_is_zero_and_counted() {
        let clock = Clock::get();
        let vitals = crate::Vitals::builder().system_metrics(false).build().unwrap();
        let name = "mcp_vitals_clock_went_back_total";
        let counted = || vitals.snapshot().value(name, &[]).unwrap();
        let before = counted();
        assert_eq!(Stopwatch { clock, ticks: u64::MAX }.elapsed_nanos(), 0);
        // The process's, so other tests may see one too.
        assert!(counted() > before);
        // A moment ahead, so that only the lower halves differ: once more where the moment has passed.
        let ahead = || (clock.ticks() + (1 << 24), counted());
        let is_zero = |(ticks, before)| {
            let nanos = Stopwatch { clock, ticks }.elapsed_nanos();
            let has_passed = clock.ticks() >= ticks;
            assert!(has_passed || (nanos == 0 && counted() > before), "{nanos}");
            !has_passed
        };
        assert!((0..1_000).any(|_| is_zero(ahead())));
    }

    /// Whichever halves of the counter have changed meanwhile.
    #[test]
    fn an_interval_is_that_of_the_whole_counter() {
        let clock = Clock::get();
        for ago in [0, 1, 1 << 31, 1 << 32, (1 << 32) + 1, 3 << 32, 1 << 40] {
            let start = clock.ticks().saturating_sub(ago);
            let stopwatch = Stopwatch { clock, ticks: start };
            let (least, nanos) = (clock.ticks() - start, stopwatch.elapsed_nanos());
            let most = clock.ticks() - start;
            assert!((clock.nanos(least)..=clock.nanos(most)).contains(&nanos), "{ago} {nanos}");
        }
    }

    #[test]
    fn every_rate_is_kept() {
        for (nanos, ticks) in [(1u64 << 40, 1u64 << 40), (1 << 38, 1 << 40), (40 << 40, 1 << 40)] {
            let clock = Calibrated::new(nanos, 40, quanta::Clock::new());
            let exact = |t: u64| (u128::from(t) * u128::from(nanos) / u128::from(ticks)) as u64;
            for span in [0, 1, 1_000, 1 << 32, 1 << 50] {
                assert!(clock.nanos(span).abs_diff(exact(span)) <= 1, "{nanos} {span}");
            }
        }
    }
}
