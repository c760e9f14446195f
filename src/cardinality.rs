//! How many series there are, and what goes past the limits.

use std::fmt;

use crate::registry::table::Table;

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
    /// The values that went past a limit the most, 16 at most, cut to 64 bytes, with about how often:
    /// never too low. By the Space-Saving sketch: none is missing that made one in 16 of all.
    pub heaviest: Vec<(String, u64)>,
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
                    heaviest: family
                        .offenders(label)
                        .into_iter()
                        .map(|offender| (offender.value, offender.count))
                        .collect(),
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

impl fmt::Display for Cardinality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for family in &self.families {
            let FamilyCardinality { name, series, series_limit, overflow, labels } = family;
            writeln!(f, "{name}: {series} of {series_limit} series, {overflow} look-ups past it")?;
            for label in labels {
                let LabelCardinality { name, values, values_limit, overflow, heaviest } = label;
                write!(f, "  {name}: {values} of {values_limit} values, {overflow} past it")?;
                for (index, (value, count)) in heaviest.iter().take(5).enumerate() {
                    // A value is a client's: with its control characters escaped.
                    write!(f, "{} {value:?} {count}", if index == 0 { ":" } else { "," })?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
