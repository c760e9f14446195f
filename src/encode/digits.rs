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

/// By how much an integer may still grow before it has more digits; 0 where it has more than eight.
#[inline]
pub(super) fn slack(digits: u32, value: u64) -> u64 {
    let (least, many) = OF_LENGTH[digits as usize % LENGTHS];
    let next = if digits <= 8 { least + many } else { 0 };
    next.saturating_sub(value)
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
/// As [`eight`], but side by side: in three loops of plain arithmetic on 16 bits, which become vector
/// instructions. Fifteen instructions an integer, where one alone takes thirty.
#[derive(Clone, Copy)]
pub(super) struct Digits([u16; 4 * PAGE]);

impl Digits {
    #[inline]
    pub(super) fn of(values: &[u64; PAGE]) -> Digits {
        let mut fours = [0u16; 2 * PAGE];
        for (fours, &value) in fours.as_chunks_mut::<2>().0.iter_mut().zip(values) {
            let value = value as u32;
            *fours = [(value / 10_000) as u16, (value % 10_000) as u16];
        }
        let mut twos = [0u16; 4 * PAGE];
        for (twos, &four) in twos.as_chunks_mut::<2>().0.iter_mut().zip(&fours) {
            let hundreds = ((u32::from(four) * 5_243) >> 16) as u16 >> 3;
            *twos = [hundreds, four.wrapping_sub(hundreds.wrapping_mul(100))];
        }
        for two in &mut twos {
            let tens = two.wrapping_mul(103) >> 10;
            let ones = two.wrapping_sub(tens.wrapping_mul(10));
            *two = (tens | ones << 8).wrapping_add(0x3030);
        }
        Digits(twos)
    }

    /// Writes the numbers over those that stand in `text`, each with its end and how many digits
    /// are before that, 1 to 8 and as many as it has. Gives those that could not be written because
    /// the text before their end is too short, as bits.
    #[inline]
    pub(super) fn overwrite(
        &self,
        text: &mut [u8],
        places: impl Iterator<Item = (u32, u32)>,
    ) -> u64 {
        let mut left = 0;
        for (index, ((end, there), digits)) in places.zip(self.0.as_chunks::<4>().0).enumerate() {
            let [a, b, c, d] = digits.map(u64::from);
            if !overwrite_last(text, end, there, a | b << 16 | c << 32 | d << 48) {
                left |= 1 << index;
            }
        }
        left
    }
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
            for (value, digits) in values.iter().zip(digits.0.as_chunks::<4>().0) {
                let text = format!("{value:08}");
                assert_eq!(eight(*value).to_le_bytes(), text.as_bytes());
                let (short, len) = short(*value).unwrap();
                assert_eq!(&short[..len], value.to_string().as_bytes());
                assert_eq!(digits.map(u16::to_le_bytes).as_flattened(), text.as_bytes());
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
            let mut text = Vec::new();
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
            let left = Digits::of(&now).overwrite(&mut text, places.iter().copied());
            let mut begin = 0;
            for (index, ((end, _), now)) in places.into_iter().zip(&now).enumerate() {
                let line = &text[begin..=end as usize];
                let expected = format!("a {now}\n");
                prop_assert!(left & 1 << index != 0 || line == expected.as_bytes());
                // Only where the text has not begun yet.
                prop_assert_eq!(left & 1 << index != 0, end < 8);
                begin = end as usize + 1;
            }
        }
    }
}
