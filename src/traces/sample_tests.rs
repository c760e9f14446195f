//! Samplers, against duller ones.

use std::thread;

use proptest::prelude::*;

use super::*;
use crate::traces::ids;

fn asked<'a>(name: &'a str, trace: [u8; 16], sampled: bool) -> Asked<'a> {
    let flags = if sampled { crate::traces::context::flag::SAMPLED } else { 0 };
    Asked { name, context: SpanContext::of(trace, [1; 8], flags), clock: Clock::get() }
}

/// Decides as a tracer does.
fn root(sampling: &Sampling, name: &str, trace: [u8; 16]) -> bool {
    let (threshold, asked) = (sampling.threshold(), asked(name, trace, false));
    threshold.takes(trace) || threshold.asks() && sampling.of_root(asked)
}

fn remote(sampling: &Sampling, name: &str, sampled: bool) -> bool {
    sampling.of_remote(asked(name, [9; 16], sampled))
}

fn by_name(rules: &[(&str, Sampler)], otherwise: Sampler) -> Sampler {
    let rules = rules.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
    Sampler::ByName { rules, otherwise: Box::new(otherwise) }
}

/// So many of a hundred thousand traces as the share says, within five standard deviations, which one
/// run in three million misses.
#[test]
fn a_share_is_a_share() {
    const TRACES: u32 = 100_000;
    for share in [0.0, 0.001, 0.1, 0.5, 0.9, 1.0] {
        let sampling = Sampling::new(&Sampler::Ratio(share));
        let taken = |_: &u32| root(&sampling, "x", ids::trace_and_span().0);
        let taken = (0..TRACES).filter(taken).count() as f64;
        let (mean, deviation) =
            (share * f64::from(TRACES), (share * (1.0 - share) * f64::from(TRACES)).sqrt());
        assert!((taken - mean).abs() <= 5.0 * deviation, "{share}: {taken}");
    }
}

#[test]
fn a_share_that_makes_no_sense_is_none_or_all() {
    for (share, takes) in [(f64::NAN, false), (-1.0, false), (2.0, true), (f64::INFINITY, true)] {
        let sampling = Sampling::new(&Sampler::Ratio(share));
        assert_eq!(root(&sampling, "x", [0x7f; 16]), takes, "{share}");
    }
}

proptest! {
    /// By the trace id alone; a larger share takes what a smaller one does.
    #[test]
    fn shares_agree_about_a_trace(trace: [u8; 16], name: String, a in 0.0..=1.0, b in 0.0..=1.0) {
        let take = |share: f64| root(&Sampling::new(&Sampler::Ratio(share)), &name, trace);
        let (less, more) = (f64::min(a, b), f64::max(a, b));
        prop_assert_eq!(take(less), root(&Sampling::new(&Sampler::Ratio(less)), "other", trace));
        prop_assert!(!take(less) || take(more));
        prop_assert!(take(1.0) && !take(0.0));
    }

    /// The oracle goes through the rules one by one, and compares as a reader would.
    #[test]
    fn the_first_rule_that_fits_counts(
        rules in prop::collection::vec(("[ab]{0,3}[*]?", any::<bool>()), 0..6),
        otherwise: bool,
        name in "[ab]{0,4}",
    ) {
        let sampler = |takes| if takes { Sampler::Always } else { Sampler::Never };
        let mut want = otherwise;
        for (pattern, takes) in rules.iter().rev() {
            let fits = match pattern.strip_suffix('*') {
                Some(from) => name.get(..from.len()) == Some(from),
                None => *pattern == name,
            };
            want = if fits { *takes } else { want };
        }
        let rules: Vec<_> = rules.iter().map(|(p, takes)| (&**p, sampler(*takes))).collect();
        let sampling = Sampling::new(&by_name(&rules, sampler(otherwise)));
        prop_assert_eq!(root(&sampling, &name, [3; 16]), want);
    }

    /// The oracle is a bucket as one would draw it: it holds so many, and so many drip into it a second.
    #[test]
    fn a_bucket_gives_what_is_in_it(
        most in 1u32..50,
        steps in prop::collection::vec(0u64..200_000_000, 0..300),
    ) {
        let bucket = Bucket::new(most);
        let each = SECOND / u64::from(most);
        // In nanoseconds: one that is taken is worth `each`.
        let (mut held, mut now) = (each * u64::from(most), 5 * SECOND);
        for step in steps {
            now += step;
            held = (held + step).min(each * u64::from(most));
            let has = held >= each;
            held -= if has { each } else { 0 };
            prop_assert_eq!(bucket.take(now), has);
        }
    }
}

#[test]
fn threads_take_no_more_than_there_is() {
    let bucket = Bucket::new(1_000);
    let take = || (0..10_000).filter(|_| bucket.take(SECOND)).count();
    let taken: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1_000);
    assert!(!Bucket::new(0).take(u64::MAX / 2));
}

/// The values of `OTEL_TRACES_SAMPLER`, as OpenTelemetry says what they do: whether a root is sampled,
/// and a trace that is sampled elsewhere, and one that is not.
#[test]
fn all_that_opentelemetry_names_can_be_said() {
    for (sampler, want) in [
        (Sampler::Always.regardless(), [true, true, true]),
        (Sampler::Never.regardless(), [false, false, false]),
        (Sampler::Ratio(0.0).regardless(), [false, false, false]),
        (Sampler::Ratio(1.0).regardless(), [true, true, true]),
        (Sampler::Always, [true, true, false]),
        (Sampler::Never, [false, true, false]),
        (Sampler::Ratio(0.0), [false, true, false]),
        (Sampler::PerSecond(0), [false, true, false]),
    ] {
        let sampling = Sampling::new(&sampler);
        let of_remote = [true, false].map(|sampled| remote(&sampling, "x", sampled));
        let decided = [root(&sampling, "x", [5; 16]), of_remote[0], of_remote[1]];
        assert_eq!(decided, want, "{sampler:?}");
    }
}

#[test]
fn rules_hold_for_traces_of_other_processes_where_that_is_said() {
    let sampler = Sampler::ParentBased {
        root: Box::new(Sampler::Never),
        remote_sampled: Box::new(by_name(&[("health", Sampler::Never)], Sampler::Always)),
        remote_not_sampled: Box::new(by_name(&[("pay*", Sampler::Always)], Sampler::Never)),
    };
    let sampling = Sampling::new(&sampler);
    assert!(!root(&sampling, "x", [0xff; 16]));
    assert!(remote(&sampling, "x", true) && !remote(&sampling, "health", true));
    assert!(remote(&sampling, "payment", false) && !remote(&sampling, "x", false));
}

#[test]
fn another_sampler_counts_from_then_on_but_not_after_the_end() {
    let sampling = Sampling::new(&Sampler::Never);
    for (sampler, takes) in [
        (Sampler::Always, true),
        (by_name(&[("x", Sampler::Never)], Sampler::Always), false),
        (Sampler::Ratio(1.0), true),
    ] {
        sampling.set(&sampler);
        assert_eq!(root(&sampling, "x", [1; 16]), takes, "{sampler:?}");
    }
    sampling.close();
    sampling.set(&Sampler::Always);
    assert!(!root(&sampling, "x", [0xff; 16]));
    // Nobody would take its spans, whatever the other process has decided.
    assert!(!sampling.of_remote(asked("x", [1; 16], true)));
}
