//! What a scrape wrote last, kept so that the next one changes digits instead of writing lines.
//!
//! A page is the text of 64 neighbouring series of a family, byte for byte as it goes out. A
//! scrape copies it whole; a value that changed is changed in place before that, by adding the
//! difference to its digits, and one that became longer moves the rest of its page. A series that
//! was removed takes its page with it, which is then written anew.

use std::ops::Range;

use super::number;
use crate::snapshot::{Line, Number, NumberKind, PAGE, PageHead};

/// What is kept of all families of an engine.
#[derive(Default)]
pub(crate) struct Pages {
    families: Vec<FamilyPages>,
    /// Room to render one line's begin in.
    scratch: String,
}

/// Of a family whose series are numbers its pages, of one of histograms what its lines begin with.
#[derive(Default)]
struct FamilyPages {
    numbers: Vec<Page>,
    begins: Vec<Begins>,
}

#[derive(Default)]
pub(crate) struct Page {
    text: Vec<u8>,
    /// The numbers as they were written, side by side to be compared at a glance.
    bits: Vec<u64>,
    lines: Vec<Written>,
    version: u32,
    /// Bytes that were charged.
    charged: usize,
    /// Spare bytes for each line.
    spare: usize,
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

    fn end(self) -> usize {
        (self.0 >> Self::DIGITS) as usize
    }

    fn digits(self) -> usize {
        (self.0 & ((1 << Self::DIGITS) - 1)) as usize
    }

    /// The same line, so many bytes further back, or forward.
    fn moved(self, by: isize) -> Written {
        Written(self.0.wrapping_add_signed((by << Self::DIGITS) as i32))
    }
}

/// What the bucket lines of 64 neighbouring histograms begin with.
#[derive(Default)]
struct Begins {
    version: u32,
    texts: Vec<Box<str>>,
}

/// Bytes of the longest line that a page can hold: `Written` counts 64 of them in 27 bits.
const LONGEST_LINE: usize = 1 << 20;

impl Pages {
    /// The page that `head` names, emptied if it is stale.
    fn page(&mut self, head: PageHead) -> &mut Page {
        let page = nth(&mut nth(&mut self.families, head.family).numbers, head.number);
        if page.version != head.version {
            page.clear();
            page.version = head.version;
        }
        page
    }

    /// Brings a page up to date; what has no room in the budget goes to `past`, line by line.
    pub(crate) fn update<'a, 'b>(
        &'a mut self,
        head: PageHead,
        kind: NumberKind,
        bits: &[u64],
        line: impl Fn(usize) -> Line<'b>,
        charge: &dyn Fn(u64) -> bool,
        mut past: impl FnMut(&str, Number),
    ) -> &'a [u8] {
        let mut scratch = std::mem::take(&mut self.scratch);
        let page = self.page(head);
        let mut changed = page.differing(bits) & head.present;
        while changed != 0 {
            let index = changed.trailing_zeros() as usize;
            changed &= changed - 1;
            let number = kind.of(bits[index]);
            if !page.change(index, number) {
                scratch.clear();
                line(index).render(&mut scratch);
                if !page.add(index, number, &scratch, charge) {
                    past(&scratch, number);
                }
            }
        }
        self.scratch = scratch;
        &self.families[head.family].numbers[head.number].text
    }

    /// What the lines of a histogram begin with; past the budget it is rendered each time.
    pub(crate) fn begin(
        &mut self,
        head: PageHead,
        index: usize,
        line: Line<'_>,
        charge: &dyn Fn(u64) -> bool,
    ) -> &str {
        let begins = nth(&mut nth(&mut self.families, head.family).begins, head.number);
        if begins.version != head.version {
            // Refunds nothing: what is emptied here is filled again, by series like those that went.
            begins.texts.iter_mut().for_each(|text| *text = Box::default());
            begins.version = head.version;
        }
        if begins.texts.get(index).is_none_or(|text| text.is_empty()) {
            self.scratch.clear();
            line.render(&mut self.scratch);
            if !charge((self.scratch.len() + size_of::<Box<str>>()) as u64) {
                return &self.scratch;
            }
            *nth(&mut begins.texts, index) = self.scratch.as_str().into();
        }
        &self.families[head.family].begins[head.number].texts[index]
    }
}

/// The `n`th of a list that grows as far as it is asked for.
fn nth<T: Default>(list: &mut Vec<T>, n: usize) -> &mut T {
    if list.len() <= n {
        list.resize_with(n + 1, T::default);
    }
    &mut list[n]
}

impl Page {
    /// The lines whose bits differ, or are missing, as bits.
    fn differing(&self, now: &[u64]) -> u64 {
        let written = self.bits.iter().zip(&self.lines).zip(now).enumerate();
        let differing = written.fold(0, |differing, (index, ((bits, line), now))| {
            differing | u64::from(bits != now || line.digits() == 0) << index
        });
        // What is past the last line is missing.
        let past = (!0u64).checked_shl(self.lines.len() as u32).unwrap_or(0);
        differing | past & (!0 >> (PAGE - now.len().max(1)))
    }

    /// Writes another number into a line; false where the line is missing.
    #[inline]
    fn change(&mut self, index: usize, number: Number) -> bool {
        let Some(line) = self.lines.get(index).filter(|line| line.digits() > 0) else {
            return false;
        };
        let newline = line.end() - 1;
        let digits = newline - line.digits()..newline;
        let more = match number {
            Number::Total(total) => total.checked_sub(self.bits[index]),
            Number::Level(_) | Number::Reading(_) => None,
        };
        match more {
            Some(more) if add_decimal(&mut self.text[digits.clone()], more) => {
                self.bits[index] = bits(number);
            }
            _ => self.replace(index, digits, number),
        }
        true
    }

    /// Adds a line that is missing; false where `charge` refuses its bytes.
    fn add(
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
            Number::Level(_) | Number::Reading(_) => number::LONGEST,
        };
        // At every line, or the last ones would take the others' spare room.
        self.text.reserve_exact(line.len() + 1 + self.spare());
        let at = self.lines[index].end();
        self.stretch(index, at, line.len() + 1);
        let newline = at + line.len();
        self.text[at..newline].copy_from_slice(line.as_bytes());
        self.text[newline] = b'\n';
        self.replace(index, newline..newline, number);
        true
    }

    /// Bytes that the page takes when every number has its greatest length.
    fn room(&self) -> usize {
        let written = self.lines.iter().filter(|line| line.digits() > 0);
        let digits: usize = written.clone().map(|line| line.digits()).sum();
        let lines = written.count();
        let fixed = size_of::<Written>() + size_of::<u64>() + number::LONGEST;
        self.text.len() - digits + lines * fixed
    }

    /// Bytes to leave free for numbers that grow.
    fn spare(&self) -> usize {
        SPARE + self.spare * self.lines.len()
    }

    /// Writes `number` over `digits`, the digits of line `index`.
    fn replace(&mut self, index: usize, digits: Range<usize>, number: Number) {
        let mut buffer = number::Buffer::default();
        let new = buffer.format(number);
        if new.len() > digits.len() {
            self.stretch(index, digits.end, new.len() - digits.len());
        } else if new.len() < digits.len() {
            self.shrink(index, digits.end, digits.len() - new.len());
        }
        self.text[digits.start..digits.start + new.len()].copy_from_slice(new);
        self.bits[index] = bits(number);
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
    fn clear(&mut self) {
        self.text.clear();
        self.bits.clear();
        self.lines.clear();
    }
}

/// Digits for each total that a page's text has room for when it must be moved to a larger place: a
/// total has one more after ten times as long each. And some for a few that grow faster.
const SPARE_DIGITS: usize = 4;
const SPARE: usize = 128;

/// What tells one number of a series from another.
#[inline]
fn bits(number: Number) -> u64 {
    match number {
        Number::Total(total) => total,
        Number::Level(level) => level as u64,
        Number::Reading(reading) => reading.to_bits(),
    }
}

/// Adds to a decimal number in place; false, with the digits spoilt, where it does not fit.
#[inline]
fn add_decimal(digits: &mut [u8], more: u64) -> bool {
    let mut carry = more;
    for digit in digits.iter_mut().rev() {
        if carry == 0 {
            return true;
        }
        let sum = u64::from(*digit - b'0') + carry % 10;
        carry = carry / 10 + u64::from(sum > 9);
        *digit = b'0' + if sum > 9 { sum - 10 } else { sum } as u8;
    }
    carry == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of one kind: a family has no other.
    fn numbers() -> impl Strategy<Value = Vec<Number>> {
        let total = (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| Number::Total(bits >> shift));
        let many = |number: BoxedStrategy<Number>| prop::collection::vec(number, 1..200);
        prop_oneof![
            3 => many(total.boxed()),
            1 => many(any::<i64>().prop_map(Number::Level).boxed()),
            1 => many(any::<f64>().prop_map(Number::Reading).boxed()),
        ]
    }

    proptest! {
        /// The oracle writes every line from scratch.
        #[test]
        fn a_page_is_what_its_lines_are(
            numbers in numbers(),
            places in prop::collection::vec((0..PAGE, 0u64..30), 200),
        ) {
            let mut page = Page::default();
            let mut lines: Vec<Option<Number>> = vec![None; PAGE];
            for (number, (index, more)) in numbers.into_iter().zip(places) {
                // Small steps upwards are what counters do.
                let number = match lines[index] {
                    Some(Number::Total(total)) if more < 20 => {
                        Number::Total(total.saturating_add(more))
                    }
                    _ => number,
                };
                let name = format!("line_{index} ");
                if !page.change(index, number) {
                    prop_assert!(page.add(index, number, &name, &|_| true));
                }
                if let Number::Total(total) = number {
                    let mut totals = [0; PAGE];
                    totals[index] = total;
                    let differing = page.differing(&totals[..=index]);
                    for (place, line) in lines.iter().enumerate().take(index) {
                        let same = *line == Some(Number::Total(0));
                        prop_assert_eq!(differing & 1 << place == 0, same);
                    }
                    prop_assert_eq!(differing >> index, 0);
                }
                lines[index] = Some(number);
                let mut expected = Vec::new();
                for (index, number) in lines.iter().enumerate() {
                    if let Some(number) = number {
                        expected.extend_from_slice(format!("line_{index} ").as_bytes());
                        expected.extend_from_slice(number::Buffer::default().format(*number));
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
        assert!(!page.change(3, Number::Total(2)) && page.text.is_empty());
    }
}
