//! `Mcp`, the MCP metrics of one engine: the catalog's families, and the request series on top.

use std::hash::RandomState;
use std::ops::Deref;

use super::edge::Edge;
use super::rename::MOST_NAMED;
use crate::catalog::{Families, RULES};
use crate::{Error, Vitals};

/// What stands in the `user_id` label of `mcp_auth_rate_limit_exceeded_total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserId {
    /// The id as it is given: choose it where ids are opaque.
    Plain,
    /// 16 hexadecimal digits of a hash with a key of this process. The same user has the same label
    /// for as long as the process lives, and nobody can try out ids against a stored label; the
    /// labels of two processes cannot be joined. The default.
    #[default]
    Hashed,
    /// `_all`: one series for all users.
    Off,
}

/// Settings of the catalog.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CatalogOptions {
    /// See [`UserId`].
    pub user_id: UserId,
    /// Most tool names that become labels, 1..=10,000; calls of further tools are counted under
    /// `_other`, and in `mcp_vitals_unknown_tool_calls_total{reason="limit"}`. Default 500.
    pub tool_limit: u32,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        CatalogOptions { user_id: UserId::Hashed, tool_limit: 500 }
    }
}

/// The MCP metrics of one engine: [`Families`] with their handles, and helpers that keep related
/// metrics in step. From [`Vitals::mcp`].
///
/// ```
/// # use mcp_vitals::{Status, Vitals};
/// let vitals = Vitals::builder().build()?;
/// let mcp = vitals.mcp();
/// mcp.memory_operation("store", Status::Success);
/// mcp.auth_attempt("token", false);
/// let task = mcp.task_queued("high").start("index");
/// task.finish(Status::Success);
///
/// let snapshot = vitals.snapshot();
/// let failed = [("method", "token"), ("status", "failed")];
/// assert_eq!(snapshot.value("mcp_auth_attempts_total", &failed), Some(1.0));
/// assert_eq!(snapshot.value("mcp_tasks_running", &[]), Some(0.0));
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
pub struct Mcp {
    families: Families,
    pub(super) user_id: UserId,
    pub(super) user_key: RandomState,
    pub(super) edge: Edge,
}

impl Mcp {
    /// Registers the catalog with `vitals`, which does so by itself when it is built.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a limit outside its range, and a conflict where a name of the
    /// catalog is taken by another metric.
    pub fn register(vitals: &Vitals, options: &CatalogOptions) -> Result<Mcp, Error> {
        let tools = options.tool_limit;
        if !(1..=10_000).contains(&tools) {
            let (field, value) = ("tool_limit", tools.into());
            return Err(Error::OutOfRange {
                metric: String::new(),
                field,
                value,
                min: 1,
                max: 10_000,
            });
        }
        // Room for every known tool, the methods, the program's own names and `_other`, so that no known tool is ever lost
        // to a family's limit.
        let rows = tools + 64 + MOST_NAMED as u32;
        let kinds = RULES.iter().filter(|rule| rule.error_type.is_some()).count() as u32;
        let families = Families::register(vitals, |name| match name {
            "mcp_requests_total" => Some(rows * 3),
            "mcp_request_errors_total" => Some(rows * kinds),
            "mcp_request_duration_seconds"
            | "mcp_requests_in_flight"
            | "mcp_panics_total"
            | "mcp_cancellations_total" => Some(rows),
            _ => None,
        })?;
        let edge = Edge::new(&families, tools as usize, vitals);
        Ok(Mcp { families, user_id: options.user_id, user_key: RandomState::new(), edge })
    }
}

impl Deref for Mcp {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.families
    }
}

impl std::fmt::Debug for Mcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mcp").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
