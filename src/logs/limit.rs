//! How much of one call site is let through.

use std::time::Duration;

/// How much of one call site is let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Lines in a second.
    pub(crate) per_second: Option<u32>,
    /// How long a line that is the same as the one before is not repeated.
    pub(crate) same_for: Option<Duration>,
}
