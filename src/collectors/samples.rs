//! What a collector gives in one run: bounded whatever it does.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::About;
use crate::metrics::Counter;
use crate::registry::{Clash, Limits, MOST_LABELS, MetricKind, Spec, cut, head};

/// A family of a collector, described when it was registered. Its closure is given one for each
/// description, to say which family a sample belongs to.
pub struct Collected<const N: usize> {
    /// Its place among the collector's families.
    pub(super) place: usize,
}

impl<const N: usize> fmt::Debug for Collected<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collected").field(&self.place).finish()
    }
}

/// Where a family that is asked at each scrape counts what it could not show as it was given.
pub(crate) struct SampleLosses {
    /// Label sets past a limit.
    pub(crate) overflow: Counter,
    /// Label values longer than the limit.
    pub(crate) cut: Counter,
    /// Totals that are no total.
    pub(crate) refused: Counter,
    /// Samples of a label set that was given before in the same run.
    pub(crate) duplicates: Counter,
}

/// A family whose samples are asked for at each scrape.
pub(crate) struct Described {
    /// Families are shown in the order of their registration.
    pub(super) order: u64,
    pub(super) spec: Spec,
    /// `# HELP` and `# TYPE`, rendered.
    pub(super) head: Box<str>,
    pub(super) label_names: Box<[Box<str>]>,
    pub(super) clash: Clash,
    pub(super) limits: Limits,
    pub(super) losses: SampleLosses,
}

impl Described {
    pub(super) fn new(
        order: u64,
        spec: Spec,
        clash: Clash,
        limits: Limits,
        losses: SampleLosses,
    ) -> Described {
        let label_names = spec.labels.iter().map(|label| label.as_str().into()).collect();
        Described { order, head: head(&spec), spec, label_names, clash, limits, losses }
    }

    /// Whether `value` can be shown as this family's kind; counts it if not.
    pub(super) fn takes(&self, value: f64) -> bool {
        // `rate` of a total that is not finite is NaN for as long as the range is; a total below 0
        // is none.
        let ok = self.spec.kind != MetricKind::Counter || value.is_finite() && value >= 0.0;
        if !ok {
            self.losses.refused.inc();
        }
        ok
    }

    /// `value` within the length limit; what is cut is counted.
    pub(super) fn within<'a>(&self, value: &'a str) -> &'a str {
        let within = cut(value, self.limits.value_length as usize);
        if within.len() < value.len() {
            self.losses.cut.inc();
        }
        within
    }
}

/// What a sample takes beside its label values: itself, an entry in the index, the places where its
/// values end; twice, because what holds them doubles when it is full.
const SAMPLE_COST: u64 = 2 * (size_of::<Sample>() + 2 * size_of::<(u64, Place)>()) as u64;

/// Family and sample within it.
type Place = (u32, u32);

/// Takes what a collector gives at one scrape.
///
/// What is not given is not shown: a label set that was there at the last scrape and is not named
/// this time disappears. Nothing here fails or panics, and everything is bounded: label sets by the
/// family's series limit and by `memory_limit`, values by the value length limit.
pub struct Samples {
    about: Arc<About>,
    families: Vec<Vec<Sample>>,
    /// The label values of all samples behind each other, and where each of them ends.
    text: String,
    ends: Vec<usize>,
    /// From the hash of a family and its values. Of two that hash alike the second is at the next
    /// free number.
    index: HashMap<u64, Place, foldhash::fast::RandomState>,
    /// Bytes of the memory budget.
    charged: u64,
}

struct Sample {
    /// Where its values begin in `text`, and the first of their ends.
    text: usize,
    ends: usize,
    value: f64,
}

impl Samples {
    pub(super) fn new(about: Arc<About>) -> Samples {
        let families = about.families.iter().map(|_| Vec::new()).collect();
        let (text, ends, index) = (String::new(), Vec::new(), HashMap::default());
        Samples { about, families, text, ends, index, charged: 0 }
    }

    /// Gives the value of one label set: a gauge's reading or a counter's total, as it stands
    /// elsewhere. Values of labels stand in the order of the family's label names.
    ///
    /// * A gauge may be any `f64`. A total that is not finite or below 0 is left out, counted in
    ///   `mcp_vitals_refused_total`; as an `f64` it is exact to 2^53.
    /// * A label value is cut at `value_length_limit`, counted in `mcp_vitals_values_cut_total`.
    /// * A label set that this run has given already gets the new value; counted in
    ///   `mcp_vitals_duplicate_samples_total`.
    /// * Past the family's series limit, or `memory_limit`, a further label set is left out, counted
    ///   in `mcp_vitals_series_overflow_total`. There is no `_other`: readings do not add up.
    ///
    /// Costs a hash of the labels, a copy, and now and then an allocation, on the collector's
    /// thread.
    pub fn set<const N: usize>(&mut self, family: &Collected<N>, values: [&str; N], value: f64) {
        let about = self.about.clone();
        let Some(described) = about.families.get(family.place) else { return };
        if !described.takes(value) {
            return;
        }
        let values = values.map(|value| described.within(value));
        let mut hash = self.hash(family.place, &values);
        while let Some(&place) = self.index.get(&hash) {
            let same = place.0 as usize == family.place && {
                let sample = &self.families[family.place][place.1 as usize];
                self.values(sample, N).eq(values)
            };
            if same {
                described.losses.duplicates.inc();
                self.families[family.place][place.1 as usize].value = value;
                return;
            }
            hash = hash.wrapping_add(1);
        }
        if !self.admit(described, family.place, &values) {
            described.losses.overflow.inc();
            return;
        }
        let samples = &mut self.families[family.place];
        self.index.insert(hash, (family.place as u32, samples.len() as u32));
        samples.push(Sample { text: self.text.len(), ends: self.ends.len(), value });
        for value in values {
            self.text.push_str(value);
            self.ends.push(self.text.len());
        }
    }

    /// Whether there is room for one more label set.
    fn admit(&mut self, described: &Described, place: usize, values: &[&str]) -> bool {
        if self.families[place].len() >= described.limits.series as usize {
            return false;
        }
        let text = values.iter().map(|value| value.len() + size_of::<usize>()).sum::<usize>();
        let cost = SAMPLE_COST + 2 * text as u64;
        let room = self.about.space.charge(cost);
        if room {
            self.charged += cost;
        }
        room
    }

    fn hash(&self, place: usize, values: &[&str]) -> u64 {
        let mut hasher = self.index.hasher().build_hasher();
        hasher.write_usize(place);
        for value in values {
            hasher.write(value.as_bytes());
            // No value can hold this byte: ["ab", "c"] and ["a", "bc"] differ.
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    fn values(&self, sample: &Sample, labels: usize) -> impl Iterator<Item = &str> {
        let mut begin = sample.text;
        self.ends[sample.ends..sample.ends + labels].iter().map(move |&end| {
            let value = &self.text[begin..end];
            begin = end;
            value
        })
    }

    /// Visits the samples of the family at `place`, in the order in which they were first given.
    pub(super) fn of(&self, place: usize, mut visit: impl FnMut(&[&str], f64)) {
        let labels = self.about.families[place].label_names.len();
        let mut values = [""; MOST_LABELS];
        for sample in &self.families[place] {
            let own = values.iter_mut().zip(self.values(sample, labels));
            own.for_each(|(place, value)| *place = value);
            visit(&values[..labels], sample.value);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.families.iter().map(Vec::len).sum()
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.about.space.refund(self.charged);
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").field("len", &self.len()).finish_non_exhaustive()
    }
}
