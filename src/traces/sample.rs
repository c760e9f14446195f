//! Which traces are recorded: decisions, from what is known when a span begins.

use arc_swap::ArcSwapOption;

use super::context::SpanContext;
use crate::clock::Clock;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Which traces are recorded, decided where they begin.
///
/// A span below another one of this process always goes with it. Where the parent is in another process,
/// its decision is followed; [`ParentBased`](Self::ParentBased) says otherwise. The values of
/// `OTEL_TRACES_SAMPLER` are these:
///
/// | value | sampler |
/// |---|---|
/// | `always_on` | `Sampler::Always.regardless()` |
/// | `always_off` | `Sampler::Never.regardless()` |
/// | `traceidratio` | `Sampler::Ratio(share).regardless()` |
/// | `parentbased_always_on` | `Sampler::Always` |
/// | `parentbased_always_off` | `Sampler::Never` |
/// | `parentbased_traceidratio` | `Sampler::Ratio(share)` |
///
/// The first three variants cost a load and a comparison; the others read the name or the clock as
/// well, some tens of nanoseconds a trace.
///
/// ```
/// use mcp_vitals::traces::Sampler;
///
/// // No health checks, at most a hundred tool calls a second, a tenth of all else.
/// let sampler = Sampler::ByName {
///     rules: vec![
///         ("health".into(), Sampler::Never),
///         ("tools/call *".into(), Sampler::PerSecond(100)),
///     ],
///     otherwise: Box::new(Sampler::Ratio(0.1)),
/// };
/// # let _ = sampler;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// All of them.
    #[default]
    Always,
    /// None.
    Never,
    /// This share of them, 0 to 1, by the trace id: two services with the same share keep the same
    /// traces.
    Ratio(f64),
    /// So many a second, and so many at once after a second without any: a bucket of tokens that all
    /// threads take from, without a lock.
    PerSecond(u32),
    /// By the name of the trace's first span here: the first rule that fits it. A rule's name is the
    /// span's whole one, or with a `*` at its end what that begins with.
    ByName {
        /// Names, and what is done with them.
        rules: Vec<(String, Sampler)>,
        /// Where none fits.
        otherwise: Box<Sampler>,
    },
    /// By what another process has decided, where the trace comes from one.
    ParentBased {
        /// Of traces that begin here.
        root: Box<Sampler>,
        /// Of those that are sampled there.
        remote_sampled: Box<Sampler>,
        /// Of those that are not.
        remote_not_sampled: Box<Sampler>,
    },
}

impl Sampler {
    /// The same decision whatever another process has decided.
    #[must_use]
    pub fn regardless(self) -> Sampler {
        let sampler = Box::new(self);
        Sampler::ParentBased {
            root: sampler.clone(),
            remote_sampled: sampler.clone(),
            remote_not_sampled: sampler,
        }
    }
}

/// What the last seven bytes of a trace id must reach, as OpenTelemetry's consistent sampling has it;
/// or that there is more to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threshold(u64);

/// As many as there are random bits, and so none.
const NONE: u64 = 1 << 56;

impl Threshold {
    const NONE: Threshold = Threshold(NONE);
    /// The rules are to be asked.
    const ASKS: Threshold = Threshold(1 << 57);
    /// None any more, whatever is set.
    const CLOSED: Threshold = Threshold(u64::MAX);

    fn of_share(share: f64) -> Threshold {
        // A share that is no number takes nothing.
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        Threshold(((1.0 - share) * NONE as f64) as u64)
    }

    /// Whether the trace is sampled, with no more asked.
    #[inline(always)]
    pub(crate) fn takes(self, trace: [u8; 16]) -> bool {
        randomness(trace) >= self.0
    }

    /// Whether more is to be asked.
    #[inline(always)]
    pub(crate) fn asks(self) -> bool {
        self == Threshold::ASKS
    }
}

/// The part of a trace id that is random by W3C's word.
#[inline(always)]
fn randomness(trace: [u8; 16]) -> u64 {
    u128::from_be_bytes(trace) as u64 & (NONE - 1)
}

/// What is known of a trace where its first span here begins. Its ids are another process's where that
/// is where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    pub(crate) context: SpanContext,
    pub(crate) clock: Clock,
}

/// The sampler of an engine, which can be set to another while spans begin.
pub(crate) struct Sampling {
    threshold: AtomicU64,
    /// Whether the rules are about traces of other processes, too.
    of_remote: AtomicBool,
    /// What there is beside a threshold.
    rules: ArcSwapOption<Rule>,
}

impl Sampling {
    pub(crate) fn new(sampler: &Sampler) -> Sampling {
        let sampling = Sampling {
            threshold: AtomicU64::new(0),
            of_remote: AtomicBool::new(false),
            rules: ArcSwapOption::empty(),
        };
        sampling.set(sampler);
        sampling
    }

    /// Of an engine that records none.
    pub(crate) fn closed() -> Sampling {
        let sampling = Sampling::new(&Sampler::Never);
        sampling.close();
        sampling
    }

    /// Another sampler, for traces that begin from now on.
    pub(crate) fn set(&self, sampler: &Sampler) {
        let rule = Rule::of(sampler);
        let threshold = match &rule {
            Rule::Threshold(threshold) => *threshold,
            _ => Threshold::ASKS,
        };
        let of_remote = matches!(rule, Rule::ParentBased { .. });
        self.rules.store(Some(rule.into()));
        // Relaxed, all of them: whoever sees the one and not yet the other decides by one of the two
        // samplers, or by the rules of the new one a moment early.
        self.of_remote.store(of_remote, Ordering::Relaxed);
        let set = |now| (now != Threshold::CLOSED.0).then_some(threshold.0);
        let _ = self.threshold.fetch_update(Ordering::Relaxed, Ordering::Relaxed, set);
    }

    /// None any more.
    pub(crate) fn close(&self) {
        self.threshold.store(Threshold::CLOSED.0, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn threshold(&self) -> Threshold {
        // Relaxed: a setting that publishes nothing.
        Threshold(self.threshold.load(Ordering::Relaxed))
    }

    /// Whether a trace that begins here is sampled, by the rules.
    pub(crate) fn of_root(&self, asked: Asked<'_>) -> bool {
        self.rules.load().as_ref().is_some_and(|rule| rule.of_root(asked))
    }

    /// Whether a trace of another process is sampled here.
    pub(crate) fn of_remote(&self, asked: Asked<'_>) -> bool {
        let there = asked.context.is_sampled();
        if self.threshold() == Threshold::CLOSED {
            return false;
        }
        if !self.of_remote.load(Ordering::Relaxed) {
            return there;
        }
        self.rules.load().as_ref().map_or(there, |rule| rule.of_remote(asked))
    }
}

/// A [`Sampler`], as it decides.
enum Rule {
    Threshold(Threshold),
    Bucket(Bucket),
    ByName { rules: Vec<(Names, Rule)>, otherwise: Box<Rule> },
    ParentBased { root: Box<Rule>, sampled: Box<Rule>, not_sampled: Box<Rule> },
}

/// Which names a rule is about.
enum Names {
    Whole(Box<str>),
    From(Box<str>),
}

impl Names {
    fn of(name: &str) -> Names {
        match name.strip_suffix('*') {
            Some(from) => Names::From(from.into()),
            None => Names::Whole(name.into()),
        }
    }

    fn fit(&self, name: &str) -> bool {
        match self {
            Names::Whole(whole) => name == &**whole,
            Names::From(from) => name.starts_with(&**from),
        }
    }
}

impl Rule {
    fn of(sampler: &Sampler) -> Rule {
        let boxed = |sampler: &Sampler| Box::new(Rule::of(sampler));
        match sampler {
            Sampler::Always => Rule::Threshold(Threshold(0)),
            Sampler::Never => Rule::Threshold(Threshold::NONE),
            Sampler::Ratio(share) => Rule::Threshold(Threshold::of_share(*share)),
            Sampler::PerSecond(most) => Rule::Bucket(Bucket::new(*most)),
            Sampler::ByName { rules, otherwise } => Rule::ByName {
                rules: rules.iter().map(|(name, of)| (Names::of(name), Rule::of(of))).collect(),
                otherwise: boxed(otherwise),
            },
            Sampler::ParentBased { root, remote_sampled, remote_not_sampled } => {
                Rule::ParentBased {
                    root: boxed(root),
                    sampled: boxed(remote_sampled),
                    not_sampled: boxed(remote_not_sampled),
                }
            }
        }
    }

    fn of_root(&self, asked: Asked<'_>) -> bool {
        match self {
            Rule::Threshold(threshold) => threshold.takes(asked.context.trace_bytes()),
            Rule::Bucket(bucket) => bucket.take(asked.clock.nanos(asked.clock.ticks())),
            Rule::ByName { rules, otherwise } => {
                let fits = rules.iter().find(|(names, _)| names.fit(asked.name));
                fits.map_or(&**otherwise, |(_, rule)| rule).of_root(asked)
            }
            Rule::ParentBased { root, .. } => root.of_root(asked),
        }
    }

    fn of_remote(&self, asked: Asked<'_>) -> bool {
        match self {
            Rule::ParentBased { sampled, not_sampled, .. } => {
                // What they say themselves of another process's was asked already.
                if asked.context.is_sampled() { sampled } else { not_sampled }.of_root(asked)
            }
            _ => asked.context.is_sampled(),
        }
    }
}

const SECOND: u64 = 1_000_000_000;

/// So many a second: when the bucket would be full again, which is all that there is to know of it.
struct Bucket {
    most: u64,
    /// Nanoseconds of the process's clock.
    full_at: AtomicU64,
}

impl Bucket {
    fn new(most: u32) -> Bucket {
        Bucket { most: most.into(), full_at: AtomicU64::new(0) }
    }

    /// Takes one at this time, where there is one.
    fn take(&self, now: u64) -> bool {
        let Some(each) = SECOND.checked_div(self.most) else { return false };
        let take = |full_at: u64| {
            let after = full_at.max(now) + each;
            // Behind by more than a bucket's worth: it is empty.
            (after <= now + each * self.most).then_some(after)
        };
        // Relaxed: it publishes nothing, and its own order is all that counts.
        self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
#[path = "sample_tests.rs"]
mod tests;
