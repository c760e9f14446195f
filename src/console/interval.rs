//! What happened between two reads.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use super::cells::Cells;
use super::reading::{Labels, Observed, Of, Reading, Slow, whole};

/// Series of one histogram that are told apart; those beyond are one.
const MOST_SERIES: usize = 512;

/// Tools and operations, or models, that an interval tells apart; those beyond are one.
const MOST_APART: usize = 64;

/// What stands for all that are not told apart.
pub(super) const OTHER: &str = "_other";

/// What came to an engine's numbers within a time.
#[derive(Clone, Default)]
pub(super) struct Interval {
    pub(super) seconds: f64,
    /// By tool and operation.
    pub(super) tools: HashMap<[Box<str>; 2], Work>,
    pub(super) all: Work,
    pub(super) tasks: Cells,
    /// By model.
    pub(super) models: HashMap<Box<str>, Model>,
    pub(super) memory: HashMap<[Box<str>; 2], u64>,
    pub(super) agents_spawned: u64,
    pub(super) agents_failed: u64,
    pub(super) auth_failed: u64,
}

/// Requests that ended.
#[derive(Clone, Default)]
pub(super) struct Work {
    /// By whatever status.
    pub(super) ended: u64,
    /// In success or an error.
    pub(super) answered: u64,
    /// In an error of the server's own.
    pub(super) errors: u64,
    /// How long they took, in nanoseconds.
    pub(super) cells: Cells,
    /// The slowest of which a trace is known.
    pub(super) slow: Option<Slow>,
}

/// What a model did.
#[derive(Clone, Default)]
pub(super) struct Model {
    pub(super) cells: Cells,
    pub(super) tokens: u64,
}

impl Work {
    pub(super) fn add(&mut self, other: &Work) {
        add(&mut self.ended, other.ended);
        add(&mut self.answered, other.answered);
        add(&mut self.errors, other.errors);
        self.cells.add(&other.cells);
        self.slow = slower(self.slow, other.slow);
    }

    /// Errors of the server over what ended in success or error; none without any.
    pub(super) fn error_ratio(&self) -> Option<f64> {
        // An error and its request are counted one after the other, and a read may come between.
        (self.answered > 0).then(|| (self.errors as f64 / self.answered as f64).min(1.0))
    }

    /// A percentile in milliseconds.
    pub(super) fn millis(&self, share: f64) -> Option<f64> {
        self.cells.quantile(share).map(millis)
    }
}

/// Nanoseconds in milliseconds.
pub(super) fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

fn slower(a: Option<Slow>, b: Option<Slow>) -> Option<Slow> {
    [a, b].into_iter().flatten().max_by_key(|slow| slow.units)
}

impl Interval {
    /// Adds what happened after it.
    pub(super) fn add(&mut self, next: &Interval) {
        self.seconds += next.seconds;
        for (tool, work) in &next.tools {
            entry(&mut self.tools, tool, || [OTHER.into(), OTHER.into()]).add(work);
        }
        self.all.add(&next.all);
        self.tasks.add(&next.tasks);
        for (name, model) in &next.models {
            let sum = entry(&mut self.models, name, || OTHER.into());
            sum.cells.add(&model.cells);
            add(&mut sum.tokens, model.tokens);
        }
        for (operation, count) in &next.memory {
            add(entry(&mut self.memory, operation, || [OTHER.into(), OTHER.into()]), *count);
        }
        add(&mut self.agents_spawned, next.agents_spawned);
        add(&mut self.agents_failed, next.agents_failed);
        add(&mut self.auth_failed, next.auth_failed);
    }

    /// So many a second; none where nothing was read before. Less than a second is taken for one.
    pub(super) fn rate(&self, count: u64) -> Option<f64> {
        (self.seconds > 0.0).then(|| count as f64 / self.seconds.max(1.0))
    }

    /// Tokens of all models.
    pub(super) fn tokens(&self) -> u64 {
        self.models.values().fold(0, |sum, model| sum.saturating_add(model.tokens))
    }

    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let work = |work: &Work| size_of::<Work>() + 64 + work.cells.bytes();
        let model = |model: &Model| size_of::<Model>() + 48 + model.cells.bytes();
        size_of::<Interval>()
            + self.tools.values().map(work).sum::<usize>()
            + self.all.cells.bytes()
            + self.tasks.bytes()
            + self.models.values().map(model).sum::<usize>()
            + self.memory.len() * 64
    }
}

/// Adds to a count. A host may count by any number, so that there may be more than fits.
pub(super) fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

/// Requests of each tool and operation: all, errors and cancelled ones. Those with the most come first,
/// and what nobody tells apart any more last.
pub(super) fn busiest(now: &Reading) -> Vec<([&str; 2], [u64; 3])> {
    let mut totals: BTreeMap<[&str; 2], [u64; 3]> = BTreeMap::new();
    for (labels, number) in now.numbers(Of::Requests) {
        let [tool, operation, status] = &**labels else { continue };
        let total = whole(*number);
        let sums = totals.entry([tool, operation]).or_default();
        let is = |wanted: &str| if &**status == wanted { total } else { 0 };
        let more = [total, is("error"), is("cancelled")];
        sums.iter_mut().zip(more).for_each(|(sum, more)| add(sum, more));
    }
    let mut rows: Vec<_> = totals.into_iter().collect();
    rows.sort_by_key(|(of, sums)| (*of == [OTHER, OTHER], Reverse(sums[0])));
    rows
}

/// The entry of `key`, or, where there are too many, that of all others.
fn entry<'a, K: Clone + Eq + std::hash::Hash, V: Default>(
    map: &'a mut HashMap<K, V>,
    key: &K,
    other: impl FnOnce() -> K,
) -> &'a mut V {
    let fits = map.len() < MOST_APART || map.contains_key(key);
    map.entry(if fits { key.clone() } else { other() }).or_default()
}

/// What the numbers were at the last read, so that the next one says what came since.
#[derive(Default)]
pub(super) struct Before {
    at: Option<Instant>,
    unix_ms: u64,
    totals: [HashMap<Labels, u64>; TOTALS.len()],
    histograms: [HashMap<Labels, Cells>; HISTOGRAMS.len()],
}

const TOTALS: [Of; 7] = [
    Of::Requests,
    Of::Errors,
    Of::AgentsSpawned,
    Of::AgentsFailed,
    Of::Tokens,
    Of::MemoryOperations,
    Of::Auth,
];

const HISTOGRAMS: [Of; 3] = [Of::Duration, Of::TaskDuration, Of::Inference];

impl Before {
    /// When all numbers are 0: at an engine's birth.
    pub(super) fn birth(at: Instant) -> Before {
        Before { at: Some(at), ..Before::default() }
    }

    /// What came between this and `now`; nothing where nothing was read before.
    pub(super) fn until(&self, now: &Reading) -> Option<Interval> {
        let seconds = now.at.saturating_duration_since(self.at?).as_secs_f64();
        let mut interval = Interval { seconds, ..Interval::default() };
        let of_two = |labels: &Labels| [part(labels, 0), part(labels, 1)];
        let others = || [OTHER.into(), OTHER.into()];
        // Those that the page shows, whichever had something to do first; the others need a place, too.
        let busiest: HashSet<[&str; 2]> =
            busiest(now).into_iter().take(MOST_APART - 1).map(|(of, _)| of).collect();
        let tool = |labels: &Labels| {
            let [tool, operation] = [0, 1].map(|place| labels.get(place).map_or("", |is| is));
            if busiest.contains(&[tool, operation]) { of_two(labels) } else { others() }
        };
        self.totals(now, Of::Requests, |labels, more| {
            let answered = if &*labels[2] == "cancelled" { 0 } else { more };
            let work = Work { ended: more, answered, ..Work::default() };
            entry(&mut interval.tools, &tool(labels), others).add(&work);
            interval.all.add(&work);
        });
        self.totals(now, Of::Errors, |labels, more| {
            if !labels[2].starts_with("client_") {
                let work = Work { errors: more, ..Work::default() };
                entry(&mut interval.tools, &tool(labels), others).add(&work);
                interval.all.add(&work);
            }
        });
        self.histogram(now, Of::Duration, |labels, cells, slow| {
            let work = entry(&mut interval.tools, &tool(labels), others);
            work.cells.add(&cells);
            work.slow = slower(work.slow, slow);
            interval.all.cells.add(&cells);
            interval.all.slow = slower(interval.all.slow, slow);
        });
        self.histogram(now, Of::TaskDuration, |_, cells, _| interval.tasks.add(&cells));
        self.histogram(now, Of::Inference, |labels, cells, _| {
            entry(&mut interval.models, &part(labels, 0), || OTHER.into()).cells.add(&cells);
        });
        self.totals(now, Of::Tokens, |labels, more| {
            let model = entry(&mut interval.models, &part(labels, 0), || OTHER.into());
            add(&mut model.tokens, more);
        });
        self.totals(now, Of::MemoryOperations, |labels, more| {
            add(entry(&mut interval.memory, &of_two(labels), others), more);
        });
        self.totals(now, Of::AgentsSpawned, |_, more| add(&mut interval.agents_spawned, more));
        self.totals(now, Of::AgentsFailed, |_, more| add(&mut interval.agents_failed, more));
        self.totals(now, Of::Auth, |labels, more| {
            if &*labels[1] == "failed" {
                add(&mut interval.auth_failed, more);
            }
        });
        Some(interval)
    }

    /// Tells what came to each series of a family. A total that is less than it was is another
    /// series', which has taken the place of one that was removed.
    fn totals(&self, now: &Reading, of: Of, mut tell: impl FnMut(&Labels, u64)) {
        let Some(place) = TOTALS.iter().position(|known| *known == of) else { return };
        for (labels, number) in now.numbers(of).iter().filter(|(labels, _)| complete(of, labels)) {
            let (total, before) = (whole(*number), self.totals[place].get(labels));
            let more = total.checked_sub(before.copied().unwrap_or(0)).unwrap_or(total);
            if more > 0 {
                tell(labels, more);
            }
        }
    }

    fn histogram(&self, now: &Reading, of: Of, mut tell: impl FnMut(&Labels, Cells, Option<Slow>)) {
        let Some(place) = HISTOGRAMS.iter().position(|known| *known == of) else { return };
        let before = &self.histograms[place];
        let series = now.histograms(of).iter().filter(|observed| complete(of, &observed.labels));
        let mut others = Cells::default();
        for observed in series {
            let new = |slow: &&Slow| slow.unix_ms > self.unix_ms;
            let slow = observed.exemplars.iter().filter(new).max_by_key(|slow| slow.units);
            match before.get(&observed.labels) {
                Some(was) => {
                    let cells = observed.cells.since(was);
                    if cells.count() > 0 {
                        tell(&observed.labels, cells, slow.copied());
                    }
                }
                // Born since, or one of those that are not told apart.
                None if !before.contains_key(&rest()) => {
                    tell(&observed.labels, observed.cells.clone(), slow.copied());
                }
                None => others.add(&observed.cells),
            }
        }
        let was = before.get(&rest()).cloned().unwrap_or_default();
        let cells = others.beyond(&was);
        if cells.count() > 0 {
            tell(&[OTHER.into(), OTHER.into()].into(), cells, None);
        }
    }

    /// Remembers `now`, and takes the cells of its histograms for it.
    pub(super) fn set(&mut self, now: &mut Reading, unix_ms: u64) {
        self.at = Some(now.at);
        self.unix_ms = unix_ms;
        for (of, totals) in TOTALS.iter().zip(&mut self.totals) {
            let series = now.numbers(*of).iter();
            // A series that is gone and comes back begins anew.
            totals.clear();
            totals.extend(series.map(|(labels, number)| (labels.clone(), whole(*number))));
        }
        for (of, kept) in HISTOGRAMS.iter().zip(&mut self.histograms) {
            let mut next = HashMap::with_capacity(kept.len());
            let mut others = None::<Cells>;
            let full = kept.contains_key(&rest());
            for Observed { labels, cells, .. } in now.histograms_mut(*of) {
                // Who is told apart stays so: else what was counted as others' would be theirs.
                if kept.contains_key(labels) || !full && next.len() < MOST_SERIES {
                    next.insert(labels.clone(), std::mem::take(cells));
                } else {
                    others.get_or_insert_default().add(cells);
                }
            }
            next.extend(others.map(|others| (rest(), others)));
            *kept = next;
        }
    }

    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let of = |kept: &HashMap<Labels, Cells>| {
            kept.values().map(|cells| cells.bytes() + 128).sum::<usize>()
        };
        let totals: usize = self.totals.iter().map(|totals| totals.len() * 128).sum();
        totals + self.histograms.iter().map(of).sum::<usize>()
    }
}

/// Under what those that are not told apart are remembered: no series is without labels here.
fn rest() -> Labels {
    Labels::default()
}

fn part(labels: &Labels, place: usize) -> Box<str> {
    labels.get(place).cloned().unwrap_or_default()
}

/// Whether all labels are there: a host may have taken the catalog's name for something else.
fn complete(of: Of, labels: &Labels) -> bool {
    labels.len() == of.labels()
}

#[cfg(test)]
#[path = "interval_tests.rs"]
mod tests;
