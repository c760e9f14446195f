//! A histogram's lines.

use super::{digits, number};
use crate::snapshot::{BoundText, Exemplar, HistogramReading};

/// Bytes of the longest exemplar: its label set, two numbers, and what stands between.
const EXEMPLAR: usize = r##" # {trace_id="",span_id=""}  "##.len() + 48 + 2 * number::LONGEST;

/// Room to write the lines of one histogram in, which never shrinks: nothing is cleared, and nothing
/// looked at twice, before it is written over.
#[derive(Default)]
pub(super) struct Lines {
    room: Vec<u8>,
}

/// The lines of one histogram, kept with what they say.
#[derive(Default)]
pub(super) struct KeptLines {
    lines: Lines,
    len: usize,
    buckets: Vec<u64>,
    sum: u64,
}

impl KeptLines {
    /// Bytes that they take, at most.
    pub(super) fn cost(begin: &str, reading: &HistogramReading<'_>) -> usize {
        let numbers = size_of_val(reading.buckets);
        size_of::<KeptLines>() + numbers + Lines::longest(begin, reading)
    }

    /// [`Lines::render`], where the histogram is not as it was. Without exemplars.
    pub(super) fn render(&mut self, begin: &str, reading: &HistogramReading<'_>) -> &[u8] {
        if self.buckets != reading.buckets || self.sum != reading.sum {
            self.len = self.lines.render(begin, reading).len();
            self.buckets.clear();
            self.buckets.extend_from_slice(reading.buckets);
            self.sum = reading.sum;
        }
        &self.lines.room[..self.len]
    }
}

impl Lines {
    /// Bytes of the longest lines that such a histogram can have.
    fn longest(begin: &str, reading: &HistogramReading<'_>) -> usize {
        let line = begin.len() + "_count".len() + BoundText::ROOM + number::LONGEST + "\n".len();
        (reading.buckets.len() + 2) * line + reading.exemplars.len() * EXEMPLAR
    }

    /// A line for each bucket, one for the sum and one for the count. `begin` is what a bucket's
    /// begins with, up to its `le`; past it only the numbers are new.
    pub(super) fn render(&mut self, begin: &str, reading: &HistogramReading<'_>) -> &[u8] {
        let longest = Lines::longest(begin, reading);
        if self.room.len() < longest {
            self.room.resize(longest, 0);
        }
        let mut out = Cursor { room: &mut self.room, at: 0 };
        let mut number = Integer::default();
        number.set(0);
        if reading.exemplars.is_empty() {
            out.push_buckets(begin, reading, &mut number, |_, _| ());
        } else {
            let mut exemplars = reading.exemplars.iter().peekable();
            out.push_buckets(begin, reading, &mut number, |out, bucket| {
                if let Some(exemplar) = exemplars.next_if(|exemplar| exemplar.bucket == bucket) {
                    out.push_exemplar(exemplar, reading.decimals);
                }
            });
        }
        // After `name_bucket{`, with a comma after each.
        let labels = &begin[reading.name.len() + "_bucket{".len()..];
        out.push_name(reading.name, b"_sum", labels);
        out.at += number::write_scaled(&mut out.room[out.at..], reading.sum, reading.decimals);
        out.push(b"\n");
        out.push_name(reading.name, b"_count", labels);
        out.push_part(&number.text, number.len);
        let end = out.at;
        &self.room[..end]
    }
}

/// An integer and its text, a newline behind it.
#[derive(Default)]
struct Integer {
    value: u64,
    text: [u8; number::LONGEST + 1],
    len: usize,
}

impl Integer {
    fn set(&mut self, value: u64) {
        let len = match digits::short(value) {
            Some((text, len)) => {
                self.text[..text.len()].copy_from_slice(&text);
                len
            }
            None => number::write_scaled(&mut self.text, value, 0),
        };
        self.text[len] = b'\n';
        self.value = value;
        self.len = len + 1;
    }
}

/// Where the next bytes go, in room that suffices.
struct Cursor<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The lines of the buckets; `more` may put something behind each.
    #[inline(always)]
    fn push_buckets(
        &mut self,
        begin: &str,
        reading: &HistogramReading<'_>,
        number: &mut Integer,
        mut more: impl FnMut(&mut Self, usize),
    ) {
        let buckets = reading.bounds_text.iter().zip(reading.buckets);
        for (bucket, (bound, alone)) in buckets.enumerate() {
            self.push(begin.as_bytes());
            let (bound, len) = bound.get();
            self.push_part(bound, len);
            // Of most buckets the lines say what the one before said.
            if *alone > 0 {
                number.set(number.value + alone);
            }
            self.push_part(&number.text, number.len);
            more(self, bucket);
        }
    }

    /// Puts an exemplar at the end of the line that was just written.
    fn push_exemplar(&mut self, exemplar: &Exemplar, decimals: u8) {
        // In the newline's place.
        self.at -= 1;
        self.push(b" # {trace_id=\"");
        self.push_hex(&exemplar.trace);
        self.push(b"\",span_id=\"");
        self.push_hex(&exemplar.span);
        self.push(b"\"} ");
        self.at += number::write_scaled(&mut self.room[self.at..], exemplar.units, decimals);
        self.push(b" ");
        self.at += number::write_scaled(&mut self.room[self.at..], exemplar.unix_millis, 3);
        self.push(b"\n");
    }

    fn push_hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            self.push(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        self.room[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += text.len();
    }

    /// The first `len` bytes; behind them stands anything.
    #[inline]
    fn push_part<const N: usize>(&mut self, text: &[u8; N], len: usize) {
        self.room[self.at..self.at + N].copy_from_slice(text);
        self.at += len;
    }

    /// A sample's name and labels, of which each has a comma behind it.
    fn push_name(&mut self, name: &str, suffix: &[u8], labels: &str) {
        self.push(name.as_bytes());
        self.push(suffix);
        if let Some(labels) = labels.strip_suffix(',') {
            self.push(b"{");
            self.push(labels.as_bytes());
            self.push(b"}");
        }
        self.push(b" ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The oracle is `format!`.
        #[test]
        fn lines_are_what_they_say(
            labels in prop::sample::select(vec!["", "a=\"\",", "tool=\"x\",zone=\"eu\","]),
            buckets in prop::collection::vec((any::<u64>(), 8u32..64), 1..30),
            sum: u64,
            decimals in prop::sample::select(vec![0u8, 9]),
            short in any::<bool>(),
            with in prop::collection::vec(any::<Option<(u128, u64, u64, u32)>>(), 30),
            exposed in any::<bool>(),
        ) {
            let buckets: Vec<u64> = buckets.into_iter().map(|(bits, shift)| bits >> shift).collect();
            let name = if short { "t" } else { "mcp_request_duration_seconds" };
            let bounds: Vec<f64> = (1..buckets.len()).map(|n| n as f64 / 3.0).collect();
            let text = |bound: f64| number::boundary(bound);
            let bounds_text: Vec<String> = bounds.iter().copied().map(text).collect();
            let bounds_text: Vec<&str> =
                bounds_text.iter().map(String::as_str).chain(["+Inf"]).collect();
            let scaled = |units, decimals| {
                let mut room = [0; number::LONGEST];
                let len = number::write_scaled(&mut room, units, decimals);
                String::from_utf8(room[..len].to_vec()).unwrap()
            };
            let mut expected = String::new();
            let mut exemplars = Vec::new();
            let mut count = 0;
            for (bucket, (bound, alone)) in bounds_text.iter().zip(&buckets).enumerate() {
                count += alone;
                expected += &format!("{name}_bucket{{{labels}le=\"{bound}\"}} {count}");
                if let Some((trace, span, units, secs)) = with[bucket].filter(|_| exposed) {
                    let unix_millis = u64::from(secs) * 1000 + 250;
                    let (trace_text, span_text) = (format!("{trace:032x}"), format!("{span:016x}"));
                    expected += &format!(
                        " # {{trace_id=\"{trace_text}\",span_id=\"{span_text}\"}} {} {secs}.25",
                        scaled(units, decimals),
                    );
                    let (trace, span) = (trace.to_be_bytes(), span.to_be_bytes());
                    exemplars.push(Exemplar { bucket, trace, span, units, unix_millis });
                }
                expected.push('\n');
            }
            let braced = match labels.strip_suffix(',') {
                Some(labels) => format!("{{{labels}}}"),
                None => String::new(),
            };
            let sum_text = scaled(sum, decimals);
            expected += &format!("{name}_sum{braced} {sum_text}\n{name}_count{braced} {count}\n");
            let reading = HistogramReading {
                name,
                bounds_text: &bounds_text.iter().map(|bound| BoundText::new(bound)).collect::<Vec<_>>(),
                buckets: &buckets,
                sum,
                decimals,
                bits: 6,
                exemplars: &exemplars,
            };
            let mut lines = Lines::default();
            let begin = format!("{name}_bucket{{{labels}");
            // Twice: what the first left in the room is not seen.
            lines.render(&begin, &reading);
            prop_assert_eq!(std::str::from_utf8(lines.render(&begin, &reading)).unwrap(), &expected);
            if !exposed {
                let mut kept = KeptLines::default();
                let (mut others, last) = (buckets.clone(), buckets.len() - 1);
                others[last] ^= 1;
                // As it was, then with another bucket alone, then with another sum alone.
                for (buckets, sum) in [(&buckets, sum), (&buckets, sum), (&others, sum), (&others, !sum)] {
                    let reading = HistogramReading { buckets, sum, exemplars: &[], ..reading };
                    let text = kept.render(&begin, &reading);
                    prop_assert_eq!(text, lines.render(&begin, &reading));
                    prop_assert!(text.len() < KeptLines::cost(&begin, &reading));
                }
                prop_assert_eq!(kept.lines.room.capacity(), Lines::longest(&begin, &reading));
            }
        }
    }
}
