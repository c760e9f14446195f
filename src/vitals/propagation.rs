//! Contexts that come with requests, and what was wrong with them.

use super::Vitals;
use crate::error::Error;
use crate::metrics::{Counter, Desc, Family};
use crate::traces::w3c::{self, Fault};
use crate::traces::{Carrier, Parent};

/// Reads what comes from elsewhere, and counts what cannot be read.
#[derive(Clone)]
pub(crate) struct Propagation {
    /// None where nothing is traced.
    faults: Option<Family<Counter, 2>>,
}

impl Propagation {
    pub(super) fn register(vitals: &Vitals) -> Result<Propagation, Error> {
        let faults = vitals.register_own(
            Desc::counter(
                "mcp_vitals_propagation_errors_total",
                "Headers of traces that were malformed, and were left out as far as they were.",
            )
            .labels(["header", "reason"]),
        )?;
        Ok(Propagation { faults: Some(faults) })
    }

    pub(crate) fn extract<C: Carrier + ?Sized>(&self, carrier: &C) -> Option<Parent> {
        w3c::extract(carrier, &mut |fault| self.count(fault))
    }

    #[cold]
    fn count(&self, (header, reason): Fault) {
        if let Some(faults) = &self.faults {
            faults.with([header.name(), reason.as_str()]).inc();
        }
    }
}

impl Vitals {
    /// What came with a request: [`Parent::extract`], which says more, and counts what was malformed in
    /// `mcp_vitals_propagation_errors_total` where the engine traces. The wrappers for `rmcp` do this
    /// by themselves.
    ///
    /// ```
    /// # use mcp_vitals::{Vitals, traces::TraceConfig};
    /// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
    /// let tracer = vitals.tracer("server");
    /// let headers = [("traceparent", "00-0AF7651916CD43DD8448EB211C80319C-00f067aa0ba902b7-01")];
    ///
    /// let _span = match vitals.extract(&headers) {
    ///     Some(parent) => tracer.child("handle", parent),
    ///     None => tracer.root("handle"),
    /// };
    /// let labels = [("header", "traceparent"), ("reason", "format")];
    /// let name = "mcp_vitals_propagation_errors_total";
    /// assert_eq!(vitals.snapshot().value(name, &labels), Some(1.0));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn extract<C: Carrier + ?Sized>(&self, carrier: &C) -> Option<Parent> {
        self.propagation().extract(carrier)
    }

    pub(crate) fn propagation(&self) -> Propagation {
        match self.traced() {
            Some(traces) => traces.propagation.clone(),
            None => Propagation { faults: None },
        }
    }
}
