//! Writes a frame's bytes into room that somebody else has found.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

use super::frame::{ALIGN, Frame, HEADER, IDS, MESSAGE, TRACED, has, tag};

/// Bytes of a text that a frame keeps unless it has to be squeezed.
pub(crate) const MOST_TEXT: usize = 8 << 10;
/// The same at each try, until the frame fits.
pub(crate) const TEXT_LIMITS: [usize; 3] = [MOST_TEXT, 1 << 10, 64];
/// Bytes of an id in a context, and of a field's name.
pub(crate) const MOST_SHORT: usize = 255;

/// Bytes of a context that are copied at once, whatever there is of it: nearly all have no more.
pub(crate) const FRONT: usize = 64;

/// A context's bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Blocks<'a> {
    /// The first of them, with zeroes behind; nothing where there is no context, nor can be.
    front: Option<&'a [u8; FRONT]>,
    /// All of them, where they are more than that; else nothing.
    long: &'a [u8],
    length: usize,
    /// Of the span that is current.
    ids: Option<&'a [u8; IDS]>,
}

impl<'a> Blocks<'a> {
    /// `length` bytes: at the front of `front`, or all of `long`.
    #[inline(always)]
    pub(crate) fn new(front: &'a [u8; FRONT], long: &'a [u8], length: usize) -> Blocks<'a> {
        debug_assert_eq!(long.len(), if length > FRONT { length } else { 0 });
        Blocks { front: Some(front), long, length, ids: None }
    }

    /// With the ids of the span that is current.
    #[inline(always)]
    pub(crate) fn within(self, ids: Option<&'a [u8; IDS]>) -> Blocks<'a> {
        Blocks { ids, ..self }
    }

    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self.front {
            Some(front) if self.length <= FRONT => &front[..self.length],
            _ => self.long,
        }
    }

    /// Copies the bytes to `at`, and where they are few the zeroes behind them.
    ///
    /// # Safety
    /// [`room`](Self::room) bytes at `at` are the caller's to write.
    #[inline(always)]
    unsafe fn copy_to(self, at: *mut u8) {
        let Some(front) = self.front else { return };
        // SAFETY: the caller's promise.
        unsafe {
            if self.length <= FRONT {
                put(at, *front);
            } else {
                ptr::copy_nonoverlapping(self.long.as_ptr(), at, self.length);
            }
        }
    }

    /// Bytes that a copy of it touches at most.
    #[inline(always)]
    fn room(self) -> usize {
        // The front, or all of it: what is read anyhow instead of which of the two.
        if self.front.is_some() { FRONT + self.length } else { 0 }
    }
}

/// More than any ring has.
pub(crate) const UNKNOWN: usize = 1 << 40;

/// What goes into a frame.
pub(crate) trait Fill {
    /// Bytes that [`fill_unchecked`](Self::fill_unchecked) writes at most; [`UNKNOWN`] or more where
    /// that is not for this.
    fn room(&self) -> usize;

    fn fill(&self, writer: &mut Writer<'_>);

    /// [`fill`](Self::fill), where there is room for all of it.
    fn fill_unchecked(&self, writer: &mut Writer<'_, false>);
}

impl<F: Fn(&mut Writer<'_>)> Fill for F {
    fn room(&self) -> usize {
        UNKNOWN
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        self(writer);
    }

    fn fill_unchecked(&self, _: &mut Writer<'_, false>) {}
}

/// Bytes that a frame with this context takes at most, with what a writer that is not checked may
/// write behind it.
#[inline(always)]
pub(crate) fn frame_room(context: Blocks<'_>, fill: usize) -> usize {
    fill + (HEADER + context.room() + IDS + SLACK)
}

/// What goes into a frame's header beside its length and counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Head {
    pub(crate) kind: u8,
    pub(crate) level: u8,
    pub(crate) ticks: u64,
    pub(crate) site: u32,
    pub(crate) logger: u32,
    pub(crate) thread: u32,
}

impl Head {
    /// That of `frame`, for one that is written anew.
    pub(crate) fn of(frame: Frame<'_>) -> Head {
        Head {
            kind: frame.kind(),
            level: frame.level(),
            ticks: frame.ticks(),
            site: frame.site(),
            logger: frame.logger(),
            thread: frame.thread(),
        }
    }
}

/// A frame being written. Past the end of its room it writes nothing and says so at the end; one that
/// is not `CHECKED` has been promised room for all that it will be given.
pub(crate) struct Writer<'a, const CHECKED: bool = true> {
    start: *mut u8,
    at: *mut u8,
    end: *mut u8,
    most_text: usize,
    fields: u8,
    flags: u8,
    whole: bool,
    room: PhantomData<&'a mut [MaybeUninit<u8>]>,
}

/// Bytes that an unchecked writer may write behind its frame.
pub(crate) const SLACK: usize = ALIGN;

impl<'a> Writer<'a, false> {
    /// [`bare_room`](Writer::bare_room) without checks.
    ///
    /// # Safety
    /// The room has bytes for all that will be written.
    #[inline(always)]
    pub(crate) unsafe fn bare_unchecked(room: &'a mut [MaybeUninit<u8>]) -> Writer<'a, false> {
        Writer::new(room, usize::MAX)
    }

    /// Begins a frame at the front of `room`, with its context.
    ///
    /// # Safety
    /// The room has bytes for header, context, all that will be written, and [`SLACK`].
    #[inline(always)]
    pub(crate) unsafe fn unchecked(
        room: &'a mut [MaybeUninit<u8>],
        head: Head,
        context: Blocks<'_>,
    ) -> Writer<'a, false> {
        let mut writer = Writer::new(room, usize::MAX);
        if let Some(at) = writer.take(HEADER) {
            // SAFETY: the caller's promise. What is too much of the context is written over. The head
            // now, so that it need not be kept while the values are written.
            unsafe {
                writer.head(head);
                put(at.add(28), (context.length as u32).to_le_bytes());
                context.copy_to(at.add(HEADER));
            }
        }
        writer.take(context.length);
        writer.ids(context.ids);
        writer
    }
}

impl<'a> Writer<'a> {
    /// Begins a frame at the front of `room`, with its context, which is encoded already.
    #[inline(always)]
    pub(crate) fn begin(
        room: &'a mut [MaybeUninit<u8>],
        most_text: usize,
        context: &[u8],
    ) -> Writer<'a> {
        let mut writer = Writer::new(room, most_text);
        if let Some(at) = writer.take(HEADER) {
            // Where the length of the context goes; the rest at the end, when it is known.
            // SAFETY: within the header's bytes.
            unsafe { put(at.add(28), (context.len() as u32).to_le_bytes()) };
        }
        writer.copy(context);
        writer
    }

    /// The same, with the ids of the span that is current.
    #[inline(always)]
    pub(crate) fn within(
        room: &'a mut [MaybeUninit<u8>],
        most_text: usize,
        context: Blocks<'_>,
    ) -> Writer<'a> {
        let mut writer = Writer::begin(room, most_text, context.bytes());
        writer.ids(context.ids);
        writer
    }

    /// Begins without a header: what is written is no frame, but for inside of one.
    pub(crate) fn bare_room(room: &'a mut [MaybeUninit<u8>], most_text: usize) -> Writer<'a> {
        Writer::new(room, most_text)
    }

    /// Whether all had room so far.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Bytes that are kept of a text.
    pub(crate) fn most_text(&self) -> usize {
        self.most_text
    }

    /// The same into bytes that are there already, so that whoever has no ring needs no `unsafe`.
    pub(crate) fn over(room: &'a mut [u8], most_text: usize, context: &[u8]) -> Writer<'a> {
        let (start, n) = (room.as_mut_ptr().cast(), room.len());
        // SAFETY: the same bytes, borrowed for as long; and a writer puts nothing into its room that
        // is not initialised.
        let room = unsafe { std::slice::from_raw_parts_mut::<MaybeUninit<u8>>(start, n) };
        Writer::begin(room, most_text, context)
    }
}

impl<'a, const CHECKED: bool> Writer<'a, CHECKED> {
    #[inline(always)]
    fn new(room: &'a mut [MaybeUninit<u8>], most_text: usize) -> Writer<'a, CHECKED> {
        let start = room.as_mut_ptr().cast::<u8>();
        Writer {
            start,
            at: start,
            // SAFETY: one past the end of the same slice.
            end: unsafe { start.add(room.len()) },
            most_text,
            fields: 0,
            flags: 0,
            whole: true,
            room: PhantomData,
        }
    }

    #[inline(always)]
    fn ids(&mut self, ids: Option<&[u8; IDS]>) {
        if let Some(ids) = ids
            && let Some(at) = self.take(IDS)
        {
            self.flags |= TRACED;
            // SAFETY: the bytes that `take` gave.
            unsafe { put(at, *ids) };
        }
    }

    /// Bytes as they are.
    #[inline(always)]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.copy(bytes);
    }

    /// The same where there are more of them than a text has: without a look at how few.
    #[inline(always)]
    pub(crate) fn block(&mut self, bytes: &[u8]) {
        if let Some(at) = self.take(bytes.len()) {
            // SAFETY: `take` gave that many bytes, in the room, which nobody else has.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
        }
    }

    /// The same of a known number.
    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(at) = self.take(N) {
            // SAFETY: the bytes that `take` gave.
            unsafe { put(at, bytes) };
        }
    }

    /// How many bytes there are so far, with the header.
    pub(crate) fn written(&self) -> usize {
        self.at as usize - self.start as usize
    }

    /// `n` bytes further, or nothing where the room ends before.
    #[inline(always)]
    fn take(&mut self, n: usize) -> Option<*mut u8> {
        let left = self.end as usize - self.at as usize;
        debug_assert!(CHECKED || n <= left);
        if CHECKED && n > left {
            self.whole = false;
            return None;
        }
        let at = self.at;
        // SAFETY: at most `end`, as compared, or as promised.
        self.at = unsafe { at.add(n) };
        Some(at)
    }

    #[inline(always)]
    fn copy(&mut self, bytes: &[u8]) {
        if let Some(at) = self.take(bytes.len()) {
            // SAFETY: `take` gave that many bytes, in the room, which nobody else has.
            unsafe { copy(bytes, at) };
        }
    }

    /// The tag of the next field, with its key where the call site has none.
    #[inline(always)]
    fn tag(&mut self, key: Option<&str>, tag: u8) -> bool {
        self.fields = self.fields.wrapping_add(1);
        match key {
            None => {
                if let Some(at) = self.take(1) {
                    // SAFETY: one byte that `take` gave.
                    unsafe { put(at, [tag]) };
                }
            }
            Some(key) => {
                let key = short(key);
                if let Some(at) = self.take(2 + key.len()) {
                    // SAFETY: the bytes that `take` gave.
                    unsafe {
                        put(at, [tag | tag::KEYED, key.len() as u8]);
                        copy(key, at.add(2));
                    }
                }
            }
        }
        self.whole
    }

    /// A field without anything behind its tag.
    #[inline(always)]
    pub(crate) fn bare(&mut self, key: Option<&str>, tag: u8) {
        self.tag(key, tag);
    }

    /// A field of eight bytes.
    #[inline(always)]
    pub(crate) fn word(&mut self, key: Option<&str>, tag: u8, word: u64) {
        self.tag(key, tag);
        if let Some(at) = self.take(8) {
            // SAFETY: the bytes that `take` gave.
            unsafe { put(at, word.to_le_bytes()) };
        }
    }

    /// A text or bytes, of which the end may have been cut off already.
    #[inline(always)]
    pub(crate) fn text(&mut self, key: Option<&str>, tag: u8, text: &[u8], lost: u32) {
        debug_assert!(CHECKED || lost == 0);
        if CHECKED && (text.len() > self.most_text || lost > 0) {
            return self.cut_text(key, tag, text, lost);
        }
        self.tag(key, tag);
        self.long(text);
    }

    /// Length and bytes.
    #[inline(always)]
    fn long(&mut self, text: &[u8]) {
        if let Some(at) = self.take(2 + text.len()) {
            // SAFETY: the bytes that `take` gave.
            unsafe {
                put(at, (text.len() as u16).to_le_bytes());
                copy(text, at.add(2));
            }
        }
    }

    #[cold]
    fn cut_text(&mut self, key: Option<&str>, tag: u8, text: &[u8], lost: u32) {
        self.tag(key, tag | tag::CUT);
        self.long_cut(text, lost);
    }

    fn long_cut(&mut self, text: &[u8], lost: u32) {
        let kept = cut(text, self.most_text);
        let lost = lost.saturating_add((text.len() - kept.len()).try_into().unwrap_or(u32::MAX));
        self.long(kept);
        self.copy(&lost.to_le_bytes());
    }

    /// An error: what it is, what it says, what its causes say.
    pub(crate) fn error(&mut self, key: Option<&str>, error: [&[u8]; 3], lost: u32) {
        self.tag(key, tag::ERROR | tag::CUT);
        self.long(cut(error[0], self.most_text));
        self.long(cut(error[1], self.most_text));
        self.long_cut(error[2], lost);
    }

    /// The message, where the call site has none; before the fields.
    #[inline(always)]
    pub(crate) fn message(&mut self, text: &[u8], lost: u32) {
        self.flags |= MESSAGE;
        self.text(None, tag::STR, text, lost);
        self.fields = 0;
    }

    /// Writes the header and gives the frame's length; nothing when the room was too small.
    #[inline(always)]
    pub(crate) fn finish(self, head: Head) -> Option<usize> {
        // Up to the next multiple of a power of two.
        let length = (self.at as usize - self.start as usize + (ALIGN - 1)) & !(ALIGN - 1);
        if CHECKED && (!self.whole || length > self.end as usize - self.start as usize) {
            return None;
        }
        // SAFETY: the header's bytes were taken, and the padding is in the room, as is the slack.
        unsafe {
            // Zeroes up to the length: nothing of an earlier frame gets out, into a file say.
            if CHECKED {
                ptr::write_bytes(self.at, 0, self.start as usize + length - self.at as usize);
            } else {
                put(self.at, [0; ALIGN]);
            }
            if CHECKED {
                self.head(head);
            }
            let first = length as u64
                | u64::from(head.kind) << 32
                | u64::from(head.level) << 40
                | u64::from(self.flags) << 48
                | u64::from(self.fields) << 56;
            put(self.start, first.to_le_bytes());
        }
        Some(length)
    }

    /// [`finish`](Self::finish), with the frame's bytes.
    pub(crate) fn finish_bytes(self, head: Head) -> Option<&'a [u8]> {
        let start = self.start;
        let length = self.finish(head)?;
        // SAFETY: so many bytes at the front of the room are written, and the room is borrowed.
        Some(unsafe { std::slice::from_raw_parts(start, length) })
    }

    /// # Safety
    /// The header's bytes are in the room.
    #[inline(always)]
    unsafe fn head(&self, head: Head) {
        let at = self.start;
        // SAFETY: the caller's promise; each is within the header.
        unsafe {
            put(at.add(8), head.ticks.to_le_bytes());
            put(at.add(16), head.site.to_le_bytes());
            put(at.add(20), head.logger.to_le_bytes());
            put(at.add(24), head.thread.to_le_bytes());
        }
    }
}

/// Writes `bytes` at `at`.
///
/// # Safety
/// So many bytes at `at` are the caller's to write.
#[inline(always)]
unsafe fn put<const N: usize>(at: *mut u8, bytes: [u8; N]) {
    // SAFETY: the caller's promise; an array of bytes has no alignment.
    unsafe { at.cast::<[u8; N]>().write(bytes) }
}

/// Copies `bytes` to `at`. Up to 32 bytes, as nearly all texts are, by words that overlap: a call of
/// `memcpy` with a length that varies takes longer.
///
/// # Safety
/// So many bytes at `at` are the caller's to write, and not part of `bytes`.
#[inline(always)]
unsafe fn copy(bytes: &[u8], at: *mut u8) {
    let (from, n) = (bytes.as_ptr(), bytes.len());
    // SAFETY: each read and write lies within the `n` bytes of its side: the second of a pair ends
    // where the bytes end.
    unsafe {
        if n >= 8 {
            if n <= 16 {
                pair::<8>(from, at, n);
            } else if n <= 32 {
                pair::<16>(from, at, n);
            } else {
                ptr::copy_nonoverlapping(from, at, n);
            }
        } else if n >= 4 {
            pair::<4>(from, at, n);
        } else if n > 0 {
            *at = *from;
            *at.add(n / 2) = *from.add(n / 2);
            *at.add(n - 1) = *from.add(n - 1);
        }
    }
}

/// The first `N` and the last `N` of `n` bytes.
///
/// # Safety
/// `N <= n <= 2 * N`, and as for [`copy`].
#[inline(always)]
unsafe fn pair<const N: usize>(from: *const u8, at: *mut u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(from, at, N);
        ptr::copy_nonoverlapping(from.add(n - N), at.add(n - N), N);
    }
}

/// At most `most` bytes of `text`, whole characters.
#[inline]
pub(crate) fn cut(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most { text } else { cut_off(text, most) }
}

#[cold]
fn cut_off(text: &[u8], most: usize) -> &[u8] {
    // A byte 10xxxxxx goes on with the character before it. Three at most, or it is no text.
    let edge = (most.saturating_sub(3)..=most).rev().find(|&at| text[at] & 0xc0 != 0x80);
    &text[..edge.unwrap_or(most)]
}

/// What fits where a byte holds the length.
#[inline]
pub(crate) fn short(text: &str) -> &[u8] {
    cut(text.as_bytes(), MOST_SHORT)
}

/// A context's bytes, as a frame carries them. Not on a hot path: a context is made once and copied
/// into each frame.
pub(crate) fn context(ids: [Option<&str>; 3], trace: Option<([u8; 16], [u8; 8])>) -> Vec<u8> {
    // Room for two ids: one is made for each request.
    let mut bytes = Vec::with_capacity(96);
    bytes.push(0);
    for (id, flag) in ids.into_iter().zip([has::REQUEST, has::USER, has::SESSION]) {
        if let Some(id) = id {
            let id = short(id);
            bytes[0] |= flag;
            bytes.push(id.len() as u8);
            bytes.extend_from_slice(id);
        }
    }
    if let Some((trace, span)) = trace {
        bytes[0] |= has::TRACE;
        bytes.extend_from_slice(&trace);
        bytes.extend_from_slice(&span);
    }
    bytes
}

/// The fields that `fill` puts, without a frame around them; nothing past `most` bytes.
pub(crate) fn keyed(most: usize, fill: &impl Fn(&mut Writer<'_>)) -> Option<Vec<u8>> {
    let mut room = vec![MaybeUninit::new(0); HEADER + most];
    let mut writer = Writer::begin(&mut room, MOST_TEXT, &[]);
    fill(&mut writer);
    let length = writer.at as usize - writer.start as usize;
    let whole = writer.whole;
    // SAFETY: all of the room was zero at first.
    let bytes = room[HEADER..length].iter().map(|byte| unsafe { byte.assume_init() });
    whole.then(|| bytes.collect())
}
