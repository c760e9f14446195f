//! What exists: families, their series, and the way from labels to a series.

pub(crate) mod family;
mod list;
mod map;
mod name;
pub(crate) mod series;
pub(crate) mod table;

pub(crate) use family::{FamilyCore, Limits, Losses, MetricKind, Spec, head};
pub(crate) use list::List;
pub(crate) use name::{MOST_LABELS, check_labels, cut, parse_labels, push_labels};
pub(crate) use series::{Cells, HistogramCells, Listed, Series};
