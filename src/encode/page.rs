//! The text of up to 64 neighbouring series, and how a number in it is changed.
//!
//! It stands as it goes out, byte for byte. A number that changed is written over the one that was
//! there, where it is as long, and else moves the rest of the page.

use std::ops::Range;

use super::digits::{self, Digits};
use super::number;
use crate::snapshot::{Number, NumberKind, PAGE};

#[derive(Default)]
pub(super) struct Page {
    text: Vec<u8>,
    /// The numbers as they were written, side by side to be compared at a glance; anything where
    /// the line is missing.
    bits: Vec<u64>,
    lines: Vec<Written>,
    /// A bit for each line that is there.
    there: u64,
    /// Bytes that were charged.
    charged: usize,
    /// Spare bytes for each line.
    spare: u32,
    pub(super) version: u32,
}

/// One line of a page: where it ends, its newline included, and in the five lowest bits how many
/// digits stand before that. No digits where the line is missing, and ends where the one before does.
#[derive(Clone, Copy, Default)]
struct Written(u32);

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

/// Digits for each total that a page's text has room for when it must be moved to a larger place: a
/// total has one more after ten times as long each. And some for a few that grow faster.
const SPARE_DIGITS: u32 = 4;
const SPARE: usize = 128;

/// Of so many lines that come first, half must differ for all to be written at once.
const SAMPLE: usize = 16;
/// The most that counters may have grown by for that: less than if one went back.
const MOST_MORE: u64 = u64::MAX >> 1;

impl Page {
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Of `present` the lines that are missing.
    #[inline]
    pub(super) fn missing(&self, present: u64) -> u64 {
        present & !self.there
    }

    /// Writes what differs in the lines that are there. What is in `now` past the last line, or
    /// where one is missing, means nothing.
    #[inline]
    pub(super) fn update(&mut self, kind: NumberKind, now: &[u64; PAGE]) {
        let pairs = self.bits.iter().zip(now);
        let more = pairs.fold(0, |more, (was, now)| more | now.wrapping_sub(*was));
        if more != 0 {
            self.rewrite(kind, more, now);
        }
    }

    /// [`update`](Self::update), where something differs: by what `more` has the bits of.
    #[inline(never)]
    fn rewrite(&mut self, kind: NumberKind, more: u64, now: &[u64; PAGE]) {
        let mut left = match kind {
            NumberKind::Total if more <= MOST_MORE && self.many_differ(now) => {
                self.overwrite_all(now)
            }
            // A level below 0 is a number of twenty digits here, which is too long.
            NumberKind::Total | NumberKind::Level => self.overwrite(now, |bits| bits),
            NumberKind::Reading => self.overwrite(now, number::whole),
        };
        left &= self.there;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            self.replace(index, kind.of(now[index]));
        }
    }

    /// Whether no line is missing, and more differ than it takes to write all of them.
    fn many_differ(&self, now: &[u64; PAGE]) -> bool {
        let differ = |(was, now): (&u64, &u64)| usize::from(was != now);
        self.bits.len() >= SAMPLE
            && self.there.trailing_ones() as usize == self.lines.len()
            && self.bits.iter().zip(now).take(SAMPLE).map(differ).sum::<usize>() >= SAMPLE / 2
    }

    /// Writes all numbers, none of which went back, and gives those that are not written, as bits.
    fn overwrite_all(&mut self, now: &[u64; PAGE]) -> u64 {
        let places = self.lines.iter().map(|line| (line.newline(), line.digits()));
        let left = Digits::of(now).overwrite(&mut self.text, places, now);
        // Of those that are left too, which are written next.
        let len = self.bits.len();
        self.bits.copy_from_slice(&now[..len]);
        left
    }

    /// Writes what differs over numbers of the same length, and gives those that are not, as bits.
    fn overwrite(&mut self, now: &[u64; PAGE], whole: impl Fn(u64) -> u64) -> u64 {
        let mut left = 0;
        let lines = self.lines.iter().zip(&mut self.bits).zip(now).enumerate();
        for (index, ((line, was), &now)) in lines {
            if *was == now {
                continue;
            }
            let value = whole(now);
            if digits::overwrite(&mut self.text, line.newline(), line.digits(), value) {
                *was = now;
            } else {
                left |= 1 << index;
            }
        }
        left
    }

    /// Adds a line that is missing; false where `charge` refuses its bytes.
    pub(super) fn add(
        &mut self,
        index: usize,
        number: Number,
        line: &str,
        charge: &dyn Fn(u64) -> bool,
    ) -> bool {
        // All that it can ever take, so that a number that grows needs no leave.
        let bytes = line.len() + number::LONGEST + 1 + size_of::<Written>() + size_of::<u64>();
        let room = self.room() + bytes;
        if line.len() > LONGEST_LINE
            || (room > self.charged && !charge((room - self.charged) as u64))
        {
            return false;
        }
        self.charged = self.charged.max(room);
        let end = self.lines.last().map_or(0, |last| last.end());
        if self.lines.len() <= index {
            let more = index + 1 - self.lines.len();
            self.lines.reserve_exact(more);
            self.bits.reserve_exact(more);
            self.lines.resize(index + 1, Written::new(end, 0));
            self.bits.resize(index + 1, 0);
        }
        self.spare = match number {
            Number::Total(_) => SPARE_DIGITS,
            // One may follow another of any length.
            Number::Level(_) | Number::Reading(_) => number::LONGEST as u32,
        };
        // At every line, or the last ones would take the others' spare room.
        self.text.reserve_exact(line.len() + 1 + self.spare());
        let at = self.lines[index].end();
        self.stretch(index, at, line.len() + 1);
        let newline = at + line.len();
        self.text[at..newline].copy_from_slice(line.as_bytes());
        self.text[newline] = b'\n';
        self.write(index, newline..newline, number);
        self.there |= 1 << index;
        true
    }

    /// Bytes that the page takes when every number has its greatest length.
    fn room(&self) -> usize {
        let digits = self.lines.iter().map(|line| line.digits()).sum::<u32>() as usize;
        let lines = self.there.count_ones() as usize;
        let fixed = size_of::<Written>() + size_of::<u64>() + number::LONGEST;
        self.text.len() - digits + lines * fixed
    }

    /// Bytes to leave free for numbers that grow.
    fn spare(&self) -> usize {
        SPARE + self.spare as usize * self.lines.len()
    }

    /// Writes another number into a line that is there.
    fn replace(&mut self, index: usize, number: Number) {
        let line = self.lines[index];
        if let Number::Total(total) = number
            && digits::overwrite(&mut self.text, line.newline(), line.digits(), total)
        {
            self.bits[index] = total;
            return;
        }
        let newline = line.newline() as usize;
        self.write(index, newline - line.digits() as usize..newline, number);
    }

    /// Writes `number` over `digits`, the digits of line `index`.
    fn write(&mut self, index: usize, digits: Range<usize>, number: Number) {
        let mut buffer = number::Buffer::default();
        let new = buffer.format(number);
        if new.len() > digits.len() {
            self.stretch(index, digits.end, new.len() - digits.len());
        } else if new.len() < digits.len() {
            self.shrink(index, digits.end, digits.len() - new.len());
        }
        self.text[digits.start..digits.start + new.len()].copy_from_slice(new);
        self.bits[index] = number.bits();
        self.lines[index] = Written::new(self.lines[index].end(), new.len());
    }

    /// Moves everything from `at` on, and the ends of the lines from `index` on, further back.
    fn stretch(&mut self, index: usize, at: usize, by: usize) {
        let end = self.text.len();
        if self.text.capacity() < end + by {
            self.text.reserve_exact(by + self.spare());
        }
        self.text.resize(end + by, b'\n');
        self.text.copy_within(at..end, at + by);
        self.lines[index..].iter_mut().for_each(|line| *line = line.moved(by as isize));
    }

    /// Moves everything from `at` on forward, over the `by` bytes before it.
    fn shrink(&mut self, index: usize, at: usize, by: usize) {
        self.text.copy_within(at.., at - by);
        self.text.truncate(self.text.len() - by);
        self.lines[index..].iter_mut().for_each(|line| *line = line.moved(-(by as isize)));
    }

    /// Forgets every line, and keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.bits.clear();
        self.lines.clear();
        self.there = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            let mut page = Page::default();
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
                        prop_assert_eq!(page.missing(1 << index), 1 << index);
                        prop_assert!(page.add(index, kind.of(number), &name, &|_| true));
                    }
                }
                page.update(kind, &now);
                let mut expected = Vec::new();
                for (index, number) in lines.iter().enumerate() {
                    if let Some(number) = number {
                        expected.extend_from_slice(format!("line_{index} ").as_bytes());
                        expected.extend_from_slice(number::Buffer::default().format(kind.of(*number)));
                        expected.push(b'\n');
                    }
                }
                prop_assert_eq!(&page.text, &expected);
                prop_assert!(page.charged >= page.text.len());
            }
        }
    }

    #[test]
    fn a_line_without_budget_is_left_out() {
        let mut page = Page::default();
        assert!(!page.add(3, Number::Total(1), "a ", &|_| false));
        page.update(NumberKind::Total, &[2; PAGE]);
        assert!(page.missing(!0) == !0 && page.text.is_empty());
    }

    /// What stands beside the lines that are there changes as it likes.
    #[test]
    fn a_number_without_a_line_is_passed_over() {
        let mut page = Page::default();
        assert!(page.add(3, Number::Total(1), "a ", &|_| true));
        let mut now = [9; PAGE];
        now[..4].copy_from_slice(&[5, 0, 7, 2]);
        page.update(NumberKind::Total, &now);
        assert_eq!(page.text(), b"a 2\n");
        assert!(page.add(2, Number::Total(7), "b ", &|_| true));
        assert_eq!(page.text(), b"b 7\na 2\n");
    }
}
