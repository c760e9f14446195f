//! The text of up to 64 neighbouring series, and how a number in it is changed.
//!
//! It stands as it goes out, byte for byte. A number that changed is written over the one that was
//! there, where it is as long, and else moves the rest of the page.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::digits::{self, Digits};
use super::number;
use crate::shard::ahead;
use crate::snapshot::{Number, NumberKind, PAGE};

/// What is kept of a page; its text, numbers and lines stand beside those of its sheet's other pages.
#[derive(Default)]
pub(super) struct Page {
    /// Where in the sheet's text its own begins, how long it is, and how long it can be there.
    begin: usize,
    text_len: usize,
    room: usize,
    /// A bit for each line that is there.
    there: u64,
    /// By how much every number may grow at least before one has more digits.
    slack: u64,
    /// Bytes that were charged.
    charged: u64,
    pub(super) version: u32,
}

/// A page with its text, and with the numbers and lines of its places, as far as there are any.
pub(super) struct PageMut<'a> {
    pub(super) page: &'a mut Page,
    /// The sheet's, from where the page's begins.
    pub(super) text: &'a mut [u8],
    /// Whether text is asked for before it is written.
    pub(super) far: bool,
    /// The numbers as they were written; anything where the line is missing.
    pub(super) bits: &'a mut [u64],
    pub(super) lines: &'a mut [Written],
}

/// One line of a page: where it ends, its newline included, and in the five lowest bits how many
/// digits stand before that. No digits where the line is missing, and ends where the one before does.
#[derive(Clone, Copy, Default)]
pub(super) struct Written(u32);

impl Written {
    const DIGITS: u32 = 5;

    fn new(end: usize, digits: usize) -> Written {
        Written((end as u32) << Self::DIGITS | digits as u32)
    }

    #[inline]
    fn end(self) -> usize {
        (self.0 >> Self::DIGITS) as usize
    }

    /// Where its newline stands; of one that is missing, anywhere.
    #[inline]
    fn newline(self) -> u32 {
        (self.0 >> Self::DIGITS).wrapping_sub(1)
    }

    #[inline]
    fn digits(self) -> u32 {
        self.0 & ((1 << Self::DIGITS) - 1)
    }

    /// The same line, so many bytes further back, or forward.
    fn moved(self, by: isize) -> Written {
        Written(self.0.wrapping_add_signed((by << Self::DIGITS) as i32))
    }
}

/// Bytes of the longest line that a page can hold: `Written` counts 64 of them in 27 bits.
const LONGEST_LINE: usize = 1 << 20;

/// Digits for each total that a page's text has room for when room is made for it, and bytes for a few
/// that grow faster.
const SPARE_DIGITS: usize = 4;
pub(super) const SPARE: usize = 128;

/// Bytes that come from memory at once.
const MEMORY_LINE: usize = 64;

/// So many lines must differ, and half of those that are there, for all to be written at once.
const MANY: u32 = 8;

impl Page {
    /// One without lines, whose text will stand there.
    pub(super) fn at(begin: usize) -> Page {
        Page { begin, ..Page::default() }
    }

    /// Its text, in that of its sheet.
    #[inline]
    pub(super) fn text<'a>(&self, sheet: &'a [u8]) -> &'a [u8] {
        &sheet[self.begin..self.begin + self.text_len]
    }

    #[inline]
    pub(super) fn begin(&self) -> usize {
        self.begin
    }

    #[inline]
    pub(super) fn text_len(&self) -> usize {
        self.text_len
    }

    #[cfg(test)]
    pub(super) fn charged(&self) -> u64 {
        self.charged
    }

    #[cfg(test)]
    pub(super) fn slack(&self) -> u64 {
        self.slack
    }

    pub(super) fn lines(&self) -> usize {
        self.there.count_ones() as usize
    }

    /// Bytes by which its text may grow where it stands.
    #[inline]
    pub(super) fn free(&self) -> usize {
        self.room - self.text_len
    }

    /// Bytes to leave free for its numbers to grow.
    pub(super) fn spare(&self, kind: NumberKind) -> usize {
        match self.lines() {
            0 => 0,
            lines => lines * spare(kind) + SPARE,
        }
    }

    /// Says that its text is moved so far back within that of its sheet, and may be so much longer.
    pub(super) fn shift(&mut self, by: usize, longer: usize) {
        self.begin += by;
        self.room += longer;
    }

    /// Of `present` the lines that are missing.
    #[inline]
    pub(super) fn missing(&self, present: u64) -> u64 {
        present & !self.there
    }

    /// Whether there is a line that is not of `present`.
    #[inline]
    pub(super) fn has_more_than(&self, present: u64) -> bool {
        self.there & !present != 0
    }

    /// Whether the lines that are there are those of `present`.
    #[inline]
    pub(super) fn is_of(&self, present: u64) -> bool {
        self.there == present
    }

    /// How many places there are up to the last line.
    #[inline]
    pub(super) fn len(&self) -> usize {
        PAGE - self.there.leading_zeros() as usize
    }

    /// What is to be made of differences of its numbers.
    #[inline(always)]
    pub(super) fn changes(&self, more: u64, lines: u64) -> Changes {
        let lines = lines & self.there;
        if lines == 0 {
            return Changes::Few(0);
        }
        let many = lines.count_ones() >= MANY.max(self.there.count_ones() / 2);
        if many { Changes::Many(more, lines) } else { Changes::Few(lines) }
    }

    /// Forgets every line, and keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.text_len = 0;
        self.there = 0;
        self.slack = 0;
    }
}

/// What differs in a page.
pub(super) enum Changes {
    /// Many lines: by what, as bits of one word, and a bit for each of them.
    Many(u64, u64),
    /// A bit for each of few lines, or of none.
    Few(u64),
}

/// What numbers have become more by, as bits of one word, and a bit for each that differs.
///
/// Without a branch, since which ones differ is as good as random.
#[inline(always)]
pub(super) fn differences(was: &[u64], now: &[u64]) -> (u64, u64) {
    let (mut more, mut lines) = (0, 0);
    for (index, (was, now)) in was.iter().zip(now).enumerate() {
        more |= now.wrapping_sub(*was);
        lines |= u64::from(was != now) << index;
    }
    (more, lines)
}

impl PageMut<'_> {
    /// Asks for the text of a line's number.
    #[inline]
    pub(super) fn fetch(&self, index: usize) {
        let Some(line) = self.lines.get(index) else { return };
        // From the first byte that will be written on.
        if let Some(first) = self.text.get(line.newline().wrapping_sub(8) as usize) {
            ahead::fetch(first);
        }
    }

    /// Writes these numbers anew, as far as there is a line. Gives those that there is no room for, as
    /// bits: see [`Page::spare`].
    #[inline]
    pub(super) fn rewrite(&mut self, kind: NumberKind, lines: u64, now: &[u64; PAGE]) -> u64 {
        let mut left = lines & self.page.there;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            if !self.replace(index, kind, now[index]) {
                break;
            }
            left &= left - 1;
        }
        left
    }

    /// Writes what differs in the lines that are there: `more` says by what. What is in `now` where a
    /// line is missing means nothing. Gives what [`rewrite`](Self::rewrite) does.
    ///
    /// * `to`: where the text will be copied to, which is asked for.
    #[inline(always)]
    pub(super) fn rewrite_all(
        &mut self,
        kind: NumberKind,
        more: u64,
        lines: u64,
        now: &[u64; PAGE],
        to: &[MaybeUninit<u8>],
    ) -> u64 {
        if kind == NumberKind::Total {
            if more < self.page.slack {
                // None has grown by more than the bits of all of them together say.
                self.page.slack -= more;
                self.overwrite_all(now, to);
                return 0;
            }
            if let Some(others) = self.find_others(now) {
                self.overwrite_all(now, to);
                return self.rewrite(kind, others, now);
            }
        }
        self.rewrite(kind, lines, now)
    }

    /// Finds the numbers that are not as long as what was written, or too long to be written with all
    /// others, as bits, and by how much these may grow before one is. None where the text does not begin
    /// with a line that is long enough for what is written at once.
    #[inline(never)]
    fn find_others(&mut self, now: &[u64; PAGE]) -> Option<u64> {
        let first = self.lines.get(self.page.there.trailing_zeros() as usize)?;
        if first.newline() < digits::AT_ONCE {
            return None;
        }
        let (mut others, mut least) = (0, u64::MAX);
        for (index, (line, &now)) in self.lines[..self.page.len()].iter().zip(now).enumerate() {
            let slack = digits::slack(line.digits(), now);
            others |= u64::from(slack == 0) << index;
            // Of one that will be longer it is known when it has been written.
            let is_known = slack > 0 || line.digits() > digits::AT_ONCE;
            least = least.min(if is_known { slack } else { u64::MAX });
        }
        self.page.slack = least;
        Some(others)
    }

    /// Writes all numbers over what was written, as far as they are as long: of others what stands there
    /// then means nothing.
    #[inline(always)]
    fn overwrite_all(&mut self, now: &[u64; PAGE], to: &[MaybeUninit<u8>]) {
        let (len, bytes) = (self.page.len(), self.page.text_len);
        let digits = Digits::of(now);
        let next = self.text.as_ptr().wrapping_add(self.page.room);
        let own = &mut self.text[..bytes];
        let places = self.lines[..len].iter().map(|line| (line.newline(), line.digits()));
        // While this page's lines are written the next one's are asked for, which stand in about the
        // same places, and where this one's go: a little at a time, as memory comes.
        let fetch = |from: *const u8, at: usize| {
            ahead::fetch(from.wrapping_add(at));
            ahead::fetch(from.wrapping_add(at + MEMORY_LINE));
        };
        match (self.far, to.as_ptr().cast()) {
            (false, _) => digits.overwrite(own, places, |_| ()),
            (true, _) if to.is_empty() => digits.overwrite(own, places, |at| fetch(next, at)),
            (true, to) => digits.overwrite(own, places, |at| {
                fetch(next, at);
                fetch(to, at);
            }),
        }
        self.bits[..len].copy_from_slice(&now[..len]);
    }

    /// Takes of the budget what a line that is missing can ever need, so that a number that grows
    /// needs no leave; false where `charge` refuses. There are places up to `index`.
    pub(super) fn charge(&mut self, line: &str, charge: &dyn Fn(u64) -> bool) -> bool {
        let bytes = line.len() + number::LONGEST + 1 + size_of::<Written>() + size_of::<u64>();
        let room = (self.most() + bytes) as u64;
        let charged = self.page.charged;
        if line.len() > LONGEST_LINE || (room > charged && !charge(room - charged)) {
            return false;
        }
        self.page.charged = charged.max(room);
        true
    }

    /// Adds a line that is missing, with its number's digits, for which the page has room.
    pub(super) fn add(&mut self, index: usize, line: &str, digits: &[u8], bits: u64) {
        let len = self.page.len();
        if len <= index {
            self.lines[len..=index].fill(Written::new(self.page.text_len, 0));
        }
        let at = self.lines[index].end();
        let newline = at + line.len() + digits.len();
        self.stretch(index, at, newline + 1 - at);
        let (begin, rest) = self.text[at..=newline].split_at_mut(line.len());
        begin.copy_from_slice(line.as_bytes());
        rest[..digits.len()].copy_from_slice(digits);
        rest[digits.len()] = b'\n';
        self.page.there |= 1 << index;
        self.page.slack = 0;
        self.bits[index] = bits;
        self.lines[index] = Written::new(newline + 1, digits.len());
    }

    /// Bytes that the page takes when every number has its greatest length.
    fn most(&self) -> usize {
        let lines = &self.lines[..self.page.len()];
        let digits = lines.iter().map(|line| line.digits()).sum::<u32>() as usize;
        let fixed = size_of::<Written>() + size_of::<u64>() + number::LONGEST;
        self.page.text_len - digits + self.page.lines() * fixed
    }

    /// Writes another number into a line that is there; false where the text has no room for it.
    #[inline]
    pub(super) fn replace(&mut self, index: usize, kind: NumberKind, now: u64) -> bool {
        let line = self.lines[index];
        let more = now.wrapping_sub(self.bits[index]);
        self.page.slack = self.page.slack.saturating_sub(more);
        let value = match kind {
            // A level below 0 is a number of twenty digits here, which is too long.
            NumberKind::Total | NumberKind::Level => now,
            NumberKind::Reading => number::whole(now),
        };
        let own = &mut self.text[..self.page.text_len];
        if digits::overwrite(own, line.newline(), line.digits(), value) {
            self.bits[index] = now;
            return true;
        }
        let newline = line.newline() as usize;
        self.write(index, newline - line.digits() as usize..newline, kind.of(now))
    }

    /// Writes `number` over `digits`, the digits of line `index`; false where the text has no room.
    fn write(&mut self, index: usize, digits: Range<usize>, number: Number) -> bool {
        let mut buffer = number::Buffer::default();
        let new = buffer.format(number);
        if new.len() > digits.len() {
            let longer = new.len() - digits.len();
            if self.page.free() < longer {
                return false;
            }
            self.stretch(index, digits.end, longer);
        } else if new.len() < digits.len() {
            self.shrink(index, digits.end, digits.len() - new.len());
        }
        self.text[digits.start..digits.start + new.len()].copy_from_slice(new);
        self.bits[index] = number.bits();
        self.lines[index] = Written::new(self.lines[index].end(), new.len());
        self.page.slack = self.page.slack.min(digits::slack(new.len() as u32, number.bits()));
        true
    }

    /// Moves everything from `at` on, and the ends of the lines from `index` on, further back, where
    /// there is room.
    fn stretch(&mut self, index: usize, at: usize, by: usize) {
        self.text[..self.page.text_len + by].copy_within(at..self.page.text_len, at + by);
        self.page.text_len += by;
        self.move_ends(index, by as isize);
    }

    /// Moves everything from `at` on forward, over the `by` bytes before it.
    fn shrink(&mut self, index: usize, at: usize, by: usize) {
        self.text.copy_within(at..self.page.text_len, at - by);
        self.page.text_len -= by;
        self.move_ends(index, -(by as isize));
    }

    fn move_ends(&mut self, index: usize, by: isize) {
        let len = self.page.len().max(index + 1);
        self.lines[index..len].iter_mut().for_each(|line| *line = line.moved(by));
    }
}

/// Bytes to leave free for a number that grows: a total has one more after ten times as long each,
/// and others may follow each other whatever their length.
pub(super) fn spare(kind: NumberKind) -> usize {
    match kind {
        NumberKind::Total => SPARE_DIGITS,
        NumberKind::Level | NumberKind::Reading => number::LONGEST,
    }
}
