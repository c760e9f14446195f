//! The way in for lines that come in other crates' words: of any logger's name and any call site.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::filter::LogFilter;
use super::level::Level;
use super::loggable::{Line, Loggable};
use crate::clock::Clock;
use crate::ring::context;
use crate::ring::frame::{ALIGN, HEADER, kind};
use crate::ring::names::{self, SiteText};
use crate::ring::scratch::Rendered;
use crate::ring::set::Rings;
pub(crate) use crate::ring::writer::UNKNOWN;
use crate::ring::writer::{Fill, Head, MOST_SHORT, TEXT_LIMITS, Writer};
#[cfg(feature = "log")]
pub(crate) use crate::sync::contained;
use crate::sync::{AtomicU64, Ordering, lock};

/// Bytes that the fields of one span may have.
pub(crate) const MOST_OF_SPAN: usize = 2 << 10;

/// Told what the most verbose level is; false when it need not be told again.
pub(crate) type Listener = Arc<dyn Fn(u8) -> bool + Send + Sync>;

/// Who is told when the filter has changed, and what was left out on the way in.
#[derive(Default)]
pub(crate) struct Beside {
    listeners: Mutex<Vec<Listener>>,
    /// Held while they are told, so that the last told is the last set. Not the list's own lock:
    /// `tracing` adds to that with its locks held, and is told without.
    telling: Mutex<()>,
    /// Fields of spans that were cut, or left out of a line.
    cut: AtomicU64,
}

impl Beside {
    /// Tells what the most verbose level is now.
    pub(super) fn tell(&self, filter: &ArcSwap<LogFilter>) {
        let _telling = lock(&self.telling);
        let listeners = lock(&self.listeners).clone();
        let most = filter.load().most();
        for listener in listeners {
            if !listener(most) {
                lock(&self.listeners).retain(|other| !Arc::ptr_eq(other, &listener));
            }
        }
    }

    pub(crate) fn count_cut(&self) {
        // Relaxed: a count publishes nothing.
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }
}

/// What a bridge writes through. It keeps the rings and not the engine: that ends with its handles.
#[derive(Clone)]
pub(crate) struct Inlet {
    pub(super) clock: Clock,
    pub(super) rings: Arc<Rings>,
    pub(super) filter: Arc<ArcSwap<LogFilter>>,
    pub(crate) beside: Arc<Beside>,
}

/// Where a line comes from, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source<'a> {
    pub(crate) target: &'a str,
    pub(crate) module: &'a str,
    pub(crate) file: &'a str,
    pub(crate) line: u32,
}

/// The same as frames carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    site: u32,
    logger: u32,
}

impl Origin {
    /// Told to the process and never forgotten; nothing past the last of them. Locks and allocates.
    pub(crate) fn define<'k>(
        source: &Source<'_>,
        keys: impl Iterator<Item = &'k str>,
    ) -> Option<Origin> {
        let site = names::define_dynamic_site(SiteText {
            logger: Some(source.target.into()),
            module: source.module.into(),
            file: source.file.into(),
            line: source.line,
            keys: keys.map(Into::into).collect(),
            ..SiteText::default()
        })?;
        Some(Origin { site, logger: 0 })
    }

    /// Of lines that say in fields where they come from.
    pub(crate) fn unknown(logger: &str) -> Origin {
        Origin { site: 0, logger: names::define_logger(logger) }
    }
}

/// What a line says.
#[derive(Clone, Copy)]
pub(crate) enum Message<'a> {
    None,
    Plain(&'a str),
    Rendered(&'a Rendered),
}

/// Puts fields behind those of the thread's context.
pub(crate) type More<'a> = &'a dyn Fn(&mut Vec<u8>);

impl Inlet {
    /// The most verbose level that is taken from there.
    pub(crate) fn most_verbose(&self, module: &str, target: &str) -> u8 {
        self.filter.load().most_verbose([module, target])
    }

    /// The most verbose level that is taken from anywhere.
    pub(crate) fn most(&self) -> u8 {
        self.filter.load().most()
    }

    /// Calls `listener` whenever the filter has been changed.
    pub(crate) fn on_change(&self, listener: Listener) {
        lock(&self.beside.listeners).push(listener);
    }

    /// Calls all listeners now.
    pub(crate) fn tell(&self) {
        self.beside.tell(&self.filter);
    }

    /// Writes a line, with the calling thread's context.
    pub(crate) fn write(
        &self,
        level: Level,
        origin: Origin,
        more: Option<More<'_>>,
        message: Message<'_>,
        fields: &impl Fields,
    ) {
        let head = Head {
            kind: kind::LINE,
            level: level as u8,
            ticks: self.clock.ticks(),
            site: origin.site,
            logger: origin.logger,
            thread: 0,
        };
        let line = Whole { message, fields };
        match more {
            None => self.rings.write(head, &line),
            Some(more) => context::with_more(more, &mut |context| {
                self.rings.write_in(head, context, &line);
            }),
        }
    }
}

/// The fields of a line; as [`Fill`].
pub(crate) trait Fields {
    /// Bytes that they take at most, with their names; [`UNKNOWN`] or more where nobody counted.
    fn room(&self) -> usize;

    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>);
}

/// Bytes of a field that says its name, at most.
#[inline]
pub(crate) fn room(name: &str, value: &(impl Loggable + ?Sized)) -> usize {
    2 + name.len().min(MOST_SHORT) + value.room()
}

/// A line, as it goes into its frame.
struct Whole<'a, F> {
    message: Message<'a>,
    fields: &'a F,
}

impl<F: Fields> Whole<'_, F> {
    #[inline(always)]
    fn put<const C: bool>(&self, writer: &mut Writer<'_, C>) {
        match self.message {
            Message::None => {}
            Message::Plain(text) => writer.message(text.as_bytes(), 0),
            Message::Rendered(text) => text.with(&mut |text, lost| writer.message(text, lost)),
        }
        self.fields.put(&mut Line(writer));
    }
}

impl<F: Fields> Fill for Whole<'_, F> {
    fn room(&self) -> usize {
        let message = match self.message {
            Message::None => 0,
            Message::Plain(text) => Loggable::room(text),
            Message::Rendered(text) => Loggable::room(text),
        };
        message + self.fields.room()
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        self.put(writer);
    }

    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        self.put(writer);
    }
}

/// How much of a field was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Whole,
    Cut,
    Nothing,
}

/// Appends a field to those of a span, of which there are at most [`MOST_OF_SPAN`] bytes.
pub(crate) fn append(fields: &mut Vec<u8>, key: &str, value: &(impl Loggable + ?Sized)) -> Kept {
    let left = MOST_OF_SPAN.saturating_sub(fields.len());
    // Nearly all are short, and to clear the room for a long one takes longer than to write it.
    if encode(&mut [0; HEADER + 128], fields, left, TEXT_LIMITS[0], key, value) {
        return Kept::Whole;
    }
    for most_text in TEXT_LIMITS {
        if encode(&mut [0; HEADER + MOST_OF_SPAN + ALIGN], fields, left, most_text, key, value) {
            return if most_text == TEXT_LIMITS[0] { Kept::Whole } else { Kept::Cut };
        }
    }
    Kept::Nothing
}

/// Appends the field where it has room.
fn encode(
    room: &mut [u8],
    fields: &mut Vec<u8>,
    left: usize,
    most_text: usize,
    key: &str,
    value: &(impl Loggable + ?Sized),
) -> bool {
    let mut writer = Writer::over(room, most_text, &[]);
    value.put(Some(key), &mut Line(&mut writer));
    let written = writer.written();
    match writer.finish_bytes(Head::default()) {
        Some(bytes) if written <= HEADER + left => {
            fields.extend_from_slice(&bytes[HEADER..written]);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::frame::{ContextView, Value};

    #[test]
    fn fields_of_a_span_are_cut_before_they_are_left_out() {
        let mut fields = vec![];
        assert_eq!(append(&mut fields, "n", &7), Kept::Whole);
        assert_eq!(append(&mut fields, "long", &"x".repeat(4_000)), Kept::Cut);
        assert_eq!(append(&mut fields, "next", &"y".repeat(1_000)), Kept::Cut);
        let before = fields.len();
        let kept: Vec<Kept> = (0..100).map(|n| append(&mut fields, "k", &n)).collect();
        assert!(kept.contains(&Kept::Whole) && kept.last() == Some(&Kept::Nothing));
        assert!(before < fields.len() && fields.len() <= MOST_OF_SPAN);
        fields.insert(0, 0);
        let read: Vec<_> = ContextView::parse(&fields).unwrap().fields().collect();
        assert_eq!(read.len(), 3 + kept.iter().filter(|kept| **kept == Kept::Whole).count());
        let text = |at: usize| match read[at].value {
            Value::Str(text) => (text.as_bytes().len(), text.lost_bytes()),
            other => panic!("{other:?}"),
        };
        assert_eq!((text(1), text(2)), ((1_024, 2_976), (64, 936)));
    }
}
