//! How much a line matters.

use std::fmt;
use std::str::FromStr;

/// How much a line matters, the least verbose first: `Error < Warn < … < Trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something may be about to.
    Warn = 2,
    /// What an operator wants to know of an ordinary day.
    Info = 3,
    /// What a developer wants to know.
    Debug = 4,
    /// Each step.
    Trace = 5,
}

impl Level {
    /// From [`Level::Error`] to [`Level::Trace`].
    pub const ALL: [Level; 5] =
        [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    /// In lower case: `error`, `warn`, `info`, `debug`, `trace`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// The level of this number, as a frame carries it.
    pub(crate) fn of(number: u8) -> Option<Level> {
        Level::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLevel(pub(crate) String);

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no level: error, warn, info, debug or trace", self.0)
    }
}

impl std::error::Error for UnknownLevel {}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// In any case; `warning`, `critical` and `fatal`, as other languages say, are `warn` and
    /// `error`.
    fn from_str(word: &str) -> Result<Level, UnknownLevel> {
        let also = [("warning", Level::Warn), ("critical", Level::Error), ("fatal", Level::Error)];
        Level::ALL
            .map(|level| (level.as_str(), level))
            .into_iter()
            .chain(also)
            .find(|(name, _)| name.eq_ignore_ascii_case(word.trim()))
            .map(|(_, level)| level)
            .ok_or_else(|| UnknownLevel(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_back_from_its_name_and_its_number() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(Level::of(level as u8), Some(level));
        }
        assert_eq!("WARNING".parse(), Ok(Level::Warn));
        assert!("loud".parse::<Level>().unwrap_err().to_string().contains("\"loud\""));
        assert_eq!((Level::of(0), Level::of(6)), (None, None));
    }
}
