//! The same for spans: names, attributes, events, links and why one failed.

use super::rewrite::Cleaner;
use super::{Redactor, texts, values};
use crate::logs::secret::REDACTED;
use crate::ring::frame::{Field, Frame, HEADER};
use crate::ring::span::{FIXED, Fixed, Item, SpanFrame, item};
use crate::ring::writer::{Head, MOST_TEXT, TEXT_LIMITS, Writer, cut};

/// A span without what must not get out.
pub(crate) struct RedactedSpan<'a> {
    /// Of the same layout.
    pub(crate) frame: Frame<'a>,
    /// How many values or parts of texts were taken out.
    pub(crate) count: u32,
}

impl Redactor {
    /// The span without what must not get out; nothing where it has nothing of the kind. `span` was
    /// read from `frame`.
    #[inline(always)]
    pub(crate) fn span<'a>(
        &'a mut self,
        frame: Frame<'a>,
        span: &SpanFrame<'a>,
    ) -> Option<RedactedSpan<'a>> {
        // Before them stands no text.
        let texts = frame.bytes().get(HEADER + FIXED..).unwrap_or_default();
        let Redactor { rules, answers, .. } = self;
        let found = rules.credentials && values::suspect(texts)
            || span.items().any_key(|key| answers.deny_field(key, &rules.keys));
        if found || !rules.patterns.is_empty() { self.without(frame, found) } else { None }
    }

    /// Of few, so that nobody else has a span in memory for it.
    #[cold]
    #[inline(never)]
    fn without<'a>(&'a mut self, frame: Frame<'a>, found: bool) -> Option<RedactedSpan<'a>> {
        let span = SpanFrame::read(frame)?;
        if !found && !self.is_hit(&span) {
            return None;
        }
        let (length, count) = self.rewrite(frame, &span)?;
        let frame = Frame::first(&self.scratch.room()[..length])?;
        Some(RedactedSpan { frame, count })
    }

    fn is_hit(&self, span: &SpanFrame<'_>) -> bool {
        let patterns = &self.rules.patterns;
        let of_items = span.items().flat_map(|item| match item {
            Item::Attribute(Field { value, .. })
            | Item::OfEvent(Field { value, .. })
            | Item::OfLink(Field { value, .. }) => texts(&value),
            Item::Event { name: text, .. } | Item::Message(text) => [Some(text), None, None],
            Item::Link { .. } => [None; 3],
        });
        let all = [Some(span.name), Some(span.tracestate)].into_iter().chain(of_items);
        all.flatten().any(|text| patterns.hit_text(text))
    }

    /// Writes it into the scratch: its length, and how much was taken out.
    fn rewrite(&mut self, frame: Frame<'_>, span: &SpanFrame<'_>) -> Option<(usize, u32)> {
        let head = Head::of(frame);
        let Redactor { rules, answers, scratch, .. } = self;
        // Once more with shorter texts if there is no room.
        for most_text in TEXT_LIMITS {
            let mut cleaner = Cleaner { rules, count: 0 };
            let mut writer = Writer::over(scratch.room(), most_text, &[]);
            writer.raw(frame.bytes().get(HEADER..HEADER + FIXED)?);
            for text in [span.name, span.tracestate] {
                put(&mut writer, &cleaner.bytes(text));
            }
            for item in span.items() {
                let mut field = |what: u8, field: Field<'_>, writer: &mut Writer<'_>| {
                    let denied = answers.deny_field(field.key.as_bytes(), &rules.keys);
                    writer.array([what]);
                    cleaner.field(field.key, field.value, denied, writer);
                };
                match item {
                    Item::Attribute(of) => field(item::ATTRIBUTE, of, &mut writer),
                    Item::OfEvent(of) => field(item::OF_EVENT, of, &mut writer),
                    Item::OfLink(of) => field(item::OF_LINK, of, &mut writer),
                    Item::Event { ticks, name } => {
                        writer.array([item::EVENT]);
                        writer.array(ticks.to_le_bytes());
                        put(&mut writer, &cleaner.bytes(name));
                    }
                    Item::Link { ids, flags } => {
                        writer.array([item::LINK]);
                        writer.array(ids);
                        writer.array([flags]);
                    }
                    Item::Message(text) => {
                        writer.array([item::MESSAGE]);
                        put(&mut writer, &cleaner.bytes(text));
                    }
                }
            }
            let count = cleaner.count;
            if let Some(length) = writer.finish(head) {
                return (count > 0).then_some((length, count));
            }
        }
        // Rather a span without anything than one with what must not be there.
        let mut counts = span.fixed.left_out;
        for item in span.items() {
            let of = match item {
                Item::Attribute(_) => 0,
                Item::Event { .. } => 1,
                Item::Link { .. } => 2,
                Item::OfEvent(_) | Item::OfLink(_) | Item::Message(_) => continue,
            };
            counts[of] = counts[of].saturating_add(1);
        }
        let mut writer = Writer::over(scratch.room(), MOST_TEXT, &[]);
        writer.array(Fixed { left_out: counts, ..span.fixed }.bytes());
        put(&mut writer, REDACTED.as_bytes());
        put(&mut writer, &[]);
        Some((writer.finish(head)?, 1))
    }
}

/// Length and bytes.
fn put(writer: &mut Writer<'_>, text: &[u8]) {
    let text = cut(text, writer.most_text());
    writer.array((text.len() as u16).to_le_bytes());
    writer.raw(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Redaction;
    use crate::ring::frame::{SPAN_LEVEL, Value, kind};
    use crate::ring::span::by_hand::{Items, Whole};
    use crate::ring::writer::Fill;

    /// A field with a text, or an item's text.
    struct Given<'a>(Option<&'a str>, &'a str);

    impl Fill for Given<'_> {
        fn room(&self) -> usize {
            crate::ring::writer::UNKNOWN
        }

        fn fill(&self, writer: &mut Writer<'_>) {
            match self.0 {
                Some(key) => {
                    writer.text(Some(key), crate::ring::frame::tag::STR, self.1.as_bytes(), 0);
                }
                None => put(writer, self.1.as_bytes()),
            }
        }

        fn fill_unchecked(&self, _: &mut Writer<'_, false>) {}
    }

    fn frame(name: &str, items: &Items) -> Vec<u8> {
        let fixed = Fixed { ids: [7; 24], start: 5, left_out: [1, 2, 3], ..Fixed::default() };
        let whole = Whole { fixed: &fixed, name: name.as_bytes(), tracestate: b"a=b", items };
        let mut room = vec![0; 4 << 20];
        let mut writer = Writer::over(&mut room, MOST_TEXT, &[]);
        whole.fill(&mut writer);
        let head =
            Head { kind: kind::SPAN, level: SPAN_LEVEL, ticks: 9, logger: 3, ..Head::default() };
        let length = writer.finish(head).unwrap();
        room.truncate(length);
        room
    }

    fn said(frame: Frame<'_>) -> (Fixed, String, Vec<String>) {
        let span = SpanFrame::read(frame).unwrap();
        let say = |field: Field<'_>| match field.value {
            Value::Str(text) => format!("{}={text}", field.key),
            other => format!("{}={other:?}", field.key),
        };
        let items = span.items().map(|item| match item {
            Item::Attribute(of) => say(of),
            Item::OfEvent(of) => format!("e.{}", say(of)),
            Item::OfLink(of) => format!("l.{}", say(of)),
            Item::Event { ticks, name } => format!("event {name} {ticks}"),
            Item::Link { ids, flags } => format!("link {} {flags}", ids[0]),
            Item::Message(text) => format!("why {text}"),
        });
        (span.fixed, span.name.to_string(), items.collect())
    }

    #[test]
    fn what_is_denied_goes_and_the_rest_stays_as_it_was() {
        let mut items = Items::new();
        let most = 1 << 16;
        assert!(items.put(item::ATTRIBUTE, most, &Given(Some("tool"), "x")));
        assert!(items.put(item::ATTRIBUTE, most, &Given(Some("db.password"), "hunter2")));
        assert!(items.put(item::MESSAGE, most, &Given(None, "with Bearer abc.def")));
        let bytes = frame("Basic dXNlcjpwYXNz", &items);
        let whole = Frame::first(&bytes).unwrap();
        let span = SpanFrame::read(whole).unwrap();
        let mut redactor = Redactor::new(Redaction::new());
        let RedactedSpan { frame, count } = redactor.span(whole, &span).unwrap();
        assert_eq!(count, 3);
        assert_eq!((frame.kind(), frame.ticks(), frame.logger()), (kind::SPAN, 9, 3));
        let (fixed, name, items) = said(frame);
        assert_eq!((fixed, &*name), (span.fixed, "Basic [redacted]"));
        assert_eq!(items, ["tool=x", "db.password=Redacted", "why with Bearer [redacted]"]);
        assert!(Redactor::new(Redaction::none()).span(whole, &span).is_none());
    }

    #[test]
    fn nothing_is_written_where_there_is_nothing_to_take_out() {
        let mut items = Items::new();
        assert!(items.put(
            item::ATTRIBUTE,
            1 << 16,
            &Given(Some("max_tokens"), "a bear or a basin")
        ));
        let bytes = frame("forbearer", &items);
        let whole = Frame::first(&bytes).unwrap();
        let span = SpanFrame::read(whole).unwrap();
        assert!(Redactor::new(Redaction::new()).span(whole, &span).is_none());
    }

    #[test]
    fn a_span_that_would_not_fit_any_more_loses_its_items_and_says_how_many() {
        let mut items = Items::new();
        // Each byte of a text becomes ten; 64 KiB of them more than there is room for.
        let many = "Bearer a;".repeat(100_000 / 9);
        for _ in 0..12 {
            for text in many.as_bytes().chunks(8 << 10) {
                let text = std::str::from_utf8(text).unwrap();
                assert!(items.put(item::ATTRIBUTE, usize::MAX, &Given(Some("t"), text)));
            }
        }
        let all = 12 * many.len().div_ceil(8 << 10);
        let mut redactor = Redactor::new(Redaction::new());
        let mut without = |items: &Items| {
            let bytes = frame("n", items);
            let whole = Frame::first(&bytes).unwrap();
            let span = SpanFrame::read(whole).unwrap();
            said(redactor.span(whole, &span).unwrap().frame)
        };
        // With texts of 1 KiB it fits again.
        let (fixed, name, fields) = without(&items);
        assert_eq!((fixed.left_out, &*name, fields.len()), ([1, 2, 3], "n", all));
        assert!(fields.iter().all(|field| !field.contains("Bearer a;")));
        // With ever so short ones it does not.
        let mut items = Items::new();
        for _ in 0..20_000 {
            assert!(items.put(item::ATTRIBUTE, usize::MAX, &Given(Some("t"), "Bearer a, twice")));
        }
        let (fixed, name, fields) = without(&items);
        assert_eq!((fixed.left_out, &*name, fields.len()), ([20_001, 2, 3], REDACTED, 0));
    }

    #[test]
    fn lists_hold_for_attributes_too() {
        let mut items = Items::new();
        for key in ["tool", "other"] {
            assert!(items.put(item::OF_LINK, 1 << 16, &Given(Some(key), "x")));
        }
        let bytes = frame("n", &items);
        let whole = Frame::first(&bytes).unwrap();
        let span = SpanFrame::read(whole).unwrap();
        let mut redactor = Redactor::new(Redaction::new().only(["tool"]));
        let redacted = redactor.span(whole, &span).unwrap();
        assert_eq!(said(redacted.frame).2, ["l.tool=x", "l.other=Redacted"]);
    }

    #[cfg(feature = "patterns")]
    #[test]
    fn patterns_hold_for_names_and_texts() {
        let mut items = Items::new();
        assert!(items.put(item::ATTRIBUTE, 1 << 16, &Given(Some("n"), "card 4111222233334444")));
        let bytes = frame("pay 4111222233334444", &items);
        let whole = Frame::first(&bytes).unwrap();
        let span = SpanFrame::read(whole).unwrap();
        let rules = Redaction::new().pattern(r"\d{16}").unwrap();
        let mut redactor = Redactor::new(rules);
        let redacted = redactor.span(whole, &span).unwrap();
        let (_, name, items) = said(redacted.frame);
        assert_eq!((&*name, &*items), ("pay [redacted]", &["n=card [redacted]".to_owned()][..]));
    }
}
