//! Our hot paths, one by one and nothing beside them, for an instruction count.

use std::hint::black_box;

use mcp_vitals::logs::{LogConfig, set_request_context};
use mcp_vitals::traces::{Sampler, TraceConfig};
use mcp_vitals::{Vitals, info};

use crate::logs::work::{OPERATION, Request, TOOL};
use crate::sides::{Scraped, Subject, ours};
use crate::traces;
use crate::traces::work::{EVENT, NAME, REQUEST, SYSTEM};
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
pub const ALL: [HotPath; 18] = [
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
    HotPath { name: "labels", calls: 10_000, warm_up: 4_096, prepare: labels },
    HotPath { name: "labels_static", calls: 10_000, warm_up: 4_096, prepare: labels_static },
    HotPath { name: "labels_by_name", calls: 10_000, warm_up: 4_096, prepare: labels_by_name },
    HotPath { name: "labels_histogram", calls: 10_000, warm_up: 4_096, prepare: labels_histogram },
    HotPath { name: "log_call", calls: 1_000, warm_up: 100, prepare: log_call },
    HotPath { name: "log_in_span", calls: 1_000, warm_up: 100, prepare: log_in_span },
    HotPath { name: "span", calls: 1_000, warm_up: 100, prepare: span },
    HotPath { name: "span_unsampled", calls: 1_000, warm_up: 100, prepare: span_unsampled },
    HotPath { name: "root_unsampled", calls: 1_000, warm_up: 100, prepare: root_unsampled },
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

/// An engine whose rings have room for all that is written here.
fn engine(sampler: Sampler) -> Vitals {
    let logs = LogConfig::to_memory().ring_bytes(4 << 20);
    let traces = TraceConfig::to_memory().sampler(sampler);
    let vitals = Vitals::builder().system_metrics(false).logs(logs).traces(traces).build();
    vitals.expect("the defaults are good")
}

/// A span below another one, with two attributes and an event.
fn span() -> Calls {
    spans(Sampler::Always, true)
}

/// The same of a trace that is not sampled.
fn span_unsampled() -> Calls {
    spans(Sampler::Never, true)
}

/// One that would begin a trace.
fn root_unsampled() -> Calls {
    spans(Sampler::Never, false)
}

fn spans(sampler: Sampler, below: bool) -> Calls {
    let vitals = engine(sampler);
    let tracer = vitals.tracer("bench");
    Box::new(move |calls| {
        let _engine = &vitals;
        let request = below.then(|| tracer.span(REQUEST));
        let _current = request.as_ref().map(|request| request.enter());
        for _ in 0..calls {
            let mut span = black_box(&tracer).span(NAME);
            span.set_attribute("db.system.name", SYSTEM);
            span.set_attribute("db.operation.name", traces::work::OPERATION);
            span.add_event(EVENT);
        }
    })
}

/// A line with three fields and a request's context.
fn log_call() -> Calls {
    lines(false)
}

/// The same within a span.
fn log_in_span() -> Calls {
    lines(true)
}

fn lines(inside: bool) -> Calls {
    let vitals = engine(Sampler::Always);
    let (logger, tracer) = (vitals.logger("bench"), vitals.tracer("bench"));
    Box::new(move |calls| {
        let _engine = &vitals;
        let span = inside.then(|| tracer.span(REQUEST));
        let _current = span.as_ref().map(|span| span.enter());
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

/// Label sets that are looked up one after the other: all of them fit the thread's cache.
const SETS: usize = 64;

/// A counter, looked up by three labels.
fn labels() -> Calls {
    looked_up(ours::called_counter(SETS, 1))
}

/// The same by where its texts are.
fn labels_static() -> Calls {
    looked_up(ours::static_counter(SETS, 1))
}

/// The same by pairs of name and value.
fn labels_by_name() -> Calls {
    looked_up(ours::named_counter(SETS, 1))
}

/// A histogram, looked up by two labels.
fn labels_histogram() -> Calls {
    looked_up(ours::called_histogram(SETS, 1))
}

fn looked_up(mut subject: Subject) -> Calls {
    Box::new(move |calls| {
        // Whole: the engine is in it.
        let subject = &mut subject;
        (subject.runs[0])(calls);
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
