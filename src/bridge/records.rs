//! Records of the `log` crate that come by way of `tracing-log`.

use std::fmt;

use tracing_core::field::Visit;
use tracing_core::{Event, Field, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::sites;
use super::spans::Node;
use super::tracing::{Takes, elsewhere, level, node};
use crate::logs::Level;
use crate::logs::Line;
use crate::logs::inlet::{self, Inlet, Message, Source, UNKNOWN};
use crate::logs::private::{Rendered, debug, display};

/// No fields, but where the line comes from.
struct Unknown<'a>(Option<&'a Source<'a>>);

impl inlet::Fields for Unknown<'_> {
    fn room(&self) -> usize {
        UNKNOWN
    }

    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        if let Some(source) = self.0 {
            super::put_source(source, line);
        }
    }
}

/// What `tracing-log` says of a record.
#[derive(Default)]
struct LogEvent {
    message: Option<Rendered>,
    target: Option<Rendered>,
    module: Option<Rendered>,
    file: Option<Rendered>,
    line: u32,
}

impl Visit for LogEvent {
    fn record_str(&mut self, field: &Field, value: &str) {
        let place = match field.name() {
            "message" => &mut self.message,
            "log.target" => &mut self.target,
            "log.module_path" => &mut self.module,
            "log.file" => &mut self.file,
            _ => return,
        };
        *place = Some(display(&value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "log.line" {
            self.line = value.try_into().unwrap_or(0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = Some(debug(&value));
        }
    }
}

/// A record of the `log` crate as the line that it would have been by itself, and as an event of its
/// span.
#[cold]
pub(super) fn take<S>(takes: &Takes, event: &Event<'_>, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut said = LogEvent::default();
    event.record(&mut said);
    let span = context.event_span(event);
    let level = level(event.metadata().level());
    with(&said.target, &mut |target| {
        with(&said.module, &mut |module| {
            with(&said.file, &mut |file| {
                let source = Source { target, module, file, line: said.line };
                if let (Some(spans), Some(span)) = (&takes.spans, &span)
                    && spans.takes_of(false, level, module, target)
                {
                    with(&said.message, &mut |message| {
                        spans.add_record((message, level, target), span);
                    });
                }
                // It may have come for the span alone.
                let lines = takes.lines.as_ref();
                let is_ours =
                    |_: &&Inlet| takes.spans.is_none() || takes.line_of(level, module, target);
                let Some(inlet) = lines.filter(is_ours) else { return };
                let _current = elsewhere(event, span.as_ref());
                write(inlet, level, &source, &said, span.as_ref().and_then(node).as_deref());
            });
        });
    });
}

fn write(inlet: &Inlet, level: Level, source: &Source<'_>, said: &LogEvent, span: Option<&Node>) {
    let known = sites::by_text(source);
    let message = said.message.as_ref().map_or(Message::None, Message::Rendered);
    let more = |out: &mut Vec<u8>| {
        if let Some(node) = span {
            node.append(out, &inlet.beside);
        }
    };
    let more = span.is_some().then_some(&more as _);
    let origin = known.unwrap_or_else(sites::unknown);
    let unknown = if known.is_none() { Some(source) } else { None };
    inlet.write(level, origin, more, message, &Unknown(unknown));
}

fn with(text: &Option<Rendered>, read: &mut dyn FnMut(&str)) {
    match text {
        None => read(""),
        Some(text) => {
            text.with(&mut |text, _| read(std::str::from_utf8(text).unwrap_or_default()));
        }
    }
}
