//! A file of spans: plain or packed, which form, and what of it makes no sense.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::Path;
use std::sync::Arc;

use mcp_vitals::traces::analysis::SpanData;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{jaeger, otlp, zipkin};

/// Bytes of a file, unpacked: a small one may unpack to anything.
const MOST_BYTES: u64 = 8 << 30;
/// Characters of an attribute's value.
const MOST_VALUE: usize = 200;

/// What was passed over.
#[derive(Default)]
pub(super) struct Skipped {
    lines: u64,
    pub(super) spans: u64,
    /// Why, of the first line.
    why: String,
}

impl Skipped {
    pub(super) fn any(&self) -> bool {
        self.lines + self.spans > 0
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines > 0 {
            write!(f, "{} broken lines (the first: {})", self.lines, self.why)?;
        }
        if self.spans > 0 {
            let comma = if self.lines > 0 { ", " } else { "" };
            write!(f, "{comma}{} spans without an id or a time", self.spans)?;
        }
        Ok(())
    }
}

/// All spans of a file.
pub(super) fn spans(path: &Path) -> Result<(Vec<SpanData>, Skipped), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(stdin().lock()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    let unpacked = unpack(file).map_err(failed)?;
    unpacked.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("{} has more than 8 GiB", path.display()));
    }
    let mut reading = Reading::default();
    reading.all(&bytes);
    Ok((reading.spans, reading.skipped))
}

/// By how it begins, whatever it is called.
fn unpack(file: Box<dyn Read>) -> std::io::Result<Box<dyn Read>> {
    let mut begin = Vec::new();
    let mut file = BufReader::new(file);
    file.by_ref().take(4).read_to_end(&mut begin)?;
    let packed = begin.clone();
    let whole = std::io::Cursor::new(begin).chain(file);
    Ok(match packed[..] {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        #[cfg(feature = "zstd")]
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(whole)?),
        #[cfg(not(feature = "zstd"))]
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let why = "packed by zstd, and this was built without the feature `zstd`";
            return Err(std::io::Error::other(why));
        }
        _ => Box::new(whole),
    })
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) spans: Vec<SpanData>,
    pub(super) skipped: Skipped,
    /// Texts that were seen: most come again.
    texts: HashSet<Arc<str>>,
}

/// One that is an object. Of the three lists only one is there.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "resourceSpans", alias = "resource_spans", alias = "batches")]
    otlp: Option<Vec<otlp::ResourceSpans>>,
    #[serde(rename = "data")]
    jaeger: Option<Vec<jaeger::Trace>>,
    /// Of a trace alone, as Jaeger's UI saves it.
    #[serde(rename = "traceID")]
    trace: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    spans: Vec<jaeger::Span>,
    #[serde(default, deserialize_with = "nullable")]
    processes: jaeger::Processes,
}

impl Reading {
    fn all(&mut self, bytes: &[u8]) {
        // By lines, if the first line is a document; else as one, if it is; else what lines there are.
        let first = bytes.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty());
        let Some(first) = first else { return };
        let is_alone = first.len() + 1 >= bytes.trim_ascii().len();
        if !is_alone
            && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_err()
            && self.document(bytes).is_ok()
        {
            return;
        }
        for line in bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
            if let (false, Err(why)) = (line.is_empty(), self.document(line)) {
                self.skipped.lines += 1;
                if self.skipped.lines == 1 {
                    self.skipped.why = why;
                }
            }
        }
    }

    fn document(&mut self, bytes: &[u8]) -> Result<(), String> {
        let why = |error: serde_json::Error| error.to_string();
        let zipkin = match bytes.trim_ascii_start().first() {
            Some(b'[') => match serde_json::from_slice(bytes) {
                Ok(spans) => spans,
                Err(_) => {
                    let traces: Vec<Vec<zipkin::Span>> =
                        serde_json::from_slice(bytes).map_err(why)?;
                    traces.into_iter().flatten().collect()
                }
            },
            _ => {
                let document: Document = serde_json::from_slice(bytes).map_err(why)?;
                return self.object(document);
            }
        };
        zipkin::read(zipkin, self);
        Ok(())
    }

    fn object(&mut self, document: Document) -> Result<(), String> {
        match document {
            Document { otlp: Some(otlp), .. } => otlp::read(otlp, self),
            Document { jaeger: Some(traces), .. } => jaeger::read(traces, self),
            Document { trace: Some(_), spans, processes, .. } => {
                jaeger::read(vec![jaeger::Trace { spans, processes }], self);
            }
            _ => return Err("neither resourceSpans (OTLP) nor data (Jaeger)".to_owned()),
        }
        Ok(())
    }

    /// The text, of which there is one, however often it comes.
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        let cut = text.char_indices().nth(MOST_VALUE).map_or(text, |(at, _)| &text[..at]);
        if let Some(known) = self.texts.get(cut) {
            return known.clone();
        }
        let new: Arc<str> = cut.into();
        self.texts.insert(new.clone());
        new
    }

    /// A value as text.
    pub(super) fn value(&mut self, value: &Value) -> Arc<str> {
        match value {
            Value::String(text) => self.text(text),
            other => self.text(&other.to_string()),
        }
    }

    /// Adds a span that has ids and a start, else counts it.
    pub(super) fn add(&mut self, span: Option<SpanData>) {
        match span {
            Some(span) => self.spans.push(span),
            None => self.skipped.spans += 1,
        }
    }
}

/// What may be `null`.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A whole number, which may be a string, as int64 is in protobuf's JSON; 0 for anything else.
pub(super) fn whole(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(0),
        // What is too large or has a fraction: as near as it gets.
        value => value.as_u64().or_else(|| value.as_f64().map(|n| n as u64)).unwrap_or(0),
    }
}

/// An id of `digits` hexadecimal digits, of which leading zeroes may be missing.
pub(super) fn id<T: std::str::FromStr>(text: &str, digits: usize) -> Option<T> {
    if text.is_empty() || text.len() > digits {
        return None;
    }
    format!("{text:0>digits$}").parse().ok()
}
