//! What a field may be.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Secret;
use crate::ring::frame::tag;
use crate::ring::scratch::{Rendered, render};
use crate::ring::writer::{Fill, UNKNOWN, Writer};

/// Where a line's fields are put.
pub struct Line<'a, 'b, const CHECKED: bool = true>(pub(crate) &'a mut Writer<'b, CHECKED>);

/// Bytes of a field beside its text: tag and length.
const AROUND: usize = 3;

/// What a field of a line may be: numbers, `bool`, `char`, text, bytes, `Duration` (in seconds),
/// `Option`, references and boxes of these, [`Secret`](super::Secret) and [`exception`]. Anything
/// else by its `Display` or `Debug`: `%value`, `?value`.
///
/// Sealed: a line is put together in the ring, where no code of a host's may run.
pub trait Loggable: sealed::Sealed {
    /// Bytes that it takes in a frame at most.
    #[doc(hidden)]
    fn room(&self) -> usize;

    #[doc(hidden)]
    fn put<const C: bool>(&self, key: Option<&str>, line: &mut Line<'_, '_, C>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! loggable {
    ($($type:ty: |$this:ident, $key:ident, $line:ident| $room:expr, $put:expr;)*) => {$(
        impl sealed::Sealed for $type {}
        impl Loggable for $type {
            #[inline(always)]
            fn room(&self) -> usize {
                #[allow(unused_variables)]
                let $this = self;
                $room
            }

            #[inline(always)]
            fn put<const C: bool>(&self, $key: Option<&str>, $line: &mut Line<'_, '_, C>) {
                let $this = self;
                $put
            }
        }
    )*};
}

loggable! {
    bool: |this, key, line| WORD, line.0.bare(key, if *this { tag::TRUE } else { tag::FALSE });
    i8: |this, key, line| WORD, i64::from(*this).put(key, line);
    i16: |this, key, line| WORD, i64::from(*this).put(key, line);
    i32: |this, key, line| WORD, i64::from(*this).put(key, line);
    i64: |this, key, line| WORD, line.0.word(key, tag::I64, *this as u64);
    isize: |this, key, line| WORD, (*this as i64).put(key, line);
    u8: |this, key, line| WORD, u64::from(*this).put(key, line);
    u16: |this, key, line| WORD, u64::from(*this).put(key, line);
    u32: |this, key, line| WORD, u64::from(*this).put(key, line);
    u64: |this, key, line| WORD, line.0.word(key, tag::U64, *this);
    usize: |this, key, line| WORD, (*this as u64).put(key, line);
    f32: |this, key, line| WORD, f64::from(*this).put(key, line);
    f64: |this, key, line| WORD, line.0.word(key, tag::F64, this.to_bits());
    char: |this, key, line| WORD, this.encode_utf8(&mut [0; 4]).put(key, line);
    str: |this, key, line| text_room(this.len()), line.0.text(key, tag::STR, this.as_bytes(), 0);
    String: |this, key, line| this.as_str().room(), this.as_str().put(key, line);
    Cow<'_, str>: |this, key, line| (**this).room(), (**this).put(key, line);
    [u8]: |this, key, line| text_room(this.len()), line.0.text(key, tag::BYTES, this, 0);
    Vec<u8>: |this, key, line| this.as_slice().room(), this.as_slice().put(key, line);
    Duration: |this, key, line| WORD, this.as_secs_f64().put(key, line);
    Rendered: |this, key, line| this.whole_length().map_or(UNKNOWN, text_room), this.with(&mut |text, lost| line.0.text(key, tag::STR, text, lost));
}

/// Bytes of a field of one number: its tag and a word.
const WORD: usize = 9;

/// Bytes of a field of a text. A frame of more than [`MOST_TEXT`] is written with checks, which cut.
#[inline(always)]
fn text_room(length: usize) -> usize {
    AROUND + length
}

impl<const N: usize> sealed::Sealed for [u8; N] {}

impl<const N: usize> Loggable for [u8; N] {
    #[inline(always)]
    fn room(&self) -> usize {
        text_room(N)
    }

    #[inline(always)]
    fn put<const C: bool>(&self, key: Option<&str>, line: &mut Line<'_, '_, C>) {
        self.as_slice().put(key, line);
    }
}

impl<T: Loggable> sealed::Sealed for Option<T> {}

impl<T: Loggable> Loggable for Option<T> {
    #[inline(always)]
    fn room(&self) -> usize {
        self.as_ref().map_or(WORD, T::room)
    }

    #[inline(always)]
    fn put<const C: bool>(&self, key: Option<&str>, line: &mut Line<'_, '_, C>) {
        match self {
            Some(value) => value.put(key, line),
            None => line.0.bare(key, tag::NULL),
        }
    }
}

impl<T> sealed::Sealed for Secret<T> {}

impl<T> Loggable for Secret<T> {
    #[inline(always)]
    fn room(&self) -> usize {
        WORD
    }

    #[inline(always)]
    fn put<const C: bool>(&self, key: Option<&str>, line: &mut Line<'_, '_, C>) {
        line.0.bare(key, tag::SECRET);
    }
}

macro_rules! through {
    ($($type:ty),*) => {$(
        impl<T: Loggable + ?Sized> sealed::Sealed for $type {}
        impl<T: Loggable + ?Sized> Loggable for $type {
            #[inline(always)]
            fn room(&self) -> usize {
                (**self).room()
            }

            #[inline(always)]
            fn put<const C: bool>(&self, key: Option<&str>, line: &mut Line<'_, '_, C>) {
                (**self).put(key, line);
            }
        }
    )*};
}

through!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

/// The beginning of a text that a client chose, and how much more there was.
pub(crate) struct Cut {
    text: Box<str>,
    lost: u32,
}

impl Cut {
    /// At most `most` bytes of `text`, whole characters.
    pub(crate) fn new(text: &str, most: usize) -> Cut {
        let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
        let (kept, rest) = text.split_at(end.unwrap_or(0));
        Cut { text: kept.into(), lost: u32::try_from(rest.len()).unwrap_or(u32::MAX) }
    }
}

impl sealed::Sealed for Cut {}

impl Loggable for Cut {
    fn room(&self) -> usize {
        UNKNOWN
    }

    fn put<const C: bool>(&self, key: Option<&str>, line: &mut Line<'_, '_, C>) {
        line.0.text(key, tag::STR, self.text.as_bytes(), self.lost);
    }
}

/// An error as a field: the name of its type, what it says, and what its causes say.
pub struct Exception {
    type_name: &'static str,
    message: Rendered,
    traceback: Rendered,
}

/// An error as a field, which formats show as `exception` with `type`, `message` and, where it has
/// causes, `traceback`: a line for each.
///
/// ```
/// # use mcp_vitals::{Vitals, error, logs::exception};
/// # let vitals = Vitals::disabled();
/// # let logger = vitals.logger("search");
/// if let Err(wrong) = "x".parse::<u16>() {
///     error!(logger, "no port", exception = exception(&wrong), given = "x");
/// }
/// ```
pub fn exception<E: Error + ?Sized>(error: &E) -> Exception {
    Exception {
        type_name: std::any::type_name::<E>(),
        message: render(&mut |out| write!(out, "{error}")),
        traceback: render(&mut |out| causes(error.source(), out)),
    }
}

/// [`exception`] of what may be no error, and says `message`.
#[cfg(feature = "macros")]
pub(crate) fn exception_of(
    type_name: &'static str,
    message: Rendered,
    source: Option<&(dyn Error + 'static)>,
) -> Exception {
    Exception { type_name, message, traceback: render(&mut |out| causes(source, out)) }
}

impl Exception {
    /// What it says.
    pub(crate) fn message(&self) -> &Rendered {
        &self.message
    }
}

/// More causes than these go in a circle.
const MOST_CAUSES: usize = 32;

fn causes(first: Option<&(dyn Error + 'static)>, out: &mut dyn Write) -> fmt::Result {
    let causes = std::iter::successors(first, |&error| error.source());
    for (i, cause) in causes.take(MOST_CAUSES).enumerate() {
        let between = if i == 0 { "" } else { "\n" };
        write!(out, "{between}caused by: {cause}")?;
    }
    Ok(())
}

impl sealed::Sealed for Exception {}

impl Loggable for Exception {
    fn room(&self) -> usize {
        UNKNOWN
    }

    fn put<const C: bool>(&self, key: Option<&str>, line: &mut Line<'_, '_, C>) {
        self.message.with(&mut |message, _| {
            self.traceback.with(&mut |traceback, lost| {
                line.0.error(key, [self.type_name.as_bytes(), message, traceback], lost);
            });
        });
    }
}

/// The fields of a call, one within the other.
pub trait Values {
    #[doc(hidden)]
    fn room(&self) -> usize;

    #[doc(hidden)]
    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>);
}

impl Values for () {
    #[inline(always)]
    fn room(&self) -> usize {
        0
    }

    #[inline(always)]
    fn put<const C: bool>(&self, _: &mut Line<'_, '_, C>) {}
}

impl<A: Loggable, B: Values> Values for (A, B) {
    #[inline(always)]
    fn room(&self) -> usize {
        self.0.room() + self.1.room()
    }

    #[inline(always)]
    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        self.0.put(None, line);
        self.1.put(line);
    }
}

/// A call, as it goes into its frame.
pub(crate) struct Call<'a, M, V> {
    pub(crate) message: &'a M,
    pub(crate) values: &'a V,
}

/// The message of a call: its site's, or its own.
pub trait Message {
    #[doc(hidden)]
    fn room(&self) -> usize;

    #[doc(hidden)]
    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>);
}

impl Message for () {
    #[inline(always)]
    fn room(&self) -> usize {
        0
    }

    #[inline(always)]
    fn put<const C: bool>(&self, _: &mut Line<'_, '_, C>) {}
}

impl Message for Rendered {
    #[inline(always)]
    fn room(&self) -> usize {
        Loggable::room(self)
    }

    #[inline(always)]
    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        self.with(&mut |text, lost| line.0.message(text, lost));
    }
}

impl<M: Message, V: Values> Call<'_, M, V> {
    #[inline(always)]
    fn put<const C: bool>(&self, writer: &mut Writer<'_, C>) {
        let line = &mut Line(writer);
        self.message.put(line);
        self.values.put(line);
    }
}

impl<M: Message, V: Values> Fill for Call<'_, M, V> {
    #[inline(always)]
    fn room(&self) -> usize {
        self.message.room() + self.values.room()
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        self.put(writer);
    }

    #[inline(always)]
    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        self.put(writer);
    }
}
