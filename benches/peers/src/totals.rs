//! What a side holds, read back through its own way out, and whether that is what it was given.

use std::collections::HashMap;

use crate::work::{BOUNDS, nanos};

/// Series by their labels, spelled `a=b,c=d` in the labels' alphabetical order.
pub type Holdings = HashMap<String, Point>;

/// What one series holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// A counter's or a gauge's value, a histogram's count.
    pub value: f64,
    /// The sum of a histogram's observations, in seconds.
    pub sum: Option<f64>,
    /// Cumulative counts by upper bound in seconds, without `+Inf`. What a side hands out as `None`
    /// has no boundaries to choose; what is wanted as `None` isn't known.
    pub buckets: Option<Vec<(f64, f64)>>,
}

/// What a histogram holds that was fed `calls` values from value `start` on, by each of `threads`.
pub fn expected_histogram(start: usize, calls: usize, threads: usize) -> Point {
    let threads = threads as f64;
    let fed = || (start..start + calls).map(nanos);
    let at_most = |bound: f64| fed().filter(|&n| n as f64 / 1e9 <= bound).count() as f64;
    Point {
        value: calls as f64 * threads,
        sum: Some(fed().map(u128::from).sum::<u128>() as f64 / 1e9 * threads),
        buckets: Some(BOUNDS.iter().map(|&bound| (bound, at_most(bound) * threads)).collect()),
    }
}

/// Says where `got` differs from `want`; sums may differ by rounding.
pub fn compare(want: &Holdings, got: &Holdings) -> Result<(), String> {
    if want.len() != got.len() {
        return Err(format!("{} series instead of {}", got.len(), want.len()));
    }
    for (labels, want) in want {
        let got = got.get(labels).ok_or_else(|| format!("no series {{{labels}}}"))?;
        if got.value != want.value {
            return Err(format!("{{{labels}}} holds {} instead of {}", got.value, want.value));
        }
        match (want.sum, got.sum) {
            (Some(want), Some(got)) if (want - got).abs() <= want.abs() * 1e-9 => {}
            (None, _) => {}
            (want, got) => return Err(format!("{{{labels}}} sums to {got:?} instead of {want:?}")),
        }
        if let (Some(want), Some(got)) = (&want.buckets, &got.buckets)
            && want != got
        {
            return Err(format!("{{{labels}}} has buckets {got:?} instead of {want:?}"));
        }
    }
    Ok(())
}

/// Reads the family `name` out of a text exposition. `per_second` is how many of the unit that
/// boundaries and sums are written in make a second: 1.0, or 1e9 for a side that holds nanoseconds.
pub fn read_text(text: &str, name: &str, per_second: f64) -> Result<Holdings, String> {
    let mut holdings = Holdings::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(rest) = line.strip_prefix(name) else { continue };
        let (series, value) = rest.rsplit_once(' ').ok_or_else(|| format!("no value: {line}"))?;
        let value: f64 = value.parse().map_err(|_| format!("no number: {line}"))?;
        let (suffix, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').ok_or_else(|| format!("no closing brace: {line}"))?;
        let mut labels = split_labels(labels).ok_or_else(|| format!("odd labels: {line}"))?;
        let le = labels.iter().position(|(key, _)| *key == "le").map(|i| labels.remove(i).1);
        let point = holdings.entry(join_labels(labels)).or_default();
        match (suffix, le) {
            ("", None) => point.value = value,
            ("_count", None) => {
                point.value = value;
                // Boundaries that a histogram should have shown and didn't are missed by this.
                point.buckets.get_or_insert_default();
            }
            ("_sum", None) => point.sum = Some(value / per_second),
            ("_bucket", Some("+Inf")) => {}
            ("_bucket", Some(le)) => {
                let le: f64 = le.parse().map_err(|_| format!("odd boundary: {line}"))?;
                point.buckets.get_or_insert_default().push((le / per_second, value));
            }
            _ => return Err(format!("odd sample: {line}")),
        }
    }
    Ok(holdings)
}

/// Labels in the one spelling that [`Holdings`] are keyed by.
pub fn join_labels(mut labels: Vec<(&str, &str)>) -> String {
    labels.sort_unstable();
    let mut joined = String::with_capacity(64);
    for (key, value) in labels {
        let comma = if joined.is_empty() { "" } else { "," };
        [comma, key, "=", value].into_iter().for_each(|part| joined.push_str(part));
    }
    joined
}

/// `a="b",c="d"` in pairs. The values of our work need no escapes, so an escape is an error.
fn split_labels(mut text: &str) -> Option<Vec<(&str, &str)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"")?;
        let (value, rest) = rest.split_once('"')?;
        if value.contains('\\') {
            return None;
        }
        labels.push((key, value));
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE h histogram\n\
        h_bucket{b=\"y\",a=\"x\",le=\"0.5\"} 2\n\
        h_bucket{b=\"y\",a=\"x\",le=\"+Inf\"} 3\n\
        h_sum{b=\"y\",a=\"x\"} 4.25\n\
        h_count{b=\"y\",a=\"x\"} 3\n\
        other 1\n";

    fn histogram() -> Holdings {
        let point = Point { value: 3.0, sum: Some(4.25), buckets: Some(vec![(0.5, 2.0)]) };
        Holdings::from([("a=x,b=y".to_string(), point)])
    }

    #[test]
    fn text_is_read_back() {
        assert_eq!(read_text(TEXT, "h", 1.0), Ok(histogram()));
    }

    #[test]
    fn nanoseconds_become_the_same_seconds() {
        let text = TEXT.replace("0.5", "500000000").replace("4.25", "4250000000");
        assert_eq!(compare(&histogram(), &read_text(&text, "h", 1e9).unwrap()), Ok(()));
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let changes: [fn(&mut Point); 5] = [
            |point| point.value = 4.0,
            |point| point.sum = Some(4.26),
            |point| point.sum = None,
            |point| point.buckets = Some(vec![(0.5, 1.0)]),
            |point| point.buckets = Some(Vec::new()),
        ];
        for change in changes {
            let mut got = histogram();
            got.values_mut().for_each(change);
            assert!(compare(&histogram(), &got).is_err(), "{got:?}");
        }
        assert!(compare(&histogram(), &Holdings::new()).is_err());
        let renamed = histogram().into_values().map(|point| ("a=z".to_string(), point)).collect();
        assert!(compare(&histogram(), &renamed).is_err());
    }

    #[test]
    fn a_damaged_line_is_an_error() {
        for line in ["h{a=\"x\" 1", "h{a=\"x\"} one", "h_what{a=\"x\"} 1", "h{a=\"\\n\"} 1"] {
            assert!(read_text(line, "h", 1.0).is_err(), "{line}");
        }
    }
}
