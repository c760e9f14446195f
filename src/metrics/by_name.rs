//! Recording by name, for code that holds no handle.

use std::time::Duration;

use super::{Counter, Gauge, Histogram, UpDown};
use crate::registry::table::Families;
use crate::registry::{FamilyCore, Handle, MetricKind};
use crate::shard::held::Held;

/// A registered metric, found by its name; see [`Vitals::metric`](crate::Vitals::metric).
///
/// Labels are given by name, in any order. A label that is missing, unknown or there twice, and a
/// verb that is not the metric's, record nothing and are counted in
/// `mcp_vitals_mismatched_total`: recording never fails.
///
/// Cheap to clone and to keep. Labels in the family's order, four of them or fewer, each name and value
/// of at most 15 bytes, are recorded quickest: about 17 ns for three.
#[derive(Clone)]
pub struct Metric {
    family: Option<Held<FamilyCore>>,
}

impl Metric {
    pub(crate) fn disabled() -> Metric {
        Metric { family: None }
    }

    pub(crate) fn find(families: &Families, name: &str) -> Option<Metric> {
        // Not the list that it stands in: a guard that is kept slows the thread's later ones.
        let family = families.in_order[families.by_name(name)?].held();
        Some(Metric { family: Some(family) })
    }

    /// Adds one to a counter, an up-down gauge or a gauge.
    pub fn inc(&self, labels: &[(&str, &str)]) {
        self.add(labels, 1);
    }

    /// Adds `n` to a counter, an up-down gauge or a gauge.
    pub fn add(&self, labels: &[(&str, &str)], n: u64) {
        match self.kind() {
            MetricKind::Counter => self.of(labels, Counter::new, |counter| counter.add(n)),
            MetricKind::UpDown => self.of(labels, UpDown::new, |updown| updown.add(n)),
            MetricKind::Gauge => self.of(labels, Gauge::new, |gauge| gauge.add(n as f64)),
            MetricKind::Histogram | MetricKind::Observed | MetricKind::Info => self.mismatched(),
        }
    }

    /// Takes one from an up-down gauge or a gauge.
    pub fn dec(&self, labels: &[(&str, &str)]) {
        self.sub(labels, 1);
    }

    /// Takes `n` from an up-down gauge or a gauge.
    pub fn sub(&self, labels: &[(&str, &str)], n: u64) {
        match self.kind() {
            MetricKind::UpDown => self.of(labels, UpDown::new, |updown| updown.sub(n)),
            MetricKind::Gauge => self.of(labels, Gauge::new, |gauge| gauge.add(-(n as f64))),
            _ => self.mismatched(),
        }
    }

    /// Sets a gauge.
    pub fn set(&self, labels: &[(&str, &str)], value: f64) {
        match self.kind() {
            MetricKind::Gauge => self.of(labels, Gauge::new, |gauge| gauge.set(value)),
            _ => self.mismatched(),
        }
    }

    /// Records a value in the exposed unit (seconds, bytes) into a histogram; see
    /// [`Histogram::observe`].
    pub fn observe(&self, labels: &[(&str, &str)], value: f64) {
        self.histogram(labels, |histogram| histogram.observe(value));
    }

    /// Records a duration into a histogram; see [`Histogram::record`].
    pub fn record(&self, labels: &[(&str, &str)], elapsed: Duration) {
        self.histogram(labels, |histogram| histogram.record(elapsed));
    }

    /// Records a value in the histogram's integer unit; see [`Histogram::record_units`].
    pub fn record_units(&self, labels: &[(&str, &str)], units: u64) {
        self.histogram(labels, |histogram| histogram.record_units(units));
    }

    /// Removes a series; see [`Family::remove`](crate::Family::remove).
    pub fn remove(&self, labels: &[(&str, &str)]) -> bool {
        let Some(family) = self.family() else { return false };
        family.remove_by_name(labels).unwrap_or_else(|| {
            self.mismatched();
            false
        })
    }

    fn histogram(&self, labels: &[(&str, &str)], record: impl FnOnce(&Histogram)) {
        match self.kind() {
            MetricKind::Histogram => self.of(labels, Histogram::new, record),
            _ => self.mismatched(),
        }
    }

    fn family(&self) -> Option<&FamilyCore> {
        self.family.as_deref()
    }

    fn kind(&self) -> MetricKind {
        // Of a disabled metric any kind will do: there is no family to record into.
        self.family().map_or(MetricKind::Counter, |family| family.spec.kind)
    }

    fn mismatched(&self) {
        if let Some(family) = self.family() {
            family.losses.mismatched.inc();
        }
    }

    /// Records in the series of `labels`, or counts that they are not the family's.
    #[inline]
    fn of<K>(
        &self,
        labels: &[(&str, &str)],
        make: impl FnOnce(Handle) -> K,
        record: impl FnOnce(&K),
    ) {
        let Some(family) = self.family() else { return };
        if !family.record_by_name(labels, make, record) {
            self.mismatched();
        }
    }
}

impl std::fmt::Debug for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.family().map(|family| &family.spec.name);
        f.debug_struct("Metric").field("name", &name).finish()
    }
}
