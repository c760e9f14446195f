//! The figures: what is set up, compared and measured for each row.

use std::collections::BTreeMap;

use crate::alloc::tally;
use crate::expected::{
    self, CalledTotals, Exposed, Totals, called_counters, called_histograms, counted, left_over,
    observed, timed,
};
use crate::floors::{self, CopyText};
use crate::harness::{Pair, Settings, alone, scrapes};
use crate::report::{Row, Statistic};
use crate::sides::{
    CALLED_COUNTERS, CALLED_HISTOGRAMS, COUNTER_TEXTS, COUNTERS, HISTOGRAM_TEXTS, HISTOGRAMS,
    MakeCalled, MakeScraped, MakeSubject, NAMED_COUNTERS, STATIC_COUNTERS, Scraped, Subject,
    TIMERS, UPDOWNS,
};
use crate::totals::{Holdings, compare, read_text};
use crate::work;

/// Calls of each thread before totals are compared: no power of two and no multiple of the values.
const CHECKED_CALLS: u64 = 10_007;
/// Series in the figures that are counted, not timed.
const COUNTED_SERIES: usize = 10_000;

/// One row, or a few that belong together.
pub struct Figure {
    /// Its name, as budgets call it.
    pub name: &'static str,
    work: Work,
}

enum Work {
    /// Recording by handle.
    Handle { sides: &'static [MakeSubject], threads: usize, totals: Totals, floor: MakeSubject },
    /// Recording by labels that are looked up at each call.
    Called { sides: &'static [MakeCalled], load: Load, totals: CalledTotals, floor: MakeCalled },
    /// A warm text scrape.
    Text { sides: &'static [MakeScraped], series: usize, kind: Exposed },
    /// A floor on its own.
    Floor { floor: MakeSubject, threads: usize },
    /// Allocations of so many warm records of each kind by handle.
    RecordAllocations,
    /// Allocations of one warm scrape of counters and one of histograms.
    ScrapeAllocations,
    /// What a counter series and the handle to it take.
    CounterMemory,
}

/// How many label sets are looked up, by how many threads.
#[derive(Clone, Copy)]
struct Load {
    sets: usize,
    threads: usize,
}

/// All figures, in the table's order.
pub fn all() -> Vec<Figure> {
    let handle = |name, sides, threads, totals, floor| Figure {
        name,
        work: Work::Handle { sides, threads, totals, floor },
    };
    let called = |name, sides, sets, threads| {
        let (totals, floor) = (called_counters as CalledTotals, floors::hash_three_labels as _);
        Figure { name, work: Work::Called { sides, load: Load { sets, threads }, totals, floor } }
    };
    let called_histograms = |name, sides, sets, threads| {
        let (totals, floor) = (called_histograms as CalledTotals, floors::hash_two_labels as _);
        Figure { name, work: Work::Called { sides, load: Load { sets, threads }, totals, floor } }
    };
    let text =
        |name, sides, series, kind| Figure { name, work: Work::Text { sides, series, kind } };
    let floor = |name, floor, threads| Figure { name, work: Work::Floor { floor, threads } };
    let counters = |name, series| text(name, COUNTER_TEXTS, series, Exposed::Counters);
    let histograms = |name, series| text(name, HISTOGRAM_TEXTS, series, Exposed::Histograms);
    let (add, adds) = (floors::thread_local_add, floors::two_thread_local_adds);
    vec![
        floor("floor_thread_local_add", floors::thread_local_add, 1),
        floor("floor_fetch_add", floors::fetch_add, 1),
        floor("floor_shared_word_2t", floors::fetch_add, 2),
        floor("floor_instant_now", floors::instant_now, 1),
        floor("floor_instant_pair", floors::instant_pair, 1),
        handle("counter_handle_1t", COUNTERS, 1, counted, add),
        handle("counter_handle_2t", COUNTERS, 2, counted, add),
        handle("updown_inc_dec_1t", UPDOWNS, 1, left_over, adds),
        handle("updown_inc_dec_2t", UPDOWNS, 2, left_over, adds),
        handle("histogram_handle_1t", HISTOGRAMS, 1, observed, adds),
        handle("histogram_handle_2t", HISTOGRAMS, 2, observed, adds),
        handle("timed_section_1t", TIMERS, 1, timed, floors::instant_pair),
        called("counter_labels_64", CALLED_COUNTERS, 64, 1),
        called("counter_labels_8000", CALLED_COUNTERS, 8_000, 1),
        called("counter_labels_64_2t", CALLED_COUNTERS, 64, 2),
        called("counter_by_name_64", NAMED_COUNTERS, 64, 1),
        called("counter_static_64", STATIC_COUNTERS, 64, 1),
        called_histograms("histogram_labels_64", CALLED_HISTOGRAMS, 64, 1),
        counters("scrape_counters_1k", 1_000),
        counters("scrape_counters_10k", 10_000),
        counters("scrape_counters_100k", 100_000),
        histograms("scrape_histograms_1k", 1_000),
        histograms("scrape_histograms_10k", 10_000),
        Figure { name: "allocations_warm_record", work: Work::RecordAllocations },
        Figure { name: "allocations_warm_scrape", work: Work::ScrapeAllocations },
        Figure { name: "memory_counter_series", work: Work::CounterMemory },
    ]
}

impl Figure {
    /// Sets the sides up, compares what they hold after the same work, and measures them.
    pub fn measure(&self, pair: &mut Pair, settings: Settings) -> Result<Row, String> {
        let at = |error| format!("{}: {error}", self.name);
        match self.work {
            Work::Handle { sides, threads, totals, floor } => {
                let subjects = sides.iter().map(|make| make(threads)).collect();
                let want = totals(CHECKED_CALLS, threads);
                self.recording(subjects, &want, floor(threads), pair, settings).map_err(at)
            }
            Work::Called { sides, load: Load { sets, threads }, totals, floor } => {
                let make = |make: &MakeCalled| make(sets, threads).in_rounds_of(sets);
                let subjects = sides.iter().map(make).collect();
                let want = totals(sets, CHECKED_CALLS, threads);
                self.recording(subjects, &want, make(&floor), pair, settings).map_err(at)
            }
            Work::Text { sides, series, kind } => {
                let mut sides = checked_texts(sides, series, kind).map_err(at)?;
                let copy = CopyText::new(sides[0].scrape());
                sides.push(Box::new(copy));
                let spreads = scrapes(&mut sides, settings);
                let mut row = Row::new(self.name, "ns/series", Statistic::Min);
                let (per, last) = (series as f64, sides.len() - 1);
                for (side, spread) in sides[..last].iter().zip(&spreads) {
                    row.add_spread(side.name(), *spread, per, true);
                }
                row.add_floor(sides[last].name(), spreads[last], per);
                Ok(row.finish())
            }
            Work::Floor { floor, threads } => {
                let mut row = Row::new(self.name, "ns", statistic(threads));
                let mut floors = [floor(threads)];
                let spread = bursts(&mut floors, threads, pair, settings)[0];
                row.add_floor(floors[0].name, spread, 1.0);
                Ok(row.finish())
            }
            Work::RecordAllocations => Ok(self.exact("allocations", record_allocations())),
            Work::ScrapeAllocations => {
                Ok(self.exact("allocations", scrape_allocations().map_err(at)?))
            }
            Work::CounterMemory => Ok(self.exact("bytes", counter_memory())),
        }
    }

    /// Compares what the sides hold and times them, with the floor as the last of them.
    fn recording(
        &self,
        mut subjects: Vec<Subject>,
        want: &Holdings,
        floor: Subject,
        pair: &mut Pair,
        settings: Settings,
    ) -> Result<Row, String> {
        for subject in &mut subjects {
            check_subject(subject, pair, want)?;
        }
        subjects.push(floor);
        let threads = subjects[0].runs.len();
        let spreads = bursts(&mut subjects, threads, pair, settings);
        let mut row = Row::new(self.name, "ns", statistic(threads));
        let last = subjects.len() - 1;
        for (subject, spread) in subjects[..last].iter().zip(&spreads) {
            row.add_spread(subject.name, *spread, 1.0, subject.prompt);
        }
        row.add_floor(subjects[last].name, spreads[last], 1.0);
        Ok(row.finish())
    }

    fn exact(&self, unit: &str, numbers: BTreeMap<&'static str, f64>) -> Row {
        let mut row = Row::new(self.name, unit, Statistic::Exact);
        numbers.into_iter().for_each(|(name, number)| row.add(name, number, true));
        row.finish()
    }
}

fn statistic(threads: usize) -> Statistic {
    if threads == 1 { Statistic::Min } else { Statistic::Median }
}

fn bursts(
    subjects: &mut [Subject],
    threads: usize,
    pair: &mut Pair,
    settings: Settings,
) -> Vec<crate::harness::Spread> {
    match threads {
        1 => alone(subjects, settings),
        _ => pair.together(subjects, settings),
    }
}

/// Has every run make its calls, side by side where there are two, and compares.
fn check_subject(subject: &mut Subject, pair: &mut Pair, want: &Holdings) -> Result<(), String> {
    match subject.runs.as_mut_slice() {
        [run] => run(CHECKED_CALLS),
        _ => pair.exactly(subject, CHECKED_CALLS),
    }
    (subject.upkeep)();
    let got = (subject.read)();
    got.and_then(|got| compare(want, &got)).map_err(|error| format!("{}: {error}", subject.name))
}

/// Sets up every side's text and compares it with what it must say after one touch.
fn checked_texts(
    sides: &[MakeScraped],
    series: usize,
    kind: Exposed,
) -> Result<Vec<Box<dyn Scraped>>, String> {
    let want = expected::text(series, kind);
    let name = match kind {
        Exposed::Counters => work::COUNTER,
        Exposed::Histograms => work::HISTOGRAM,
    };
    let mut checked = Vec::new();
    for make in sides {
        let mut side = make(series);
        side.touch(0);
        let per_second = side.per_second();
        let text = String::from_utf8_lossy(side.scrape());
        let got = read_text(&text, name, per_second);
        let same = got.and_then(|got| compare(&want, &got));
        same.map_err(|error| format!("{}: {error}", side.name()))?;
        checked.push(side);
    }
    Ok(checked)
}

/// What records of every kind allocate, [`CHECKED_CALLS`] each, once the first are made.
fn record_allocations() -> BTreeMap<&'static str, f64> {
    let mut numbers = BTreeMap::new();
    for make in [COUNTERS, UPDOWNS, HISTOGRAMS, TIMERS].into_iter().flatten() {
        let mut subject = make(1);
        let run = &mut subject.runs[0];
        run(CHECKED_CALLS);
        let ((), tally) = tally(|| run(CHECKED_CALLS));
        *numbers.entry(subject.name).or_default() += tally.allocations as f64;
    }
    numbers
}

/// What a scrape of counters and one of histograms allocate, once two have been made.
fn scrape_allocations() -> Result<BTreeMap<&'static str, f64>, String> {
    let texts = [
        (COUNTER_TEXTS, Exposed::Counters, COUNTED_SERIES),
        (HISTOGRAM_TEXTS, Exposed::Histograms, COUNTED_SERIES / 10),
    ];
    let mut numbers = BTreeMap::new();
    for (sides, kind, series) in texts {
        for side in &mut checked_texts(sides, series, kind)? {
            side.scrape();
            side.touch(1);
            let (_, tally) = tally(|| side.scrape().len());
            *numbers.entry(side.name()).or_default() += tally.allocations as f64;
        }
    }
    Ok(numbers)
}

/// What [`COUNTED_SERIES`] counters that one thread has recorded into take, by the series, with the
/// handle to each and the label texts where a side keeps its own.
fn counter_memory() -> BTreeMap<&'static str, f64> {
    let of = |make: &MakeScraped| {
        let (side, tally) = tally(|| make(COUNTED_SERIES));
        (side.name(), tally.bytes as f64 / COUNTED_SERIES as f64)
    };
    COUNTER_TEXTS.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = all().iter().map(|figure| figure.name).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }

    #[test]
    fn every_side_holds_what_it_was_given() {
        let mut pair = Pair::start();
        for threads in [1, 2] {
            for (sides, totals) in [
                (COUNTERS, counted as Totals),
                (UPDOWNS, left_over),
                (HISTOGRAMS, observed),
                (TIMERS, timed),
            ] {
                for make in sides {
                    let want = totals(CHECKED_CALLS, threads);
                    assert_eq!(check_subject(&mut make(threads), &mut pair, &want), Ok(()));
                }
            }
        }
    }

    #[test]
    fn every_text_says_what_it_should() {
        for (sides, kind, series) in
            [(COUNTER_TEXTS, Exposed::Counters, 80), (HISTOGRAM_TEXTS, Exposed::Histograms, 20)]
        {
            assert_eq!(checked_texts(sides, series, kind).map(|_| ()), Ok(()));
        }
    }

    #[test]
    fn one_call_too_few_is_noticed() {
        let mut pair = Pair::start();
        let want = counted(CHECKED_CALLS + 1, 1);
        for make in COUNTERS {
            assert!(check_subject(&mut make(1), &mut pair, &want).is_err());
        }
    }
}
