//! Integers written over integers of the same length that stand in a text already.
//!
//! Nothing here branches on what the digits are: a counter's last ones are as good as random. Eight
//! bytes are written at once, those before the number as they were.

use crate::snapshot::PAGE;

/// For each number of digits the least integer that has so many, and how many integers do. None of no
/// digits, and none of more than twice eight.
const OF_LENGTH: [(u64, u64); LENGTHS] = {
    let mut lengths = [(0, 0); LENGTHS];
    lengths[1] = (0, 10);
    let (mut digits, mut least) = (2, 10);
    while digits <= 16 {
        lengths[digits] = (least, 9 * least);
        (digits, least) = (digits + 1, least * 10);
    }
    lengths
};

/// A power of two, so that an index is made one by a mask.
const LENGTHS: usize = 32;

/// Bytes that are written at once, and the most digits that an integer of [`Digits`] has.
pub(super) const AT_ONCE: u32 = 8;

/// By how much an integer that stands in so many digits may grow before it has more; 0 where it has more
/// or fewer already, and where they are more than [`AT_ONCE`].
#[inline]
pub(super) fn slack(digits: u32, value: u64) -> u64 {
    let (least, many) = OF_LENGTH[digits as usize % LENGTHS];
    let many = if digits <= AT_ONCE { many } else { 0 };
    many.saturating_sub(value.wrapping_sub(least))
}

/// Writes `value` over what stands in the `digits` bytes before `end`. False, with nothing written,
/// where it takes more or fewer of them, where it takes more than 16, and where the text before `end`
/// is shorter than what is written at once.
#[inline]
pub(super) fn overwrite(text: &mut [u8], end: u32, digits: u32, value: u64) -> bool {
    let (least, many) = OF_LENGTH[digits as usize % LENGTHS];
    if value.wrapping_sub(least) >= many {
        return false;
    }
    if digits > 8 {
        return overwrite_long(text, end, digits, value);
    }
    overwrite_last(text, end, digits, eight(value))
}

/// [`overwrite`], for 9 to 16 digits.
fn overwrite_long(text: &mut [u8], end: u32, digits: u32, value: u64) -> bool {
    const EIGHT: u64 = 100_000_000;
    overwrite_last(text, end.wrapping_sub(8), digits - 8, eight(value / EIGHT))
        && overwrite_last(text, end, 8, eight(value % EIGHT))
}

/// Writes the last 1 to 8 of eight digits; of none it writes all.
#[inline]
fn overwrite_last(text: &mut [u8], end: u32, digits: u32, eight: u64) -> bool {
    let begin = end.wrapping_sub(8) as usize;
    let Some(Ok(place)) = text.get_mut(begin..begin + 8).map(<&mut [u8; 8]>::try_from) else {
        return false;
    };
    let there = u64::from_le_bytes(*place);
    let others = digits.wrapping_mul(8).wrapping_neg() % u64::BITS;
    let changed = (there ^ eight) >> others << others;
    *place = (there ^ changed).to_le_bytes();
    true
}

/// `00000000`.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of an integer below 10^8 as text, the first of them in the lowest byte.
///
/// Four are parted from four, then two from two in both halves at once, then one from one in the
/// four quarters. A quotient is a product and a shift there, exact as far as it is needed.
#[inline]
pub(super) fn eight(value: u64) -> u64 {
    let fours = (value / 10_000) | (value % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | (twos - 10 * tens) << 8;
    ones | ZEROS
}

/// An integer below 10^8 as text of so many bytes, with anything behind it.
#[inline]
pub(super) fn short(value: u64) -> Option<([u8; 8], usize)> {
    if value >= 100_000_000 {
        return None;
    }
    let eight = eight(value);
    // The last digit counts even where it is 0.
    let zeros = (eight ^ ZEROS | 1 << 63).trailing_zeros() / 8;
    Some(((eight >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize))
}

/// The eight digits of 64 integers, two and two. Of one that has more they mean nothing.
///
/// As [`eight`], but side by side: in two loops of plain arithmetic, which become vector instructions.
#[derive(Clone, Copy)]
pub(super) struct Digits([[u16; 2]; 2 * PAGE]);

/// For so many digits, 1 to 8, where they stand in eight bytes.
const LAST: [u64; LENGTHS] = {
    let mut last = [0; LENGTHS];
    let mut digits = 1;
    while digits <= 8 {
        last[digits] = u64::MAX << (64 - 8 * digits);
        digits += 1;
    }
    last
};

impl Digits {
    #[inline(always)]
    pub(super) fn of(values: &[u64; PAGE]) -> Digits {
        // As bytes, which both loops read and write side by side.
        let mut fours = [0; 4 * PAGE];
        for (fours, &value) in fours.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            // A product of 64 bits: there is a vector instruction for it, and none for a quotient.
            let value = value % (1 << 32);
            let high = (value * 3_518_437_209) >> 45;
            // The other four stand above those.
            let both = (high | value << 16).wrapping_sub((high * 10_000) << 16);
            *fours = (both as u32).to_le_bytes();
        }
        let mut twos = [[0; 2]; 2 * PAGE];
        for (twos, four) in twos.iter_mut().zip(fours.as_chunks::<2>().0) {
            let four = u16::from_le_bytes(*four);
            let hundreds = ((u32::from(four) * 5_243) >> 16) as u16 >> 3;
            *twos = [hundreds, four.wrapping_sub(hundreds.wrapping_mul(100))].map(two);
        }
        Digits(twos)
    }

    /// Writes the numbers over those that stand in `text`, each with its end and how many digits
    /// are before that, up to 8 and as many as it has; one of no digits is passed over, wherever it
    /// ends. There must be eight bytes before each other's end.
    ///
    /// * `at`: told where each is written.
    #[inline(always)]
    pub(super) fn overwrite(
        &self,
        text: &mut [u8],
        places: impl Iterator<Item = (u32, u32)>,
        at: impl Fn(usize),
    ) {
        let Some(last) = text.len().checked_sub(8) else { return };
        for ((end, digits), twos) in places.zip(self.0.as_chunks::<2>().0) {
            let begin = (end.wrapping_sub(8) as usize).min(last);
            let Some(Ok(place)) = text.get_mut(begin..begin + 8).map(<&mut [u8; 8]>::try_from)
            else {
                return;
            };
            let [[a, b], [c, d]] = twos.map(|twos| twos.map(u64::from));
            let there = u64::from_le_bytes(*place);
            let changed =
                (there ^ (a | b << 16 | c << 32 | d << 48)) & LAST[digits as usize % LENGTHS];
            *place = (there ^ changed).to_le_bytes();
            at(begin);
        }
    }
}

/// The two digits of an integer below 100 as text, the first of them in the lower byte.
#[inline(always)]
fn two(value: u16) -> u16 {
    let tens = value.wrapping_mul(103) >> 10;
    // Ten times as much less in the upper byte, one more in the lower.
    (value << 8).wrapping_sub(tens.wrapping_mul((10 << 8) - 1)).wrapping_add(0x3030)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn eight_digits_are_those_of_the_number() {
        // Each four comes in either half: what is done with both at once does not mix them.
        let values = (0..10_000).flat_map(|four| [four, four * 10_000, four * 10_001, 99_999_999]);
        let values: Vec<u64> = values.collect();
        for values in values.as_chunks::<PAGE>().0 {
            let digits = Digits::of(values);
            for (value, digits) in values.iter().zip(digits.0.as_chunks::<2>().0) {
                let text = format!("{value:08}");
                assert_eq!(eight(*value).to_le_bytes(), text.as_bytes());
                let (short, len) = short(*value).unwrap();
                assert_eq!(&short[..len], value.to_string().as_bytes());
                let digits = digits.as_flattened().iter().flat_map(|two| two.to_le_bytes());
                assert!(digits.eq(text.bytes()));
            }
        }
    }

    #[test]
    fn nine_digits_are_not_short() {
        assert!(short(99_999_999).is_some() && short(100_000_000).is_none());
    }

    proptest! {
        /// The oracle writes it by the standard library.
        #[test]
        fn a_number_is_overwritten_by_one_as_long(
            was: u64, now: u64, shift in 0u32..64, before in 0usize..20,
        ) {
            let (was, now) = (was >> shift, now >> shift);
            let (old, new) = (was.to_string(), now.to_string());
            let mut text = format!("{:x<before$}{old}\n", "").into_bytes();
            let end = before + old.len();
            let fits = old.len() == new.len()
                && new.len() <= 16
                && end >= 8 * new.len().div_ceil(8);
            prop_assert_eq!(overwrite(&mut text, end as u32, old.len() as u32, now), fits);
            let shown = if fits { new } else { old };
            prop_assert_eq!(text, format!("{:x<before$}{shown}\n", "").into_bytes());
        }

        #[test]
        fn numbers_are_overwritten_together(
            was in prop::collection::vec((any::<u32>(), 6u32..32, any::<u32>()), PAGE),
        ) {
            let mut text = b"before: ".to_vec();
            let mut places = Vec::new();
            let mut now = [0; PAGE];
            for (now, (bits, shift, more)) in now.iter_mut().zip(was) {
                let was = u64::from(bits >> shift);
                let digits = was.to_string();
                text.extend_from_slice(format!("a {digits}").as_bytes());
                places.push((text.len() as u32, digits.len() as u32));
                text.push(b'\n');
                let slack = slack(digits.len() as u32, was);
                prop_assert_eq!((was + slack - 1).to_string().len(), digits.len());
                prop_assert_eq!((was + slack).to_string().len(), digits.len() + 1);
                *now = was + u64::from(more) % slack;
            }
            let at = std::cell::RefCell::new(Vec::new());
            let told = |begin| at.borrow_mut().push(begin as u32 + 8);
            let digits = Digits::of(&now);
            let was = text.clone();
            digits.overwrite(&mut text[..7], places.iter().copied(), told);
            prop_assert!(at.take().is_empty());
            let none = places.iter().map(|(end, _)| (end.wrapping_mul(end % 3).wrapping_sub(1), 0));
            digits.overwrite(&mut text, none, |_| ());
            prop_assert_eq!(&text, &was);
            digits.overwrite(&mut text, places.iter().copied(), told);
            prop_assert!(at.take().iter().eq(places.iter().map(|(end, _)| end)));
            let mut begin = 8;
            for ((end, _), now) in places.into_iter().zip(&now) {
                let line = &text[begin..=end as usize];
                let expected = format!("a {now}\n");
                prop_assert_eq!(line, expected.as_bytes());
                begin = end as usize + 1;
            }
        }
    }
}
