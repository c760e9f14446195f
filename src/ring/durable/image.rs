//! A ring file as it was found: a copy in memory, of which nothing is believed.
//!
//! Each number is checked where it is used, each part by its bounds. What makes no sense is passed
//! over up to the next thing that does, and counted.

use std::collections::HashSet;
use std::io::{self, ErrorKind};

use super::super::frame::{Frame, HEADER, IDS, SPAN_LEVEL, kind};
use super::super::most_frame;
use super::super::names::SiteText;
use super::super::span::{Fixed, SpanFrame};
use super::Anchor;
use super::dictionary::{self, Dictionary};
use super::layout::{Layout, MAGIC, PAGE, Rules, Sizes, THREAD, VERSION, head, note};

/// A ring file's bytes.
pub(crate) struct Image {
    bytes: Vec<u8>,
    layout: Layout,
}

/// A frame that was left behind, with what its numbers stand for.
pub(crate) struct Found<'a> {
    pub(crate) frame: Frame<'a>,
    pub(crate) site: &'a SiteText,
    pub(crate) logger: &'a str,
    pub(crate) thread: &'a str,
    pub(crate) unix_nanos: u64,
    /// When a span began; of a line the same as `unix_nanos`.
    pub(crate) start_unix_nanos: u64,
}

/// What became of a ring file's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Handed over.
    pub(crate) lines: u64,
    /// Places where no frame makes sense: one that was not finished, or bytes that were changed.
    pub(crate) torn: u64,
    /// Frames that are no lines, of a kind that this version does not know.
    pub(crate) foreign: u64,
    /// Frames that are in the log file already.
    pub(crate) written: u64,
    /// Names that the dictionary had no room for: numbers are shown instead.
    pub(crate) unnamed: u64,
}

/// What the log's writer was about when the process ended.
pub(crate) struct Note<'a> {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Where the rest was to go.
    pub(crate) offset: u64,
    /// Which byte of the chunk goes there; at most its length.
    pub(crate) from: usize,
    /// The chunk; nothing where it was longer than what is kept of one.
    pub(crate) chunk: Option<&'a [u8]>,
    /// Which of the two it is.
    which: u64,
}

/// A frame's place, and when.
struct Placed {
    /// No earlier than those before it in its ring.
    order: u64,
    unix_nanos: u64,
    at: usize,
    length: usize,
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

impl Image {
    /// Understands a whole file, or says why not. Nothing where its header was never finished: no
    /// frame was written then.
    pub(crate) fn of(bytes: Vec<u8>) -> io::Result<Option<Image>> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if bytes.len() >= 8 && word(&bytes, head::MAGIC) != MAGIC {
            return Err(invalid("no ring file"));
        }
        if bytes.len() < PAGE as usize {
            return Err(invalid(format!("truncated: {} bytes, and no header", bytes.len())));
        }
        let version = word(&bytes, head::VERSION);
        let is_ready = word(&bytes, head::READY) == 1;
        if !is_ready && [0, VERSION].contains(&version) {
            return Ok(None);
        }
        if version != VERSION {
            return Err(invalid(format!(
                "version {version} of a ring file; this program reads version {VERSION}: use the \
                 one that wrote it"
            )));
        }
        let sizes = Sizes {
            ring_bytes: word(&bytes, head::RING_BYTES),
            rings: word(&bytes, head::RINGS),
            dictionary: word(&bytes, head::DICTIONARY_BYTES),
            threads: word(&bytes, head::THREADS),
            chunk: word(&bytes, head::CHUNK_BYTES),
        };
        let layout = Layout::of(sizes).ok_or_else(|| invalid("a header with impossible sizes"))?;
        if bytes.len() as u64 != layout.total {
            let (is, total) = (bytes.len(), layout.total);
            return Err(invalid(format!("truncated or extended: {is} bytes, not {total}")));
        }
        Ok(Some(Image { bytes, layout }))
    }

    fn word(&self, at: u64) -> u64 {
        word(&self.bytes, at)
    }

    fn part(&self, at: u64, length: u64) -> &[u8] {
        let end = at.saturating_add(length).min(self.bytes.len() as u64) as usize;
        self.bytes.get(at.min(end as u64) as usize..end).unwrap_or_default()
    }

    fn text(&self, at: u64, most: usize) -> &[u8] {
        self.part(at + 8, self.word(at).min(most as u64))
    }

    pub(crate) fn service(&self) -> String {
        String::from_utf8_lossy(self.text(head::SERVICE, head::MOST_SERVICE)).into_owned()
    }

    /// What its process kept out of lines, or of spans; nothing where it does not say.
    pub(crate) fn rules(&self, of: Rules) -> Option<Vec<Box<str>>> {
        dictionary::rules(self.records(), of)
    }

    fn records(&self) -> &[u8] {
        let layout = &self.layout;
        self.part(layout.dictionary, self.word(head::DICTIONARY).min(layout.sizes.dictionary))
    }

    /// The path of the log file, as bytes; empty where there is none.
    pub(crate) fn log(&self) -> &[u8] {
        self.text(head::LOG, head::MOST_LOG)
    }

    /// What was being written.
    pub(crate) fn note(&self) -> Option<Note<'_>> {
        let which = self.word(self.layout.notes).checked_sub(1).filter(|which| *which < 2)?;
        let at = self.layout.note(which);
        let (from, length) = (self.word(at + note::FROM), self.word(at + note::LENGTH));
        let kept = length <= self.layout.sizes.chunk && from <= length;
        let chunk = kept.then(|| self.part(self.layout.chunk, length));
        Some(Note {
            device: self.word(at + note::DEVICE),
            inode: self.word(at + note::INODE),
            offset: self.word(at + note::OFFSET),
            from: from as usize,
            chunk,
            which,
        })
    }

    /// Hands over what was published and not freed, in the order of time, exact within a ring.
    ///
    /// * `written`: the note whose chunk is in the log file.
    pub(crate) fn visit<E>(
        &self,
        written: Option<&Note<'_>>,
        see: &mut dyn FnMut(&Found<'_>) -> Result<(), E>,
    ) -> Result<Tally, E> {
        let mut tally = Tally { unnamed: self.word(head::UNNAMED), ..Tally::default() };
        let layout = &self.layout;
        let threads = self.part(layout.threads, layout.sizes.threads * THREAD);
        let dictionary = Dictionary::read(self.records(), threads);
        let times = Times::of(self);
        let mut frames = Vec::new();
        for ring in 0..=layout.sizes.rings {
            let begin = written
                .map_or(0, |note| self.word(layout.note(note.which) + note::READ + ring * 8));
            self.list(ring, begin, &times, &mut frames, &mut tally);
        }
        // Stable: what is equal stays in its ring's order.
        frames.sort_by_key(|placed: &Placed| placed.order);
        let frame_of =
            |placed: &Placed| Frame::first(self.part(placed.at as u64, placed.length as u64));
        let ended: HashSet<[u8; IDS]> = frames
            .iter()
            .filter_map(frame_of)
            .filter(|frame| frame.kind() == kind::SPAN)
            .filter_map(|frame| Some(Fixed::of(frame)?.ids))
            .collect();
        for placed in &frames {
            let Some(frame) = frame_of(placed) else { continue };
            let span = if frame.kind() == kind::LINE { None } else { Fixed::of(frame) };
            if frame.kind() == kind::SPAN_START && span.is_some_and(|of| ended.contains(&of.ids)) {
                // Its end says all of it.
                continue;
            }
            let site = dictionary.site(frame.site());
            let logger = dictionary.logger(frame.logger());
            let thread = dictionary.thread(frame.thread());
            see(&Found {
                frame,
                site: &site,
                logger: &logger,
                thread: &thread,
                unix_nanos: placed.unix_nanos,
                start_unix_nanos: span.map_or(placed.unix_nanos, |of| times.unix_nanos(of.start)),
            })?;
            tally.lines += 1;
        }
        Ok(tally)
    }

    /// Lists the frames of one ring.
    fn list(
        &self,
        ring: u64,
        written: u64,
        times: &Times,
        frames: &mut Vec<Placed>,
        tally: &mut Tally,
    ) {
        let capacity = self.layout.sizes.ring_bytes;
        let cursor = self.layout.cursor(ring);
        // `Cursor`: tail, and head 128 bytes behind it.
        let (tail, head) = (self.word(cursor), self.word(cursor + 128));
        let sound = head <= tail
            && tail - head <= capacity
            && tail.is_multiple_of(8)
            && head.is_multiple_of(8);
        if !sound {
            tally.torn += 1;
            return;
        }
        let data = self.layout.ring(ring);
        let is_written = written > head && written <= tail && written.is_multiple_of(8);
        let begin = if is_written { written } else { head };
        let (mut at, mut order, mut was_torn) = (head, 0, false);
        while at < tail {
            let offset = at & (capacity - 1);
            let bytes = self.part(data + offset, (capacity - offset).min(tail - at));
            let found = Frame::first(bytes).filter(|frame| {
                frame.kind() == kind::PAD
                    || frame.bytes().len() as u64 <= most_frame(capacity)
                        && (!was_torn || is_plausible(frame, times))
            });
            // An empty padding can't be, and behind what is torn padding proves nothing.
            let found = found.filter(|frame| !was_torn || frame.kind() != kind::PAD);
            let Some(frame) = found else {
                if !was_torn {
                    tally.torn += 1;
                }
                was_torn = true;
                at += 8;
                continue;
            };
            let length = frame.bytes().len();
            match frame.kind() {
                kind::PAD => {}
                kind::LINE if at < begin => tally.written += 1,
                // Spans are in no log file, whatever was written there.
                kind::LINE | kind::SPAN | kind::SPAN_START => {
                    let unix_nanos = times.unix_nanos(frame.ticks());
                    order = unix_nanos.max(order);
                    frames.push(Placed { order, unix_nanos, at: (data + offset) as usize, length });
                }
                // Frames of a kind yet to come, whose bytes make sense as a frame's.
                _ if frame.kind() > kind::SPAN_START => tally.foreign += 1,
                _ => {
                    tally.torn += u64::from(!was_torn);
                    was_torn = true;
                    at += 8;
                    continue;
                }
            }
            was_torn = false;
            at += length as u64;
        }
    }
}

/// Whether a frame may be believed behind one that was torn: there, bytes that somebody logged
/// might look like one.
fn is_plausible(frame: &Frame<'_>, times: &Times) -> bool {
    let makes_sense = match frame.kind() {
        kind::LINE => {
            (1..=5).contains(&frame.level())
                && frame.context().is_some()
                && frame.body(&[]).is_some()
        }
        kind::SPAN | kind::SPAN_START => {
            frame.level() == SPAN_LEVEL
                && SpanFrame::read(*frame).is_some_and(|span| times.is_near(span.fixed.start))
        }
        _ => false,
    };
    makes_sense
        && frame.bytes().len() >= HEADER
        && frame.thread() != 0
        && times.is_near(frame.ticks())
}

/// The clock of the process that wrote the file.
struct Times {
    /// By ticks.
    anchors: Vec<Anchor>,
    /// Nanoseconds in 2^40 ticks.
    rate: u64,
}

/// How far from the anchors a frame may be that stands behind a torn one: an hour.
const NEAR: u64 = 3_600_000_000_000;

impl Times {
    fn of(image: &Image) -> Times {
        let count = image.word(head::ANCHORS).min(head::MOST_ANCHORS);
        let anchor = |number| {
            let at = head::ANCHOR + number * 16;
            Anchor { ticks: image.word(at), unix_nanos: image.word(at + 8) }
        };
        let mut anchors: Vec<Anchor> = (0..count).map(anchor).collect();
        anchors.sort_by_key(|anchor| anchor.ticks);
        Times { anchors, rate: image.word(head::RATE) }
    }

    /// By the last anchor before, or the first.
    fn nearest(&self, ticks: u64) -> Anchor {
        let after = self.anchors.partition_point(|anchor| anchor.ticks <= ticks);
        self.anchors.get(after.saturating_sub(1)).copied().unwrap_or_default()
    }

    fn nanos(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.rate)) >> 40).min(u64::MAX.into()) as u64
    }

    fn unix_nanos(&self, ticks: u64) -> u64 {
        let anchor = self.nearest(ticks);
        match ticks.checked_sub(anchor.ticks) {
            Some(since) => anchor.unix_nanos.saturating_add(self.nanos(since)),
            None => anchor.unix_nanos.saturating_sub(self.nanos(anchor.ticks - ticks)),
        }
    }

    /// Whether a frame of this process may have these ticks.
    fn is_near(&self, ticks: u64) -> bool {
        self.nanos(self.nearest(ticks).ticks.abs_diff(ticks)) < NEAR
    }
}

fn word(bytes: &[u8], at: u64) -> u64 {
    let bytes = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
