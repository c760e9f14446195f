//! The spans that an engine has kept, as plain data.

#![allow(dead_code)] // each test file uses its own part

use std::collections::BTreeMap;

use mcp_vitals::Vitals;
use mcp_vitals::logs::Value;
use mcp_vitals::traces::{SpanKind, SpanStatus};

/// A span that has ended. Ids are in hexadecimal, and empty where there is none.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: String,
    pub kind: SpanKind,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub remote_parent: bool,
    pub status: SpanStatus,
    pub message: String,
    pub tracestate: String,
    pub attributes: BTreeMap<String, String>,
    pub links: Vec<String>,
    pub nanos: u64,
}

impl Seen {
    #[track_caller]
    pub fn has(&self, attributes: &[(&str, &str)]) {
        for (key, value) in attributes {
            let found = self.attributes.get(*key).map(String::as_str);
            assert_eq!(found, Some(*value), "{key} of {self:?}");
        }
    }

    #[track_caller]
    pub fn has_not(&self, keys: &[&str]) {
        for key in keys {
            assert!(!self.attributes.contains_key(*key), "{key} of {self:?}");
        }
    }
}

/// All of them, in the order in which they ended.
pub fn spans(vitals: &Vitals) -> Vec<Seen> {
    let text = |id: Option<String>| id.unwrap_or_default();
    vitals.with_captured_spans(|spans| {
        let seen = spans.iter().map(|span| Seen {
            name: span.name.to_str().into(),
            kind: span.kind,
            trace: text(span.trace_id().map(|id| id.to_string())),
            id: text(span.span_id().map(|id| id.to_string())),
            parent: text(span.parent_span_id.map(|id| id.to_string())),
            remote_parent: span.has_remote_parent,
            status: span.status,
            message: span.status_message.to_str().into(),
            tracestate: span.tracestate.to_str().into(),
            attributes: span
                .attributes()
                .map(|field| {
                    let value = match field.value {
                        Value::Str(text) => text.to_str().into(),
                        other => format!("{other:?}"),
                    };
                    (field.key.to_str().into(), value)
                })
                .collect(),
            links: span
                .links()
                .map(|link| text(link.context.span_id().map(|id| id.to_string())))
                .collect(),
            nanos: span.duration_nanos(),
        });
        seen.collect()
    })
}

/// The only one of this name.
#[track_caller]
pub fn span(vitals: &Vitals, name: &str) -> Seen {
    let mut named: Vec<Seen> = spans(vitals).into_iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{name}: {:?}", spans(vitals));
    named.remove(0)
}
