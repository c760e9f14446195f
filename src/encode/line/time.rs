//! Moments as RFC 3339 writes them: UTC, with microseconds.

use crate::encode::digits;

/// `2026-11-22T20:54:10.`
const SECOND: usize = 20;
/// `2026-11-22T20:54:10.123456Z`
pub(super) const LENGTH: usize = 27;

/// The last second of the year 9999: years of five digits are not RFC 3339.
const LAST: u64 = 253_402_300_799;

/// Writes moments. The last second is kept as text: of the lines of a second only the first pays
/// for the calendar.
pub(super) struct Stamp {
    second: u64,
    text: [u8; LENGTH],
}

impl Stamp {
    pub(super) fn new() -> Stamp {
        let mut text = *b"1970-01-01T00:00:00.000000Z";
        text[..SECOND].copy_from_slice(&second(0));
        Stamp { second: 0, text }
    }

    /// The moment `unix_nanos` after 1970; what is below a microsecond is cut off.
    #[inline]
    pub(super) fn at(&mut self, unix_nanos: u64) -> &[u8; LENGTH] {
        let (_, rest) = self.parts(unix_nanos);
        self.text[SECOND..].copy_from_slice(&rest[..LENGTH - SECOND]);
        &self.text
    }

    /// The same up to its point, and from there with a quote behind it. To put both together and copy
    /// that costs more than all the rest: what was just stored in two pieces can't be loaded as one.
    #[inline]
    pub(super) fn parts(&mut self, unix_nanos: u64) -> (&[u8; SECOND], [u8; 8]) {
        let now = unix_nanos / 1_000_000_000;
        if now != self.second {
            self.text[..SECOND].copy_from_slice(&second(now));
            self.second = now;
        }
        let digits = digits::eight(unix_nanos % 1_000_000_000 / 1_000) >> 16;
        let rest = digits | u64::from_le_bytes(*b"\0\0\0\0\0\0Z\"");
        let Some(until) = self.text.first_chunk() else { unreachable!("it is longer") };
        (until, rest.to_le_bytes())
    }
}

#[inline]
fn two(n: u32) -> [u8; 2] {
    [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]
}

/// A second after 1970 as text, with its point.
fn second(unix: u64) -> [u8; SECOND] {
    let unix = unix.min(LAST);
    let (year, month, day) = date((unix / 86_400) as u32);
    let of_day = (unix % 86_400) as u32;
    let mut text = *b"0000-00-00T00:00:00.";
    for (at, n) in [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, of_day / 3_600),
        (14, of_day / 60 % 60),
        (17, of_day % 60),
    ] {
        text[at..at + 2].copy_from_slice(&two(n));
    }
    text
}

/// Year, month and day of a day after 1970.
///
/// Years are taken to begin in March, so that the day that some have more is their last. 400 years
/// are always as many days; within them, each step takes out what is missing or too much.
/// Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn date(day: u32) -> (u32, u32, u32) {
    // From 1 March of the year 0.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March, and five from August, have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    (era * 400 + year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The oracle counts days, one by one, with the rule that children learn.
    #[test]
    fn every_day_until_9999_has_its_date() {
        let mut day = 0;
        for year in 1970..=9999 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let days = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, days) in (1..).zip(days) {
                for of_month in 1..=days {
                    assert_eq!(date(day), (year, month, of_month));
                    day += 1;
                }
            }
        }
        assert_eq!(u64::from(day) * 86_400, LAST + 1);
        assert_eq!(&second(LAST), b"9999-12-31T23:59:59.");
        assert_eq!(second(u64::MAX), second(LAST));
    }

    #[test]
    fn known_moments_are_spelled_right() {
        let mut stamp = Stamp::new();
        let mut spelled = |nanos| String::from_utf8(stamp.at(nanos).to_vec()).unwrap();
        assert_eq!(spelled(999), "1970-01-01T00:00:00.000000Z");
        assert_eq!(spelled(1_709_210_096_789_012_345), "2024-02-29T12:34:56.789012Z");
        assert_eq!(spelled(1_709_210_096_000_001_999), "2024-02-29T12:34:56.000001Z");
        assert_eq!(spelled(u64::MAX), "2554-07-21T23:34:33.709551Z");
    }

    proptest! {
        /// However moments follow each other, each is what a fresh one says.
        #[test]
        fn the_kept_second_never_shows(moments in prop::collection::vec(0u64..3_000_000_000, 1..20)) {
            let mut stamp = Stamp::new();
            for nanos in moments {
                prop_assert_eq!(*stamp.at(nanos), *Stamp::new().at(nanos));
            }
        }
    }
}
