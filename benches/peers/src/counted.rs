//! What is counted, not timed: allocations, and the memory of series.

use std::collections::BTreeMap;
use std::thread;

use crate::alloc::tally;
use crate::expected::Exposed;
use crate::sides::{
    COUNTER_TEXTS, COUNTERS, HISTOGRAM_TEXTS, HISTOGRAMS, MakeScraped, Scraped, TIMERS, UPDOWNS,
};
use crate::text::Text;
use crate::work;

/// Records of each kind whose allocations are counted.
const RECORDS: u64 = 10_007;
/// Series whose memory, or whose scrape's allocations, are counted.
const SERIES: usize = 10_000;

/// A number of each side.
pub type Numbers = BTreeMap<&'static str, f64>;

/// What records of every kind by handle allocate, once the first are made.
pub fn record_allocations() -> Numbers {
    let mut numbers = Numbers::new();
    for make in [COUNTERS, UPDOWNS, HISTOGRAMS, TIMERS].into_iter().flatten() {
        let mut subject = make(1);
        let run = &mut subject.runs[0];
        run(RECORDS);
        let ((), tally) = tally(|| run(RECORDS));
        *numbers.entry(subject.name).or_default() += tally.allocations as f64;
    }
    numbers
}

/// What a scrape of counters and one of histograms allocate, once two have been made.
pub fn scrape_allocations() -> Result<Numbers, String> {
    let texts = [
        (COUNTER_TEXTS, Exposed::Counters, SERIES),
        (HISTOGRAM_TEXTS, Exposed::Histograms, SERIES / 10),
    ];
    let mut numbers = Numbers::new();
    for (sides, kind, series) in texts {
        for side in &mut (Text { sides, series, kind, every: 1, sparing: 1 }).checked()? {
            side.scrape();
            side.touch(1, 1);
            let (_, tally) = tally(|| side.scrape().len());
            *numbers.entry(side.name()).or_default() += tally.allocations as f64;
        }
    }
    Ok(numbers)
}

/// Whose memory is counted.
#[derive(Clone, Copy)]
pub enum Share {
    /// The series themselves and what the one thread that records into them takes.
    First,
    /// What a second thread takes that records into all of them.
    Second,
}

/// Bytes a series, scraped twice: of counters with three labels, or histograms with two whose values
/// span three decades. The bench's own list of handles and the text that it gets are left out, and
/// so is what a thread or a process takes once for all series.
pub fn memory(sides: &[MakeScraped], kind: Exposed, share: Share) -> Numbers {
    // The label texts, which are the bench's as well.
    work::counter_labels(SERIES);
    work::histogram_labels(SERIES);
    sides.iter().map(|make| of_a_series(*make, kind, share)).collect()
}

fn of_a_series(make: MakeScraped, kind: Exposed, share: Share) -> (&'static str, f64) {
    // Kept until the end: what it took would otherwise be there to be used again.
    let mut small = make(1);
    fill_and_scrape(&mut *small, kind);
    let (mut side, first) = tally(|| {
        let mut side = make(SERIES);
        fill_and_scrape(&mut *side, kind);
        side
    });
    let held = side.held();
    let bytes = match share {
        Share::First => first.bytes - held as i64,
        Share::Second => {
            let work = || {
                fill_and_scrape(&mut *small, kind);
                let ((), second) = tally(|| fill_and_scrape(&mut *side, kind));
                second.bytes - (side.held() - held) as i64
            };
            thread::scope(|scope| scope.spawn(work).join()).expect("a side doesn't panic")
        }
    };
    (side.name(), bytes as f64 / SERIES as f64)
}

/// Records into every series, into histograms the values that they were prefilled with as well, and
/// scrapes: twice.
fn fill_and_scrape(side: &mut dyn Scraped, kind: Exposed) {
    let rounds = match kind {
        Exposed::Counters => 1,
        Exposed::Histograms => work::PREFILL,
    };
    for half in 0..2 {
        (0..rounds).for_each(|i| side.touch(half * rounds + i, 1));
        side.scrape();
    }
}
