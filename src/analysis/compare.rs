//! What slow traces have that others don't.

use std::collections::HashMap;
use std::fmt;

use super::names::rank;
use super::{Trace, TraceSpan};

/// Something that more of the slow traces have than of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference<'a> {
    /// What it is.
    pub what: Trait<'a>,
    /// How many slow traces have it.
    pub slow: u64,
    /// Of so many.
    pub all_slow: u64,
    /// How many others have it.
    pub other: u64,
    /// Of so many.
    pub all_other: u64,
}

/// What a trace may have, in any of its spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Trait<'a> {
    /// An attribute of this name and value.
    Attribute(&'a str, &'a str),
    /// A span of this name.
    Span(&'a str),
    /// A span of this name that failed.
    Failure(&'a str),
}

impl fmt::Display for Trait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trait::Attribute(key, value) => write!(f, "{key}={value}"),
            Trait::Span(name) => write!(f, "span {name}"),
            Trait::Failure(name) => write!(f, "failed {name}"),
        }
    }
}

/// Traces that begin alike, so that their durations can be compared.
const ALIKE: usize = 10;
/// An attribute of which a value has fewer traces than so many is an identifier.
const TRACES_A_VALUE: u64 = 8;
/// Traits that are counted. What comes first after so many is not.
const MOST_TRAITS: usize = 1 << 20;

struct Count {
    /// The trace that was counted last.
    last: usize,
    other: u64,
    slow: u64,
}

pub(super) fn differences<'a>(
    traces: impl Iterator<Item = Trace<'a>>,
    most: usize,
) -> Vec<Difference<'a>> {
    let mut alike: HashMap<(&str, &str), Vec<Trace<'a>>> = HashMap::new();
    for trace in traces {
        if let Some(TraceSpan { span, .. }) = trace.root() {
            alike.entry((&span.name, &span.service)).or_default().push(trace);
        }
    }
    let (mut all_slow, mut all_other) = (0, 0);
    let mut counts: HashMap<Trait<'a>, Count> = HashMap::new();
    let mut number = 0;
    for mut traces in alike.into_values().filter(|traces| traces.len() >= ALIKE) {
        traces.sort_by_key(Trace::duration_nanos);
        let bound = traces[rank(traces.len(), 90)].duration_nanos();
        for trace in traces {
            number += 1;
            let is_slow = trace.duration_nanos() > bound;
            all_slow += u64::from(is_slow);
            all_other += u64::from(!is_slow);
            each(&trace, |what| {
                let room = counts.len() < MOST_TRAITS;
                if !room && !counts.contains_key(&what) {
                    return;
                }
                let count = counts.entry(what).or_insert(Count { last: 0, other: 0, slow: 0 });
                if std::mem::replace(&mut count.last, number) != number {
                    count.slow += u64::from(is_slow);
                    count.other += u64::from(!is_slow);
                }
            });
        }
    }
    if all_slow == 0 || all_other == 0 {
        return Vec::new();
    }
    // In parts of `all_slow * all_other`, so that nothing is rounded.
    let more = |count: &Count| {
        i128::from(count.slow) * i128::from(all_other)
            - i128::from(count.other) * i128::from(all_slow)
    };
    let tenth = i128::from(all_slow) * i128::from(all_other) / 10;
    let values = Values::of(&counts);
    let mut found: Vec<_> = counts
        .into_iter()
        .filter(|(_, count)| count.slow >= 2 && more(count) > tenth)
        // Among many identifiers some are in two slow traces by chance.
        .filter(|(what, count)| count.slow * 2 >= all_slow || !values.are_identifiers(what))
        .map(|(what, count)| (std::cmp::Reverse(more(&count)), what, count))
        .collect();
    found.sort_by_key(|(more, what, _)| (*more, *what));
    let differences = found.into_iter().map(|(_, what, Count { slow, other, .. })| Difference {
        what,
        slow,
        all_slow,
        other,
        all_other,
    });
    differences.take(most).collect()
}

/// Of each attribute how many values it has, and how many traces these have together.
struct Values<'a>(HashMap<&'a str, (u64, u64)>);

impl<'a> Values<'a> {
    fn of(counts: &HashMap<Trait<'a>, Count>) -> Values<'a> {
        let mut values = HashMap::new();
        for (what, count) in counts {
            if let Trait::Attribute(key, _) = what {
                let (values, traces) = values.entry(*key).or_insert((0, 0));
                *values += 1;
                *traces += count.slow + count.other;
            }
        }
        Values(values)
    }

    /// Whether it is an attribute that tells single traces apart, as a request's id does.
    fn are_identifiers(&self, what: &Trait<'_>) -> bool {
        let Trait::Attribute(key, _) = what else { return false };
        self.0.get(key).is_some_and(|(values, traces)| *traces < values * TRACES_A_VALUE)
    }
}

fn each<'a>(trace: &Trace<'a>, mut see: impl FnMut(Trait<'a>)) {
    for TraceSpan { span, .. } in trace.spans() {
        see(Trait::Span(&span.name));
        if span.failed {
            see(Trait::Failure(&span.name));
        }
        span.attributes.iter().for_each(|(key, value)| see(Trait::Attribute(key, value)));
    }
}
