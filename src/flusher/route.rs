//! From a frame to each sink: read, redacted, formatted once for all sinks that want it so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Report;
use super::anchors::Anchors;
use super::limit::Limits;
use crate::batch::{Known, Record};
use crate::encode::line::{Lines, SiteLine};
use crate::export::sink::{Chunk, SinkThread};
use crate::logs::limit::Limit;
use crate::logs::{Level, LogFormat, Redacted, Redaction, Redactor, SiteRules};
use crate::ring::frame::{Frame, kind};
use crate::ring::run::Run;
use crate::store::flight::Recorder;
use crate::store::lines::RecentLines;
use crate::sync::contained;

/// Bytes of lines, or frames, from which on they go to their sinks within a round.
const CHUNK: usize = 64 << 10;
/// The same where nothing speaks against more, such as a short queue: a byte of a long write costs
/// half of what one of a short write does, and what a ring holds wakes its sink once.
const LONG_CHUNK: usize = 512 << 10;
/// Chunks that a queue has room for at least.
const CHUNKS: usize = 8;
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
    source: bool,
    /// By call site.
    sites: Vec<Option<SiteLine>>,
    bytes: Vec<u8>,
    counts: [u32; 5],
    /// Up to where they are whole lines; behind it is that of the frame under way.
    whole: usize,
    outlets: Vec<Outlet>,
    /// Bytes from which on it sends.
    chunk: usize,
    /// Keeps all that goes out here.
    recent: Option<Arc<RecentLines>>,
}

/// What is let out, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// How long a sink that has no room is waited for, where callers wait too.
    pub(crate) patience: Option<Duration>,
    pub(crate) redaction: Redaction,
    pub(crate) limit: Limit,
    /// Whether lines say where in the source they come from.
    pub(crate) source: bool,
    /// Keeps all that is let through, whatever sinks want of it.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Keeps the last of these lines for the console.
    pub(crate) recent: Option<Arc<RecentLines>>,
}

/// What was kept out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeptOut {
    /// Frames that could not be read or written.
    pub(crate) poison: u64,
    /// Values and parts of texts.
    pub(crate) redacted: u64,
    /// Lines over their call site's limit, and those that said the same again.
    pub(crate) limited: u64,
    pub(crate) repeated: u64,
}

/// Reads frames and writes them to groups of sinks.
pub(crate) struct Router {
    known: Known,
    groups: Vec<Group>,
    patience: Option<Duration>,
    redactor: Redactor,
    /// By call site.
    rules: Vec<Option<SiteRules>>,
    limits: Limits,
    recorder: Option<Arc<Recorder>>,
    kept_out: KeptOut,
}

impl Router {
    pub(crate) fn new(outlets: Vec<Outlet>, manner: Manner) -> Router {
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
                    source: manner.source,
                    sites: Vec::new(),
                    bytes: outlet.sink.buffer(),
                    counts: [0; 5],
                    whole: 0,
                    outlets: vec![outlet],
                    chunk: CHUNK,
                    recent: None,
                }),
            }
        }
        groups.iter_mut().for_each(Group::set_chunk);
        if manner.recent.is_some() {
            groups.push(Group {
                form: Form::Frames,
                level: Level::Trace,
                lines: None,
                source: manner.source,
                sites: Vec::new(),
                bytes: Vec::new(),
                counts: [0; 5],
                whole: 0,
                outlets: Vec::new(),
                chunk: CHUNK,
                recent: manner.recent,
            });
        }
        Router {
            known: Known::default(),
            groups,
            patience: manner.patience,
            redactor: Redactor::new(manner.redaction),
            rules: Vec::new(),
            limits: Limits::new(manner.limit),
            recorder: manner.recorder,
            kept_out: KeptOut::default(),
        }
    }

    pub(crate) fn kept_out(&self) -> KeptOut {
        self.kept_out
    }

    /// Says what was held back since the last time.
    pub(crate) fn report_held(&mut self, report: &mut Report, ticks: u64, anchors: &Anchors) {
        for held in self.limits.report() {
            self.kept_out.limited += held.limited;
            self.kept_out.repeated += held.repeated;
            let (place, message) = self.known.place(held.site);
            if let Some(frame) = report.held(held, &place, &message, ticks) {
                self.route_one(frame, anchors);
            }
        }
    }

    /// Writes what the lines that `run` has next say, for each sink that wants them. What can't be read,
    /// or panics, is passed over and counted. False when the sink whose chunks are noted has enough for
    /// one.
    pub(crate) fn route(&mut self, run: &mut Run<'_>, anchors: &Anchors) -> bool {
        loop {
            // As many lines as there are, up to one that makes a chunk full or panics.
            let lines = || {
                while let Some(frame) = run.next_if(|of| of == kind::LINE) {
                    if self.write(frame, anchors).is_none() {
                        self.pass_over();
                    } else if self.keep(frame) {
                        return false;
                    }
                }
                true
            };
            let done = contained(lines).unwrap_or_else(|| {
                self.pass_over();
                false
            });
            if done {
                return true;
            }
            let mut more = true;
            for group in self.groups.iter_mut().filter(|group| group.is_full()) {
                if group.is_noted() {
                    more = false;
                } else {
                    group.send(0, self.patience, &self.known);
                }
            }
            if !more {
                return false;
            }
        }
    }

    /// The same of one line by itself.
    pub(crate) fn route_one(&mut self, frame: Frame<'_>, anchors: &Anchors) {
        self.route(&mut Run::new(frame.bytes(), &mut 0, u64::MAX, 1), anchors);
    }

    /// Writes what `frame` says behind the whole lines of each group; nothing where it makes no sense.
    #[inline(always)]
    fn write(&mut self, frame: Frame<'_>, anchors: &Anchors) -> Option<()> {
        let Router { known, groups, redactor, rules, limits, recorder, kept_out, .. } = self;
        let unix_nanos = anchors.unix_nanos(frame.ticks());
        known.learn(frame);
        if !limits.admit(frame, unix_nanos) {
            return Some(());
        }
        let number = frame.site() as usize;
        if rules.len() <= number {
            rules.resize(number + 1, None);
        }
        let rules = rules[number].get_or_insert_with(|| redactor.site(known.get(frame).0));
        let frame = if redactor.passes(frame, rules) {
            let mut line = Line { frame, unix_nanos, known, record: None };
            groups.iter_mut().try_for_each(|group| group.write(&mut line))?;
            frame
        } else {
            let (site, names) = known.get(frame);
            let record = Record::read(frame, site, names, unix_nanos)?;
            let redacted = redactor.redact(frame, &record, site, rules);
            let (frame, record) = match redacted {
                None => (frame, record),
                Some(Redacted { frame, record, count }) => {
                    kept_out.redacted += u64::from(count);
                    (frame, record)
                }
            };
            let mut line = Line { frame, unix_nanos, known, record: Some(record) };
            groups.iter_mut().try_for_each(|group| group.write(&mut line))?;
            frame
        };
        if let Some(recorder) = recorder {
            recorder.add(unix_nanos, frame, frame.level() == Level::Error as u8);
        }
        Some(())
    }

    /// Keeps the line that `frame` became; true where one of the chunks is full.
    #[inline(always)]
    fn keep(&mut self, frame: Frame<'_>) -> bool {
        let mut full = false;
        for group in &mut self.groups {
            group.keep(frame);
            full |= group.is_full();
        }
        full
    }

    /// Keeps no half of a line.
    #[cold]
    fn pass_over(&mut self) {
        self.kept_out.poison += 1;
        self.groups.iter_mut().for_each(|group| group.bytes.truncate(group.whole));
    }

    /// Gives the sinks what there is.
    pub(crate) fn send(&mut self) {
        let Router { groups, patience, known, .. } = self;
        groups.iter_mut().filter(|group| !group.is_noted()).for_each(|group| {
            group.send(0, *patience, known);
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
        noted.is_some_and(|group| group.send(ticket, self.patience, &self.known))
    }
}

/// A line that goes out, read as far as somebody needs it.
struct Line<'a> {
    frame: Frame<'a>,
    unix_nanos: u64,
    known: &'a Known,
    record: Option<Record<'a>>,
}

impl<'a> Line<'a> {
    #[inline(never)]
    fn record(&mut self) -> Option<&Record<'a>> {
        if self.record.is_none() {
            let (site, names) = self.known.get(self.frame);
            self.record = Record::read(self.frame, site, names, self.unix_nanos);
        }
        self.record.as_ref()
    }
}

impl Group {
    /// Nothing where the line makes no sense.
    fn write(&mut self, line: &mut Line<'_>) -> Option<()> {
        let Line { frame, unix_nanos, known, .. } = *line;
        if frame.level() > self.level as u8 {
            return line.record().map(drop);
        }
        match &mut self.lines {
            None => {
                line.record()?;
                self.bytes.extend_from_slice(&unix_nanos.to_le_bytes());
                self.bytes.extend_from_slice(frame.bytes());
            }
            Some(lines) => {
                let number = frame.site() as usize;
                if self.sites.len() <= number {
                    self.sites.resize(number + 1, None);
                }
                let site = self.sites[number]
                    .get_or_insert_with(|| lines.site(known.get(frame).0, self.source));
                if !lines.write_frame(frame, unix_nanos, known, site, &mut self.bytes) {
                    lines.write_of(line.record()?, site, &mut self.bytes);
                }
            }
        }
        (1..=self.counts.len()).contains(&frame.level().into()).then_some(())
    }

    /// Keeps what was written of a line, which may be nothing.
    #[inline(always)]
    fn keep(&mut self, frame: Frame<'_>) {
        if self.bytes.len() > self.whole
            && let Some(count) = self.counts.get_mut(usize::from(frame.level()).wrapping_sub(1))
        {
            *count += 1;
        }
        self.whole = self.bytes.len();
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.bytes.len() >= self.chunk
    }

    /// By the shortest queue. An exporter's requests, and what is noted before it is written, have a
    /// size of their own.
    fn set_chunk(&mut self) {
        let shortest = self.outlets.iter().map(|outlet| outlet.sink.queue_bytes()).min();
        if let (Some(shortest), Form::Lines(_), false) = (shortest, self.form, self.is_noted()) {
            self.chunk = (shortest / CHUNKS).clamp(CHUNK, LONG_CHUNK);
        }
    }

    fn is_noted(&self) -> bool {
        self.outlets.iter().any(|outlet| outlet.noted)
    }

    /// False where there was nothing, or the last sink had no room for it.
    fn send(&mut self, ticket: u64, patience: Option<Duration>, known: &Known) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        let counts = std::mem::take(&mut self.counts);
        self.whole = 0;
        if let Some(recent) = &self.recent {
            recent.add(&self.bytes, |thread| known.thread(thread));
        }
        let Some((last, others)) = self.outlets.split_last_mut() else {
            self.bytes.clear();
            return false;
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::Line;
    use crate::clock::Clock;
    use crate::ring::frame::{HEADER, tag};

    /// A router of one group without a sink, which has room for so many bytes.
    fn router(chunk: usize) -> Router {
        let mut router = Router::new(Vec::new(), Manner::default());
        router.groups.push(Group {
            form: Form::Lines(LogFormat::Json),
            level: Level::Info,
            lines: Some(Lines::new(LogFormat::Json)),
            source: false,
            sites: Vec::new(),
            bytes: Vec::new(),
            counts: [0; 5],
            whole: 0,
            outlets: Vec::new(),
            chunk,
            recent: None,
        });
        router
    }

    fn frame(level: u8) -> Vec<u8> {
        let mut frame = Line::failed().frame();
        frame[5] = level;
        frame
    }

    fn route(router: &mut Router, frames: &[Vec<u8>]) -> u64 {
        let (bytes, mut read) = (frames.concat(), 0);
        let mut run = Run::new(&bytes, &mut read, u64::MAX, frames.len());
        assert!(router.route(&mut run, &Anchors::new(Clock::get())));
        read
    }

    #[test]
    fn what_makes_no_sense_leaves_whole_lines_around_it() {
        let mut torn = frame(3);
        // Its message is no text.
        let context = usize::from(u16::from_le_bytes([torn[28], torn[29]]));
        torn[HEADER + context] = tag::NULL;
        let all = [frame(3), frame(0), frame(1), torn, frame(9), frame(5), frame(3)];
        let mut router = router(usize::MAX);
        let read = route(&mut router, &all);
        let group = &router.groups[0];
        let text = std::str::from_utf8(&group.bytes).unwrap();
        let is_whole = |line: &str| line.starts_with("{\"timestamp\":") && line.ends_with('}');
        assert!(text.lines().all(is_whole), "{text}");
        assert_eq!((text.lines().count(), group.counts), (3, [1, 0, 2, 0, 0]));
        assert_eq!((group.whole, router.kept_out.poison), (text.len(), 3));
        assert_eq!(read as usize, all.concat().len());
    }

    #[test]
    fn half_a_line_is_not_kept() {
        let mut router = router(usize::MAX);
        route(&mut router, &[frame(3)]);
        let before = router.groups[0].bytes.clone();
        router.groups[0].bytes.extend_from_slice(b"half");
        router.pass_over();
        assert_eq!((&router.groups[0].bytes, router.kept_out.poison), (&before, 1));
    }

    #[test]
    fn a_full_chunk_goes_out_and_the_rest_of_the_run_comes_after_it() {
        let mut router = router(1);
        let frames = vec![frame(3); 10];
        let read = route(&mut router, &frames);
        let group = &router.groups[0];
        // There is no sink: what was sent is gone.
        assert!(group.bytes.is_empty() && group.counts == [0; 5] && group.whole == 0);
        assert_eq!(read as usize, frames.concat().len());
    }
}
