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
mod straight;
mod text;
mod time;
pub(super) mod value;

#[cfg(test)]
mod redaction_tests;
#[cfg(test)]
mod tests;

use crate::batch::{Known, Record, SiteText};
use crate::logs::LogFormat;
use crate::ring::frame::Frame;
use key::Keys;
use straight::Straight;
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
    straight: Straight,
}

/// What lines leave to the next.
struct State {
    stamp: Stamp,
    keys: Keys,
}

/// What all lines of a call site have in common, valid for the [`Lines`] alone that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteLine {
    /// Where they come from.
    origin: Box<[u8]>,
    /// Of JSON.
    straight: straight::Site,
}

impl Lines {
    pub(crate) fn new(format: LogFormat) -> Lines {
        let state = State { stamp: Stamp::new(), keys: Keys::default() };
        Lines { format, state, straight: Straight::default() }
    }

    /// What all lines of a call site have in common, to be kept and given to
    /// [`write_of`](Lines::write_of) and [`write_frame`](Lines::write_frame).
    ///
    /// * `with_source`: its lines say where in the source they come from.
    #[cold]
    pub(crate) fn site(&self, site: &SiteText, with_source: bool) -> SiteLine {
        let mut out = Vec::new();
        let origin = Origin {
            module: &site.module,
            function: &site.function,
            file: &site.file,
            line: site.line,
        };
        match self.format {
            _ if !with_source => {}
            LogFormat::Json => json::origin(&origin, &mut out),
            LogFormat::Logfmt => logfmt::origin(&origin, &mut out),
            LogFormat::Text | LogFormat::Pretty => text::origin(&origin, &mut out),
        }
        SiteLine { origin: out.into(), straight: straight::Site::new(site) }
    }

    /// Appends `record` as a line with its newline; [`LogFormat::Pretty`] puts errors on further,
    /// indented lines.
    pub(crate) fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.write_at(record, None, out);
    }

    /// The same, for less: `site` is what [`site`](Lines::site) gave for the record's call site.
    pub(crate) fn write_of(&mut self, record: &Record<'_>, site: &SiteLine, out: &mut Vec<u8>) {
        self.write_at(record, Some(&site.origin), out);
    }

    /// The same from `frame`, for less still; false, and nothing written, where it takes the record. What
    /// the frame says by number `known` knows.
    #[inline]
    pub(crate) fn write_frame(
        &mut self,
        frame: Frame<'_>,
        unix_nanos: u64,
        known: &Known,
        site: &mut SiteLine,
        out: &mut Vec<u8>,
    ) -> bool {
        let Lines { format, state, straight } = self;
        if *format != LogFormat::Json {
            return false;
        }
        let of_site = (&mut site.straight, &*site.origin);
        straight.write(frame, known, of_site, state.stamp.parts(unix_nanos), out)
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
