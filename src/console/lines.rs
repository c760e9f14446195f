//! Recent lines of the logs, for the console: found by a filter, written as the JSON sink writes them.
//!
//! All of it is the reader's work, on the endpoint's thread: the flusher copies a frame and no more. A
//! filter looks at what a line has been parsed to; what its text may say is searched in the line as it
//! is written.

use std::io::Write;
use std::sync::Arc;

use super::query::{BadQuery, Query, fold, folded};
use crate::batch::{Known, Record, timed};
use crate::encode::line::{Lines as Writer, SiteLine, in_quotes};
use crate::logs::{Level, LogFormat};
use crate::ring::frame::Frame;
use crate::store::lines::RecentLines;
use crate::traces::TraceId;

/// Lines of an answer unless it is asked for others, and at most.
const LIMIT: usize = 200;
const MOST: usize = 1_000;
/// Lines that are given to a follower at once.
const AT_ONCE: usize = 200;

/// Which lines are looked for; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineFilter {
    /// This level and what matters more.
    level: Option<Level>,
    text: Option<Needle>,
    /// What the logger's name begins with.
    logger: Option<String>,
    trace: Option<TraceId>,
}

/// A text that is searched for, whatever its case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Needle {
    folded: String,
    /// As it stands in a line, where that is another text: `say "a"` finds `say \"a\"`.
    escaped: Option<String>,
}

impl Needle {
    fn new(text: &str) -> Needle {
        let escaped = Some(in_quotes(text)).filter(|escaped| escaped != text);
        Needle { folded: folded(text), escaped: escaped.map(|escaped| folded(&escaped)) }
    }

    fn is_in(&self, folded: &str) -> bool {
        folded.contains(&*self.folded)
            || self.escaped.as_ref().is_some_and(|escaped| folded.contains(&**escaped))
    }
}

impl LineFilter {
    /// From `level` (error, warn, info, debug, trace: this and what matters more), `text` (contained in
    /// the line, in any case), `logger` (what its name begins with) and `trace` (32 hexadecimal
    /// digits).
    pub(crate) fn read(query: &Query<'_>) -> Result<LineFilter, BadQuery> {
        Ok(LineFilter {
            level: query.parsed("level", "error, warn, info, debug or trace")?,
            text: query.text("text").map(Needle::new),
            logger: query.text("logger").map(str::to_owned),
            trace: query.parsed("trace", "32 hexadecimal digits, not all 0")?,
        })
    }

    /// Whether it takes a line, its text aside.
    fn takes(&self, record: &Record<'_>) -> bool {
        let logger = record.logger.as_bytes();
        let begins = |name: &String| logger.starts_with(name.as_bytes());
        let is_its = |trace: TraceId| record.context.trace_id == Some(trace.to_bytes());
        self.level.is_none_or(|least| record.level <= least)
            && self.logger.as_ref().is_none_or(begins)
            && self.trace.is_none_or(is_its)
    }
}

/// What is asked for at `/console/api/logs` and `/console/logs/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogsQuery {
    pub(crate) filter: LineFilter,
    /// The number of a line: those after it.
    pub(crate) after: Option<u64>,
    pub(crate) limit: usize,
}

impl LogsQuery {
    /// What [`LineFilter::read`] reads, `after` and `limit` (200 unless said, 1,000 at most).
    pub(crate) fn read(query: &str) -> Result<LogsQuery, BadQuery> {
        let query = Query::read(query)?;
        Ok(LogsQuery {
            filter: LineFilter::read(&query)?,
            after: query.parsed("after", "the number of a line")?,
            limit: query.limit(LIMIT, MOST)?,
        })
    }
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The first of an engine is 1, and the next one more, whoever looks for which.
    pub(crate) seq: u64,
    /// One JSON object, without a newline.
    pub(crate) json: Box<[u8]>,
}

/// Lines that were found, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) lines: Vec<Line>,
    /// Lines that had gone before they were looked at, whether or not they would have been found.
    pub(crate) lost: u64,
    /// The number up to which lines were looked at: where to go on from.
    pub(crate) last: u64,
}

impl Page {
    fn write_json(&self, on: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"lines\":[");
        for (at, line) in self.lines.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            // Nothing fails in memory.
            let _ = write!(out, "{comma}{{\"seq\":{},\"line\":", line.seq);
            out.extend_from_slice(&line.json);
            out.push(b'}');
        }
        let Page { lost, last, .. } = self;
        let _ = write!(out, "],\"lost\":{lost},\"last\":{last},\"on\":{on}}}");
    }

    /// As server-sent events: `lost` where there is something to be said, then a `line` each with its
    /// number as `id`. A line is one line: what ends one is escaped in it.
    fn write_events(&self, out: &mut Vec<u8>) {
        if self.lost > 0 {
            let _ = write!(out, "event: lost\ndata: {{\"lost\":{}}}\n\n", self.lost);
        }
        for line in &self.lines {
            let _ = write!(out, "event: line\nid: {}\ndata: ", line.seq);
            out.extend_from_slice(&line.json);
            out.extend_from_slice(b"\n\n");
        }
    }
}

/// The answer to `/console/api/logs`: `{"lines":[{"seq","line"}],"lost","last","on"}`. The newest that
/// the filter takes, the oldest of them first; with `after` those that follow that line, up to `limit`,
/// and `lost` says how many of them have gone. `last` is what to ask for `after` next.
///
/// * `recent`: nothing where nothing is logged; then `on` is false.
pub(crate) fn json(recent: Option<Arc<RecentLines>>, query: &LogsQuery) -> Vec<u8> {
    let mut out = Vec::new();
    let on = recent.is_some();
    let page = recent.map(Lines::new).map(|mut lines| match query.after {
        Some(number) => lines.after(number, &query.filter, query.limit),
        None => lines.last(&query.filter, query.limit),
    });
    page.unwrap_or_default().write_json(on, &mut out);
    out
}

/// Reads recent lines. One for each who follows them, for it keeps what names mean.
pub(crate) struct Lines {
    recent: Arc<RecentLines>,
    known: Known,
    writer: Writer,
    /// By call site.
    sites: Vec<Option<SiteLine>>,
    /// A line as it is written, and in lower case.
    json: Vec<u8>,
    folded: String,
}

impl Lines {
    pub(crate) fn new(recent: Arc<RecentLines>) -> Lines {
        Lines {
            recent,
            known: Known::default(),
            writer: Writer::new(LogFormat::Json),
            sites: Vec::new(),
            json: Vec::new(),
            folded: String::new(),
        }
    }

    /// The first lines behind that of `number` that `filter` takes, at most `limit`. What had gone before
    /// it was seen is counted. A number that no line has had yet is another process's, which was here
    /// before: then it begins with the oldest line.
    pub(crate) fn after(&mut self, number: u64, filter: &LineFilter, limit: usize) -> Page {
        let (mut number, mut seen) = (number, self.recent.since(number));
        if number > seen.newest {
            (number, seen) = (0, self.recent.since(0));
        }
        let from = seen.first.max(number + 1);
        let lost = seen.first.saturating_sub(number + 1);
        let mut page = Page { lines: Vec::new(), lost, last: seen.newest };
        for block in &seen.blocks {
            self.known.set_threads(&block.threads);
            let mut rest = &block.bytes[..];
            for seq in block.first..block.first + block.lines {
                let Some((unix_nanos, frame)) = timed(&mut rest) else { break };
                if seq < from {
                    continue;
                }
                if page.lines.len() >= limit {
                    page.last = seq - 1;
                    return page;
                }
                if let Some(json) = self.write(unix_nanos, frame, filter) {
                    page.lines.push(Line { seq, json });
                }
            }
        }
        page
    }

    /// The newest lines that `filter` takes, at most `limit`, the oldest of them first.
    pub(crate) fn last(&mut self, filter: &LineFilter, limit: usize) -> Page {
        let seen = self.recent.since(0);
        let mut page = Page { last: seen.newest, ..Page::default() };
        'found: for block in seen.blocks.iter().rev() {
            self.known.set_threads(&block.threads);
            // Frames say how long they are: one finds the way forwards alone.
            let mut rest = &block.bytes[..];
            let frames = std::iter::from_fn(|| timed(&mut rest));
            let frames: Vec<_> = (block.first..).zip(frames).collect();
            for (seq, (unix_nanos, frame)) in frames.into_iter().rev() {
                if page.lines.len() >= limit || seq < seen.first {
                    break 'found;
                }
                if let Some(json) = self.write(unix_nanos, frame, filter) {
                    page.lines.push(Line { seq, json });
                }
            }
        }
        page.lines.reverse();
        page
    }

    /// The line, where `filter` takes it.
    fn write(
        &mut self,
        unix_nanos: u64,
        frame: Frame<'_>,
        filter: &LineFilter,
    ) -> Option<Box<[u8]>> {
        if filter.level.is_some_and(|least| frame.level() > least as u8) {
            return None;
        }
        self.known.learn(frame);
        let (site, names) = self.known.get(frame);
        let record = Record::read(frame, site, names, unix_nanos)?;
        if !filter.takes(&record) {
            return None;
        }
        let number = frame.site() as usize;
        if self.sites.len() <= number {
            self.sites.resize(number + 1, None);
        }
        let of_site =
            self.sites[number].get_or_insert_with(|| self.writer.site(site, self.recent.source));
        self.json.clear();
        self.writer.write_of(&record, of_site, &mut self.json);
        let json = self.json.strip_suffix(b"\n").unwrap_or(&self.json);
        if let Some(text) = &filter.text {
            self.folded.clear();
            fold(&String::from_utf8_lossy(json), &mut self.folded);
            if !text.is_in(&self.folded) {
                return None;
            }
        }
        Some(json.into())
    }
}

/// Follows the lines that a filter takes, for `/console/logs/events`.
pub(crate) struct Follower {
    lines: Lines,
    filter: LineFilter,
    last: u64,
}

impl Follower {
    /// Those behind the line of the number `after`, or those that come from now on.
    pub(crate) fn new(
        recent: Arc<RecentLines>,
        filter: LineFilter,
        after: Option<u64>,
    ) -> Follower {
        let last = after.unwrap_or_else(|| recent.newest());
        Follower { lines: Lines::new(recent), filter, last }
    }

    /// Appends what is new as events, some hundred lines at most; false where there was nothing, and
    /// true where there may be more. Takes a microsecond where nothing was logged.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> bool {
        let page = self.lines.after(self.last, &self.filter, AT_ONCE);
        let moved = page.last != self.last;
        self.last = page.last;
        page.write_events(out);
        moved
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
