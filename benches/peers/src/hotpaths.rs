//! Our hot paths, one by one and nothing beside them, for an instruction count.

use std::hint::black_box;

use crate::sides::ours;
use crate::work::nanos;

/// A hot path and how to make so many calls of it.
pub struct HotPath {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Calls that make a count of them worthwhile.
    pub calls: u64,
    /// Makes so many calls.
    pub run: fn(u64),
}

/// All of them.
pub const ALL: [HotPath; 5] = [
    HotPath { name: "counter", calls: 10_000, run: counter },
    HotPath { name: "updown", calls: 10_000, run: updown },
    HotPath { name: "histogram", calls: 10_000, run: histogram },
    HotPath { name: "timer", calls: 10_000, run: timer },
    HotPath { name: "scrape", calls: 20, run: scrape },
];

/// The hot path of that name.
pub fn find(name: &str) -> Option<&'static HotPath> {
    ALL.iter().find(|path| path.name == name)
}

fn counter(calls: u64) {
    let (_vitals, counter) = ours::one_counter();
    for _ in 0..calls {
        black_box(&counter).inc();
    }
}

/// A call is one inc and one dec.
fn updown(calls: u64) {
    let (_vitals, updown) = ours::one_updown();
    for _ in 0..calls {
        black_box(&updown).inc();
        black_box(&updown).dec();
    }
}

fn histogram(calls: u64) {
    let (_vitals, histogram) = ours::one_histogram();
    for i in 0..calls as usize {
        black_box(&histogram).record_nanos(nanos(i));
    }
}

/// A call is start and stop.
fn timer(calls: u64) {
    let (_vitals, histogram) = ours::one_histogram();
    for _ in 0..calls {
        black_box(black_box(&histogram).start_timer().stop());
    }
}

/// A call is a scrape of 1,000 counters.
fn scrape(calls: u64) {
    let mut counters = ours::counters(1_000);
    // The first two let the buffer grow.
    for _ in 0..calls + 2 {
        black_box(counters.scrape());
    }
}
