//! Numbers as the exposition formats write them.

use crate::snapshot::Number;

/// Longest number: a float's 24 characters.
pub(crate) const LONGEST: usize = 24;

/// 2^53: beyond it not every integer is an f64, and the shortest form is the scientific one.
const ALL_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Room to write one number in.
#[derive(Default)]
pub(crate) struct Buffer {
    integer: itoa::Buffer,
    float: ryu::Buffer,
}

impl Buffer {
    /// The number as text.
    pub(crate) fn format(&mut self, number: Number) -> &[u8] {
        match number {
            Number::Total(total) => self.integer.format(total).as_bytes(),
            Number::Level(level) => self.integer.format(level).as_bytes(),
            Number::Reading(reading) => self.float(reading).as_bytes(),
        }
    }

    /// Whole numbers as integers; `NaN`, `+Inf` and `-Inf` as Prometheus spells them.
    fn float(&mut self, value: f64) -> &str {
        if value.fract() == 0.0 && value.abs() < ALL_WHOLE {
            return self.integer.format(value as i64);
        }
        match value {
            _ if value.is_nan() => "NaN",
            f64::INFINITY => "+Inf",
            f64::NEG_INFINITY => "-Inf",
            _ => self.float.format_finite(value),
        }
    }
}

/// A reading that is written as an integer and is not negative, as that; else more than any that is.
#[inline]
pub(crate) fn whole(bits: u64) -> u64 {
    let value = f64::from_bits(bits);
    let whole = value as u64;
    if whole as f64 == value && value < ALL_WHOLE { whole } else { u64::MAX }
}

/// Writes `units / 10^decimals` exactly, and says in how many bytes, up to [`LONGEST`]: a sum of
/// nanoseconds in seconds loses no digit. At most 18 decimals.
pub(crate) fn write_scaled(out: &mut [u8], units: u64, decimals: u8) -> usize {
    let scale = 10u64.pow(u32::from(decimals));
    let mut buffer = itoa::Buffer::new();
    let whole = buffer.format(units / scale).as_bytes();
    out[..whole.len()].copy_from_slice(whole);
    let mut fraction = units % scale;
    if fraction == 0 {
        return whole.len();
    }
    out[whole.len()] = b'.';
    let begin = whole.len() + 1;
    let mut end = begin + usize::from(decimals);
    for digit in out[begin..end].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    while out[end - 1] == b'0' {
        end -= 1;
    }
    end
}

/// A bucket boundary: always with a point or an exponent (`1.0`), alike in every format, so that
/// negotiating another one never changes a series. From 10^6 on and below 10^-4 with an exponent of
/// two digits, as OpenMetrics calls canonical and Prometheus's own libraries write it.
pub(crate) fn boundary(bound: f64) -> String {
    let scientific = format!("{bound:e}");
    let parts = scientific.split_once('e').and_then(|(mantissa, exponent)| {
        exponent.parse::<i32>().ok().map(|exponent| (mantissa, exponent))
    });
    match parts {
        Some((mantissa, exponent)) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{bound:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn floats_read_back(value: f64) {
            let mut buffer = Buffer::default();
            let text = std::str::from_utf8(buffer.format(Number::Reading(value))).unwrap();
            prop_assert!(text.len() <= LONGEST);
            let read: f64 = text.parse().unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()), "{}", text);
        }

        /// The oracle divides with integers of twice the width.
        #[test]
        fn scaled_integers_are_exact(units: u64, decimals in 0u8..=9) {
            let mut room = [0; LONGEST];
            let len = write_scaled(&mut room, units, decimals);
            let text = std::str::from_utf8(&room[..len]).unwrap();
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let digits = format!("{whole}{fraction:0<width$}", width = usize::from(decimals));
            prop_assert_eq!(digits.parse::<u128>().unwrap(), u128::from(units));
        }
    }

    proptest! {
        #[test]
        fn whole_readings_are_those_that_are_written_as_integers(value: f64, quarters in -99i32..99) {
            for value in [value, value.trunc(), f64::from(quarters) / 4.0] {
                let text = Buffer::default().float(value).to_owned();
                match whole(value.to_bits()) {
                    u64::MAX => prop_assert!(text.parse::<u64>().is_err(), "{}", text),
                    whole => prop_assert_eq!(text, whole.to_string()),
                }
            }
        }
    }

    #[test]
    fn special_floats_are_spelled_as_prometheus_does() {
        let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 3.0, 0.1, 1e300];
        let spelled = special.map(|value| Buffer::default().float(value).to_owned());
        assert_eq!(spelled, ["NaN", "+Inf", "-Inf", "0", "0", "3", "0.1", "1e300"]);
    }

    #[test]
    fn boundaries_have_a_point_or_an_exponent() {
        let bounds = [1.0, 0.005, 10.0, 0.0001, 0.00025, 100_000.0, 999_999.5].map(boundary);
        assert_eq!(bounds, ["1.0", "0.005", "10.0", "0.0001", "0.00025", "100000.0", "999999.5"]);
        let bounds = [1e-9, 2.5e-5, 1e6, 1_234_567.0, 9.2e18, 0.0].map(boundary);
        assert_eq!(bounds, ["1e-09", "2.5e-05", "1e+06", "1.234567e+06", "9.2e+18", "0.0"]);
    }
}
