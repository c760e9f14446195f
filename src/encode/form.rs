//! Spans as the JSON that other systems read: which form, whose spans, and what the forms share.

use std::collections::HashMap;

use super::line::escape;
use super::line::value::{self, REDACTED};
use super::{jaeger, perfetto, zipkin};
use crate::batch::SpanRecord;
use crate::ring::frame::{Field, Text, Value};

/// A form of JSON that other systems read spans in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanForm {
    /// A list of Zipkin's v2 spans, as `POST /api/v2/spans` takes it. Microseconds; attributes are
    /// texts; as OpenTelemetry maps its spans to Zipkin's. Links are left out: Zipkin has none.
    Zipkin,
    /// The file that Jaeger's UI imports ("Upload"), and its query service answers with. Live spans
    /// go to Jaeger by OTLP: it has taken nothing else of its own since version 2.
    Jaeger,
    /// Chrome's trace events, which `ui.perfetto.dev` and `chrome://tracing` open: a track for each
    /// thread, and a further one where spans of a thread overlap without one being the other's part.
    /// Nanoseconds, from the first span on; `otherData` says when that was.
    Perfetto,
}

impl SpanForm {
    /// Appends one document with these spans to `out`.
    ///
    /// Zipkin's is written in one pass; the others sort the spans first, by trace and by start. Of
    /// attributes of one name the last counts. What was kept out reads `[redacted]`.
    ///
    /// ```
    /// use mcp_vitals::Vitals;
    /// use mcp_vitals::traces::{Service, SpanForm, TraceConfig};
    ///
    /// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
    /// vitals.tracer("search").span("query").set_attribute("rows", 3);
    /// let mut json = Vec::new();
    /// vitals.with_captured_spans(|spans| {
    ///     let service = Service { name: "search-server", ..Service::default() };
    ///     SpanForm::Jaeger.write(&service, spans.iter().cloned(), &mut json);
    /// });
    /// let json = String::from_utf8_lossy(&json);
    /// assert!(json.contains(r#""operationName":"query""#));
    /// assert!(json.contains(r#"{"key":"rows","type":"int64","value":3}"#));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn write<'a>(
        self,
        service: &Service<'_>,
        spans: impl IntoIterator<Item = SpanRecord<'a>>,
        out: &mut Vec<u8>,
    ) {
        match self {
            SpanForm::Zipkin => zipkin::write(service, spans, &mut Vec::new(), out),
            SpanForm::Jaeger => jaeger::write(service, spans, out),
            SpanForm::Perfetto => perfetto::write(service, spans, out),
        }
    }
}

/// Whose spans they are: OpenTelemetry's resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service<'a> {
    /// Its name, `service.name`.
    pub name: &'a str,
    /// Its version, `service.version`; empty where it has none.
    pub version: &'a str,
    /// What else there is to say of it: names and values.
    pub attributes: &'a [(&'a str, &'a str)],
}

impl<'a> Service<'a> {
    /// What it is called where nobody said, as OpenTelemetry has it.
    pub(super) fn known_name(&self) -> &'a str {
        if self.name.is_empty() { "unknown_service" } else { self.name }
    }

    /// All that is said of it but the name.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let has_version = !self.version.is_empty();
        let version = has_version.then_some(("service.version", self.version));
        let others = self.attributes.iter().copied().filter(move |(key, _)| {
            *key != "service.name" && !(has_version && *key == "service.version")
        });
        version.into_iter().chain(others)
    }
}

/// From so many fields on they are looked up instead of compared with each other.
const MANY: usize = 24;

/// Fields by their names, of two of one name the later one, in the order of what is left.
pub(crate) fn latest<'a>(
    fields: impl Iterator<Item = Field<'a>> + Clone,
    mut see: impl FnMut(&'a [u8], Value<'a>),
) {
    if fields.clone().nth(MANY).is_none() {
        let mut rest = fields;
        while let Some(field) = rest.next() {
            let key = field.key.as_bytes();
            if rest.clone().all(|later| later.key.as_bytes() != key) {
                see(key, field.value);
            }
        }
        return;
    }
    let last: HashMap<&[u8], usize> =
        fields.clone().enumerate().map(|(at, field)| (field.key.as_bytes(), at)).collect();
    for (at, field) in fields.enumerate() {
        if last.get(field.key.as_bytes()) == Some(&at) {
            see(field.key.as_bytes(), field.value);
        }
    }
}

/// The same of an event: an error is three texts, as OpenTelemetry has them.
pub(crate) fn of_event<'a>(
    fields: impl Iterator<Item = Field<'a>> + Clone,
    mut see: impl FnMut(&'a [u8], Value<'a>),
) {
    latest(fields, |key, value| match value {
        Value::Error { type_name, message, traceback } => {
            for (key, text) in [
                (&b"exception.type"[..], type_name),
                (b"exception.message", message),
                (b"exception.stacktrace", traceback),
            ] {
                if !text.as_bytes().is_empty() {
                    see(key, Value::Str(text));
                }
            }
        }
        _ => see(key, value),
    });
}

/// Counts of what was left out of a span, as OpenTelemetry calls them elsewhere than in OTLP.
pub(super) fn dropped(span: &SpanRecord<'_>) -> impl Iterator<Item = (&'static str, u32)> + use<> {
    [
        ("otel.dropped_attributes_count", span.dropped_attributes),
        ("otel.dropped_events_count", span.dropped_events),
        ("otel.dropped_links_count", span.dropped_links),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
}

/// Microseconds of the start and of the duration: of two spans of which one is within the other,
/// it is that also when rounded.
pub(super) fn micros(span: &SpanRecord<'_>) -> (u64, u64) {
    let start = span.start_unix_nanos / 1_000;
    (start, (span.end_unix_nanos / 1_000).saturating_sub(start))
}

/// `"text"`.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape::quoted(text, out);
    out.push(b'"');
}

/// A text that may have been cut, between quotes.
pub(super) fn cut_string(text: Text<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    value::quoted(text, out);
    out.push(b'"');
}

/// Digits.
pub(super) fn number(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `"hexadecimal"`.
pub(super) fn id(id: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape::hex(id, out);
    out.push(b'"');
}

/// A value between quotes that are there already.
pub(super) fn text(value: Value<'_>, out: &mut Vec<u8>) {
    if value::scalar(value, out) {
        return;
    }
    match value {
        Value::Str(text) => value::quoted(text, out),
        Value::Bytes(bytes) => value::bytes(bytes, out),
        Value::F64(n) => out.extend_from_slice(value::not_finite(n)),
        Value::Error { message, .. } => value::quoted(message, out),
        _ => out.extend_from_slice(REDACTED),
    }
}

/// A value as JSON has it: numbers and truths as they are, all else a string.
pub(super) fn json(value: Value<'_>, out: &mut Vec<u8>) {
    if !value::scalar(value, out) {
        out.push(b'"');
        text(value, out);
        out.push(b'"');
    }
}
