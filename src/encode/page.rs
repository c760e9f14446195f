//! The text of up to 64 neighbouring series, and how a number in it is changed.
//!
//! It stands as it goes out, byte for byte. A number that changed is written over the one that was
//! there, where it is as long, and else moves the rest of the page.

use std::ops::Range;

use super::digits::{self, Digits};
use super::number;
use crate::shard::ahead;
use crate::snapshot::{Number, NumberKind, PAGE};

/// What is kept of a page; its numbers and lines stand beside those of the family's other pages.
#[derive(Default)]
pub(super) struct Page {
    text: Vec<u8>,
    /// A bit for each line that is there.
    there: u64,
    /// By how much every number may grow at least before one has more digits.
    slack: u64,
    /// Bytes that were charged.
    charged: u64,
    pub(super) version: u32,
}

/// A page with the numbers and lines of its places, as far as there are any.
pub(super) struct PageMut<'a> {
    pub(super) page: &'a mut Page,
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

/// Digits for each total that a page's text has room for when it must be moved to a larger place, and
/// bytes for a few that grow faster.
const SPARE_DIGITS: usize = 4;
const SPARE: usize = 128;

/// Of so many lines that come first, half must differ for all to be written at once.
const SAMPLE: usize = 16;

impl Page {
    #[inline]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Of `present` the lines that are missing.
    #[inline]
    pub(super) fn missing(&self, present: u64) -> u64 {
        present & !self.there
    }

    /// How many places there are up to the last line.
    #[inline]
    pub(super) fn len(&self) -> usize {
        PAGE - self.there.leading_zeros() as usize
    }

    /// Forgets every line, and keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.there = 0;
        self.slack = 0;
    }
}

/// What the numbers of a page have become more by, as bits of one word: 0 where none differs.
#[inline]
pub(super) fn more(was: &[u64], now: &[u64]) -> u64 {
    was.iter().zip(now).fold(0, |more, (was, now)| more | now.wrapping_sub(*was))
}

/// Whether of the first lines every other one differs.
#[inline]
pub(super) fn many_differ(was: &[u64], now: &[u64]) -> bool {
    let differs = |(was, now): (&u64, &u64)| usize::from(was != now);
    was.len() >= SAMPLE
        && was.iter().zip(now).take(SAMPLE).map(differs).sum::<usize>() >= SAMPLE / 2
}

impl PageMut<'_> {
    /// Asks for the text of these lines' numbers.
    #[inline]
    pub(super) fn fetch(&self, lines: u64) {
        let text = |line: &Written| {
            // From the first byte that will be written on.
            if let Some(first) = self.page.text.get(line.newline().wrapping_sub(8) as usize) {
                ahead::fetch(first);
            }
        };
        if lines == u64::MAX {
            return self.lines.iter().for_each(text);
        }
        let mut left = lines;
        while left != 0 {
            if let Some(line) = self.lines.get(left.trailing_zeros() as usize) {
                text(line);
            }
            left &= left - 1;
        }
    }

    /// Writes these numbers anew, as far as there is a line.
    #[inline]
    pub(super) fn rewrite(&mut self, kind: NumberKind, lines: u64, now: &[u64; PAGE]) {
        let mut left = lines & self.page.there;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            self.replace(index, kind, now[index]);
        }
    }

    /// Writes what differs in the lines that are there: `more` says by what. What is in `now` where a
    /// line is missing means nothing.
    pub(super) fn rewrite_all(&mut self, kind: NumberKind, more: u64, now: &[u64; PAGE]) {
        let left = if kind == NumberKind::Total && self.has_slack(more) {
            // None has grown by more than the bits of all of them together say.
            self.page.slack -= more;
            self.overwrite_all(now)
        } else {
            let differs =
                |(index, (was, now)): (usize, (&u64, &u64))| u64::from(was != now) << index;
            self.bits.iter().zip(now).enumerate().map(differs).fold(0, |all, one| all | one)
        };
        self.rewrite(kind, left, now);
    }

    /// Whether every number is as long as the one that was written: no line is missing, and none has
    /// grown by more than is left to all of them.
    #[inline]
    fn has_slack(&mut self, more: u64) -> bool {
        if more >= self.page.slack {
            self.page.slack = self.find_slack();
        }
        more < self.page.slack
    }

    #[inline(never)]
    fn find_slack(&self) -> u64 {
        let len = self.page.len();
        if self.page.there.trailing_ones() as usize != len {
            return 0;
        }
        let lines = self.lines[..len].iter().zip(&*self.bits);
        lines.map(|(line, &was)| digits::slack(line.digits(), was)).min().unwrap_or(0)
    }

    /// Writes all numbers, which are as long as they were, and gives those that are not written, as
    /// bits.
    #[inline(never)]
    fn overwrite_all(&mut self, now: &[u64; PAGE]) -> u64 {
        let len = self.page.len();
        let places = self.lines[..len].iter().map(|line| (line.newline(), line.digits()));
        let left = Digits::of(now).overwrite(&mut self.page.text, places);
        self.bits[..len].copy_from_slice(&now[..len]);
        left
    }

    /// Adds a line that is missing; false where `charge` refuses its bytes. There are places up to
    /// `index`.
    ///
    /// * `of`: how many are to be added yet, this one among them.
    pub(super) fn add(
        &mut self,
        index: usize,
        number: Number,
        line: &str,
        of: usize,
        charge: &dyn Fn(u64) -> bool,
    ) -> bool {
        // All that it can ever take, so that a number that grows needs no leave.
        let bytes = line.len() + number::LONGEST + 1 + size_of::<Written>() + size_of::<u64>();
        let room = (self.room() + bytes) as u64;
        let charged = self.page.charged;
        if line.len() > LONGEST_LINE || (room > charged && !charge(room - charged)) {
            return false;
        }
        self.page.charged = charged.max(room);
        let len = self.page.len();
        if len <= index {
            self.lines[len..=index].fill(Written::new(self.page.text.len(), 0));
        }
        let longer = line.len() + 1;
        self.reserve(longer, (longer + spare(number)) * of + SPARE);
        let at = self.lines[index].end();
        self.stretch(index, at, longer);
        let newline = at + line.len();
        self.page.text[at..newline].copy_from_slice(line.as_bytes());
        self.page.text[newline] = b'\n';
        self.page.there |= 1 << index;
        self.page.slack = 0;
        self.write(index, newline..newline, number);
        true
    }

    /// Bytes that the page takes when every number has its greatest length.
    fn room(&self) -> usize {
        let lines = &self.lines[..self.page.len()];
        let digits = lines.iter().map(|line| line.digits()).sum::<u32>() as usize;
        let fixed = size_of::<Written>() + size_of::<u64>() + number::LONGEST;
        self.page.text.len() - digits + self.page.there.count_ones() as usize * fixed
    }

    /// Makes room for `more` bytes of text, for `most` if there is not enough.
    fn reserve(&mut self, more: usize, most: usize) {
        let text = &mut self.page.text;
        if text.capacity() < text.len() + more {
            text.reserve_exact(most);
        }
    }

    /// Writes another number into a line that is there.
    #[inline]
    fn replace(&mut self, index: usize, kind: NumberKind, now: u64) {
        let line = self.lines[index];
        let more = now.wrapping_sub(self.bits[index]);
        self.page.slack = self.page.slack.saturating_sub(more);
        let value = match kind {
            // A level below 0 is a number of twenty digits here, which is too long.
            NumberKind::Total | NumberKind::Level => now,
            NumberKind::Reading => number::whole(now),
        };
        if digits::overwrite(&mut self.page.text, line.newline(), line.digits(), value) {
            self.bits[index] = now;
            return;
        }
        let newline = line.newline() as usize;
        self.write(index, newline - line.digits() as usize..newline, kind.of(now));
    }

    /// Writes `number` over `digits`, the digits of line `index`.
    fn write(&mut self, index: usize, digits: Range<usize>, number: Number) {
        let mut buffer = number::Buffer::default();
        let new = buffer.format(number);
        if new.len() > digits.len() {
            let longer = new.len() - digits.len();
            self.reserve(longer, longer + spare(number) * self.page.len() + SPARE);
            self.stretch(index, digits.end, longer);
        } else if new.len() < digits.len() {
            self.shrink(index, digits.end, digits.len() - new.len());
        }
        self.page.text[digits.start..digits.start + new.len()].copy_from_slice(new);
        self.bits[index] = number.bits();
        self.lines[index] = Written::new(self.lines[index].end(), new.len());
    }

    /// Moves everything from `at` on, and the ends of the lines from `index` on, further back.
    fn stretch(&mut self, index: usize, at: usize, by: usize) {
        let end = self.page.text.len();
        self.page.text.resize(end + by, b'\n');
        self.page.text.copy_within(at..end, at + by);
        self.move_ends(index, by as isize);
    }

    /// Moves everything from `at` on forward, over the `by` bytes before it.
    fn shrink(&mut self, index: usize, at: usize, by: usize) {
        self.page.text.copy_within(at.., at - by);
        self.page.text.truncate(self.page.text.len() - by);
        self.move_ends(index, -(by as isize));
    }

    fn move_ends(&mut self, index: usize, by: isize) {
        let len = self.page.len().max(index + 1);
        self.lines[index..len].iter_mut().for_each(|line| *line = line.moved(by));
    }
}

/// Bytes to leave free for a number that grows: a total has one more after ten times as long each,
/// and others may follow each other whatever their length.
fn spare(number: Number) -> usize {
    match number {
        Number::Total(_) => SPARE_DIGITS,
        Number::Level(_) | Number::Reading(_) => number::LONGEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A family of one page.
    struct One(Page, Vec<u64>, Vec<Written>);

    impl One {
        fn new() -> One {
            One(Page::default(), vec![0; PAGE], vec![Written::default(); PAGE])
        }

        fn page(&mut self) -> PageMut<'_> {
            PageMut { page: &mut self.0, bits: &mut self.1, lines: &mut self.2 }
        }

        fn update(&mut self, kind: NumberKind, now: &[u64; PAGE]) {
            let more = more(&self.1[..self.0.len()], now);
            if more != 0 {
                self.page().rewrite_all(kind, more, now);
            }
        }
    }

    /// Numbers of one kind, as bits: a family has no other.
    fn numbers() -> impl Strategy<Value = (NumberKind, Vec<u64>)> {
        let shifted = (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift);
        let levels = shifted.clone().prop_map(|bits| if bits % 2 == 0 { bits } else { !bits });
        let readings = prop_oneof![
            any::<f64>(),
            prop::sample::select(vec![0.0, -0.0, f64::NAN, 9_007_199_254_740_991.0]),
            (-12_000i32..12_000).prop_map(|n| f64::from(n) / 4.0),
        ];
        let many = |kind, bits: BoxedStrategy<u64>| {
            (Just(kind), prop::collection::vec(bits, 1..200)).boxed()
        };
        prop_oneof![
            3 => many(NumberKind::Total, shifted.boxed()),
            1 => many(NumberKind::Level, levels.boxed()),
            1 => many(NumberKind::Reading, readings.prop_map(f64::to_bits).boxed()),
        ]
    }

    proptest! {
        /// The oracle writes every line from scratch.
        #[test]
        fn a_page_is_what_its_lines_are(
            (kind, numbers) in numbers(),
            places in prop::collection::vec((0..PAGE, 0u64..30, 1usize..4), 200),
        ) {
            let mut one = One::new();
            let mut lines: Vec<Option<u64>> = vec![None; PAGE];
            let mut now = [0; PAGE];
            for (number, (index, more, several)) in numbers.into_iter().zip(places) {
                for index in (index..PAGE).step_by(7).take(several) {
                    // Small steps upwards are what counters do.
                    let number = match lines[index] {
                        Some(total) if more < 20 && kind == NumberKind::Total => {
                            total.saturating_add(more)
                        }
                        _ => number,
                    };
                    now[index] = number;
                    if lines[index].replace(number).is_none() {
                        let name = format!("line_{index} ");
                        prop_assert_eq!(one.0.missing(1 << index), 1 << index);
                        prop_assert!(one.page().add(index, kind.of(number), &name, several, &|_| true));
                    }
                }
                one.update(kind, &now);
                let mut expected = Vec::new();
                for (index, number) in lines.iter().enumerate() {
                    if let Some(number) = number {
                        expected.extend_from_slice(format!("line_{index} ").as_bytes());
                        expected.extend_from_slice(number::Buffer::default().format(kind.of(*number)));
                        expected.push(b'\n');
                    }
                }
                prop_assert_eq!(one.0.text(), &expected);
                prop_assert!(one.0.charged >= expected.len() as u64);
            }
        }
    }

    #[test]
    fn a_line_without_budget_is_left_out() {
        let mut one = One::new();
        assert!(!one.page().add(3, Number::Total(1), "a ", 1, &|_| false));
        one.update(NumberKind::Total, &[2; PAGE]);
        assert!(one.0.missing(!0) == !0 && one.0.text().is_empty());
    }

    /// What stands beside the lines that are there changes as it likes.
    #[test]
    fn a_number_without_a_line_is_passed_over() {
        let mut one = One::new();
        assert!(one.page().add(3, Number::Total(1), "a ", 2, &|_| true));
        let mut now = [9; PAGE];
        now[..4].copy_from_slice(&[5, 0, 7, 2]);
        one.update(NumberKind::Total, &now);
        assert_eq!(one.0.text(), b"a 2\n");
        assert!(one.page().add(2, Number::Total(7), "b ", 1, &|_| true));
        assert_eq!(one.0.text(), b"b 7\na 2\n");
    }
}
