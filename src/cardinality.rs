//! How many series there are, and what goes past the limits.

use std::fmt;

use crate::registry::table::Table;
use crate::registry::{FamilyCore, Offender, render_begin};
use crate::snapshot::{Head, MetricKind, Number, Visit};

/// The families of an engine by their series, and what went past their limits; see
/// [`Vitals::cardinality`](crate::Vitals::cardinality). Shown as a table by `{}`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Cardinality {
    /// Those that have labels, the one with the most series first.
    pub families: Vec<FamilyCardinality>,
}

/// One family.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FamilyCardinality {
    /// The metric's name.
    pub name: String,
    /// Series that take a place: those that are shown, and those that were removed and still have a
    /// handle.
    pub series: u32,
    /// Most series.
    pub series_limit: u32,
    /// Label sets that became `_other` as a whole, each time that one was looked up.
    pub overflow: u64,
    /// In the order of the label names.
    pub labels: Vec<LabelCardinality>,
}

/// One label of a family.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LabelCardinality {
    /// The label's name.
    pub name: String,
    /// Distinct values, `_other` not counted.
    pub values: u32,
    /// Most of them.
    pub values_limit: u32,
    /// Look-ups in which a value became `_other`, and the other labels did not.
    pub overflow: u64,
    /// The values that went past a limit the most, the heaviest first, 16 at most. By the Space-Saving
    /// sketch: none is missing that made one in 16 of all.
    pub heaviest: Vec<HeavyValue>,
}

/// A value that went past a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeavyValue {
    /// The value, cut to 64 bytes.
    pub value: String,
    /// How often, or more: never too low.
    pub count: u64,
    /// By how much `count` may be too high. Of a flood of values that come once each it is nearly all.
    pub error: u64,
}

impl Cardinality {
    pub(crate) fn of(table: &Table) -> Cardinality {
        let families = table.families();
        let mut families: Vec<_> = families
            .in_order
            .iter()
            .filter(|family| !family.label_names().is_empty())
            .map(|family| {
                let (series_limit, values_limit) = family.limits();
                let label = |label: usize, name: &str| LabelCardinality {
                    name: name.to_owned(),
                    values: family.distinct(label),
                    values_limit,
                    overflow: family.losses.label_overflow.get(label).map_or(0, |lost| lost.get()),
                    heaviest: heaviest(family, label),
                };
                let names = family.label_names().iter().enumerate();
                FamilyCardinality {
                    name: family.spec.name.clone(),
                    series: family.series_count(),
                    series_limit,
                    overflow: family.losses.overflow.get(),
                    labels: names.map(|(index, name)| label(index, name)).collect(),
                }
            })
            .collect();
        families.sort_by(|a, b| b.series.cmp(&a.series).then_with(|| a.name.cmp(&b.name)));
        Cardinality { families }
    }

    /// The family of that name.
    pub fn family(&self, name: &str) -> Option<&FamilyCardinality> {
        self.families.iter().find(|family| family.name == name)
    }
}

fn heaviest(family: &FamilyCore, label: usize) -> Vec<HeavyValue> {
    let offenders = family.offenders(label).into_iter();
    let heavy = |Offender { value, count, error }| HeavyValue { value, count, error };
    offenders.map(heavy).collect()
}

const NAME: &str = "mcp_vitals_overflow_heaviest";
const HELP: &str =
    "How often, at least, a label value went past a limit; the heaviest three of each label.";
const HEAD: &str = "# HELP mcp_vitals_overflow_heaviest \
    How often, at least, a label value went past a limit; the heaviest three of each label.\n\
    # TYPE mcp_vitals_overflow_heaviest gauge\n";
/// Values that are shown of each label, and in all.
const SHOWN: usize = 3;
const MOST_SHOWN: usize = 30;

/// Visits the heaviest offenders as series; nothing where no value went past a limit. Allocates a
/// little where one did.
pub(crate) fn show<V: Visit>(table: &Table, visit: &mut V) {
    let head = Head {
        name: NAME,
        kind: MetricKind::Gauge,
        help: HELP,
        clash: None,
        text: HEAD,
        bounds: &[],
        decimals: 0,
    };
    if !table.has_offenders() || !visit.wants(&head) {
        return;
    }
    let mut shown = Vec::new();
    for family in &table.families().in_order {
        for (label, name) in family.label_names().iter().enumerate() {
            let heaviest = heaviest(family, label).into_iter();
            // What may have come once says nothing.
            let heavy = heaviest.filter(|heavy| heavy.count - heavy.error > 1).take(SHOWN);
            shown.extend(heavy.map(|heavy| (family.spec.name.clone(), name.to_string(), heavy)));
        }
    }
    if shown.is_empty() {
        return;
    }
    shown.sort_by_key(|(.., heavy)| std::cmp::Reverse(heavy.count - heavy.error));
    visit.family(&head);
    let mut begin = String::new();
    for (metric, label, heavy) in shown.iter().take(MOST_SHOWN) {
        let own = [("metric", metric.as_str()), ("label", label), ("value", &heavy.value)];
        let constants = table.constants().iter().map(|(name, value)| (&**name, &**value));
        let labels = own.into_iter().chain(constants);
        render_begin(&mut begin, NAME, labels.clone());
        visit.sample(Number::Reading((heavy.count - heavy.error) as f64), &begin, labels);
    }
}

impl fmt::Display for Cardinality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for family in &self.families {
            let FamilyCardinality { name, series, series_limit, overflow, labels } = family;
            writeln!(f, "{name}: {series} of {series_limit} series, {overflow} look-ups past it")?;
            for label in labels {
                let LabelCardinality { name, values, values_limit, overflow, heaviest } = label;
                write!(f, "  {name}: {values} of {values_limit} values, {overflow} past it")?;
                for (index, heavy) in heaviest.iter().take(5).enumerate() {
                    let HeavyValue { value, count, error } = heavy;
                    let least = count - error;
                    // A value is a client's: with its control characters escaped.
                    write!(
                        f,
                        "{} {value:?} {least} to {count}",
                        if index == 0 { ":" } else { "," }
                    )?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
