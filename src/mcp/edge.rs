//! The request series of one engine: by method from a closed list, by tool from the known names.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::handle::Mcp;
use super::known::{Known, Unknown};
use super::lines::LOGGER;
use super::method::{Method, OTHER};
#[cfg(feature = "macros")]
use super::rename::Named;
use super::series::Series;
use super::spans::TRACER;
use crate::catalog::Families;
use crate::clock::{Clock, Stopwatch};
use crate::sync::{AtomicU64, Ordering};
#[cfg(feature = "rmcp")]
use crate::vitals::Propagation;
use crate::{Counter, Level, Logger, Tracer, Vitals};

/// Engines so far.
static ENGINES: AtomicU64 = AtomicU64::new(0);

/// What the request core holds for an engine. Wrappers come and go with each session or request;
/// this stays.
pub(crate) struct Edge {
    disabled: bool,
    /// No other engine of the process has it.
    pub(super) id: u64,
    started: Stopwatch,
    families: Families,
    logger: Logger,
    tracer: Tracer,
    /// Whether requests have spans, or pass one on.
    traces: bool,
    #[cfg(feature = "rmcp")]
    propagation: Propagation,
    methods: [OnceLock<Arc<Series>>; Method::COUNT],
    known: Known,
    #[cfg(feature = "macros")]
    pub(super) named: Named,
    /// By [`Unknown`].
    unknown: [Counter; 3],
}

impl Edge {
    pub(crate) fn new(families: &Families, tool_limit: usize, vitals: &Vitals) -> Edge {
        let disabled = vitals.is_disabled();
        let tracer = vitals.tracer(TRACER);
        // Relaxed: a number that is given once.
        let id = ENGINES.fetch_add(1, Ordering::Relaxed);
        let edge = Edge {
            disabled,
            id,
            started: Clock::get().start(),
            families: families.clone(),
            logger: vitals.logger(LOGGER),
            traces: tracer.is_on(),
            tracer,
            #[cfg(feature = "rmcp")]
            propagation: vitals.propagation(),
            methods: std::array::from_fn(|_| OnceLock::new()),
            known: Known::new(tool_limit),
            #[cfg(feature = "macros")]
            named: Named::default(),
            unknown: ["unknown", "unchecked", "limit"]
                .map(|why| families.unknown_tools.with([why])),
        };
        if !disabled {
            // What every server sees, and what every flood falls into. The other methods' series are
            // born with all their statuses at the first request.
            for method in [Method::ToolsCall, Method::ToolsList, Method::Initialize, Method::Other]
            {
                edge.method(method);
            }
        }
        edge
    }

    /// Whether nothing is recorded.
    #[inline]
    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Whether anything is logged: a load.
    #[inline]
    pub(crate) fn logs(&self) -> bool {
        self.logger.is_enabled(Level::Error)
    }

    /// Whether requests have spans: a load.
    #[inline]
    pub(crate) fn traces(&self) -> bool {
        self.traces
    }

    pub(super) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Reads contexts that come with a request.
    #[cfg(feature = "rmcp")]
    pub(super) fn propagation(&self) -> &Propagation {
        &self.propagation
    }

    /// The series of a method; for `tools/call`, of the tools that are not known.
    #[inline]
    pub(crate) fn method(&self, method: Method) -> &Arc<Series> {
        self.methods[method as usize].get_or_init(|| {
            let (tool, operation) = method.labels();
            Arc::new(self.series(method, tool, operation))
        })
    }

    pub(super) fn series(&self, method: Method, tool: &str, operation: &'static str) -> Series {
        Series::new(&self.families, method, tool, operation, self.id, &self.logger)
    }

    /// The series of a tool, which `ask` may be asked about: `_other` unless the server knows it.
    /// One look-up for a known name.
    #[inline]
    pub(crate) fn tool(&self, name: &str, ask: impl FnOnce(&str) -> Option<bool>) -> Arc<Series> {
        match self.known.get(name) {
            Some(series) => series,
            None => self.unknown_tool(name, ask),
        }
    }

    #[cold]
    fn unknown_tool(&self, name: &str, ask: impl FnOnce(&str) -> Option<bool>) -> Arc<Series> {
        let now = Duration::from_nanos(self.started.elapsed_nanos());
        let why = match self.known.may_ask(name, now) {
            Err(why) => why,
            Ok(()) => match ask(name) {
                None => Unknown::Unchecked,
                Some(false) => {
                    self.known.deny(name, now);
                    Unknown::Denied
                }
                Some(true) => {
                    self.learn(std::iter::once(name));
                    match self.known.get(name) {
                        Some(series) => return series,
                        None => Unknown::Limit,
                    }
                }
            },
        };
        self.unknown[why as usize].inc();
        self.method(Method::ToolsCall).clone()
    }

    /// Makes labels of tool names that the server itself told.
    pub(crate) fn learn<'a>(&self, names: impl Iterator<Item = &'a str>) {
        if self.disabled {
            return;
        }
        // `_other` is the place of the unknown: a tool of that name shares it.
        let names = names.filter(|name| *name != OTHER);
        let (_, execute) = Method::ToolsCall.labels();
        let make = |name: &str| self.series(Method::ToolsCall, name, execute);
        self.known.learn(names, make);
    }

    pub(crate) fn relearn(&self) {
        self.known.relearn();
    }
}

impl Mcp {
    /// Tells the engine the names of the server's tools, so that they become labels, with their
    /// series at 0. The `rmcp` wrapper does this by itself whenever the tools are listed; other
    /// edges call it at set-up and when the list changes. Known names cost a look-up each.
    pub fn learn_tools<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        self.edge.learn(names.into_iter());
    }

    /// Says that the server's tools changed: names that were denied a moment ago are asked about
    /// again at once, and not only after ten seconds.
    pub fn tools_changed(&self) {
        self.edge.relearn();
    }
}
