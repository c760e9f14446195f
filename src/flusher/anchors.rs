//! From clock ticks to the time of day.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::clock::Clock;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) ticks: u64,
    pub(crate) unix_nanos: u64,
}

/// As many as lines may be late, in seconds.
const KEPT: usize = 64;

/// Moments on both clocks, a second apart: each tick is told by the one before it, so that a step of
/// the wall clock moves no line that was logged before the step.
pub(crate) struct Anchors {
    clock: Clock,
    kept: VecDeque<Anchor>,
}

impl Anchors {
    pub(crate) fn new(clock: Clock) -> Anchors {
        let mut anchors = Anchors { clock, kept: VecDeque::with_capacity(KEPT) };
        anchors.renew();
        anchors
    }

    /// Looks at both clocks again.
    pub(crate) fn renew(&mut self) -> Anchor {
        let now = Anchor { ticks: self.clock.ticks(), unix_nanos: unix_nanos() };
        self.add(now);
        now
    }

    fn add(&mut self, anchor: Anchor) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(anchor);
    }

    /// Nanoseconds since 1970 at so many ticks.
    #[inline]
    pub(crate) fn unix_nanos(&self, ticks: u64) -> u64 {
        match self.kept.back() {
            // Nearly all.
            Some(last) if last.ticks <= ticks => {
                last.unix_nanos.saturating_add(self.clock.nanos(ticks - last.ticks))
            }
            _ => self.of_late(ticks),
        }
    }

    /// The same of what was long in coming.
    #[cold]
    fn of_late(&self, ticks: u64) -> u64 {
        // The last one before; a tick that is older than all is told by the first.
        let before = self.kept.iter().rev().find(|anchor| anchor.ticks <= ticks);
        let Some(anchor) = before.or(self.kept.front()) else { return 0 };
        match ticks.checked_sub(anchor.ticks) {
            Some(later) => anchor.unix_nanos.saturating_add(self.clock.nanos(later)),
            None => anchor.unix_nanos.saturating_sub(self.clock.nanos(anchor.ticks - ticks)),
        }
    }
}

fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_moves_what_comes_after_it_alone() {
        let clock = Clock::get();
        let mut anchors = Anchors { clock, kept: VecDeque::new() };
        let second = (0..).map(|shift| 1u64 << shift).find(|&t| clock.nanos(t) > 1 << 29).unwrap();
        let nanos = clock.nanos(second);
        for (n, unix_nanos) in [(10, 5_000 << 30), (11, (5_000 << 30) + nanos), (12, 1_000 << 30)] {
            anchors.add(Anchor { ticks: n * second, unix_nanos });
        }
        let near = |ticks, expected: u64| {
            assert!(anchors.unix_nanos(ticks).abs_diff(expected) < 10, "{ticks}");
        };
        near(10 * second + second / 2, (5_000 << 30) + nanos / 2);
        near(12 * second - 1, (5_000 << 30) + 2 * nanos);
        near(12 * second + second / 2, (1_000 << 30) + nanos / 2);
        near(9 * second, (5_000 << 30) - nanos);
    }
}
