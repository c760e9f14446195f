//! The figures: what is set up, compared and measured for each row.

use crate::counted::{self, Numbers, Share};
use crate::expected::{
    CalledTotals, Exposed, Totals, called_counters, called_enums, called_histograms, counted,
    left_over, observed, timed, unknown,
};
use crate::flood;
use crate::floors;
use crate::harness::{Pair, Settings, Spread, alone};
use crate::latency;
use crate::logs;
use crate::report::{Row, Statistic};
use crate::sides::{
    CALLED_COUNTERS, CALLED_HISTOGRAMS, COUNTER_TEXTS, COUNTERS, ENUM_COUNTERS, HISTOGRAM_TEXTS,
    HISTOGRAMS, MILLION_TEXTS, MakeCalled, MakeScraped, MakeSubject, NAMED_COUNTERS,
    SAMPLED_TIMERS, STATIC_COUNTERS, Subject, TIMERS, UPDOWNS,
};
use crate::text::Text;
use crate::totals::{Holdings, compare};
use crate::traces;
use crate::work::ENUM_SETS;

/// Calls of each thread before totals are compared: no power of two and no multiple of the values.
const CHECKED_CALLS: u64 = 10_007;

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
    Text(Text),
    /// A floor on its own.
    Floor { floor: MakeSubject, threads: usize },
    /// Allocations of so many warm records of each kind by handle.
    RecordAllocations,
    /// Allocations of one warm scrape of counters and one of histograms.
    ScrapeAllocations,
    /// Ours alone, measured its own way.
    Ours(fn(&str, Settings) -> Result<Row, String>),
    /// Log lines.
    Logs(logs::work::Work),
    /// Spans.
    Traces(traces::work::Work),
    /// What series take.
    Memory { sides: &'static [MakeScraped], kind: Exposed, share: Share },
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
    let enums = Work::Called {
        sides: ENUM_COUNTERS,
        load: Load { sets: ENUM_SETS, threads: 1 },
        totals: called_enums,
        floor: |_, threads| floors::thread_local_add(threads),
    };
    let called_histograms = |name, sides, sets, threads| {
        let (totals, floor) = (called_histograms as CalledTotals, floors::hash_two_labels as _);
        Figure { name, work: Work::Called { sides, load: Load { sets, threads }, totals, floor } }
    };
    let text = |name, sides, series, kind| Figure {
        name,
        work: Work::Text(Text { sides, series, kind, every: 1, sparing: 1 }),
    };
    let million = |name, every| Figure {
        name,
        work: Work::Text(Text {
            sides: MILLION_TEXTS,
            series: 1_000_000,
            kind: Exposed::Counters,
            every,
            sparing: 8,
        }),
    };
    let memory =
        |name, sides, kind, share| Figure { name, work: Work::Memory { sides, kind, share } };
    let floor = |name, floor, threads| Figure { name, work: Work::Floor { floor, threads } };
    let counters = |name, series| text(name, COUNTER_TEXTS, series, Exposed::Counters);
    let histograms = |name, series| text(name, HISTOGRAM_TEXTS, series, Exposed::Histograms);
    let (add, adds) = (floors::thread_local_add, floors::two_thread_local_adds);
    let logs = |name, work| Figure { name, work: Work::Logs(work) };
    let traces = |name, work| Figure { name, work: Work::Traces(work) };
    let ours = |name, row: fn(&str, Settings) -> _| Figure { name, work: Work::Ours(row) };
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
        handle("timer_sampled_out", SAMPLED_TIMERS, 1, unknown, floors::instant_now),
        called("counter_labels_64", CALLED_COUNTERS, 64, 1),
        called("counter_labels_64_2t", CALLED_COUNTERS, 64, 2),
        called("counter_by_name_64", NAMED_COUNTERS, 64, 1),
        called("counter_static_64", STATIC_COUNTERS, 64, 1),
        Figure { name: "counter_enum_labels", work: enums },
        called_histograms("histogram_labels_64", CALLED_HISTOGRAMS, 64, 1),
        // The last of them: what a thread keeps of so many is in the way of the few that come after.
        called("counter_labels_8000", CALLED_COUNTERS, 8_000, 1),
        counters("scrape_counters_1k", 1_000),
        counters("scrape_counters_10k", 10_000),
        counters("scrape_counters_100k", 100_000),
        million("scrape_counters_1m", 1),
        million("scrape_counters_1m_1pct", 100),
        histograms("scrape_histograms_1k", 1_000),
        histograms("scrape_histograms_10k", 10_000),
        ours("new_series_under_scrapes", latency::births),
        ours("lookup_under_scrapes", latency::lookups),
        ours("flood_call", flood::call),
        ours("flood_memory", flood::memory),
        ours("flood_beside_handles", flood::slowed_handles),
        ours("flood_beside_lookups", flood::slowed_lookups),
        Figure { name: "allocations_warm_record", work: Work::RecordAllocations },
        Figure { name: "allocations_warm_scrape", work: Work::ScrapeAllocations },
        memory("memory_counter_series", COUNTER_TEXTS, Exposed::Counters, Share::First),
        memory("memory_counter_second_thread", COUNTER_TEXTS, Exposed::Counters, Share::Second),
        memory("memory_histogram_series", HISTOGRAM_TEXTS, Exposed::Histograms, Share::First),
        memory(
            "memory_histogram_second_thread",
            HISTOGRAM_TEXTS,
            Exposed::Histograms,
            Share::Second,
        ),
        logs("log_call_1t", logs::work::BURSTS),
        logs("log_call_2t", logs::work::BURSTS_2T),
        logs("log_disabled", logs::work::DISABLED),
        logs("log_cpu", logs::work::CPU),
        logs("log_sustained", logs::work::SUSTAINED),
        logs("log_sustained_dropping", logs::work::DROPPING),
        logs("log_allocations", logs::work::ALLOCATIONS),
        traces("trace_span", traces::work::BURSTS),
        traces("trace_span_unsampled", traces::work::UNSAMPLED),
        traces("trace_root_unsampled", traces::work::UNSAMPLED_ROOT),
        traces("trace_sustained", traces::work::SUSTAINED),
        traces("trace_sustained_dropping", traces::work::DROPPING),
        traces("trace_cpu", traces::work::CPU),
        traces("trace_allocations", traces::work::ALLOCATIONS),
        ours("trace_log_inside", traces::inside::row),
    ]
}

impl Figure {
    /// Whether it takes a minute or gigabytes even of few rounds: a quick run leaves it out.
    pub fn is_heavy(&self) -> bool {
        matches!(self.work, Work::Text(Text { sparing, .. }) if sparing > 1)
    }

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
            Work::Text(text) => text.row(self.name, settings).map_err(at),
            Work::Floor { floor, threads } => {
                let mut row = Row::new(self.name, "ns", statistic(threads));
                let mut floors = [floor(threads)];
                let spread = bursts(&mut floors, threads, pair, settings)[0];
                row.add_floor(floors[0].name, spread, 1.0);
                Ok(row.finish())
            }
            Work::Ours(row) => row(self.name, settings).map_err(at),
            Work::Logs(work) => logs::row(self.name, work, settings).map_err(at),
            Work::Traces(work) => traces::row(self.name, work, settings).map_err(at),
            Work::RecordAllocations => Ok(self.exact("allocations", counted::record_allocations())),
            Work::ScrapeAllocations => {
                Ok(self.exact("allocations", counted::scrape_allocations().map_err(at)?))
            }
            Work::Memory { sides, kind, share } => {
                Ok(self.exact("bytes", counted::memory(sides, kind, share)))
            }
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

    fn exact(&self, unit: &str, numbers: Numbers) -> Row {
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
) -> Vec<Spread> {
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
                (SAMPLED_TIMERS, unknown),
            ] {
                for make in sides {
                    let want = totals(CHECKED_CALLS, threads);
                    assert_eq!(check_subject(&mut make(threads), &mut pair, &want), Ok(()));
                }
            }
        }
    }

    #[test]
    fn every_side_finds_what_it_looks_up() {
        let mut pair = Pair::start();
        for (sides, totals) in [
            (CALLED_COUNTERS, called_counters as CalledTotals),
            (NAMED_COUNTERS, called_counters),
            (STATIC_COUNTERS, called_counters),
            (ENUM_COUNTERS, called_enums),
            (CALLED_HISTOGRAMS, called_histograms),
        ] {
            for (sets, threads) in [(64, 1), (64, 2), (4_000, 1)] {
                if sides == ENUM_COUNTERS && sets != ENUM_SETS {
                    continue;
                }
                let want = totals(sets, CHECKED_CALLS, threads);
                for make in sides {
                    let same = check_subject(&mut make(sets, threads), &mut pair, &want);
                    assert_eq!(same, Ok(()), "{sets} sets, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn every_text_says_what_it_should() {
        for (sides, kind, series) in [
            (COUNTER_TEXTS, Exposed::Counters, 80),
            (MILLION_TEXTS, Exposed::Counters, 80),
            (HISTOGRAM_TEXTS, Exposed::Histograms, 20),
        ] {
            let text = Text { sides, series, kind, every: 7, sparing: 1 };
            assert_eq!(text.checked().map(|_| ()), Ok(()));
        }
    }

    #[test]
    fn one_call_too_few_is_noticed() {
        let mut pair = Pair::start();
        let want = counted(CHECKED_CALLS + 1, 1);
        for make in COUNTERS {
            assert!(check_subject(&mut make(1), &mut pair, &want).is_err());
        }
        let want = called_counters(64, CHECKED_CALLS + 1, 1);
        for make in CALLED_COUNTERS {
            assert!(check_subject(&mut make(64, 1), &mut pair, &want).is_err());
        }
    }
}
