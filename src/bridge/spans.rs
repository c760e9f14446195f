//! What a span gives to the lines within it.

use std::error::Error;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tracing_core::Field;
use tracing_core::field::Visit;

use super::words::name;
use crate::logs::inlet::{Beside, Kept, append};
use crate::logs::private::{debug, display};
use crate::logs::{Loggable, exception};

/// Spans that a line carries the fields of, the innermost.
const DEEPEST: usize = 32;
/// Bytes of all their fields.
const MOST_OF_LINE: usize = 4 << 10;
/// Bytes of all their names.
const MOST_NAMES: usize = 255;
/// The field that has the names of the spans, the outermost first.
const NAMES: &str = "span";

/// The fields of a span, as frames carry them.
#[derive(Clone, Default)]
pub(super) struct Fields {
    bytes: Vec<u8>,
    /// The name of each, and where it ends.
    ends: Vec<(&'static str, usize)>,
    /// How many were cut or left out.
    cut: usize,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &(impl Loggable + ?Sized)) {
        let name = name(field);
        let kept = append(&mut self.bytes, name, value);
        self.cut += usize::from(kept != Kept::Whole);
        if kept != Kept::Nothing {
            self.ends.push((name, self.bytes.len()));
        }
    }

    /// With what was recorded since, which stands for what had its names before.
    fn with(&self, later: &Fields) -> Fields {
        let mut all = Fields::default();
        let mut take = |from: &Fields, not: &[(&'static str, usize)]| {
            let mut start = 0;
            for &(name, end) in &from.ends {
                let bytes = &from.bytes[start..end];
                start = end;
                let fits = all.bytes.len() + bytes.len() <= crate::logs::inlet::MOST_OF_SPAN;
                if not.iter().any(|(other, _)| *other == name) {
                    continue;
                }
                if !fits {
                    all.cut += 1;
                    continue;
                }
                all.bytes.extend_from_slice(bytes);
                all.ends.push((name, all.bytes.len()));
            }
        };
        take(self, &later.ends);
        take(later, &[]);
        all
    }

    pub(super) fn count(&self, beside: &Beside) {
        (0..self.cut).for_each(|_| beside.count_cut());
    }
}

/// Called before a span is looked up: a value's own code may log, or record.
impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.add(field, &value),
            Err(_) => self.add(field, &display(&value)),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.add(field, &value),
            Err(_) => self.add(field, &display(&value)),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.add(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, &exception(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &debug(&value));
    }
}

/// A span and those around it.
pub(super) struct Node {
    parent: Option<Arc<Node>>,
    /// Of all of them, as text and as a field.
    names: Box<str>,
    names_field: Vec<u8>,
    first: Fields,
    /// With what was recorded later.
    late: OnceLock<ArcSwap<Fields>>,
}

impl Node {
    pub(super) fn new(parent: Option<Arc<Node>>, span: &str, fields: Fields) -> Arc<Node> {
        let names = names(parent.as_ref().map_or("", |parent| &parent.names), span);
        let mut names_field = Vec::new();
        append(&mut names_field, NAMES, &&*names);
        Arc::new(Node { parent, names, names_field, first: fields, late: OnceLock::new() })
    }

    /// Fields that were recorded since the span began.
    pub(super) fn record(&self, later: &Fields, beside: &Beside) {
        later.count(beside);
        let late = self.late.get_or_init(|| ArcSwap::from_pointee(self.first.clone()));
        let mut cut = 0;
        late.rcu(|before| {
            let all = before.with(later);
            cut = all.cut;
            all
        });
        (0..cut).for_each(|_| beside.count_cut());
    }

    fn with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        match self.late.get() {
            None => read(&self.first.bytes),
            Some(late) => read(&late.load().bytes),
        }
    }

    /// Appends the fields of all the spans, the outermost first, and their names.
    pub(super) fn append(&self, out: &mut Vec<u8>, beside: &Beside) {
        let mut chain = [self; DEEPEST];
        let (mut deep, mut bytes) = (0, self.names_field.len());
        let mut next = Some(self);
        while let Some(node) = next {
            bytes += node.with(<[u8]>::len);
            if deep == DEEPEST || bytes > MOST_OF_LINE {
                beside.count_cut();
                break;
            }
            chain[deep] = node;
            deep += 1;
            next = node.parent.as_deref();
        }
        for node in chain[..deep].iter().rev() {
            node.with(|bytes| out.extend_from_slice(bytes));
        }
        out.extend_from_slice(&self.names_field);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One after the other: a chain may be longer than a stack is deep.
        let mut next = self.parent.take();
        while let Some(node) = next {
            next = Arc::into_inner(node).and_then(|mut node| node.parent.take());
        }
    }
}

/// `outer:inner`; the end of it where it is too long.
fn names(outer: &str, inner: &str) -> Box<str> {
    if outer.is_empty() {
        return end(inner).into();
    }
    let names = format!("{outer}:{inner}");
    end(&names).into()
}

fn end(names: &str) -> &str {
    let from = names.len().saturating_sub(MOST_NAMES);
    (from..=names.len()).find_map(|from| names.get(from..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_end() {
        let long = "é".repeat(200);
        assert_eq!((&*names("", "a"), &*names("a", "b")), ("a", "a:b"));
        let kept = names(&long, "inner");
        assert!(kept.len() <= MOST_NAMES && kept.ends_with("é:inner"), "{kept}");
    }

    #[test]
    fn a_chain_longer_than_the_stack_is_deep_is_freed() {
        let node = (0..1_000_000).fold(None, |parent, _| {
            let node = Node {
                parent,
                names: "".into(),
                names_field: Vec::new(),
                first: Fields::default(),
                late: OnceLock::new(),
            };
            Some(Arc::new(node))
        });
        let mut out = Vec::new();
        node.unwrap().append(&mut out, &Beside::default());
    }
}
