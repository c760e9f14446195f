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
/// Times that they are counted.
const TRIES: usize = 3;
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
        // The least of a few: a section that the scheduler broke into takes longer than any before,
        // and its record isn't a warm one.
        let allocations = (0..TRIES).map(|_| tally(|| run(RECORDS)).1.allocations).min();
        *numbers.entry(subject.name).or_default() += allocations.unwrap_or(0) as f64;
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
/// span three decades. Left out are the bench's own list of handles, the text that it gets, and what
/// a process, a thread or an engine with one series takes already.
pub fn memory(sides: &[MakeScraped], kind: Exposed, share: Share) -> Numbers {
    // The label texts, which are the bench's as well.
    work::counter_labels(SERIES);
    work::histogram_labels(SERIES);
    sides.iter().map(|make| of_a_series(*make, kind, share)).collect()
}

fn of_a_series(make: MakeScraped, kind: Exposed, share: Share) -> (&'static str, f64) {
    // All are kept until the end: what they took would otherwise be there to be used again.
    let mut warmed = make(1);
    fill_and_scrape(&mut *warmed, kind);
    let made = |series| {
        let (side, tally) = tally(|| {
            let mut side = make(series);
            fill_and_scrape(&mut *side, kind);
            side
        });
        let bytes = tally.bytes - side.held() as i64;
        (side, bytes)
    };
    let (mut one, of_one) = made(1);
    let (mut many, of_many) = made(SERIES);
    let again = |side: &mut dyn Scraped| {
        let held = side.held();
        let ((), tally) = tally(|| fill_and_scrape(side, kind));
        tally.bytes - (side.held() - held) as i64
    };
    let bytes = match share {
        Share::First => of_many - of_one,
        Share::Second => {
            let work = || {
                fill_and_scrape(&mut *warmed, kind);
                let of_one = again(&mut *one);
                again(&mut *many) - of_one
            };
            thread::scope(|scope| scope.spawn(work).join()).expect("a side doesn't panic")
        }
    };
    (many.name(), bytes as f64 / (SERIES - 1) as f64)
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
