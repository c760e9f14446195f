//! What a tracing layer is to do.

use crate::Level;
use crate::logs::LogFilter;

/// What a [`TracingLayer`](crate::TracingLayer) makes of what it sees; for
/// [`Vitals::tracing_layer_with`](crate::Vitals::tracing_layer_with).
///
/// ```
/// use mcp_vitals::{Level, TracingOptions};
///
/// // Traces alone, of two crates, with where the spans stand in the source.
/// let options = TracingOptions::new()
///     .lines(false)
///     .spans("off,my_server=debug,sqlx=info".parse()?)
///     .code_location(true)
///     .span_events(Level::Warn);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TracingOptions {
    pub(super) lines: bool,
    pub(super) spans: LogFilter,
    pub(super) events: Option<Level>,
    pub(super) code_location: bool,
    pub(super) level: bool,
}

impl Default for TracingOptions {
    fn default() -> TracingOptions {
        TracingOptions {
            lines: true,
            spans: LogFilter::level(Level::Info).with("rmcp", None),
            events: Some(Level::Error),
            code_location: false,
            level: false,
        }
    }
}

impl TracingOptions {
    /// Lines of what the engine's [`LogFilter`] takes; spans of `info` and what matters more, where
    /// the engine traces.
    pub fn new() -> TracingOptions {
        TracingOptions::default()
    }

    /// Whether events become lines, and spans give their fields to them; default yes. The engine's
    /// [`LogFilter`] decides which.
    pub fn lines(mut self, on: bool) -> TracingOptions {
        self.lines = on;
        self
    }

    /// Which spans of `tracing` become the engine's, by level, module and target: a filter of their
    /// own, which stays as it is. Default `info,rmcp=off`; [`LogFilter::off`] takes none.
    ///
    /// The SDK's own spans last as long as a session: everything that happens in it would be one
    /// trace. `info,rmcp=info` takes them, and so does a filter that is made of a level alone.
    pub fn spans(mut self, filter: LogFilter) -> TracingOptions {
        self.spans = filter;
        self
    }

    /// Which events are also events of the span that they happen in: this level and what matters
    /// more, of the modules and targets of [`spans`](Self::spans); `None` for none. Default
    /// [`Level::Error`]. One at `error` sets the span's status, too.
    pub fn span_events(mut self, level: impl Into<Option<Level>>) -> TracingOptions {
        self.events = level.into();
        self
    }

    /// Whether spans say where they stand in the source: `code.file.path`, `code.line.number` and
    /// `code.module.name`. Default no.
    pub fn code_location(mut self, on: bool) -> TracingOptions {
        self.code_location = on;
        self
    }

    /// Whether spans have their `level` as an attribute. Default no.
    pub fn level(mut self, on: bool) -> TracingOptions {
        self.level = on;
        self
    }
}
