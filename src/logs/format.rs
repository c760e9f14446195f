//! Which shape a line takes.

use std::fmt;
use std::str::FromStr;

/// How a sink writes its lines. `docs/LOGS.md` shows each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// `key=value` pairs, one record a line.
    Logfmt,
    /// A line to be read by people.
    Text,
    /// The same in colours, errors on further lines. For a terminal; a sink that is none writes
    /// [`LogFormat::Text`] instead.
    Pretty,
}

impl LogFormat {
    /// All of them.
    pub const ALL: [LogFormat; 4] =
        [LogFormat::Json, LogFormat::Logfmt, LogFormat::Text, LogFormat::Pretty];

    /// In lower case: `json`, `logfmt`, `text`, `pretty`.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogFormat::Json => "json",
            LogFormat::Logfmt => "logfmt",
            LogFormat::Text => "text",
            LogFormat::Pretty => "pretty",
        }
    }

    /// What a sink writes that takes colours or does not: it is a terminal, and `NO_COLOR` is unset.
    pub(crate) fn fit(self, colours: bool) -> LogFormat {
        match self {
            LogFormat::Pretty if !colours => LogFormat::Text,
            format => format,
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no log format: json, logfmt, text or pretty", self.0)
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    /// In any case; `plain` is `text`.
    fn from_str(word: &str) -> Result<LogFormat, UnknownFormat> {
        LogFormat::ALL
            .map(|format| (format.as_str(), format))
            .into_iter()
            .chain([("plain", LogFormat::Text)])
            .find(|(name, _)| name.eq_ignore_ascii_case(word.trim()))
            .map(|(_, format)| format)
            .ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_back_from_its_name() {
        for format in LogFormat::ALL {
            assert_eq!(format.to_string().to_uppercase().parse(), Ok(format));
        }
        assert_eq!("plain".parse(), Ok(LogFormat::Text));
        assert!("xml".parse::<LogFormat>().unwrap_err().to_string().contains("\"xml\""));
    }

    #[test]
    fn colours_are_for_a_terminal() {
        assert_eq!(LogFormat::Pretty.fit(false), LogFormat::Text);
        assert_eq!(LogFormat::Pretty.fit(true), LogFormat::Pretty);
        assert_eq!(LogFormat::Json.fit(false), LogFormat::Json);
    }
}
