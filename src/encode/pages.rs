//! What a scrape wrote last, kept so that the next one changes digits instead of writing lines.
//!
//! A page is the text of 64 neighbouring series of a family, byte for byte as it goes out. A
//! scrape copies it whole; a value that changed is changed in place before that, by adding the
//! difference to its digits, and one that became longer moves the rest of its page.

use std::ops::Range;

use super::number;
use crate::snapshot::{Number, PAGE};

/// The pages of all families of an engine.
#[derive(Default)]
pub(crate) struct Pages {
    families: Vec<Vec<Page>>,
}

#[derive(Default)]
pub(crate) struct Page {
    text: Vec<u8>,
    /// The numbers as they were written, side by side to be compared at a glance.
    bits: Vec<u64>,
    lines: Vec<Written>,
    /// Bytes of `text` when every number has its greatest length: its capacity from the start, so
    /// that numbers grow without allocation.
    room: usize,
}

/// One line of a page.
#[derive(Clone, Copy, Default)]
struct Written {
    /// Where in the page the line ends, its newline included.
    end: u32,
    /// Digits before the newline; 0 where the line is missing, and ends where the one before does.
    digits: u8,
}

impl Pages {
    /// Takes a page out to bring it up to date.
    pub(crate) fn take(&mut self, family: usize, number: usize) -> Page {
        if self.families.len() <= family {
            self.families.resize_with(family + 1, Vec::new);
        }
        let pages = &mut self.families[family];
        if pages.len() <= number {
            pages.resize_with(number + 1, Page::default);
        }
        std::mem::take(&mut pages[number])
    }

    /// Puts a page back that was taken out.
    pub(crate) fn put(&mut self, family: usize, number: usize, page: Page) {
        self.families[family][number] = page;
    }
}

impl Page {
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the line is there, with this number.
    pub(crate) fn holds(&self, index: usize, number: Number) -> bool {
        self.lines.get(index).is_some_and(|line| line.digits > 0)
            && self.bits[index] == bits(number)
    }

    /// The lines whose totals differ, or are missing, as bits.
    pub(crate) fn differing(&self, totals: &[u64]) -> u64 {
        let written = self.bits.iter().zip(&self.lines).zip(totals).enumerate();
        let differing = written.fold(0, |differing, (index, ((bits, line), total))| {
            differing | u64::from(bits != total || line.digits == 0) << index
        });
        // What is past the last line is missing.
        let past = (!0u64).checked_shl(self.lines.len() as u32).unwrap_or(0);
        differing | past & (!0 >> (PAGE - totals.len().max(1)))
    }

    /// Writes another number into a line; false where the line is missing.
    pub(crate) fn change(&mut self, index: usize, number: Number) -> bool {
        let Some(line) = self.lines.get(index).filter(|line| line.digits > 0) else {
            return false;
        };
        let newline = line.end as usize - 1;
        let digits = newline - usize::from(line.digits)..newline;
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
    pub(crate) fn add(
        &mut self,
        index: usize,
        number: Number,
        line: &str,
        charge: &dyn Fn(u64) -> bool,
    ) -> bool {
        let bytes = line.len() + number::LONGEST + 1;
        if !charge((bytes + size_of::<Written>() + size_of::<u64>()) as u64) {
            return false;
        }
        self.room += bytes;
        self.text.reserve_exact(self.room - self.text.len());
        let end = self.lines.last().map_or(0, |last| last.end);
        if self.lines.len() <= index {
            self.lines.resize(index + 1, Written { end, ..Written::default() });
            self.bits.resize(index + 1, 0);
        }
        let at = self.lines[index].end as usize;
        self.stretch(index, at, line.len() + 1);
        let newline = at + line.len();
        self.text[at..newline].copy_from_slice(line.as_bytes());
        self.text[newline] = b'\n';
        self.replace(index, newline..newline, number);
        true
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
        self.lines[index].digits = new.len() as u8;
    }

    /// Moves everything from `at` on, and the ends of the lines from `index` on, further back.
    fn stretch(&mut self, index: usize, at: usize, by: usize) {
        let end = self.text.len();
        self.text.resize(end + by, b'\n');
        self.text.copy_within(at..end, at + by);
        self.lines[index..].iter_mut().for_each(|line| line.end += by as u32);
    }

    /// Moves everything from `at` on forward, over the `by` bytes before it.
    fn shrink(&mut self, index: usize, at: usize, by: usize) {
        self.text.copy_within(at.., at - by);
        self.text.truncate(self.text.len() - by);
        self.lines[index..].iter_mut().for_each(|line| line.end -= by as u32);
    }
}

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
                if !page.holds(index, number) && !page.change(index, number) {
                    prop_assert!(page.add(index, number, &name, &|_| true));
                }
                prop_assert!(page.holds(index, number));
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
                prop_assert_eq!(page.text(), expected);
                prop_assert!(page.text.capacity() >= page.room && page.room >= page.text.len());
            }
        }
    }

    #[test]
    fn a_line_without_budget_is_left_out() {
        let mut page = Page::default();
        assert!(!page.add(3, Number::Total(1), "a ", &|_| false));
        assert!(!page.change(3, Number::Total(2)) && page.text().is_empty());
    }
}
