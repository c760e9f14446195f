//! A span's frame while the span is open: what will stand behind the header, in one piece, so that its
//! end is one copy into the ring.

use super::span::{Counts, FIXED, Fixed, Item, SpanItems, item};
use super::writer::{Fill, MOST_TEXT, SLACK, TEXT_LIMITS, UNKNOWN, Writer, cut};

/// Bytes of a span's name, of an event's, and of a status' message.
pub(crate) const MOST_NAME: usize = 256;
/// Bytes of a `tracestate` that are kept.
pub(crate) const MOST_TRACESTATE: usize = 512;

/// Bytes that are allocated at once; most spans have fewer.
const ROOM: usize = 1 << 10;
/// Bytes that one which is empty may keep.
const KEEP: usize = 4 << 10;
/// Behind an item: its tag, and what a writer that is not checked may write too much.
const BEHIND: usize = 1 + SLACK;

/// What stands before the items always has room, and no text that it has room for has to be cut.
const _: () =
    assert!(FIXED + 4 + MOST_NAME + MOST_TRACESTATE + BEHIND <= ROOM && ROOM <= MOST_TEXT);

/// Where in what is fixed.
const KIND: usize = 41;
const STATUS: usize = 42;
const LEFT_OUT: usize = 44;

/// Sorts of what is counted.
pub(crate) const ATTRIBUTES: usize = 0;
pub(crate) const EVENTS: usize = 1;
pub(crate) const LINKS: usize = 2;
/// Attributes of the event or link that was added last.
const OF_LAST: usize = 3;

/// Bounds of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of attributes (those of events and links each), events and links.
    pub(crate) counts: Counts,
    /// Of all of them together, encoded.
    pub(crate) bytes: u32,
}

/// What a frame will have behind its header. Made once and used again.
pub(crate) struct Draft {
    /// Never without room for what stands before the items.
    bytes: Vec<u8>,
    /// Up to where an item goes without a closer look: there is room for it, it is within the
    /// limits, and no text in it has to be cut.
    until: usize,
    /// The same for one that has just begun, whatever its name: less than there may be room for, so that
    /// it need not be found out for each.
    until_at_first: usize,
    /// How many more of each sort there may be; behind them of the attributes of the event or link
    /// that was added last.
    left: [u16; 4],
    limits: Limits,
    /// Where the items begin.
    items: u32,
}

impl Draft {
    pub(crate) fn new() -> Draft {
        Draft {
            bytes: Vec::with_capacity(ROOM),
            until: 0,
            until_at_first: 0,
            left: [0; 4],
            limits: Limits { counts: [0; 3], bytes: 0 },
            items: 0,
        }
    }

    /// Bounds of the spans that begin from here on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.until_at_first = (ROOM - BEHIND).min(limits.bytes as usize);
    }

    /// Begins anew.
    #[inline(always)]
    pub(crate) fn begin(&mut self, fixed: &Fixed, name: &[u8], tracestate: &[u8]) {
        let name = cut(name, MOST_NAME);
        self.bytes.clear();
        // SAFETY: all of this has room, as asserted above: the capacity is never less than `ROOM`. So
        // many bytes as were written are initialised.
        unsafe {
            let mut writer = Writer::bare_unchecked(self.bytes.spare_capacity_mut());
            writer.array(fixed.bytes());
            writer.array((name.len() as u16).to_le_bytes());
            writer.raw(name);
            writer.array([0; 2]);
            let written = writer.written();
            self.bytes.set_len(written);
        }
        if !tracestate.is_empty() {
            self.set_tracestate(tracestate);
        }
        let [attributes, events, links] = self.limits.counts;
        self.left = [attributes, events, links, 0];
        self.items = self.bytes.len() as u32;
        self.until = self.until_at_first;
    }

    /// Instead of the empty one behind the name.
    #[inline(never)]
    fn set_tracestate(&mut self, tracestate: &[u8]) {
        let tracestate = cut(tracestate, MOST_TRACESTATE);
        self.bytes.truncate(self.bytes.len() - 2);
        self.bytes.extend_from_slice(&(tracestate.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(tracestate);
    }

    /// Sees up to where there is room.
    #[inline(always)]
    fn look(&mut self) {
        let room = self.bytes.capacity() - BEHIND;
        let most = self.most().min(self.bytes.len() + MOST_TEXT);
        self.until = room.min(most);
    }

    /// Where the items end at the latest.
    #[inline(always)]
    fn most(&self) -> usize {
        self.items as usize + self.limits.bytes as usize
    }

    /// Empties it for the next.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > KEEP {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.bytes = Vec::with_capacity(ROOM);
    }

    /// Appends an attribute of the span, or of what was added last. `fill` by value, as below: to what
    /// nobody has a reference, nothing else can write, and a literal's length stays known.
    #[inline(always)]
    pub(crate) fn attribute(&mut self, what: u8, fill: impl Fill) {
        let of = if what == item::ATTRIBUTE { ATTRIBUTES } else { OF_LAST };
        self.append(of, ATTRIBUTES, what, fill);
    }

    /// Appends an event or a link, which may then have attributes; false where there is no room.
    #[inline(always)]
    pub(crate) fn add(&mut self, sort: usize, what: u8, fill: impl Fill) -> bool {
        self.left[OF_LAST] = self.limits.counts[ATTRIBUTES];
        self.append(sort, sort, what, fill)
    }

    #[inline(always)]
    fn append(&mut self, left: usize, sort: usize, what: u8, fill: impl Fill) -> bool {
        if self.left[left] > 0 && self.put(what, fill) {
            self.left[left] -= 1;
            return true;
        }
        self.leave_out(sort);
        false
    }

    #[inline(always)]
    fn put(&mut self, what: u8, fill: impl Fill) -> bool {
        let (room, length) = (fill.room(), self.bytes.len());
        if length + room <= self.until {
            // SAFETY: free bytes at the end, enough for the tag and what `fill` has promised to
            // write at most; so many as it has written are then initialised.
            unsafe {
                let mut writer = Writer::bare_unchecked(self.bytes.spare_capacity_mut());
                writer.array([what]);
                fill.fill_unchecked(&mut writer);
                let written = writer.written();
                self.bytes.set_len(length + written);
            }
            return true;
        }
        self.put_slowly(what, self.most(), fill)
    }

    /// Texts are cut where they don't fit; false where that does not help.
    #[cold]
    #[inline(never)]
    fn put_slowly(&mut self, what: u8, most: usize, fill: impl Fill) -> bool {
        let left = most.saturating_sub(self.bytes.len());
        for most_text in TEXT_LIMITS {
            let wanted = if fill.room() < UNKNOWN { fill.room() + 8 } else { most_text * 4 };
            self.bytes.reserve(wanted.min(left) + BEHIND);
            let spare = self.bytes.spare_capacity_mut();
            let room = spare.len().min(left);
            let mut writer = Writer::bare_room(&mut spare[..room], most_text);
            writer.array([what]);
            fill.fill(&mut writer);
            if writer.is_whole() {
                let written = writer.written();
                // SAFETY: the writer says that so many bytes behind the length are written.
                unsafe { self.bytes.set_len(self.bytes.len() + written) };
                self.look();
                return true;
            }
        }
        self.look();
        false
    }

    /// Appends why the span failed, instead of what was said of it before: past the bytes for the rest,
    /// so that it is there when nothing else is.
    #[cold]
    pub(crate) fn message(&mut self, text: &[u8]) {
        self.take_message_back();
        let fill = Texts { word: None, text: cut(text, MOST_NAME) };
        self.put_slowly(item::MESSAGE, self.most() + 2 * MOST_NAME, fill);
    }

    /// Or a span that fails again and again would have room for nothing else, and say what came first.
    fn take_message_back(&mut self) {
        let end = self.bytes.len();
        let mut items = SpanItems::of(self.bytes.get(self.items as usize..).unwrap_or_default());
        let mut found = None;
        loop {
            let begin = end - items.left();
            match items.next() {
                Some(Item::Message(_)) => found = Some(begin..end - items.left()),
                Some(_) => {}
                None => break,
            }
        }
        if let Some(message) = found {
            self.bytes.drain(message);
            self.look();
        }
    }

    /// Counts what had no room.
    #[cold]
    #[inline(never)]
    fn leave_out(&mut self, sort: usize) {
        let at = LEFT_OUT + 2 * sort;
        if let Some(bytes) = self.bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
            *bytes = u16::from_le_bytes(*bytes).saturating_add(1).to_le_bytes();
        }
    }

    /// Another name.
    #[cold]
    pub(crate) fn set_name(&mut self, name: &[u8]) {
        let name = cut(name, MOST_NAME);
        let Some(before) = self.bytes.get(FIXED..).and_then(|bytes| bytes.first_chunk()) else {
            return;
        };
        let end = FIXED + 2 + usize::from(u16::from_le_bytes(*before));
        let (length, before) = ((name.len() as u16).to_le_bytes(), self.bytes.len());
        self.bytes.splice(FIXED..end, length.into_iter().chain(name.iter().copied()));
        self.items = (self.items as usize + self.bytes.len() - before) as u32;
        self.bytes.reserve(BEHIND);
        self.look();
    }

    pub(crate) fn set_kind(&mut self, kind: u8) {
        self.set(KIND, kind);
    }

    pub(crate) fn set_status(&mut self, status: u8) {
        self.set(STATUS, status);
    }

    pub(crate) fn status(&self) -> u8 {
        self.bytes.get(STATUS).copied().unwrap_or_default()
    }

    fn set(&mut self, at: usize, byte: u8) {
        if let Some(at) = self.bytes.get_mut(at) {
            *at = byte;
        }
    }
}

impl Fill for Draft {
    #[inline(always)]
    fn room(&self) -> usize {
        self.bytes.len()
    }

    #[cold]
    fn fill(&self, writer: &mut Writer<'_>) {
        if writer.most_text() == MOST_TEXT {
            return writer.raw(&self.bytes);
        }
        // A ring too small for all of it: ids, times and the name alone.
        let Some((fixed, rest)) = self.bytes.split_first_chunk::<FIXED>() else { return };
        let mut fixed = *fixed;
        let counts = self.limits.counts.iter().zip(self.left);
        for (bytes, (most, left)) in fixed[LEFT_OUT..].chunks_exact_mut(2).zip(counts) {
            let before = u16::from_le_bytes([bytes[0], bytes[1]]);
            bytes.copy_from_slice(&before.saturating_add(most - left).to_le_bytes());
        }
        writer.array(fixed);
        let length = rest.first_chunk().map_or(0, |length| u16::from_le_bytes(*length));
        let name = rest.get(2..2 + usize::from(length)).unwrap_or_default();
        let name = cut(name, writer.most_text());
        writer.array((name.len() as u16).to_le_bytes());
        writer.raw(name);
        writer.array([0; 2]);
    }

    #[inline(always)]
    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        writer.block(&self.bytes);
    }
}

/// A word and a text.
pub(crate) struct Texts<'a> {
    pub(crate) word: Option<u64>,
    pub(crate) text: &'a [u8],
}

impl Texts<'_> {
    #[inline(always)]
    fn put<const C: bool>(&self, writer: &mut Writer<'_, C>) {
        if let Some(word) = self.word {
            writer.array(word.to_le_bytes());
        }
        writer.array((self.text.len() as u16).to_le_bytes());
        writer.raw(self.text);
    }
}

impl Fill for Texts<'_> {
    #[inline(always)]
    fn room(&self) -> usize {
        10 + self.text.len()
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        self.put(writer);
    }

    #[inline(always)]
    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        self.put(writer);
    }
}
