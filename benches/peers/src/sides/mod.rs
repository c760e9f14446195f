//! The sides: each library's own fast way to do the one work.
//!
//! A side's functions hand out a [`Subject`] for recording by handle and a [`Scraped`] for its text
//! exposition. What a side has no way for, it lacks, and the table shows a dash.

pub(crate) mod called;
mod client;
mod enums;
mod exporter;
mod fast;
mod fastmetrics;
pub mod logs;
mod measured;
mod otel;
pub mod ours;
mod prometheus;
mod texts;
pub mod traces;

pub use texts::{MakeScraped, Scraped, touched};

use crate::totals::Holdings;
use crate::work;

/// Makes so many calls in a loop of its own, so that nothing is dispatched per call.
pub type Run = Box<dyn FnMut(u64) + Send>;

/// One series of one side, with the handles that record into it.
pub struct Subject {
    /// The side's name, as the table shows it.
    pub name: &'static str,
    /// One run a thread; all record into the same series.
    pub runs: Vec<Run>,
    /// What the side's documentation has its host do between bursts. Not timed.
    pub upkeep: Box<dyn FnMut()>,
    /// What the series holds, by the side's own way out.
    pub read: Box<dyn FnMut() -> Result<Holdings, String>>,
    /// Whether what was recorded is to be seen in the very next scrape. A side that keeps it back
    /// until it is flushed is shown, and isn't counted as the fastest.
    pub prompt: bool,
    /// Calls that go through all of the work once: a burst is no shorter, nor what warms it up.
    pub round: u64,
}

impl Subject {
    fn new(
        name: &'static str,
        runs: Vec<Run>,
        read: impl FnMut() -> Result<Holdings, String> + 'static,
    ) -> Subject {
        let upkeep = Box::new(|| {});
        Subject { name, runs, upkeep, read: Box::new(read), prompt: true, round: 1 }
    }

    /// Says how many calls go through all of the work once.
    pub fn in_rounds_of(self, calls: usize) -> Subject {
        Subject { round: calls as u64, ..self }
    }

    fn upkeep(self, upkeep: impl FnMut() + 'static) -> Subject {
        Subject { upkeep: Box::new(upkeep), ..self }
    }
}

/// Feeds each histogram the values it starts with.
fn prefill(series: usize, mut record: impl FnMut(usize, usize)) {
    for series in 0..series {
        let start = work::prefill_start(series);
        (start..start + work::PREFILL).for_each(|i| record(series, i));
    }
}

/// Sets up a [`Subject`] for so many threads.
pub type MakeSubject = fn(usize) -> Subject;
/// Sets up a [`Subject`] that looks up so many label sets, for so many threads.
pub type MakeCalled = fn(usize, usize) -> Subject;

/// Counter by handle; ours first.
pub const COUNTERS: &[MakeSubject] = &[
    ours::counter,
    prometheus::counter,
    client::counter,
    exporter::counter,
    measured::counter,
    otel::counter,
    fast::counter,
    fastmetrics::counter,
    prometheus::local_counter,
];
/// Up-down gauge by handle; a call is one inc and one dec. A run ends with one more inc, so that
/// there is a total to compare.
pub const UPDOWNS: &[MakeSubject] = &[
    ours::updown,
    prometheus::gauge,
    client::gauge,
    exporter::gauge,
    measured::gauge,
    otel::updown,
    fast::updown,
    fastmetrics::gauge,
];
/// Histogram by handle, the sum kept.
pub const HISTOGRAMS: &[MakeSubject] = &[
    ours::histogram,
    prometheus::histogram,
    client::histogram,
    exporter::histogram,
    measured::histogram,
    otel::histogram,
    fast::histogram,
    fast::distribution,
    fastmetrics::histogram,
];
/// Start, stop and record; only the count is known beforehand.
pub const TIMERS: &[MakeSubject] = &[
    ours::timer,
    prometheus::timer,
    client::timer,
    exporter::timer,
    measured::timer,
    otel::timer,
    fast::timer,
    fastmetrics::timer,
];
/// Timed sections that sampling passes over; what is held is left to chance.
pub const SAMPLED_TIMERS: &[MakeSubject] = &[ours::sampled_timer, fast::sampled_timer];
/// Counter with three labels looked up at each call.
pub const CALLED_COUNTERS: &[MakeCalled] = &[
    ours::called_counter,
    prometheus::called_counter,
    client::called_counter,
    exporter::called_counter,
    measured::called_counter,
    measured::called_dense_counter,
    otel::called_counter,
    fast::called_counter,
    fastmetrics::called_counter,
];
/// The same by name, where a peer goes on by position.
pub const NAMED_COUNTERS: &[MakeCalled] = &[
    ours::named_counter,
    prometheus::called_counter,
    client::called_counter,
    exporter::called_counter,
    measured::called_counter,
    measured::called_dense_counter,
    otel::called_counter,
    fast::called_counter,
    fastmetrics::called_counter,
];
/// The same with labels that live as long as the process, for sides that make use of it.
pub const STATIC_COUNTERS: &[MakeCalled] = &[
    ours::static_counter,
    prometheus::called_counter,
    client::static_counter,
    exporter::static_counter,
    measured::called_counter,
    measured::called_dense_counter,
    otel::static_counter,
    fast::called_counter,
    fastmetrics::static_counter,
];
/// Counter with three enums for labels.
pub const ENUM_COUNTERS: &[MakeCalled] =
    &[enums::ours, enums::client, enums::measured, enums::fast, enums::fastmetrics];
/// Histogram with two labels looked up at each call.
pub const CALLED_HISTOGRAMS: &[MakeCalled] = &[
    ours::called_histogram,
    prometheus::called_histogram,
    client::called_histogram,
    exporter::called_histogram,
    measured::called_histogram,
    measured::called_dense_histogram,
    otel::called_histogram,
    fast::called_histogram,
    fastmetrics::called_histogram,
];
/// Text of counters with three labels.
pub const COUNTER_TEXTS: &[MakeScraped] = &[
    ours::counters,
    prometheus::counters,
    client::counters,
    exporter::counters,
    measured::counters,
    measured::dense_counters,
    fast::counters,
    fastmetrics::counters,
];
/// The same of a million. `prometheus` and `metrics` are left out: a scrape takes either of them
/// three to four seconds there and half a gigabyte beside its text, a hundred times what the fastest
/// peer takes.
pub const MILLION_TEXTS: &[MakeScraped] = &[
    ours::streamed_counters,
    client::counters,
    measured::counters,
    measured::dense_counters,
    fast::counters,
    fastmetrics::counters,
];
/// Text of histograms with two labels.
pub const HISTOGRAM_TEXTS: &[MakeScraped] = &[
    ours::histograms,
    prometheus::histograms,
    client::histograms,
    exporter::histograms,
    measured::histograms,
    measured::dense_histograms,
    fast::histograms,
    fastmetrics::histograms,
];

/// A [`Run`] for each thread, each with a handle of its own. The handle goes through `black_box` in
/// every round, so that no side's loop is folded or hoisted, and every side pays the same for it.
/// With `SECONDS` or `NANOS`, each round takes the next of these values; with `then`, a run ends
/// with one more expression.
macro_rules! runs {
    ($threads:expr, $handle:expr, |$h:ident| $call:expr $(, then $last:expr)?) => {
        (0..$threads)
            .map(|_| {
                let handle = $handle;
                Box::new(move |calls: u64| {
                    for _ in 0..calls {
                        let $h = std::hint::black_box(&handle);
                        $call;
                    }
                    $(
                        let $h = &handle;
                        $last;
                    )?
                }) as $crate::sides::Run
            })
            .collect::<Vec<_>>()
    };
    ($threads:expr, $handle:expr, $values:ident, |$h:ident, $v:ident| $call:expr) => {
        (0..$threads)
            .map(|_| {
                let handle = $handle;
                let values: &'static [_; $crate::work::VALUES] = &$crate::work::$values;
                Box::new(move |calls: u64| {
                    for i in 0..calls as usize {
                        let $h = std::hint::black_box(&handle);
                        let $v = values[i % $crate::work::VALUES];
                        $call;
                    }
                }) as $crate::sides::Run
            })
            .collect::<Vec<_>>()
    };
}
use runs;
use texts::Texts;
