//! Which traces are kept, decided when it is known what they were: rules, as pure decisions.

use std::time::Duration;

use super::context::flag;
use super::span::SpanStatus;
use crate::clock::Clock;
use crate::error::{Error, check};
use crate::ring::frame::Value;
use crate::ring::span::{Item, SpanFrame};

/// Which traces are kept, decided in the background once their spans have ended. A trace is kept
/// whole as soon as one rule says so of one of its spans; what no rule keeps is dropped.
///
/// ```
/// use mcp_vitals::traces::{Tail, TraceConfig};
/// use std::time::Duration;
///
/// let config = TraceConfig::to_memory()
///     .keep(Tail::new().errors().slower_than(Duration::from_millis(250)).one_in(100));
/// ```
///
/// Spans of a trace that no rule has kept yet wait, in bounded memory, until its local root (a span
/// without a parent, or with one in another process) has ended and [`grace`](Self::grace) has
/// passed, and [`decide_after`](Self::decide_after) at most. `docs/TRACES-sampling.md` says the rest.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Tail {
    rules: Vec<Rule>,
    pub(crate) decide_after: Duration,
    pub(crate) grace: Duration,
    pub(crate) most_bytes: u64,
    pub(crate) most_traces: u32,
}

/// When a trace is kept.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Errors,
    /// Nanoseconds of the local root.
    Slow(u64),
    /// The same of any span.
    AnySlow(u64),
    OneIn(u32),
    Name(Box<str>),
    Attribute(Box<str>, Wanted),
}

/// A value to compare an attribute's with.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    text: Box<str>,
    integer: Option<i128>,
    number: Option<f64>,
    truth: Option<bool>,
}

/// Why a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Error,
    Slow,
    Share,
    Name,
    Attribute,
    /// Somebody has named it.
    Forced,
    /// There are no rules any more.
    Unruled,
}

impl Why {
    /// Every reason, in the order of their numbers.
    pub(crate) const ALL: [Why; 7] =
        [Why::Error, Why::Slow, Why::Share, Why::Name, Why::Attribute, Why::Forced, Why::Unruled];

    /// The value of the label `rule`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Why::Error => "error",
            Why::Slow => "slow",
            Why::Share => "share",
            Why::Name => "name",
            Why::Attribute => "attribute",
            Why::Forced => "forced",
            Why::Unruled => "no_rules",
        }
    }
}

impl Default for Tail {
    fn default() -> Tail {
        Tail::new()
    }
}

impl Tail {
    /// Without a rule: nothing is kept but what [`Vitals::keep_trace`](crate::Vitals::keep_trace)
    /// names.
    pub fn new() -> Tail {
        Tail {
            rules: Vec::new(),
            decide_after: Duration::from_secs(10),
            grace: Duration::from_millis(200),
            most_bytes: 16 << 20,
            most_traces: 10_000,
        }
    }

    /// Keeps traces in which a span ended with an error.
    pub fn errors(self) -> Tail {
        self.rule(Rule::Errors)
    }

    /// Keeps traces whose local root took longer.
    pub fn slower_than(self, duration: Duration) -> Tail {
        self.rule(Rule::Slow(nanos(duration)))
    }

    /// Keeps traces in which any span took longer.
    pub fn any_slower_than(self, duration: Duration) -> Tail {
        self.rule(Rule::AnySlow(nanos(duration)))
    }

    /// Keeps one trace in `n` of all that come so far, told by the id: every process with the same `n`
    /// keeps the same ones, whatever share was sampled where they began. 1 keeps all; 0 none. These
    /// do not wait.
    pub fn one_in(self, n: u32) -> Tail {
        self.rule(Rule::OneIn(n))
    }

    /// Keeps traces that have a span of exactly this name.
    pub fn name(self, name: &str) -> Tail {
        self.rule(Rule::Name(name.into()))
    }

    /// Keeps traces that have a span with this attribute and value. A number or a truth value is
    /// compared as what `value` says: `attribute("http.response.status_code", "503")`. What was
    /// redacted or cut equals nothing.
    pub fn attribute(self, key: &str, value: &str) -> Tail {
        let wanted = Wanted {
            text: value.into(),
            integer: value.parse().ok(),
            number: value.parse().ok(),
            truth: value.parse().ok(),
        };
        self.rule(Rule::Attribute(key.into(), wanted))
    }

    /// How long a span waits at most for the end of its trace's local root: 100 ms to an hour; default
    /// 10 s.
    pub fn decide_after(mut self, duration: Duration) -> Tail {
        self.decide_after = duration;
        self
    }

    /// How long after the end of the local root others are waited for, which ended on other threads:
    /// up to a minute; default 200 ms.
    pub fn grace(mut self, duration: Duration) -> Tail {
        self.grace = duration;
        self
    }

    /// Bytes of spans that may wait, 64 KiB to 1 GiB; default 16 MiB. They are charged to
    /// [`memory_limit`](crate::VitalsBuilder::memory_limit). Past them the oldest trace is decided on
    /// at once, by what is known.
    pub fn most_bytes(mut self, bytes: u64) -> Tail {
        self.most_bytes = bytes;
        self
    }

    /// The same of traces: 1 to 1,000,000; default 10,000.
    pub fn most_traces(mut self, traces: u32) -> Tail {
        self.most_traces = traces;
        self
    }

    fn rule(mut self, rule: Rule) -> Tail {
        self.rules.push(rule);
        self
    }

    /// Refuses what is out of its range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let millis = |duration: Duration| duration.as_millis().min(u64::MAX.into()) as u64;
        check("", "tail.decide_after", millis(self.decide_after), 100..=3_600_000)?;
        check("", "tail.grace", millis(self.grace), 0..=60_000)?;
        check("", "tail.most_bytes", self.most_bytes, 64 << 10..=1 << 30)?;
        check("", "tail.most_traces", self.most_traces.into(), 1..=1_000_000)?;
        check("", "tail.rules", self.rules.len() as u64, 0..=64)
    }

    /// Why `span` alone keeps its trace, if it does: by the first rule that says so.
    pub(crate) fn why(&self, span: &SpanFrame<'_>, clock: Clock) -> Option<Why> {
        let took = || clock.nanos(span.end.saturating_sub(span.fixed.start));
        self.rules.iter().find_map(|rule| match rule {
            Rule::Errors => (span.fixed.status == SpanStatus::Error as u8).then_some(Why::Error),
            Rule::Slow(least) => (is_local_root(span) && took() > *least).then_some(Why::Slow),
            Rule::AnySlow(least) => (took() > *least).then_some(Why::Slow),
            Rule::OneIn(n) => {
                let trace = span.fixed.ids.first_chunk().copied().unwrap_or_default();
                is_one_in(trace, *n).then_some(Why::Share)
            }
            Rule::Name(name) => (span.name.as_bytes() == name.as_bytes()).then_some(Why::Name),
            Rule::Attribute(key, wanted) => {
                // Of two of one name the later counts.
                let of_key = span.items().filter_map(|item| match item {
                    Item::Attribute(of) if of.key.as_bytes() == key.as_bytes() => Some(of.value),
                    _ => None,
                });
                of_key.last().is_some_and(|value| wanted.is(&value)).then_some(Why::Attribute)
            }
        })
    }
}

impl Wanted {
    fn is(&self, value: &Value<'_>) -> bool {
        match *value {
            Value::Str(text) | Value::Bytes(text) => {
                text.lost_bytes() == 0 && text.as_bytes() == self.text.as_bytes()
            }
            Value::I64(n) => self.integer == Some(n.into()),
            Value::U64(n) => self.integer == Some(n.into()),
            Value::F64(n) => self.number == Some(n),
            Value::Bool(truth) => self.truth == Some(truth),
            _ => false,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().min(u64::MAX.into()) as u64
}

/// Whether nobody above it is of this process.
pub(crate) fn is_local_root(span: &SpanFrame<'_>) -> bool {
    span.fixed.parent == [0; 8] || span.fixed.flags & flag::REMOTE != 0
}

/// Whether a trace is the one in `n`. Not by the part of the id that is random by W3C's word, as it
/// stands: of traces that were sampled by that, a share would be all or none.
fn is_one_in(trace: [u8; 16], n: u32) -> bool {
    let trace = u128::from_be_bytes(trace);
    // The finaliser of splitmix64: every bit depends on every other.
    let mut mixed = (trace ^ (trace >> 64)) as u64;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    n > 0 && mixed.is_multiple_of(n.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::ids;
    use crate::traces::sample::{Sampler, Sampling};

    #[test]
    fn one_in_n_is_a_share_also_of_what_was_sampled_by_the_id() {
        let threshold = Sampling::new(&Sampler::Ratio(0.1)).threshold();
        let mut counts = [0; 2];
        for _ in 0..100_000 {
            let (trace, _) = ids::trace_and_span();
            let sampled = threshold.takes(trace);
            counts[usize::from(sampled)] += u32::from(is_one_in(trace, 10));
        }
        // 9,000 and 1,000; a chance of less than one in a million to be so far off.
        assert!((8_500..9_500).contains(&counts[0]), "{counts:?}");
        assert!((830..1_170).contains(&counts[1]), "{counts:?}");
        assert!(is_one_in([7; 16], 1) && !is_one_in([7; 16], 0));
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        let Tail { rules, .. } = Tail::new().attribute("k", "503").attribute("k", "true");
        let [Rule::Attribute(_, number), Rule::Attribute(_, truth)] = &rules[..] else { panic!() };
        let text = |text: &'static str| crate::ring::frame::Text::new(text.as_bytes());
        for same in [Value::I64(503), Value::U64(503), Value::F64(503.0), Value::Str(text("503"))] {
            assert!(number.is(&same) && !truth.is(&same), "{same:?}");
        }
        assert!(truth.is(&Value::Bool(true)) && !truth.is(&Value::Bool(false)));
        assert!(!number.is(&Value::Redacted) && !number.is(&Value::Null));
    }

    #[test]
    fn limits_have_their_ranges() {
        assert!(Tail::new().check().is_ok());
        assert!(Tail::new().most_bytes(1).check().is_err());
        assert!(Tail::new().decide_after(Duration::from_secs(1 << 40)).check().is_err());
        assert!(Tail::new().grace(Duration::from_secs(61)).check().is_err());
    }
}
