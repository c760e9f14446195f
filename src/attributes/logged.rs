//! `#[log_operation]`: a line where a call begins, and one where it ends, with what
//! [`log_mcp_operation`](crate::Logger::log_mcp_operation) puts into its.

use super::run::{End, Record};
use super::site::{Cached, Held};
use crate::catalog::Status;
use crate::clock::{Clock, Stopwatch};
use crate::logs::private::{Site, StaticText, Values};
use crate::logs::{Exception, Line, Loggable, UNKNOWN};
use crate::{Level, Logger};

const STARTED: &[&str] = &["mcp_event", "operation", "tool"];
const ENDED: &[&str] = &["mcp_event", "operation", "tool", "status", "duration_seconds"];

/// A site.
pub struct Logged {
    operation: &'static str,
    tool: &'static str,
    /// Of an end without an error.
    level: Level,
    name: &'static str,
    started: Site,
    ended: Site,
    logger: Cached<Logger>,
}

/// A call, from its start to its end.
pub struct LoggedCall {
    site: &'static Logged,
    logger: Held<Logger>,
    started: Stopwatch,
}

/// Where a site stands.
pub struct Place {
    /// `module_path!()`.
    pub module: &'static str,
    /// `file!()`.
    pub file: &'static str,
    /// `line!()`.
    pub line: u32,
    /// The path of the function.
    pub function: fn() -> &'static str,
}

const fn site(place: &Place, message: &'static str, keys: &'static [&'static str]) -> Site {
    let Place { module, file, line, function } = *place;
    Site::new(StaticText { module, file, line, function, message: Some(message), keys })
}

impl Logged {
    /// For a static; `name` is the logger's.
    pub const fn new(
        operation: &'static str,
        tool: &'static str,
        level: Level,
        name: &'static str,
        place: Place,
    ) -> Logged {
        let started = site(&place, "operation started", STARTED);
        let ended = site(&place, "mcp operation", ENDED);
        Logged { operation, tool, level, name, started, ended, logger: Cached::new() }
    }

    /// A call begins. Nothing where nothing is logged.
    #[inline(always)]
    pub fn begin(&'static self) -> Option<LoggedCall> {
        let logger = self.logger.get(|vitals| vitals.logger(self.name))?;
        // What takes no errors takes nothing.
        if logger.is_enabled(Level::Error) { Some(self.start(logger)) } else { None }
    }

    fn start(&'static self, logger: Held<Logger>) -> LoggedCall {
        let started = Clock::get().start();
        // One that is of little interest when it ends is of no more when it starts.
        let level = if self.level == Level::Trace { Level::Trace } else { Level::Debug };
        if logger.is_enabled(level) {
            logger.record_at(started.ticks(), level, &self.started, Fields::of(self));
        }
        LoggedCall { site: self, logger, started }
    }
}

impl Record for LoggedCall {
    type Scope<'a> = ();

    #[inline(always)]
    fn enter(&self) {}

    fn end(self, end: End<'_>) {
        let LoggedCall { site, logger, started } = self;
        let (ticks, nanos) = started.stop();
        let (status, level) = match end {
            End::Returned(None) => (Status::Success, site.level),
            End::Returned(Some(_)) | End::Panicked => (Status::Error, Level::Error),
            End::Dropped => (Status::Cancelled, Level::Warn),
        };
        if !logger.is_enabled(level) {
            return;
        }
        let mut fields = Fields { site, end: Some((status, nanos)), ..Fields::of(site) };
        let error_type;
        match end {
            End::Returned(Some(failure)) => {
                error_type = failure.error_type();
                fields.error_type = Some(error_type.as_str());
                // Before the line has its room: no code of a host's runs there.
                fields.exception = failure.exception();
            }
            End::Panicked => fields.error_type = Some("panic"),
            _ => {}
        }
        logger.record_at(ticks, level, &site.ended, fields);
    }
}

/// What a line has.
struct Fields<'a> {
    site: &'static Logged,
    end: Option<(Status, u64)>,
    error_type: Option<&'a str>,
    exception: Option<Exception>,
}

impl Fields<'_> {
    fn of(site: &'static Logged) -> Self {
        Fields { site, end: None, error_type: None, exception: None }
    }
}

impl Values for Fields<'_> {
    fn room(&self) -> usize {
        UNKNOWN
    }

    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        true.put(None, line);
        self.site.operation.put(None, line);
        self.site.tool.put(None, line);
        let Some((status, nanos)) = self.end else { return };
        status.as_str().put(None, line);
        (nanos as f64 / 1e9).put(None, line);
        if let Some(error_type) = self.error_type {
            error_type.put(Some("error_type"), line);
        }
        if let Some(exception) = &self.exception {
            exception.put(Some("exception"), line);
        }
    }
}
