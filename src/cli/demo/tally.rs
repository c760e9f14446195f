//! What the clients count by themselves: what they sent, and what came back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use serde_json::json;

/// Tool and operation of a request, as the server labels it. A tool that the server does not list
/// is `_other`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) tool: Cow<'static, str>,
    pub(super) operation: Cow<'static, str>,
}

impl Kind {
    pub(super) const fn new(tool: &'static str, operation: &'static str) -> Kind {
        Kind { tool: Cow::Borrowed(tool), operation: Cow::Borrowed(operation) }
    }
}

/// How a request ended, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Success,
    Error,
    /// The client withdrew it.
    Cancelled,
    /// The connection broke, or the demo ended first: the client cannot know.
    Unknown,
}

/// Requests by kind and status.
pub(super) type Counts = BTreeMap<(Kind, Cow<'static, str>), u64>;

/// What all clients sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) counts: Counts,
    pub(super) total: u64,
    pub(super) errors: u64,
    pub(super) cancelled: u64,
    pub(super) unknown: u64,
    pub(super) sessions: u64,
}

#[derive(Default)]
pub(super) struct Tally(Mutex<Sent>);

impl Tally {
    pub(super) fn count(&self, kind: Kind, end: End) {
        let mut sent = self.lock();
        sent.total += 1;
        let status = match end {
            End::Success => "success",
            End::Error => {
                sent.errors += 1;
                "error"
            }
            End::Cancelled => {
                sent.cancelled += 1;
                "cancelled"
            }
            End::Unknown => {
                sent.unknown += 1;
                return;
            }
        };
        *sent.counts.entry((kind, status.into())).or_default() += 1;
    }

    pub(super) fn session(&self) {
        self.lock().sessions += 1;
    }

    pub(super) fn sent(&self) -> Sent {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Sent {
    /// Writes the counts as JSON. Whoever waits for the file finds it whole or not at all.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let rows = self.counts.iter().map(|((Kind { tool, operation }, status), count)| {
            json!({"tool": tool, "operation": operation, "status": status, "count": count})
        });
        let text = json!({ "requests": rows.collect::<Vec<_>>() });
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        std::fs::write(&new, format!("{text:#}\n"))?;
        std::fs::rename(&new, path)
    }
}
