//! The bytes of a frame: one line, or another record, as it stands in a ring.
//!
//! ```text
//!  0  u32  length in bytes, a multiple of 8
//!  4  u8   kind     u8 level     u8 flags     u8 fields
//!  8  u64  clock ticks
//! 16  u32  call site
//! 20  u32  logger
//! 24  u32  thread
//! 28  u16  bytes of context      u16 zero
//! 32  context, ids of the current span (flag `TRACED`), message (flag `MESSAGE`), fields, zeroes up
//!     to the length
//! ```
//!
//! That is a line; what a span has behind its header says [`span`](super::span).
//!
//! Numbers are little-endian. A field is a tag, its key where the call site does not have it, and
//! what the tag says:
//!
//! ```text
//! tag                 u8: a type, and `KEYED`, `CUT`
//! key                 u8 length, bytes             when `KEYED`
//! I64 U64 F64         8 bytes
//! STR BYTES           u16 length, bytes, and when `CUT` u32: how many more there were
//! ERROR               three texts: type, message, traceback; each as STR, the last cut or not
//! ```
//!
//! The message is a value of type `STR`. The context is a byte that says what is there (`REQUEST`,
//! `USER`, `SESSION`, `TRACE`), the texts as u8 length and bytes, trace id and span id (16 and 8
//! bytes, big-endian as W3C writes them), then keyed fields up to its end.
//!
//! Whoever reads trusts nothing: a frame may come from a file.

/// Bytes before the context.
pub(crate) const HEADER: usize = 32;
/// Frames begin and end at multiples of this.
pub(crate) const ALIGN: usize = 8;
const _: () = assert!(ALIGN.is_power_of_two());

/// What a frame is.
pub(crate) mod kind {
    /// Nothing: what is left at the ring's end.
    pub(crate) const PAD: u8 = 1;
    /// A line of a log.
    pub(crate) const LINE: u8 = 2;
    /// A span that has ended.
    pub(crate) const SPAN: u8 = 3;
    /// A span that has begun, where somebody wants to know those that are open.
    pub(crate) const SPAN_START: u8 = 4;
}

/// What stands for a span where a line has its level: less urgent than all of them.
pub(crate) const SPAN_LEVEL: u8 = 6;

/// The number of the level up to which a line is urgent: a warning's.
pub(crate) const MOST_URGENT: u8 = 2;

/// The message stands in the frame, not at the call site.
pub(crate) const MESSAGE: u8 = 1;
/// Behind the context stand the ids of the span that was current, before any that the context has.
pub(crate) const TRACED: u8 = 2;

/// Bytes of a trace's and a span's id.
pub(crate) const IDS: usize = 24;

/// Types of values, and what may be added to them.
pub(crate) mod tag {
    pub(crate) const NULL: u8 = 0;
    pub(crate) const FALSE: u8 = 1;
    pub(crate) const TRUE: u8 = 2;
    pub(crate) const I64: u8 = 3;
    pub(crate) const U64: u8 = 4;
    pub(crate) const F64: u8 = 5;
    pub(crate) const STR: u8 = 6;
    pub(crate) const BYTES: u8 = 7;
    /// A value that was kept out: not even the frame has it.
    pub(crate) const SECRET: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const TYPE: u8 = 0x0f;
    pub(crate) const CUT: u8 = 0x40;
    pub(crate) const KEYED: u8 = 0x80;
}

/// What a context has.
pub(crate) mod has {
    pub(crate) const REQUEST: u8 = 1;
    pub(crate) const USER: u8 = 2;
    pub(crate) const SESSION: u8 = 4;
    pub(crate) const TRACE: u8 = 8;
}

/// Bytes that a client or a file gave: UTF-8 unless somebody was careless, so a reader replaces
/// what is not.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Text<'a> {
    bytes: &'a [u8],
    lost: u32,
}

impl<'a> Text<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Text<'a> {
        Text { bytes, lost: 0 }
    }

    pub(crate) fn cut(bytes: &'a [u8], lost: u32) -> Text<'a> {
        Text { bytes, lost }
    }

    /// The bytes as they were kept.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes were cut off at the end because the value was longer than its limit.
    pub fn lost_bytes(&self) -> u32 {
        self.lost
    }

    /// The text; what is no UTF-8 is replaced by U+FFFD.
    pub fn to_str(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }
}

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.to_str())
    }
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&*self.to_str(), f)
    }
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// An `Option` that was `None`.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A number, which need not be finite.
    F64(f64),
    /// A text.
    Str(Text<'a>),
    /// Bytes that need not be text.
    Bytes(Text<'a>),
    /// A value that was kept out.
    Redacted,
    /// An error with its causes.
    Error {
        /// The name of its type.
        type_name: Text<'a>,
        /// What it says.
        message: Text<'a>,
        /// What its causes say, a line each; empty when it has none.
        traceback: Text<'a>,
    },
}

/// A value of those that most fields have. It stays in registers, where a [`Value`], which may be a
/// whole error, is written to memory and waited for.
pub(crate) enum Plain<'a> {
    Str(&'a [u8]),
    I64(i64),
    U64(u64),
}

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its name.
    pub key: Text<'a>,
    /// Its value.
    pub value: Value<'a>,
}

/// Takes bytes from the front; nothing once there are too few.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    #[inline]
    fn short(&mut self) -> Option<&'a [u8]> {
        let [length] = self.array()?;
        self.take(length.into())
    }

    #[inline]
    pub(super) fn long(&mut self, cut: bool) -> Option<Text<'a>> {
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.take(length.into())?;
        let lost = if cut { u32::from_le_bytes(self.array()?) } else { 0 };
        Some(Text { bytes, lost })
    }

    /// A field that carries its key.
    #[inline]
    pub(super) fn keyed(&mut self) -> Option<Field<'a>> {
        let [tag] = self.array()?;
        let key = if tag & tag::KEYED == 0 { return None } else { self.short()? };
        Some(Field { key: Text::new(key), value: self.value(tag)? })
    }

    /// The key of such a field; its value is passed over.
    #[inline]
    pub(super) fn pass_keyed(&mut self) -> Option<&'a [u8]> {
        let [tag] = self.array()?;
        let key = if tag & tag::KEYED == 0 { return None } else { self.short()? };
        self.skip(tag)?;
        Some(key)
    }

    /// Passes over a value.
    #[inline(always)]
    pub(super) fn skip(&mut self, tag: u8) -> Option<()> {
        // Most are texts.
        if tag & (tag::TYPE | tag::CUT) == tag::STR {
            return self.pass_long(0);
        }
        let cut = if tag & tag::CUT != 0 { 4 } else { 0 };
        match tag & tag::TYPE {
            tag::STR | tag::BYTES => self.pass_long(cut),
            tag::NULL | tag::FALSE | tag::TRUE | tag::SECRET => Some(()),
            tag::I64 | tag::U64 | tag::F64 => self.take(8).map(drop),
            tag::ERROR => {
                self.pass_long(0)?;
                self.pass_long(0)?;
                self.pass_long(cut)
            }
            _ => None,
        }
    }

    /// Passes over a text, and over so many bytes behind it.
    #[inline]
    pub(super) fn pass_long(&mut self, behind: usize) -> Option<()> {
        self.pass_long_after(0, behind)
    }

    /// The same of a text that has so many bytes before it.
    #[inline(always)]
    pub(super) fn pass_long_after(&mut self, before: usize, behind: usize) -> Option<()> {
        let length = u16::from_le_bytes(*self.0.get(before..)?.first_chunk()?);
        self.take(before + 2 + usize::from(length) + behind)?;
        Some(())
    }

    /// A line's message.
    #[inline(never)]
    fn message(&mut self) -> Option<Text<'a>> {
        let [tag] = self.array()?;
        match self.value(tag)? {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Passes over a text or a number that has no key of its own; nothing where it is something else.
    #[inline(always)]
    fn pass_usual(&mut self) -> Option<()> {
        let [tag, low, high] = *self.0.first_chunk()?;
        let length = match tag {
            tag::STR => 3 + usize::from(u16::from_le_bytes([low, high])),
            tag::I64 | tag::U64 | tag::F64 => 9,
            _ => return None,
        };
        self.0 = self.0.get(length..)?;
        Some(())
    }

    #[inline]
    fn value(&mut self, tag: u8) -> Option<Value<'a>> {
        // Most are texts.
        match tag & (tag::TYPE | tag::CUT) {
            tag::STR => Some(Value::Str(self.long(false)?)),
            _ => self.other_value(tag),
        }
    }

    fn other_value(&mut self, tag: u8) -> Option<Value<'a>> {
        let cut = tag & tag::CUT != 0;
        Some(match tag & tag::TYPE {
            tag::NULL => Value::Null,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::I64 => Value::I64(i64::from_le_bytes(self.array()?)),
            tag::U64 => Value::U64(u64::from_le_bytes(self.array()?)),
            tag::F64 => Value::F64(f64::from_le_bytes(self.array()?)),
            tag::STR => Value::Str(self.long(cut)?),
            tag::BYTES => Value::Bytes(self.long(cut)?),
            tag::SECRET => Value::Redacted,
            tag::ERROR => return self.error(cut),
            _ => return None,
        })
    }

    #[cold]
    fn error(&mut self, cut: bool) -> Option<Value<'a>> {
        let (type_name, message) = (self.long(false)?, self.long(false)?);
        Some(Value::Error { type_name, message, traceback: self.long(cut)? })
    }
}

/// The fields of a frame in their order. It ends early where the bytes make no sense.
#[derive(Clone)]
pub struct Fields<'a> {
    bytes: Bytes<'a>,
    /// Of the call site, for fields that carry none.
    keys: std::slice::Iter<'a, Box<str>>,
    left: u16,
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<Field<'a>> {
        let [tag] = self.bytes.array()?;
        let key = match tag & tag::KEYED {
            0 => self.keys.next()?.as_bytes(),
            _ => self.bytes.short()?,
        };
        Some(Field { key: Text::new(key), value: self.bytes.value(tag)? })
    }

    /// The value of the next field, where its key is the call site's and it is one of these.
    #[inline(always)]
    pub(crate) fn next_plain(&mut self) -> Option<Plain<'a>> {
        let mut bytes = self.bytes;
        let [tag] = bytes.array()?;
        // Its key or what was cut would be flags of the tag.
        let value = match tag {
            _ if self.left == 0 => return None,
            tag::STR => Plain::Str(bytes.long(false)?.bytes),
            tag::I64 => Plain::I64(i64::from_le_bytes(bytes.array()?)),
            tag::U64 => Plain::U64(u64::from_le_bytes(bytes.array()?)),
            _ => return None,
        };
        self.bytes = bytes;
        self.left -= 1;
        Some(value)
    }

    /// The value of the next field, where its key is the call site's; nothing at the end and where the
    /// field carries its own.
    pub(crate) fn next_of_site(&mut self) -> Option<Value<'a>> {
        let mut bytes = self.bytes;
        let [tag] = bytes.array()?;
        if self.left == 0 || tag & tag::KEYED != 0 {
            return None;
        }
        let value = bytes.value(tag)?;
        self.bytes = bytes;
        self.left -= 1;
        Some(value)
    }

    /// Whether all were read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// Whether `is` is true of the key of a field that carries its own, up to where the bytes make no
    /// sense.
    #[inline]
    pub(crate) fn any_own_key(&self, mut is: impl FnMut(&'a [u8]) -> bool) -> bool {
        let mut bytes = self.bytes;
        for _ in 0..self.left {
            let Some([tag]) = bytes.array() else { return false };
            if tag & tag::KEYED != 0 {
                match bytes.short() {
                    None => return false,
                    Some(key) if is(key) => return true,
                    Some(_) => {}
                }
            }
            if bytes.skip(tag).is_none() {
                return false;
            }
        }
        false
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        self.left = self.left.checked_sub(1)?;
        let field = self.read();
        if field.is_none() {
            self.left = 0;
        }
        field
    }
}

/// What a record says of where it comes from; each may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ContextView<'a> {
    /// Of the MCP request.
    pub request_id: Option<Text<'a>>,
    /// Of the user, as the host names them.
    pub user_id: Option<Text<'a>>,
    /// Of the MCP session.
    pub session_id: Option<Text<'a>>,
    /// W3C trace id.
    pub trace_id: Option<[u8; 16]>,
    /// W3C id of the span that was current.
    pub span_id: Option<[u8; 8]>,
    fields: &'a [u8],
}

impl<'a> ContextView<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<ContextView<'a>> {
        let mut bytes = Bytes(bytes);
        let mut context = ContextView::default();
        let Some([has]) = bytes.array() else { return Some(context) };
        let mut text = |flag| match has & flag {
            0 => Some(None),
            _ => Some(Some(Text::new(bytes.short()?))),
        };
        context.request_id = text(has::REQUEST)?;
        context.user_id = text(has::USER)?;
        context.session_id = text(has::SESSION)?;
        if has & has::TRACE != 0 {
            context.trace_id = Some(bytes.array()?);
            context.span_id = Some(bytes.array()?);
        }
        context.fields = bytes.0;
        Some(context)
    }

    pub(crate) fn field_bytes(&self) -> &'a [u8] {
        self.fields
    }

    /// Fields that go with every record of the context.
    pub fn fields(&self) -> Fields<'a> {
        // As many as there are bytes for.
        Fields { bytes: Bytes(self.fields), keys: [].iter(), left: u16::MAX }
    }
}

/// A frame that was found whole.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the front of `bytes`; nothing where no header and length make sense.
    #[inline(always)]
    pub(crate) fn first(bytes: &'a [u8]) -> Option<Frame<'a>> {
        Some(Frame::split(bytes)?.0)
    }

    /// The same, and what stands behind it.
    #[inline(always)]
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Frame<'a>, &'a [u8])> {
        let (length, is_whole) = match bytes.first_chunk::<HEADER>() {
            Some(head) if head[4] != kind::PAD => {
                let length = u32::from_le_bytes(*head.first_chunk()?) as usize;
                let context = usize::from(u16::from_le_bytes([head[28], head[29]]));
                // Which is never shorter than the header.
                (length, HEADER + context <= length)
            }
            _ => (Frame::padding(bytes)?, true),
        };
        if !is_whole || !length.is_multiple_of(ALIGN) {
            return None;
        }
        let (bytes, rest) = bytes.split_at_checked(length)?;
        Some((Frame { bytes }, rest))
    }

    /// The length of padding, which may be as short as a word.
    #[cold]
    #[inline(never)]
    fn padding(bytes: &[u8]) -> Option<usize> {
        let head = bytes.first_chunk::<ALIGN>().filter(|head| head[4] == kind::PAD)?;
        let length = u32::from_le_bytes(*head.first_chunk()?) as usize;
        (length >= ALIGN).then_some(length)
    }

    /// Zeroes where padding, which may be a word, is shorter than a header.
    #[inline]
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    #[inline]
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    #[inline]
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub(crate) fn kind(&self) -> u8 {
        self.bytes[4]
    }

    #[inline]
    pub(crate) fn level(&self) -> u8 {
        self.bytes[5]
    }

    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        u64::from_le_bytes(self.array(8))
    }

    #[inline]
    pub(crate) fn site(&self) -> u32 {
        self.u32(16)
    }

    #[inline]
    pub(crate) fn logger(&self) -> u32 {
        self.u32(20)
    }

    #[inline]
    pub(crate) fn thread(&self) -> u32 {
        self.u32(24)
    }

    fn context_length(&self) -> usize {
        self.u16(28).into()
    }

    /// Where the message begins.
    #[inline]
    fn body_at(&self) -> usize {
        let ids = if self.bytes[6] & TRACED != 0 { IDS } else { 0 };
        HEADER + self.context_length() + ids
    }

    pub(crate) fn context(&self) -> Option<ContextView<'a>> {
        let end = HEADER + self.context_length();
        let mut context = ContextView::parse(self.bytes.get(HEADER..end)?)?;
        if self.bytes[6] & TRACED != 0 {
            let mut ids = Bytes(self.bytes.get(end..end + IDS)?);
            context.trace_id = Some(ids.array()?);
            context.span_id = Some(ids.array()?);
        }
        Some(context)
    }

    /// The context's bytes.
    #[inline]
    pub(crate) fn context_bytes(&self) -> &'a [u8] {
        self.bytes.get(HEADER..HEADER + self.context_length()).unwrap_or_default()
    }

    /// Whether it carries its message.
    pub(crate) fn has_message(&self) -> bool {
        self.bytes[6] & MESSAGE != 0
    }

    /// Whether it has the ids of the span that was current.
    pub(crate) fn is_traced(&self) -> bool {
        self.bytes[6] & TRACED != 0
    }

    /// The context, and those ids, as they stand there.
    #[inline]
    pub(crate) fn asked_bytes(&self) -> &'a [u8] {
        self.bytes.get(HEADER..self.body_at()).unwrap_or_default()
    }

    /// The message, where the frame carries it, and the fields, as they stand there.
    #[inline]
    pub(crate) fn body_bytes(&self) -> &'a [u8] {
        self.bytes.get(self.body_at()..).unwrap_or_default()
    }

    /// Whether it has no message, and fields without keys of their own alone, which are texts and numbers:
    /// as most have.
    #[inline(always)]
    pub(crate) fn has_usual_fields(&self) -> bool {
        let Some(body) = self.bytes.get(self.body_at()..) else { return false };
        let mut bytes = Bytes(body);
        !self.has_message() && (0..self.bytes[7]).all(|_| bytes.pass_usual().is_some())
    }

    /// The message, where the frame carries it, and the fields; nothing when the message makes no
    /// sense.
    #[inline(always)]
    pub(crate) fn body(&self, keys: &'a [Box<str>]) -> Option<(Option<Text<'a>>, Fields<'a>)> {
        let mut bytes = Bytes(self.bytes.get(self.body_at()..)?);
        let message = match self.has_message() {
            false => None,
            true => Some(bytes.message()?),
        };
        Some((message, Fields { bytes, keys: keys.iter(), left: self.bytes[7].into() }))
    }
}
