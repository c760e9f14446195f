//! In which format a scraper wants the metrics.

use std::cmp::Reverse;

/// How metrics are written for whoever scrapes them.
///
/// The series are the same in both texts, name by name and byte by byte. OpenMetrics says more of them:
/// units, exemplars, what is a counter's name and what its ending. Protobuf has the same series, exemplars,
/// and of each histogram a native one besides. For a server of one's own:
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
    /// Prometheus' protobuf: one `MetricFamily` of [`io.prometheus.client`] after another, each behind
    /// its length. What Prometheus asks for first where its native histograms are switched on.
    ///
    /// Histograms are there in their classic buckets and in exponential ones of schema 3, which are 9 %
    /// wide, or twice as wide and so on once more than 160 have a count. An observation counts where
    /// the middle of its cell lies: half a cell (0.8 % at 64 cells an octave) from a boundary it may be
    /// in the bucket beside.
    ///
    /// [`io.prometheus.client`]: https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
    Protobuf,
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
    /// Those that everybody gets who asks for them.
    pub const TEXTS: &[Format] = &[Format::Text, Format::OpenMetrics];
    /// All of them.
    pub const ALL: &[Format] = &[Format::Text, Format::OpenMetrics, Format::Protobuf];

    /// What a body in this format is labelled with: the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// Which of the texts suits a client best, by the lines of its `Accept` header.
    ///
    /// By weight, then by how closely it is named, then by which is named first; text where nothing is
    /// said, where only `*/*` is, and where nothing of ours is taken. What nobody can read is passed
    /// over. Allocates nothing.
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Format {
        Format::negotiate_among(Format::TEXTS, accept)
    }

    /// The same among `offered`, where nothing is said the first of them. With [`ALL`](Self::ALL) a
    /// Prometheus that has native histograms switched on gets these, and stops reading the classic
    /// buckets.
    pub fn negotiate_among<'a>(
        offered: &[Format],
        accept: impl IntoIterator<Item = &'a str>,
    ) -> Format {
        let mut wishes = [None; Format::ALL.len()];
        let ranges = accept.into_iter().flat_map(|line| line.split(','));
        for (place, range) in ranges.enumerate() {
            for (format, best) in Format::ALL.iter().zip(&mut wishes) {
                let Some(wish) = format.wish(range) else { continue };
                // The closest counts, and of as close ones the first.
                if best.is_none_or(|best: Wish| wish.closeness > best.closeness) {
                    *best = Some(Wish { place: Reverse(place), ..wish });
                }
            }
        }
        // A refusal is below what is not named at all: nothing of ours is taken by then.
        let rank = |wish: Option<Wish>| {
            let wish = wish.filter(|wish| wish.weight > 0)?;
            Some((wish.weight, wish.closeness, wish.place))
        };
        // Of equals the last is taken, which here is the first.
        let wish = |format| Format::ALL.iter().zip(wishes).find(|(of, _)| *of == format)?.1;
        let best = offered.iter().rev().max_by_key(|format| rank(wish(*format)));
        best.copied().unwrap_or_default()
    }

    /// What a range of media types wants of this format; nothing where it is another's.
    fn wish(self, range: &str) -> Option<Wish> {
        let (group, name, parameters): (_, _, &[_]) = match self {
            Format::Text => ("text", "plain", &[("version", "0.0.4")]),
            Format::OpenMetrics => ("application", "openmetrics-text", &[("version", "1.0.0")]),
            Format::Protobuf => (
                "application",
                "vnd.google.protobuf",
                &[("proto", "io.prometheus.client.MetricFamily"), ("encoding", "delimited")],
            ),
        };
        let mut parts = range.split(';').map(str::trim);
        let (of, subtype) = parts.next()?.split_once('/')?;
        let closeness = match (of, subtype) {
            ("*", "*") => 0,
            (of, "*") if of.eq_ignore_ascii_case(group) => 1,
            (of, subtype)
                if of.eq_ignore_ascii_case(group) && subtype.eq_ignore_ascii_case(name) =>
            {
                2
            }
            _ => return None,
        };
        let mut wish = Wish { closeness, weight: 1000, place: Reverse(0) };
        let named = |key: &str| parameters.iter().find(|(name, _)| key.eq_ignore_ascii_case(name));
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let (key, value) = (key.trim_end(), value.trim().trim_matches('"'));
            if key.eq_ignore_ascii_case("q") {
                wish.weight = weight(value)?;
            } else if let Some((_, ours)) = named(key) {
                if value != *ours {
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
    fn protobuf_where_it_is_offered_and_wanted_most() {
        const NATIVE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;\
             q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let among_all = |accept| Format::negotiate_among(Format::ALL, [accept]);
        assert_eq!(negotiated(NATIVE), Format::OpenMetrics);
        for protobuf in [
            NATIVE,
            "application/vnd.google.protobuf",
            "application/vnd.google.protobuf;encoding=delimited",
            "text/plain;q=0.5, application/vnd.google.protobuf;q=0.6",
        ] {
            assert_eq!(among_all(protobuf), Format::Protobuf, "{protobuf}");
        }
        for (other, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("application/*", Format::OpenMetrics),
            ("application/vnd.google.protobuf;q=0", Format::Text),
            ("application/vnd.google.protobuf;encoding=text, */*;q=0.1", Format::Text),
            ("application/vnd.google.protobuf;proto=other.Message", Format::Text),
            (Format::OpenMetrics.content_type(), Format::OpenMetrics),
            (Format::Protobuf.content_type(), Format::Protobuf),
        ] {
            assert_eq!(among_all(other), format, "{other}");
        }
        assert_eq!(Format::negotiate_among(&[], [NATIVE]), Format::Text);
        assert_eq!(Format::negotiate_among(&[Format::Protobuf], ["text/plain"]), Format::Protobuf);
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
