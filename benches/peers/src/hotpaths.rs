//! Our hot paths, one by one and nothing beside them, for an instruction count.

use std::hint::black_box;

use mcp_vitals::logs::{LogConfig, set_request_context};
use mcp_vitals::{Vitals, info};

use crate::logs::work::{OPERATION, Request, TOOL};
use crate::sides::{Scraped, ours};
use crate::work::{HISTOGRAM, NANOS, VALUES};

/// One in so many is kept: nearly all are passed over.
const PASSED_OVER: u32 = 65_536;

/// Makes so many calls.
pub type Calls = Box<dyn FnMut(u64)>;

/// A hot path and how to make calls of it.
pub struct HotPath {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Calls that make a count of them worthwhile.
    pub calls: u64,
    /// Calls after which nothing is new: buffers have grown, every octave has its cells.
    warm_up: u64,
    prepare: fn() -> Calls,
}

/// All of them. `loop` is what the loop around the others costs.
pub const ALL: [HotPath; 10] = [
    HotPath { name: "loop", calls: 10_000, warm_up: 4_096, prepare: nothing },
    HotPath { name: "counter", calls: 10_000, warm_up: 4_096, prepare: counter },
    HotPath { name: "updown", calls: 10_000, warm_up: 4_096, prepare: updown },
    HotPath { name: "histogram", calls: 10_000, warm_up: 4_096, prepare: histogram },
    HotPath { name: "timer", calls: 10_000, warm_up: 4_096, prepare: timer },
    HotPath { name: "histogram_passed_over", calls: 10_000, warm_up: 4_096, prepare: passed_over },
    HotPath {
        name: "timer_passed_over",
        calls: 10_000,
        warm_up: 4_096,
        prepare: timer_passed_over,
    },
    HotPath { name: "log_call", calls: 1_000, warm_up: 100, prepare: log_call },
    HotPath { name: "scrape", calls: 20, warm_up: 2, prepare: scrape },
    HotPath { name: "scrape_histograms", calls: 5, warm_up: 2, prepare: scrape_histograms },
];

impl HotPath {
    /// The hot path of that name.
    pub fn find(name: &str) -> Option<&'static HotPath> {
        ALL.iter().find(|path| path.name == name)
    }

    /// Sets up, makes the first calls, which allocate, and then as many as asked in [`counted`].
    pub fn run(&self, calls: u64) {
        let mut run = (self.prepare)();
        run(self.warm_up);
        counted(&mut run, calls);
    }
}

/// What callgrind is told to look at: setting up takes as long as the clock's calibration does, and
/// that is never the same.
#[inline(never)]
pub fn counted(run: &mut Calls, calls: u64) {
    run(calls);
}

fn nothing() -> Calls {
    let (vitals, counter) = ours::one_counter();
    Box::new(move |calls| {
        let _engine = &vitals;
        for _ in 0..calls {
            black_box(&counter);
        }
    })
}

fn counter() -> Calls {
    let (vitals, counter) = ours::one_counter();
    Box::new(move |calls| {
        let _engine = &vitals;
        for _ in 0..calls {
            black_box(&counter).inc();
        }
    })
}

/// A line with three fields and a request's context, into a ring that has room for all of them.
fn log_call() -> Calls {
    let logs = LogConfig::to_memory().ring_bytes(4 << 20);
    let vitals = Vitals::builder().system_metrics(false).logs(logs).build();
    let vitals = vitals.expect("the defaults are good");
    let logger = vitals.logger("bench");
    Box::new(move |calls| {
        let _engine = &vitals;
        let request = Request::new(7);
        let ids = [&request.id, &request.user, &request.session].map(|id| Some(id.as_str()));
        let _context = set_request_context(ids[0], ids[1], ids[2]);
        for n in 0..calls {
            let (logger, n) = (black_box(&logger), black_box(n));
            info!(logger, "request handled", tool = TOOL, operation = OPERATION, n = n);
        }
    })
}

/// A call is one inc and one dec.
fn updown() -> Calls {
    let (vitals, updown) = ours::one_updown();
    Box::new(move |calls| {
        let _engine = &vitals;
        for _ in 0..calls {
            let updown = black_box(&updown);
            updown.inc();
            updown.dec();
        }
    })
}

fn histogram() -> Calls {
    histogram_1_in(1)
}

/// A record that sampling passes over.
fn passed_over() -> Calls {
    histogram_1_in(PASSED_OVER)
}

fn histogram_1_in(n: u32) -> Calls {
    let (vitals, histogram) = ours::one_histogram();
    vitals.set_sampling(HISTOGRAM, n).expect("a histogram, and n in its range");
    let values: &'static [u64; VALUES] = &NANOS;
    Box::new(move |calls| {
        let _engine = &vitals;
        for i in 0..calls as usize {
            black_box(&histogram).record_nanos(values[i % VALUES]);
        }
    })
}

/// A call is start and stop.
fn timer() -> Calls {
    timer_1_in(1)
}

/// The same of a section that sampling passes over.
fn timer_passed_over() -> Calls {
    timer_1_in(PASSED_OVER)
}

fn timer_1_in(n: u32) -> Calls {
    let (vitals, histogram) = ours::one_histogram();
    vitals.set_sampling(HISTOGRAM, n).expect("a histogram, and n in its range");
    Box::new(move |calls| {
        let _engine = &vitals;
        for _ in 0..calls {
            black_box(black_box(&histogram).start_timer().stop());
        }
    })
}

/// A call is a scrape of 1,000 counters.
fn scrape() -> Calls {
    scrapes(ours::counters(1_000))
}

/// A call is a scrape of 1,000 histograms.
fn scrape_histograms() -> Calls {
    scrapes(ours::histograms(1_000))
}

fn scrapes(mut series: Box<dyn Scraped>) -> Calls {
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(series.scrape());
        }
    })
}
