//! Records to lines.
//!
//! Every format writes what it is given in one pass into the caller's buffer, which it never reads
//! but for the names of the line's own fields; it allocates only while that buffer grows.

pub(super) mod escape;
mod json;
mod key;
mod logfmt;
mod pretty;
mod span;
mod text;
mod time;
pub(super) mod value;

#[cfg(test)]
mod redaction_tests;
#[cfg(test)]
mod tests;

use crate::batch::{Record, SiteText};
use crate::logs::LogFormat;
use key::Keys;
use time::Stamp;

/// A text as it stands between the quotes of a line in JSON.
#[cfg(feature = "console")]
pub(crate) fn in_quotes(text: &str) -> String {
    let mut out = Vec::new();
    escape::quoted(text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Writes records as lines. One for each sink, or one for all that share a format.
pub(crate) struct Lines {
    format: LogFormat,
    state: State,
}

/// What lines leave to the next.
struct State {
    stamp: Stamp,
    keys: Keys,
}

/// Where a record comes from, as its line has it: the same for all of a call site, and valid for
/// the format alone that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteLine(Box<[u8]>);

impl SiteLine {
    /// Of lines that do not say where they come from.
    pub(crate) fn nowhere() -> SiteLine {
        SiteLine(Box::default())
    }
}

impl Lines {
    pub(crate) fn new(format: LogFormat) -> Lines {
        Lines { format, state: State { stamp: Stamp::new(), keys: Keys::default() } }
    }

    /// What all lines of a call site have in common, to be kept and given to
    /// [`write_of`](Lines::write_of).
    pub(crate) fn site(&self, site: &SiteText) -> SiteLine {
        let mut out = Vec::new();
        let origin = Origin {
            module: &site.module,
            function: &site.function,
            file: &site.file,
            line: site.line,
        };
        match self.format {
            LogFormat::Json => json::origin(&origin, &mut out),
            LogFormat::Logfmt => logfmt::origin(&origin, &mut out),
            LogFormat::Text | LogFormat::Pretty => text::origin(&origin, &mut out),
        }
        SiteLine(out.into())
    }

    /// Appends `record` as a line with its newline; [`LogFormat::Pretty`] puts errors on further,
    /// indented lines.
    pub(crate) fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.write_at(record, None, out);
    }

    /// The same, for less: `site` is what [`site`](Lines::site) gave for the record's call site.
    pub(crate) fn write_of(&mut self, record: &Record<'_>, site: &SiteLine, out: &mut Vec<u8>) {
        self.write_at(record, Some(&site.0), out);
    }

    #[inline]
    fn write_at(&mut self, record: &Record<'_>, known: Option<&[u8]>, out: &mut Vec<u8>) {
        let place = Place { record, known };
        self.state.keys.begin_line();
        match self.format {
            LogFormat::Json => json::write(&mut self.state, record, place, out),
            LogFormat::Logfmt => logfmt::write(&mut self.state, record, place, out),
            LogFormat::Text => text::write(&mut self.state, record, place, out),
            LogFormat::Pretty => pretty::write(&mut self.state, record, place, out),
        }
    }
}

/// Module, function, file and line, where they are known.
struct Origin<'a> {
    module: &'a str,
    function: &'a str,
    file: &'a str,
    line: u32,
}

/// The origin, as text already or still to be written.
struct Place<'a> {
    record: &'a Record<'a>,
    known: Option<&'a [u8]>,
}

impl Place<'_> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>, write: impl Fn(&Origin<'_>, &mut Vec<u8>)) {
        match self.known {
            Some(known) => out.extend_from_slice(known),
            None => {
                let Record { module, function, file, line, .. } = *self.record;
                write(&Origin { module, function, file, line }, out);
            }
        }
    }
}
