//! `#[track_request_metrics]`: what is no request is counted and timed as one; a request is renamed.

use std::sync::Arc;

use super::run::{End, Record};
use super::site::{Cached, Held};
use crate::catalog::Outcome;
use crate::clock::{Clock, Stopwatch};
use crate::mcp::rename::rename;
use crate::mcp::series::Series;

/// A site.
pub struct Tracked {
    tool: &'static str,
    operation: &'static str,
    series: Cached<Arc<Series>>,
}

/// A call that is no request, from its start to its end.
pub struct TrackedCall {
    series: Held<Arc<Series>>,
    started: Stopwatch,
}

impl Tracked {
    /// For a static.
    pub const fn new(tool: &'static str, operation: &'static str) -> Tracked {
        Tracked { tool, operation, series: Cached::new() }
    }

    /// A call begins. Nothing where there is no engine; and in a request, which now has these names.
    #[inline(always)]
    pub fn begin(&'static self) -> Option<TrackedCall> {
        let series = self.series.get(|vitals| vitals.mcp().named(self.tool, self.operation))?;
        TrackedCall::begin(series)
    }
}

impl TrackedCall {
    #[inline]
    fn begin(series: Held<Arc<Series>>) -> Option<TrackedCall> {
        if rename(&series) {
            return None;
        }
        series.enter();
        Some(TrackedCall { series, started: Clock::get().start() })
    }
}

impl Record for TrackedCall {
    type Scope<'a> = ();

    #[inline(always)]
    fn enter(&self) {}

    fn end(self, end: End<'_>) {
        let nanos = self.started.elapsed_nanos();
        match end {
            End::Returned(None) => self.series.leave(Outcome::Ok, nanos),
            End::Returned(Some(failure)) => {
                self.series.fail(failure.error_type().as_str(), nanos);
            }
            End::Panicked => self.series.leave(Outcome::Panic, nanos),
            End::Dropped => self.series.leave(Outcome::Dropped, nanos),
        }
    }
}
