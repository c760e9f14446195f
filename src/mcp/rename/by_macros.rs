//! What the attribute macros say of the request that is being handled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{CURRENT, MOST_NAMED};
use crate::mcp::edge::Edge;
use crate::mcp::handle::Mcp;
use crate::mcp::method::Method;
use crate::mcp::request::Open;
use crate::mcp::series::Series;
use crate::sync::lock;

fn with_current<T>(see: impl FnOnce(&mut Open) -> T) -> Option<T> {
    let mut open = CURRENT.take()?;
    let seen = see(&mut open);
    CURRENT.set(Some(open));
    Some(seen)
}

/// Gives the thread's current request the names of `series`, the first time that anybody does, and
/// says whether there is such a request of the same engine.
pub(crate) fn rename(series: &Arc<Series>) -> bool {
    let renamed = with_current(|open| {
        if open.series.engine() != series.engine() {
            return false;
        }
        if open.said.before.is_none() {
            // Up before down: see `Agent::set_status`.
            series.enter();
            open.series.leave_to_another();
            open.said.before = Some(std::mem::replace(&mut open.series, series.clone()));
        }
        true
    });
    renamed.unwrap_or(false)
}

/// Names the span of the thread's current request, and says whether there is such a span, of a request
/// of this engine.
pub(crate) fn name_span(engine: u64, tool: &'static str, operation: &'static str) -> bool {
    let named = with_current(|open| {
        if open.series.engine() != engine || !open.span.is_any() {
            return false;
        }
        if !std::mem::replace(&mut open.said.traced, true) && open.span.is_recording() {
            let method = open.said.before.as_ref().unwrap_or(&open.series).method();
            open.span.set_name_of(&[method.name(), " ", tool, ".", operation]);
            open.span.set_attribute("gen_ai.tool.name", tool);
            open.span.set_attribute("mcp.operation.name", operation);
        }
        true
    });
    named.unwrap_or(false)
}

/// The series that the program itself has named, by tool and operation.
#[derive(Default)]
pub(in crate::mcp) struct Named(Mutex<HashMap<[&'static str; 2], Arc<Series>>>);

impl Mcp {
    /// Which engine this is: no other of the process has the number.
    pub(crate) fn engine(&self) -> u64 {
        self.edge.id
    }

    /// See [`Edge::named`].
    pub(crate) fn named(&self, tool: &'static str, operation: &'static str) -> Arc<Series> {
        self.edge.named(tool, operation)
    }
}

impl Edge {
    /// The series of these names, which are the program's own text and no client's. Locks: to be
    /// looked up once and held.
    fn named(&self, tool: &'static str, operation: &'static str) -> Arc<Series> {
        let mut named = lock(&self.named.0);
        if let Some(series) = named.get(&[tool, operation]) {
            return series.clone();
        }
        if named.len() >= MOST_NAMED {
            return self.method(Method::Other).clone();
        }
        let series = Arc::new(self.series(Method::ToolsCall, tool, operation));
        named.insert([tool, operation], series.clone());
        series
    }
}
