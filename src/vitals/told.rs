//! Counts that stand elsewhere, brought into the metrics at each scrape.

use crate::metrics::Counter;

/// A count that stands elsewhere, and how much of it is in its counter.
pub(super) struct Told {
    counter: Counter,
    told: u64,
}

impl Told {
    pub(super) fn tell(&mut self, now: u64) {
        self.counter.add(now.saturating_sub(self.told));
        self.told = self.told.max(now);
    }
}

pub(super) fn told(counter: Counter) -> Told {
    Told { counter, told: 0 }
}
