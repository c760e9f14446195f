//! What others tell the flusher of traces: rules, and traces that are to be kept.

use std::sync::{Arc, Mutex};

use crate::store::table::Id;
use crate::sync::{AtomicBool, AtomicU64, Ordering, lock};
use crate::traces::tail::Tail;

/// Traces that wait to be kept, until the flusher looks, which it does every few milliseconds.
const MOST_FORCED: usize = 1_024;

/// Told by anybody, heard by the flusher.
#[derive(Default)]
pub(crate) struct Control {
    rules: Mutex<Option<Tail>>,
    /// How often they were changed.
    changes: AtomicU64,
    /// There are rules: else all traces are kept.
    ruled: AtomicBool,
    forced: Mutex<Vec<Id>>,
    any_forced: AtomicBool,
    refused: AtomicU64,
}

impl Control {
    pub(crate) fn new(rules: Option<Tail>) -> Arc<Control> {
        let control = Arc::new(Control::default());
        control.set_rules(rules);
        control
    }

    pub(crate) fn set_rules(&self, rules: Option<Tail>) {
        let mut now = lock(&self.rules);
        // Relaxed: what they say is behind the lock.
        self.ruled.store(rules.is_some(), Ordering::Relaxed);
        *now = rules;
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// The rules, where they are not those of the change `seen`.
    pub(super) fn rules(&self, seen: &mut u64) -> Option<Option<Tail>> {
        if self.changes.load(Ordering::Relaxed) == *seen {
            return None;
        }
        let now = lock(&self.rules);
        *seen = self.changes.load(Ordering::Relaxed);
        Some(now.clone())
    }

    pub(crate) fn has_rules(&self) -> bool {
        self.ruled.load(Ordering::Relaxed)
    }

    /// Keeps a trace; false where too many wait already. Locks briefly where there are rules.
    pub(crate) fn keep(&self, id: Id) -> bool {
        if !self.ruled.load(Ordering::Relaxed) {
            return true;
        }
        let mut forced = lock(&self.forced);
        if forced.last() == Some(&id) {
            return true;
        }
        if forced.len() >= MOST_FORCED {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        forced.push(id);
        self.any_forced.store(true, Ordering::Relaxed);
        true
    }

    /// Those that are to be kept since the last time, into `ids`.
    pub(super) fn forced(&self, ids: &mut Vec<Id>) {
        if self.any_forced.load(Ordering::Relaxed) {
            let mut forced = lock(&self.forced);
            self.any_forced.store(false, Ordering::Relaxed);
            ids.append(&mut forced);
        }
    }

    /// How many had no room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
