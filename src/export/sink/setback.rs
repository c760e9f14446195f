//! Why the other side of a connection did not take something, and what that says of the next attempt.

use std::fmt;
use std::io;
use std::time::Duration;

/// What an attempt that failed says of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(any(feature = "_post", feature = "otlp-grpc")), allow(dead_code))]
pub(crate) enum Again {
    /// It may be taken later: after the usual pause, and after this one where the other side said so.
    Later(Option<Duration>),
    /// It would be refused again.
    Never,
    /// It is too large; a part of it may be taken.
    Smaller,
}

/// An attempt that failed. As an [`ExportError`](crate::logs::ExportError) it reaches the sink's
/// thread, which is the one that tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setback {
    pub(crate) again: Again,
    pub(crate) why: String,
}

impl Setback {
    /// What `error` says of the next attempt, where it is one.
    pub(super) fn of(error: &io::Error) -> Option<&Setback> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Setback {}
