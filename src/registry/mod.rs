//! What exists: families, their series, and the way from labels to a series.

mod by_name;
mod cache;
mod entries;
mod exemplars;
mod exposed;
pub(crate) mod family;
mod few;
mod form;
#[allow(unsafe_code)]
mod handle;
mod histogram;
mod key;
mod line;
mod list;
mod name;
mod offenders;
pub(crate) mod places;
mod removal;
pub(crate) mod table;
#[allow(unsafe_code)]
mod values;

pub(crate) use exemplars::Exemplars;
pub(crate) use exposed::Clash;
pub(crate) use family::{FamilyCore, Limits, Losses, MetricKind, Spec, head};
pub(crate) use handle::{FamilyRef, Handle};
pub(crate) use histogram::{BoundText, HistogramCells};
pub(crate) use line::{Line, render_begin};
pub(crate) use name::{MOST_LABELS, check_labels, cut};
pub(crate) use offenders::Offender;
pub(crate) use values::Turn;
