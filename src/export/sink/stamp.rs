//! The time in a rolled file's name: `20260131T235959.123456Z`, UTC, so that names sort by time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a stamp.
pub(crate) const LEN: usize = 23;

/// The stamp of `time`. Times before 1970 are 1970, those after 9999 its end.
pub(crate) fn stamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs().min(253_402_300_799);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // A year that begins in March ends with the leap day: each of its months has a fixed start.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}.{:06}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros()
    )
}

/// Whether `text` has the form of a stamp.
pub(crate) fn is_stamp(text: &str) -> bool {
    let form = b"00000000T000000.000000Z";
    text.len() == LEN
        && text.bytes().zip(form).all(|(byte, &form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_date_that_a_calendar_says() {
        let at = |seconds, micros: u32| stamp(UNIX_EPOCH + Duration::new(seconds, micros * 1_000));
        // By date(1): `date -u -d @951782400` and so on.
        assert_eq!(at(0, 0), "19700101T000000.000000Z");
        assert_eq!(at(951_782_400, 7), "20000229T000000.000007Z");
        assert_eq!(at(4_107_542_399, 999_999), "21000228T235959.999999Z");
        assert_eq!(at(4_107_542_400, 0), "21000301T000000.000000Z");
        assert_eq!(at(1_795_379_688, 123_456), "20261122T203448.123456Z");
        assert_eq!(at(253_402_300_799 + 86_400, 0), "99991231T235959.000000Z");
    }

    #[test]
    fn stamps_sort_by_time_and_are_told_from_anything_else() {
        let mut last = stamp(UNIX_EPOCH);
        for day in 1..40_000 {
            let next = stamp(UNIX_EPOCH + Duration::from_secs(day * 86_400));
            assert!(last < next && is_stamp(&next), "{last} {next}");
            last = next;
        }
        for other in ["", "1", "20261122T205448.123456", "20261122T205448.12345xZ", "old"] {
            assert!(!is_stamp(other), "{other}");
        }
    }
}
