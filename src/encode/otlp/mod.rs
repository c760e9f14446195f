//! Spans as OpenTelemetry sends them: OTLP's `ExportTraceServiceRequest`, which is a file's
//! `TracesData` too, in protobuf or JSON, written from where the frames stand straight to bytes.
//!
//! Spans of one scope stand together, so each scope of a request has a buffer, which the next request
//! uses again; at the end they are put behind one another. Besides those and the request's own bytes
//! nothing is kept or built.
//!
//! How values are written, in both forms: an integer beyond the range of OTLP's, which are signed, as
//! its digits in a text; what was nothing not at all, as if it had not been set; in JSON a number that is
//! not finite as a text (both by what receivers do: one refuses a whole request over an empty value, or
//! over `"NaN"` where a number should be); what was kept out as `[redacted]`; a text
//! that was cut with how much was, as log lines say it; what is no UTF-8 as U+FFFD; an error as
//! `exception.type`, `exception.message` and `exception.stacktrace` (its causes), or with its own key
//! where it is not the attribute of an event `exception`. Of two attributes of a name the last is there.

mod json;
#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
mod protobuf;

use crate::batch::{SpanEvent, SpanRecord};
use crate::logs::Value;
use crate::ring::frame::{Field, Text};
use crate::traces::resource::Resource;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As gRPC has it, too.
    #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
    Protobuf,
    Json,
}

/// Scopes whose buffers are kept for the next request.
const SCOPES: usize = 64;

/// Makes one request after the other.
pub(crate) struct Request {
    form: Form,
    /// As every request begins.
    resource: Vec<u8>,
    scopes: Vec<Scope>,
    /// Where the scope of the span before stands.
    last: usize,
    out: Vec<u8>,
}

/// The spans of one scope, encoded.
struct Scope {
    name: Vec<u8>,
    spans: Vec<u8>,
}

impl Request {
    pub(crate) fn new(form: Form, resource: &Resource) -> Request {
        let mut encoded = Vec::new();
        match form {
            #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
            Form::Protobuf => protobuf::resource(resource, &mut encoded),
            Form::Json => json::resource(resource, &mut encoded),
        }
        Request { form, resource: encoded, scopes: Vec::new(), last: 0, out: Vec::new() }
    }

    /// Begins anew with the first of these spans: `most` of them at most, and none more from
    /// `most_bytes` bytes on. How many it took.
    pub(crate) fn fill(
        &mut self,
        spans: &mut dyn Iterator<Item = SpanRecord<'_>>,
        most: usize,
        most_bytes: usize,
    ) -> usize {
        if self.scopes.len() > SCOPES {
            self.scopes.clear();
        }
        self.scopes.iter_mut().for_each(|scope| scope.spans.clear());
        let (mut count, mut bytes) = (0, 0);
        while count < most && bytes < most_bytes {
            let Some(span) = spans.next() else { break };
            let form = self.form;
            let out = self.scope(span.scope.as_bytes());
            let before = out.len();
            match form {
                #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
                Form::Protobuf => protobuf::span(&span, out),
                Form::Json => json::span(&span, out),
            }
            bytes += out.len() - before;
            count += 1;
        }
        self.out.clear();
        let scopes = self.scopes.iter().filter(|scope| !scope.spans.is_empty());
        let scopes = scopes.map(|Scope { name, spans }| (&name[..], &spans[..]));
        match self.form {
            #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
            Form::Protobuf => protobuf::request(&self.resource, scopes, &mut self.out),
            Form::Json => json::request(&self.resource, scopes, &mut self.out),
        }
        count
    }

    /// What [`fill`](Self::fill) made.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Where the spans of this scope go.
    fn scope(&mut self, name: &[u8]) -> &mut Vec<u8> {
        let is_it = |scope: &Scope| scope.name == name;
        if !self.scopes.get(self.last).is_some_and(is_it) {
            self.last = self.scopes.iter().position(is_it).unwrap_or_else(|| {
                self.scopes.push(Scope { name: name.to_vec(), spans: Vec::new() });
                self.scopes.len() - 1
            });
        }
        &mut self.scopes[self.last].spans
    }
}

/// OTLP's flags of a span: W3C's, and of a link's span or a span's parent whether it was made in
/// another process, which is known.
fn flags(sampled_and_random: u8, is_remote: bool) -> u32 {
    const HAS_IS_REMOTE: u32 = 0x100;
    const IS_REMOTE: u32 = 0x200;
    u32::from(sampled_and_random) | HAS_IS_REMOTE | if is_remote { IS_REMOTE } else { 0 }
}

/// A key in one or two parts: of an error's several attributes each has one of its own.
#[derive(Clone, Copy)]
struct Key<'a>(Text<'a>, &'static str);

/// Gives each attribute once, the last of a name, and an error's as several.
#[inline]
fn attributes<'a>(
    mut fields: impl Iterator<Item = Field<'a>> + Clone,
    key_of_errors: Option<&'static str>,
    mut give: impl FnMut(Key<'a>, Value<'a>),
) {
    while let Some(Field { key, value }) = fields.next() {
        // The frames of a process have few attributes each, and a span 128 at most.
        if fields.clone().any(|later| later.key.as_bytes() == key.as_bytes()) {
            continue;
        }
        expand(Field { key, value }, key_of_errors, &mut give);
    }
}

/// Gives an attribute, and an error's as several.
#[inline]
fn expand<'a>(
    Field { key, value }: Field<'a>,
    key_of_errors: Option<&'static str>,
    mut give: impl FnMut(Key<'a>, Value<'a>),
) {
    match value {
        Value::Null => {}
        Value::Error { type_name, message, traceback } => {
            let key = key_of_errors.map_or(key, |key| Text::new(key.as_bytes()));
            give(Key(key, ".type"), Value::Str(type_name));
            give(Key(key, ".message"), Value::Str(message));
            if !traceback.as_bytes().is_empty() {
                give(Key(key, ".stacktrace"), Value::Str(traceback));
            }
        }
        value => give(Key(key, ""), value),
    }
}

/// What OpenTelemetry calls an error's attributes in an event of this name.
fn key_of_errors(event: &SpanEvent<'_>) -> Option<&'static str> {
    (event.name.as_bytes() == b"exception").then_some("exception")
}
