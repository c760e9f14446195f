//! In which format a scraper wants the metrics.

use std::cmp::Reverse;

/// How metrics are written for whoever scrapes them.
///
/// The series are the same in both, name by name and byte by byte. OpenMetrics says more of them:
/// units, exemplars, what is a counter's name and what its ending. For a server of one's own:
///
/// ```
/// use mcp_vitals::Format;
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// let format = Format::negotiate([accept]);
/// assert_eq!(format, Format::OpenMetrics);
/// let mut body = Vec::new();
/// vitals.scrape_as(format, &mut body);
/// assert!(body.ends_with(b"# EOF\n"));
/// assert!(format.content_type().starts_with("application/openmetrics-text"));
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format 0.0.4, which everything reads.
    #[default]
    Text,
    /// OpenMetrics 1.0.0 as text: what Prometheus asks for first.
    OpenMetrics,
}

/// One of what a client takes, as far as it is ours.
#[derive(Clone, Copy)]
struct Wish {
    /// How closely it names the format: 0 for `*/*`, 1 for `text/*`, 2 for the type, 3 for its
    /// version too.
    closeness: u8,
    /// Its weight in thousandths.
    weight: u16,
    /// Where it stands among the others.
    place: Reverse<usize>,
}

impl Format {
    /// What a body in this format is labelled with: the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What suits a client best, by the lines of its `Accept` header.
    ///
    /// By weight, then by how closely it is named, then by which is named first; text where nothing is
    /// said, where only `*/*` is, and where nothing of ours is taken. What nobody can read is passed
    /// over. Allocates nothing.
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Format {
        let [mut text, mut open]: [Option<Wish>; 2] = [None; 2];
        let ranges = accept.into_iter().flat_map(|line| line.split(','));
        for (place, range) in ranges.enumerate() {
            for (format, best) in [(Format::Text, &mut text), (Format::OpenMetrics, &mut open)] {
                let Some(wish) = format.wish(range) else { continue };
                // The closest counts, and of as close ones the first.
                if best.is_none_or(|best| wish.closeness > best.closeness) {
                    *best = Some(Wish { place: Reverse(place), ..wish });
                }
            }
        }
        // A refusal is below what is not named at all: nothing of ours is taken by then.
        let rank = |wish: Option<Wish>| {
            let wish = wish.filter(|wish| wish.weight > 0)?;
            Some((wish.weight, wish.closeness, wish.place))
        };
        if rank(open) > rank(text) { Format::OpenMetrics } else { Format::Text }
    }

    /// What a range of media types wants of this format; nothing where it is another's.
    fn wish(self, range: &str) -> Option<Wish> {
        let (group, name, version) = match self {
            Format::Text => ("text", "plain", "0.0.4"),
            Format::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
        };
        let mut parts = range.split(';').map(str::trim);
        let (of, named) = parts.next()?.split_once('/')?;
        let closeness = match (of, named) {
            ("*", "*") => 0,
            (of, "*") if of.eq_ignore_ascii_case(group) => 1,
            (of, named) if of.eq_ignore_ascii_case(group) && named.eq_ignore_ascii_case(name) => 2,
            _ => return None,
        };
        let mut wish = Wish { closeness, weight: 1000, place: Reverse(0) };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let (key, value) = (key.trim_end(), value.trim().trim_matches('"'));
            if key.eq_ignore_ascii_case("q") {
                wish.weight = weight(value)?;
            } else if key.eq_ignore_ascii_case("version") {
                if value != version {
                    return None;
                }
                wish.closeness = 3;
            } else if key.eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
                return None;
            }
        }
        Some(wish)
    }
}

/// A weight in thousandths; nothing where it is none.
fn weight(text: &str) -> Option<u16> {
    let weight = text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
    // What is above 0 stays so: HTTP has three decimals, and no client's fourth is a refusal.
    Some(((weight * 1000.0) as u16).max(u16::from(weight > 0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn negotiated(accept: &str) -> Format {
        Format::negotiate([accept])
    }

    #[test]
    fn text_unless_openmetrics_is_wanted_more() {
        for text in [
            "",
            "*/*",
            "text/plain",
            "text/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            // vmagent.
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "application/json",
            "text/plain, application/openmetrics-text",
            "text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.4",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0;q=1, */*;q=0.1",
            "application/openmetrics-text;q=0, */*",
            "application/openmetrics-text;q=0.5, text/plain;q=1",
            "application/openmetrics-text;version=1.0.0;charset=latin1, */*;q=0.1",
            "application/openmetrics-text;version=1.0.0;q=nan, text/plain;q=0.1",
            "application/openmetrics-text;q=7, text/plain;q=0.1",
            // The closest one counts, here and below.
            "application/*;q=1, application/openmetrics-text;q=0.1, text/plain;q=0.5",
            ",;,=;q=,/,*/,;;",
        ] {
            assert_eq!(negotiated(text), Format::Text, "{text}");
        }
        for open in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "APPLICATION/OpenMetrics-Text;Version=\"1.0.0\"",
            "application/openmetrics-text, */*",
            "application/openmetrics-text, text/plain",
            "application/openmetrics-text;q=0.2, text/plain;q=0.1",
            "application/openmetrics-text;q=0.001, text/plain;q=0",
            "application/*",
            "*/*;q=0.1, application/openmetrics-text, text/plain",
            // Prometheus 2, one with native histograms, and 3.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;\
             q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;\
             escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        ] {
            assert_eq!(negotiated(open), Format::OpenMetrics, "{open}");
        }
        assert_eq!(Format::negotiate([]), Format::Text);
        let lines = ["text/plain;q=0.5", "application/openmetrics-text"];
        assert_eq!(Format::negotiate(lines), Format::OpenMetrics);
    }

    proptest! {
        /// Two weights in thousandths: the greater one wins, whichever stands first.
        #[test]
        fn the_greater_weight_wins(text in 0u16..=1000, open in 0u16..=1000, swap: bool) {
            let weight = |n: u16| format!("{}.{:03}", n / 1000, n % 1000);
            let mut ranges = [
                format!("text/plain;version=0.0.4;q={}", weight(text)),
                format!("application/openmetrics-text;version=1.0.0;q={}", weight(open)),
            ];
            if swap {
                ranges.reverse();
            }
            let expected = match open.cmp(&text) {
                std::cmp::Ordering::Greater => Format::OpenMetrics,
                std::cmp::Ordering::Equal if swap && open > 0 => Format::OpenMetrics,
                _ => Format::Text,
            };
            prop_assert_eq!(negotiated(&ranges.join(", ")), expected);
        }

        #[test]
        fn any_header_is_read(accept in "[a-z*/;,=q0-9.\" -]{0,60}|.*") {
            negotiated(&accept);
        }
    }
}
