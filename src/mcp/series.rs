//! The handles of one tool and operation: looked up once a request, recorded into without a look-up.

use std::sync::OnceLock;

use super::lines::Names;
use super::method::{Method, OTHER};
use crate::catalog::{Families, Outcome, RULES, Status};
use crate::{Counter, Family, Histogram, Logger, UpDown};

/// Every series that a request of one tool (or method) and operation can touch.
pub(crate) struct Series {
    in_flight: UpDown,
    /// By the index of [`Status`].
    requests: [Counter; 3],
    /// None for what is not timed.
    duration: Option<Histogram>,
    panics: Counter,
    cancellations: Counter,
    /// By row of [`RULES`]. The server's own faults are there from the start; the callers', of which
    /// most never happen, from their first one on.
    errors: [OnceLock<Counter>; RULES.len()],
    error_family: Family<Counter, 3>,
    method: Method,
    /// Of a request's span.
    span_name: Box<str>,
    tool: Box<str>,
    operation: &'static str,
    #[cfg_attr(not(feature = "macros"), allow(dead_code))]
    engine: u64,
    /// Here, so that a request finds it with the rest.
    logger: Logger,
}

impl Series {
    /// Makes the series, all of them at 0: a counter born at 1 is invisible to `rate`.
    pub(crate) fn new(
        families: &Families,
        method: Method,
        tool: &str,
        operation: &'static str,
        engine: u64,
        logger: &Logger,
    ) -> Series {
        let timed = method.timed();
        let series = Series {
            in_flight: families.requests_in_flight.with([tool]),
            requests: Status::ALL
                .map(|status| families.requests.with([tool, operation, status.as_str()])),
            duration: timed.then(|| families.request_duration.with([tool, operation])),
            panics: families.panics.with([tool]),
            cancellations: families.cancellations.with([tool]),
            errors: std::array::from_fn(|_| OnceLock::new()),
            error_family: families.request_errors.clone(),
            method,
            span_name: match method {
                Method::ToolsCall if tool != OTHER => format!("{} {tool}", method.name()).into(),
                _ => method.name().into(),
            },
            tool: tool.into(),
            operation,
            engine,
            logger: logger.clone(),
        };
        for (row, rule) in RULES.iter().enumerate() {
            if rule
                .error_type
                .is_some_and(|name| ["tool_error", "internal", "panic"].contains(&name))
            {
                series.error(row);
            }
        }
        series
    }

    #[inline]
    pub(super) fn logger(&self) -> &Logger {
        &self.logger
    }

    #[inline]
    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// The name of a request's span: the method's, and a known tool's.
    #[inline]
    pub(super) fn span_name(&self) -> &str {
        &self.span_name
    }

    /// The labels.
    #[inline]
    pub(super) fn names(&self) -> Names<'_> {
        Names { tool: &self.tool, operation: self.operation }
    }

    /// Which engine's they are.
    #[inline]
    #[cfg(feature = "macros")]
    pub(super) fn engine(&self) -> u64 {
        self.engine
    }

    /// A request arrives.
    #[inline]
    pub(crate) fn enter(&self) {
        self.in_flight.inc();
    }

    /// A request ends; comes once for each [`enter`](Self::enter).
    #[inline]
    pub(crate) fn leave(&self, outcome: Outcome, nanos: u64) {
        self.in_flight.dec();
        let row = outcome.row();
        let rule = &RULES[row];
        self.requests[rule.status as usize].inc();
        if let Some(histogram) = &self.duration {
            histogram.record_nanos(nanos);
        }
        if rule.error_type.is_some()
            && let Some(counter) = self.error(row)
        {
            counter.inc();
        }
        match rule.status {
            Status::Cancelled => self.cancellations.inc(),
            _ if outcome == Outcome::Panic => self.panics.inc(),
            _ => {}
        }
    }

    /// A request goes on under other names.
    #[cfg(feature = "macros")]
    pub(super) fn leave_to_another(&self) {
        self.in_flight.dec();
    }

    /// What is no request ended with an error of this type, out of a set of the program's own; comes
    /// once for an [`enter`](Self::enter).
    #[cfg(feature = "macros")]
    pub(crate) fn fail(&self, error_type: &str, nanos: u64) {
        self.in_flight.dec();
        self.requests[Status::Error as usize].inc();
        if let Some(histogram) = &self.duration {
            histogram.record_nanos(nanos);
        }
        self.error_family.with([&*self.tool, self.operation, error_type]).inc();
    }

    fn error(&self, row: usize) -> Option<&Counter> {
        let name = RULES[row].error_type?;
        let make = || self.error_family.with([&*self.tool, self.operation, name]);
        Some(self.errors[row].get_or_init(make))
    }
}
