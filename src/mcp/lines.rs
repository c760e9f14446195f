//! The lines of a request: its start at `debug`, its end at the level of its outcome.
//!
//! Nothing of a request's arguments or of its answer is in them; what a client chose (ids, and names
//! that the server does not know) is cut.

use crate::catalog::{Outcome, Status};
use crate::logs::private::{Site, StaticText, Values};
use crate::logs::{Cut, Line, Loggable, Ready, UNKNOWN};
use crate::{Level, Logger};

/// Name of the logger, one an engine.
pub(super) const LOGGER: &str = "mcp";

/// Bytes that are kept of a name that is not known.
const MOST_NAME: usize = 64;

/// What the lines of a request need beside what is counted of it. Made only where something is
/// logged.
#[derive(Default)]
pub(crate) struct Noted {
    context: Option<Ready>,
    /// The tool or method that the client named, where it is counted as `_other`.
    requested: Option<Cut>,
}

impl Noted {
    /// Of a request with these ids.
    #[cfg(feature = "rmcp")]
    pub(super) fn new(request_id: Option<&str>, session_id: Option<&str>) -> Noted {
        Noted { context: Some(Ready::of_request(request_id, session_id)), requested: None }
    }

    pub(super) fn of(context: Option<Ready>) -> Noted {
        Noted { context, requested: None }
    }

    /// The name as the client sent it.
    pub(super) fn requested(mut self, name: &str) -> Noted {
        self.requested = Some(Cut::new(name, MOST_NAME));
        self
    }

    #[cfg(feature = "rmcp")]
    pub(super) fn context(&self) -> Option<&Ready> {
        self.context.as_ref()
    }
}

/// What a request is counted as.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) tool: &'a str,
    pub(super) operation: &'static str,
}

/// How a request ended.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) nanos: u64,
}

/// What a line of a request has.
struct Fields<'a> {
    names: Names<'a>,
    requested: Option<&'a Cut>,
    end: Option<End>,
}

impl Values for Fields<'_> {
    fn room(&self) -> usize {
        UNKNOWN
    }

    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        true.put(None, line);
        self.names.tool.put(None, line);
        self.names.operation.put(None, line);
        if let Some(End { outcome, nanos }) = self.end {
            let rule = outcome.rule();
            rule.status.as_str().put(None, line);
            (nanos as f64 / 1e9).put(None, line);
            outcome.as_str().put(None, line);
            if let Some(error_type) = rule.error_type {
                error_type.put(Some("error_type"), line);
            }
            if let Outcome::JsonRpc(code) = outcome {
                code.put(Some("code"), line);
            }
        }
        if let Some(requested) = self.requested {
            requested.put(Some("requested"), line);
        }
    }
}

const fn site(line: u32, message: &'static str, keys: &'static [&'static str]) -> Site {
    Site::new(StaticText {
        module: module_path!(),
        file: file!(),
        line,
        function: || "mcp_vitals::request",
        message: Some(message),
        keys,
    })
}

static STARTED: Site = site(line!(), "request started", &["mcp_event", "tool", "operation"]);
static ENDED: Site = site(
    line!(),
    "request ended",
    &["mcp_event", "tool", "operation", "status", "duration_seconds", "outcome"],
);

/// The level of an end. What the client did wrong or took back, and what a tool answers as its own
/// error, is a warning; what went wrong in the server is an error.
pub(super) fn level(outcome: Outcome) -> Level {
    let rule = outcome.rule();
    match (rule.status, rule.error_type) {
        (Status::Success, _) => Level::Info,
        (Status::Cancelled, _) => Level::Warn,
        (Status::Error, Some(kind)) if kind.starts_with("client_") => Level::Warn,
        (Status::Error, _) if outcome == Outcome::ToolError => Level::Warn,
        (Status::Error, _) => Level::Error,
    }
}

/// Says that a request was started at `ticks`.
#[inline]
pub(super) fn started(logger: &Logger, ticks: u64, names: Names<'_>, noted: Option<&Noted>) {
    if logger.is_enabled(Level::Debug) {
        record(logger, ticks, Level::Debug, &STARTED, names, noted, None);
    }
}

/// Says that a request ended at `ticks`.
#[inline]
pub(super) fn ended(
    logger: &Logger,
    ticks: u64,
    names: Names<'_>,
    noted: Option<&Noted>,
    end: End,
) {
    // Errors are what is logged where anything is: what is off costs a load and no table.
    if logger.is_enabled(Level::Error) {
        let level = level(end.outcome);
        if logger.is_enabled(level) {
            record(logger, ticks, level, &ENDED, names, noted, Some(end));
        }
    }
}

#[cold]
fn record(
    logger: &Logger,
    ticks: u64,
    level: Level,
    site: &Site,
    names: Names<'_>,
    noted: Option<&Noted>,
    end: Option<End>,
) {
    let requested = noted.and_then(|noted| noted.requested.as_ref());
    let context = noted.and_then(|noted| noted.context.as_ref());
    let _scope = context.map(Ready::enter);
    logger.record_at(ticks, level, site, Fields { names, requested, end });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::RULES;

    #[test]
    fn each_outcome_has_its_level() {
        let expected = |outcome| match outcome {
            Outcome::Ok | Outcome::InputRequired | Outcome::Task => Level::Info,
            Outcome::Cancelled | Outcome::Dropped | Outcome::ToolError => Level::Warn,
            Outcome::JsonRpc(-32603 | 0) | Outcome::Panic => Level::Error,
            Outcome::JsonRpc(_) => Level::Warn,
        };
        for rule in RULES {
            assert_eq!(level(rule.outcome), expected(rule.outcome), "{rule:?}");
        }
        assert_eq!(level(Outcome::JsonRpc(-31_000)), Level::Error);
    }
}
