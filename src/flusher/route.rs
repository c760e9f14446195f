//! From a frame to each sink: read, redacted, formatted once for all sinks that want it so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::anchors::Anchors;
use crate::batch::{Known, Record};
use crate::encode::line::{Lines, SiteLine};
use crate::export::sink::{Chunk, SinkThread};
use crate::logs::{Level, LogFormat};
use crate::ring::frame::{Frame, kind};
use crate::ring::names::SiteText;

/// Bytes of lines from which on they go to their sinks within a round.
const CHUNK: usize = 64 << 10;
/// How long the flusher waits for a sink that has no room, before it drops: long enough for a disk
/// that works, and then not again until it does.
const PATIENCE: Duration = Duration::from_millis(20);

/// Where a clock can't add as much as was asked for.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// A sink, and what it wants.
pub(crate) struct Outlet {
    pub(crate) sink: Arc<SinkThread>,
    pub(crate) form: Form,
    pub(crate) level: Level,
    /// Its chunks are noted before they are written, and the rings are free after it.
    noted: bool,
    /// It had no room at the last try.
    stalled: bool,
}

/// How a sink wants its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Lines(LogFormat),
    /// As frames, each behind its time; for an exporter that reads records.
    Frames,
}

impl Outlet {
    pub(crate) fn new(sink: SinkThread, form: Form, level: Level) -> Outlet {
        Outlet { sink: Arc::new(sink), form, level, noted: false, stalled: false }
    }
}

impl Outlet {
    /// The log file of the durable mode.
    pub(crate) fn noted(mut self) -> Outlet {
        self.noted = true;
        self
    }
}

/// Sinks that want the same bytes.
struct Group {
    form: Form,
    level: Level,
    lines: Option<Lines>,
    /// By call site.
    sites: Vec<Option<SiteLine>>,
    bytes: Vec<u8>,
    counts: [u32; 5],
    /// Both as they were before the frame under way.
    mark: (usize, [u32; 5]),
    outlets: Vec<Outlet>,
}

/// Reads frames and writes them to groups of sinks.
pub(crate) struct Router {
    known: Known,
    groups: Vec<Group>,
    patience: Option<Duration>,
    /// Frames that could not be read or written.
    poison: u64,
}

impl Router {
    /// `patience`: how long a sink that has no room is waited for, where callers wait too.
    pub(crate) fn new(outlets: Vec<Outlet>, patience: Option<Duration>) -> Router {
        let mut groups: Vec<Group> = Vec::new();
        for outlet in outlets {
            // What is noted goes by itself, whole rounds at a time.
            let same = |group: &&mut Group| {
                (group.form, group.level) == (outlet.form, outlet.level)
                    && !outlet.noted
                    && !group.is_noted()
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.outlets.push(outlet),
                None => groups.push(Group {
                    form: outlet.form,
                    level: outlet.level,
                    lines: match outlet.form {
                        Form::Lines(format) => Some(Lines::new(format)),
                        Form::Frames => None,
                    },
                    sites: Vec::new(),
                    bytes: outlet.sink.buffer(),
                    counts: [0; 5],
                    mark: (0, [0; 5]),
                    outlets: vec![outlet],
                }),
            }
        }
        Router { known: Known::default(), groups, patience, poison: 0 }
    }

    pub(crate) fn poison(&self) -> u64 {
        self.poison
    }

    /// Writes what `frame` says for each sink that wants it. What can't be read, or panics, is passed
    /// over and counted. False when the sink whose chunks are noted has enough for one.
    pub(crate) fn route(&mut self, frame: Frame<'_>, anchors: &Anchors) -> bool {
        if frame.kind() != kind::LINE {
            return true;
        }
        self.groups.iter_mut().for_each(|group| group.mark = (group.bytes.len(), group.counts));
        let Router { known, groups, .. } = self;
        let write = AssertUnwindSafe(|| {
            known.learn(frame);
            let (site, names) = known.get(frame);
            let unix_nanos = anchors.unix_nanos(frame.ticks());
            let record = Record::read(frame, site, names, unix_nanos)?;
            groups.iter_mut().for_each(|group| group.write(frame, site, &record));
            Some(())
        });
        if !matches!(catch_unwind(write), Ok(Some(()))) {
            self.poison += 1;
            // No half of a line.
            for group in &mut self.groups {
                group.bytes.truncate(group.mark.0);
                group.counts = group.mark.1;
            }
        }
        let mut more = true;
        for group in &mut self.groups {
            if group.bytes.len() >= CHUNK {
                if group.is_noted() {
                    more = false;
                } else {
                    group.send(0, self.patience);
                }
            }
        }
        more
    }

    /// Gives the sinks what there is.
    pub(crate) fn send(&mut self) {
        let patience = self.patience;
        self.groups.iter_mut().filter(|group| !group.is_noted()).for_each(|group| {
            group.send(0, patience);
        });
    }

    /// Whether there is something for the sink whose chunks are noted.
    pub(crate) fn has_noted(&self) -> bool {
        self.groups.iter().any(|group| group.is_noted() && !group.bytes.is_empty())
    }

    /// Gives the sink whose chunks are noted what there is, under `ticket`; false where there was
    /// nothing, or the sink had no room for it.
    pub(crate) fn send_noted(&mut self, ticket: u64) -> bool {
        let noted = self.groups.iter_mut().find(|group| group.is_noted());
        noted.is_some_and(|group| group.send(ticket, self.patience))
    }
}

impl Group {
    fn write(&mut self, frame: Frame<'_>, site: &SiteText, record: &Record<'_>) {
        if record.level > self.level {
            return;
        }
        match &mut self.lines {
            None => {
                self.bytes.extend_from_slice(&record.unix_nanos.to_le_bytes());
                self.bytes.extend_from_slice(frame.bytes());
            }
            Some(lines) => {
                let number = frame.site() as usize;
                if self.sites.len() <= number {
                    self.sites.resize(number + 1, None);
                }
                let of_site = self.sites[number].get_or_insert_with(|| lines.site(site));
                lines.write_of(record, of_site, &mut self.bytes);
            }
        }
        self.counts[record.level as usize - 1] += 1;
    }

    fn is_noted(&self) -> bool {
        self.outlets.iter().any(|outlet| outlet.noted)
    }

    /// False where there was nothing, or the last sink had no room for it.
    fn send(&mut self, ticket: u64, patience: Option<Duration>) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        let counts = std::mem::take(&mut self.counts);
        let Some((last, others)) = self.outlets.split_last_mut() else { return false };
        for outlet in others {
            let mut bytes = outlet.sink.buffer();
            bytes.extend_from_slice(&self.bytes);
            outlet.push(Chunk { bytes, lines: counts, ticket: 0 }, patience);
        }
        let bytes = std::mem::replace(&mut self.bytes, last.sink.buffer());
        last.push(Chunk { bytes, lines: counts, ticket }, patience)
    }
}

impl Outlet {
    fn push(&mut self, chunk: Chunk, patience: Option<Duration>) -> bool {
        let patience = match self.stalled {
            true => Duration::ZERO,
            false => patience.unwrap_or(PATIENCE),
        };
        let now = Instant::now();
        let until = now.checked_add(patience).unwrap_or(now + FOREVER);
        let pushed = self.sink.push_until(chunk, until);
        self.stalled = pushed.is_err();
        if let Err(chunk) = pushed {
            self.sink.lose(chunk);
        }
        !self.stalled
    }
}
