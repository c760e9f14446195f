//! The names of all samples that are exposed, and whose name another family has in OpenMetrics.

use std::collections::HashMap;
use std::sync::Arc;

use super::family::{MetricKind, Spec, sample_names};
use crate::Error;
use crate::sync::{AtomicBool, Ordering};

/// Whether another family's samples have the name that this one's family has in OpenMetrics: a gauge
/// `jobs` beside a counter `jobs_total`, which is `jobs` there.
#[derive(Clone, Default)]
pub(crate) struct Clash(Arc<AtomicBool>);

impl Clash {
    /// A family's name without the ending of its kind, if that is nobody else's.
    pub(crate) fn short<'a>(&self, name: &'a str, kind: MetricKind) -> Option<&'a str> {
        // Relaxed: one says so as well as the other, and it is never taken back.
        if self.0.load(Ordering::Relaxed) { None } else { short(name, kind) }
    }

    fn say(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn short(name: &str, kind: MetricKind) -> Option<&str> {
    let short = name.strip_suffix(kind.ending())?;
    (!short.is_empty() && short.len() < name.len()).then_some(short)
}

/// The names of samples, and whose they are, with their family's kind.
#[derive(Default)]
pub(crate) struct Exposed(HashMap<String, (Clash, MetricKind)>);

/// What a family's name may be shorter by.
const ENDINGS: [&str; 2] = ["_total", "_info"];

impl Exposed {
    /// Whether none of a family's samples is exposed by another one.
    pub(super) fn check(&self, spec: &Spec) -> Result<(), Error> {
        match sample_names(spec).find(|sample| self.0.contains_key(sample)) {
            Some(name) => Err(Error::Conflict { name, what: "exposed by another family already" }),
            None => Ok(()),
        }
    }

    /// Takes a family's names, which have been checked.
    pub(super) fn add(&mut self, spec: &Spec, clash: &Clash) {
        if let Some(short) = short(&spec.name, spec.kind)
            // The second one is a counter's own there, too, whether or not it is written.
            && [short, &format!("{short}_created")].into_iter().any(|name| self.0.contains_key(name))
        {
            clash.say();
        }
        // Of a counter and an info that would both be `a` the info is: readers look for `target`.
        let ending = spec.kind.ending();
        if let Some(short) = short(&spec.name, spec.kind)
            && let Some(other) = ENDINGS.into_iter().find(|other| *other != ending)
            && let Some((theirs, kind)) = self.0.get(&format!("{short}{other}"))
            && kind.ending() == other
        {
            if ending == MetricKind::Info.ending() { theirs.say() } else { clash.say() }
        }
        for sample in sample_names(spec) {
            let plain = sample.strip_suffix("_created").unwrap_or(&sample);
            for ending in ENDINGS {
                for name in [&*sample, plain] {
                    if let Some((other, _)) = self.0.get(&format!("{name}{ending}")) {
                        other.say();
                    }
                }
            }
            self.0.insert(sample, (clash.clone(), spec.kind));
        }
    }

    /// Gives the names of a family back.
    pub(super) fn remove(&mut self, spec: &Spec) {
        for sample in sample_names(spec) {
            self.0.remove(&sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, kind: MetricKind) -> Spec {
        Spec {
            name: name.to_owned(),
            help: String::new(),
            kind,
            labels: Vec::new(),
            decimals: 0,
            buckets: Vec::new(),
            bits: 6,
            highest: 1,
        }
    }

    /// The short name of a counter `a_total` beside another family, whichever came first.
    fn beside(name: &str, kind: MetricKind) -> Option<&'static str> {
        let counter = Box::leak(Box::new(spec("a_total", MetricKind::Counter)));
        let other = spec(name, kind);
        let [first, last] = [true, false].map(|first| {
            let (mut exposed, mine, theirs) =
                (Exposed::default(), Clash::default(), Clash::default());
            if first {
                exposed.add(counter, &mine);
            }
            assert!(exposed.check(&other).is_ok());
            exposed.add(&other, &theirs);
            if !first {
                exposed.add(counter, &mine);
            }
            mine.short(&counter.name, counter.kind)
        });
        assert_eq!(first, last);
        first
    }

    #[test]
    fn a_name_that_another_family_has_is_not_shortened() {
        assert_eq!(beside("a", MetricKind::Gauge), None);
        assert_eq!(beside("a", MetricKind::Histogram), None);
        assert_eq!(beside("a_created", MetricKind::Gauge), None);
        // Both would be `a`.
        assert_eq!(beside("a_info", MetricKind::Info), None);
        assert_eq!(beside("b_info", MetricKind::Info), Some("a"));
        assert_eq!(beside("a_info", MetricKind::Gauge), Some("a"));
        assert_eq!(beside("a_count", MetricKind::Gauge), Some("a"));
        assert_eq!(beside("b", MetricKind::Histogram), Some("a"));
        assert_eq!(beside("a_total_total", MetricKind::Counter), Some("a"));
    }

    #[test]
    fn what_another_family_exposes_is_taken_until_it_is_given_back() {
        let (mut exposed, histogram) = (Exposed::default(), spec("t", MetricKind::Histogram));
        exposed.add(&histogram, &Clash::default());
        let count = spec("t_count", MetricKind::Gauge);
        assert!(exposed.check(&count).is_err());
        exposed.remove(&histogram);
        assert!(exposed.check(&count).is_ok());
    }

    #[test]
    fn only_an_ending_of_the_kind_is_left_out() {
        assert_eq!(short("a_total", MetricKind::Observed), Some("a"));
        assert_eq!(short("a_info", MetricKind::Info), Some("a"));
        for (name, kind) in [
            ("a", MetricKind::Counter),
            ("_total", MetricKind::Counter),
            ("a_total", MetricKind::Gauge),
            ("a_info", MetricKind::Gauge),
            ("a", MetricKind::Histogram),
        ] {
            assert_eq!(short(name, kind), None, "{name}");
        }
    }
}
