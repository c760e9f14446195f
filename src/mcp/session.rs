//! Sessions, counted by the lifetime of the wrapper that served their `initialize`.

use std::sync::OnceLock;

use crate::{UpDown, Vitals};

/// A wrapper's session: empty until its first `initialize` succeeded, closed when the wrapper is
/// dropped.
///
/// A wrapper lives as long as its connection (stdio) or its session (streamable HTTP). The SDK also
/// makes wrappers that only answer a look-up or one request without a session: these never see a
/// successful `initialize`, or close at once. So no table of session ids is kept, and there is
/// nothing for a client to fill.
#[derive(Default)]
pub(super) struct Session {
    active: OnceLock<UpDown>,
}

impl Session {
    /// An `initialize` was answered. A repeated one changes nothing.
    pub(super) fn open(&self, vitals: &Vitals) {
        self.active.get_or_init(|| {
            let mcp = vitals.mcp();
            mcp.sessions.inc();
            mcp.sessions_active.inc();
            mcp.sessions_active.clone()
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(active) = self.active.get() {
            active.dec();
        }
    }
}
