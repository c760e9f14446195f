//! What a span has behind the header of its frame. How it is put together is [`draft`](super::draft).
//!
//! ```text
//!  0  trace id 16 bytes   span id 8   parent's 8 or zeroes      as W3C writes them
//! 32  u64  ticks of the start; the header has those of the end
//! 40  u8   flags  u8 kind  u8 status  u8 zero
//! 44  u16  attributes, u16 events, u16 links that were left out   u16 zero
//! 52  name, tracestate: each u16 length and bytes
//!     items, up to a zero or the end
//! ```
//!
//! An item is a byte that says what it is, and behind it:
//!
//! ```text
//! ATTRIBUTE         a field that carries its key
//! EVENT             8 bytes ticks, name: u16 length, bytes
//! OF_EVENT          a field of the event before
//! LINK              trace id, span id, flags
//! OF_LINK           a field of the link before
//! MESSAGE           of the status: u16 length, bytes; the last one counts
//! ```
//!
//! A frame of kind `SPAN_START` is the same as far as it was known then.

use super::frame::{Bytes, Field, Frame, HEADER, IDS, Text, tag};

/// Bytes before the name.
pub(crate) const FIXED: usize = 52;

/// What an item is; zero is their end.
pub(crate) mod item {
    pub(crate) const ATTRIBUTE: u8 = 1;
    pub(crate) const EVENT: u8 = 2;
    pub(crate) const OF_EVENT: u8 = 3;
    pub(crate) const LINK: u8 = 4;
    pub(crate) const OF_LINK: u8 = 5;
    pub(crate) const MESSAGE: u8 = 6;

    /// Whether an item of that sort is a field.
    #[inline(always)]
    pub(super) fn has_field(what: u8) -> bool {
        matches!(what, ATTRIBUTE | OF_EVENT | OF_LINK)
    }
}

/// What a span is, beside its items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// Trace and span.
    pub(crate) ids: [u8; IDS],
    pub(crate) parent: [u8; 8],
    pub(crate) start: u64,
    pub(crate) flags: u8,
    pub(crate) kind: u8,
    pub(crate) status: u8,
    /// Attributes, events, links.
    pub(crate) left_out: [u16; 3],
}

impl Fixed {
    /// What `frame`, of a span, begins with; nothing where it is too short.
    #[inline]
    pub(crate) fn of(frame: Frame<'_>) -> Option<Fixed> {
        Fixed::take(&mut Bytes(frame.bytes().get(HEADER..)?))
    }

    #[inline(always)]
    fn take(bytes: &mut Bytes<'_>) -> Option<Fixed> {
        // One look at how many there are; what follows is known to be there.
        let (fixed, rest) = bytes.0.split_first_chunk::<FIXED>()?;
        bytes.0 = rest;
        let ids = *fixed.first_chunk()?;
        let parent = *fixed[IDS..].first_chunk()?;
        let start = u64::from_le_bytes(*fixed[32..].first_chunk()?);
        let [flags, kind, status] = *fixed[40..].first_chunk()?;
        let count = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let left_out = [count(44), count(46), count(48)];
        Some(Fixed { ids, parent, start, flags, kind, status, left_out })
    }

    /// As they stand in a frame.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> [u8; FIXED] {
        let mut bytes = [0; FIXED];
        bytes[..IDS].copy_from_slice(&self.ids);
        bytes[IDS..32].copy_from_slice(&self.parent);
        bytes[32..40].copy_from_slice(&self.start.to_le_bytes());
        bytes[40..43].copy_from_slice(&[self.flags, self.kind, self.status]);
        for (to, count) in bytes[44..50].chunks_exact_mut(2).zip(self.left_out) {
            to.copy_from_slice(&count.to_le_bytes());
        }
        bytes
    }
}

/// How many items a span may have: attributes, those of events and links among them, then events,
/// then links.
pub(crate) type Counts = [u16; 3];

/// A span's frame, read where it stands.
#[derive(Clone, Copy)]
pub(crate) struct SpanFrame<'a> {
    pub(crate) fixed: Fixed,
    /// Ticks of the end.
    pub(crate) end: u64,
    pub(crate) name: Text<'a>,
    pub(crate) tracestate: Text<'a>,
    items: &'a [u8],
}

impl<'a> SpanFrame<'a> {
    /// What `frame`, of a span, says; nothing where it makes no sense. Always inlined: what its caller
    /// does not look at is not read.
    #[inline(always)]
    pub(crate) fn read(frame: Frame<'a>) -> Option<SpanFrame<'a>> {
        let mut bytes = Bytes(frame.bytes().get(HEADER..)?);
        let fixed = Fixed::take(&mut bytes)?;
        let (name, tracestate) = (bytes.long(false)?, bytes.long(false)?);
        Some(SpanFrame { fixed, end: frame.ticks(), name, tracestate, items: bytes.0 })
    }

    /// Its items in their order; ends early where the bytes make no sense.
    #[inline(always)]
    pub(crate) fn items(&self) -> SpanItems<'a> {
        SpanItems::of(self.items)
    }
}

/// An item of a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Item<'a> {
    Attribute(Field<'a>),
    Event { ticks: u64, name: Text<'a> },
    OfEvent(Field<'a>),
    Link { ids: [u8; IDS], flags: u8 },
    OfLink(Field<'a>),
    Message(Text<'a>),
}

/// The items of a span in their order.
#[derive(Clone)]
pub(crate) struct SpanItems<'a>(Bytes<'a>);

impl<'a> SpanItems<'a> {
    /// Of what stands behind a span's name and `tracestate`.
    #[inline(always)]
    pub(super) fn of(bytes: &'a [u8]) -> SpanItems<'a> {
        SpanItems(Bytes(bytes))
    }

    /// Bytes that are not read yet.
    pub(super) fn left(&self) -> usize {
        self.0.0.len()
    }

    /// The next item, of which no more is read than what it is, and the key of a field.
    #[inline(always)]
    pub(crate) fn pass(&mut self) -> Option<(u8, &'a [u8])> {
        let bytes = &mut self.0;
        let [what] = bytes.array()?;
        let key = match what {
            _ if item::has_field(what) => bytes.pass_keyed(),
            item::EVENT => bytes.pass_long_after(8, 0).map(|()| &[][..]),
            item::LINK => bytes.take(IDS + 1).map(|_| &[][..]),
            item::MESSAGE => bytes.pass_long(0).map(|()| &[][..]),
            _ => None,
        };
        if key.is_none() {
            bytes.0 = &[];
        }
        key.map(|key| (what, key))
    }

    /// Whether `is` is true of the key of a field that is left, up to where the bytes make no sense; a
    /// field that is no whole one may be asked about, and is the last.
    #[inline(always)]
    pub(crate) fn any_key(&self, mut is: impl FnMut(&'a [u8]) -> bool) -> bool {
        let mut bytes = self.0;
        // No item is of fewer bytes.
        while let [what, tag, length, rest @ ..] = bytes.0 {
            let passed = if item::has_field(*what) {
                let Some((key, rest)) = rest.split_at_checked(usize::from(*length)) else {
                    return false;
                };
                if tag & tag::KEYED == 0 {
                    return false;
                }
                if is(key) {
                    return true;
                }
                bytes.0 = rest;
                bytes.skip(*tag)
            } else {
                let mut items = SpanItems(bytes);
                let passed = items.pass();
                bytes = items.0;
                passed.map(drop)
            };
            if passed.is_none() {
                return false;
            }
        }
        false
    }

    /// The next one that is `what`; those before it are passed over.
    #[inline]
    pub(crate) fn next_of(&mut self, what: u8) -> Option<Item<'a>> {
        self.pass_to(what)?;
        self.next()
    }

    /// The field of the next one that is `what`, one that has a field.
    #[inline]
    pub(crate) fn next_field_of(&mut self, what: u8) -> Option<Field<'a>> {
        self.pass_to(what)?;
        let bytes = &mut self.0;
        let field = bytes.take(1).and_then(|_| bytes.keyed());
        if field.is_none() {
            bytes.0 = &[];
        }
        field
    }

    #[inline]
    fn pass_to(&mut self, what: u8) -> Option<()> {
        while *self.0.0.first()? != what {
            self.pass()?;
        }
        Some(())
    }

    /// Of the status; empty where there is none.
    pub(crate) fn message(&self) -> Text<'a> {
        let message = self.clone().filter_map(|item| match item {
            Item::Message(text) => Some(text),
            _ => None,
        });
        message.last().unwrap_or_default()
    }
}

impl<'a> Iterator for SpanItems<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let bytes = &mut self.0;
        let item = match bytes.array()? {
            [item::ATTRIBUTE] => bytes.keyed().map(Item::Attribute),
            [item::EVENT] => bytes.array().and_then(|ticks| {
                let name = bytes.long(false)?;
                Some(Item::Event { ticks: u64::from_le_bytes(ticks), name })
            }),
            [item::OF_EVENT] => bytes.keyed().map(Item::OfEvent),
            [item::LINK] => bytes.array().and_then(|ids| {
                let [flags] = bytes.array()?;
                Some(Item::Link { ids, flags })
            }),
            [item::OF_LINK] => bytes.keyed().map(Item::OfLink),
            [item::MESSAGE] => bytes.long(false).map(Item::Message),
            _ => None,
        };
        if item.is_none() {
            // The end, or nothing that makes sense: nothing after it does.
            bytes.0 = &[];
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(item: &Item<'a>) -> (u8, &'a [u8]) {
        match item {
            Item::Attribute(field) => (item::ATTRIBUTE, field.key.as_bytes()),
            Item::Event { .. } => (item::EVENT, &[]),
            Item::OfEvent(field) => (item::OF_EVENT, field.key.as_bytes()),
            Item::Link { .. } => (item::LINK, &[]),
            Item::OfLink(field) => (item::OF_LINK, field.key.as_bytes()),
            Item::Message(_) => (item::MESSAGE, &[]),
        }
    }

    proptest! {
        /// Over bytes that are mostly items, and of any sort: tags and lengths are small numbers. The
        /// oracle reads all of each.
        #[test]
        fn what_is_passed_over_is_what_would_be_read(
            bytes in prop::collection::vec(prop_oneof![0u8..8, 0x80u8..0x8b, 0xc0u8..0xcb], 0..120),
            what in 0u8..8,
        ) {
            let (mut passing, reading) = (SpanItems::of(&bytes), SpanItems::of(&bytes));
            let passed: Vec<_> = std::iter::from_fn(|| passing.pass()).collect();
            let all: Vec<_> = reading.collect();
            prop_assert_eq!(&passed, &all.iter().map(read).collect::<Vec<_>>());
            let mut keys = Vec::new();
            assert!(!SpanItems::of(&bytes).any_key(|key| {
                keys.push(key);
                false
            }));
            let keyed = passed.iter().filter(|(what, _)| item::has_field(*what));
            let keyed: Vec<_> = keyed.map(|(_, key)| *key).collect();
            // And the one that is not whole.
            prop_assert!(keys.starts_with(&keyed) && keys.len() <= keyed.len() + 1);
            prop_assert!(keyed.is_empty() || SpanItems::of(&bytes).any_key(|key| key == keyed[0]));
            let mut some = SpanItems::of(&bytes);
            let found: Vec<_> = std::iter::from_fn(|| some.next_of(what)).collect();
            let wanted: Vec<_> = all.iter().filter(|item| read(item).0 == what).copied().collect();
            prop_assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
            if item::has_field(what) {
                let mut some = SpanItems::of(&bytes);
                let found: Vec<_> = std::iter::from_fn(|| some.next_field_of(what)).collect();
                let field = |item: &Item<'_>| match item {
                    Item::Attribute(field) | Item::OfEvent(field) | Item::OfLink(field) => {
                        format!("{field:?}")
                    }
                    other => format!("{other:?}"),
                };
                let found: Vec<_> = found.iter().map(|field| format!("{field:?}")).collect();
                prop_assert_eq!(found, wanted.iter().map(field).collect::<Vec<_>>());
            }
        }
    }
}

/// Frames put together by hand, for the tests of whoever reads them.
#[cfg(test)]
pub(crate) mod by_hand {
    use super::{Fixed, HEADER};
    use crate::ring::writer::{Fill, TEXT_LIMITS, Writer};

    /// Items one after the other.
    #[derive(Default)]
    pub(crate) struct Items(Vec<u8>);

    impl Items {
        pub(crate) fn new() -> Items {
            Items::default()
        }

        /// Appends what `fill` writes, cut where there would be more than `most` bytes.
        pub(crate) fn put(&mut self, what: u8, most: usize, fill: &impl Fill) -> bool {
            let mut room = vec![0; 64 << 10];
            TEXT_LIMITS.into_iter().any(|most_text| {
                let mut writer = Writer::over(&mut room, most_text, &[]);
                writer.array([what]);
                fill.fill(&mut writer);
                let (whole, written) = (writer.is_whole(), writer.written());
                let fits = whole && self.0.len() + written - HEADER <= most;
                if fits {
                    self.0.extend_from_slice(&room[HEADER..written]);
                }
                fits
            })
        }
    }

    /// A span, as [`Fill`].
    pub(crate) struct Whole<'a> {
        pub(crate) fixed: &'a Fixed,
        pub(crate) name: &'a [u8],
        pub(crate) tracestate: &'a [u8],
        pub(crate) items: &'a Items,
    }

    impl Fill for Whole<'_> {
        fn room(&self) -> usize {
            crate::ring::writer::UNKNOWN
        }

        fn fill(&self, writer: &mut Writer<'_>) {
            writer.array(self.fixed.bytes());
            for text in [self.name, self.tracestate] {
                writer.array((text.len() as u16).to_le_bytes());
                writer.raw(text);
            }
            writer.raw(&self.items.0);
        }

        fn fill_unchecked(&self, _: &mut Writer<'_, false>) {}
    }
}
