//! Where values are put into words that a host's code renders, before a frame is reserved.

use std::cell::RefCell;
use std::fmt::{self, Write};

use super::writer::{MOST_TEXT, cut};
use crate::sync::contained;

/// Bytes that a thread's texts may have together, while one line is made.
const SCRATCH: usize = 32 << 10;
/// What stands for a value whose code panicked.
const PANICKED: &str = "<panicked>";

/// A stack of texts: a line that is logged while another is being rendered stands on top of it.
struct Scratch {
    /// Allocated at the thread's first use, of fixed size.
    bytes: Box<[u8]>,
    used: usize,
}

thread_local! {
    static SCRATCH_OF_THREAD: RefCell<Scratch> =
        RefCell::new(Scratch { bytes: Box::new([0; SCRATCH]), used: 0 });
}

/// A text that was rendered, until it is dropped.
pub struct Rendered {
    start: usize,
    length: usize,
    lost: u32,
    /// Where the thread's scratch is gone.
    own: Option<Box<[u8]>>,
    // Of this thread's scratch.
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Appends to the thread's scratch as much as there is room for.
struct Appending {
    start: usize,
    length: usize,
    lost: u32,
    own: Option<Vec<u8>>,
}

impl Write for Appending {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MOST_TEXT - self.length;
        let append = |scratch: &RefCell<Scratch>| {
            // Borrowed for this piece alone: what renders may log.
            let mut scratch = scratch.borrow_mut();
            let at = self.start + self.length;
            let kept = cut(text.as_bytes(), room.min(scratch.bytes.len().saturating_sub(at)));
            scratch.bytes[at..at + kept.len()].copy_from_slice(kept);
            scratch.used = at + kept.len();
            kept.len()
        };
        // Nothing after a piece that was cut: a text has no holes.
        let kept = match &mut self.own {
            _ if self.lost > 0 => 0,
            None => SCRATCH_OF_THREAD.try_with(append).unwrap_or(0),
            Some(own) => {
                let kept = cut(text.as_bytes(), room);
                own.extend_from_slice(kept);
                kept.len()
            }
        };
        self.length += kept;
        let lost = u32::try_from(text.len() - kept).unwrap_or(u32::MAX);
        self.lost = self.lost.saturating_add(lost);
        Ok(())
    }
}

/// Renders `value`, at most 8 KiB of it. What panics is `<panicked>`; what fails is kept as far as
/// it came.
pub fn display(value: &dyn fmt::Display) -> Rendered {
    render(&mut |out| write!(out, "{value}"))
}

/// [`display`], by `Debug`.
pub fn debug(value: &dyn fmt::Debug) -> Rendered {
    render(&mut |out| write!(out, "{value:?}"))
}

pub(crate) fn render(write: &mut dyn FnMut(&mut dyn Write) -> fmt::Result) -> Rendered {
    let start = SCRATCH_OF_THREAD.try_with(|scratch| scratch.borrow().used);
    let own = start.is_err().then(Vec::new);
    let mut into = Appending { start: start.unwrap_or(0), length: 0, lost: 0, own };
    // What fails is kept as far as it came.
    if contained(|| write(&mut into).is_ok()).is_none() {
        into.length = 0;
        into.lost = 0;
        into.own.iter_mut().for_each(Vec::clear);
        let _ = into.write_str(PANICKED);
    }
    Rendered {
        start: into.start,
        length: into.length,
        lost: into.lost,
        own: into.own.map(Vec::into_boxed_slice),
        _not_send: std::marker::PhantomData,
    }
}

impl Rendered {
    /// How long it is, where nothing of it is lost.
    #[inline]
    pub(crate) fn whole_length(&self) -> Option<usize> {
        (self.lost == 0).then_some(self.length)
    }

    /// Runs `read` with the text and how many bytes of it were lost.
    #[inline]
    pub(crate) fn with(&self, read: &mut dyn FnMut(&[u8], u32)) {
        let by_scratch = |scratch: &RefCell<Scratch>| {
            let scratch = scratch.borrow();
            let text = scratch.bytes.get(self.start..self.start + self.length);
            read(text.unwrap_or_default(), self.lost);
        };
        match &self.own {
            // Where the scratch has gone since, so has the text.
            None => drop(SCRATCH_OF_THREAD.try_with(by_scratch)),
            Some(own) => read(own, self.lost),
        }
    }
}

impl Drop for Rendered {
    fn drop(&mut self) {
        if self.own.is_none() {
            let _ = SCRATCH_OF_THREAD.try_with(|scratch| {
                // The least of them: the texts of a line go in any order.
                let mut scratch = scratch.borrow_mut();
                scratch.used = scratch.used.min(self.start);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rendered: &Rendered) -> (String, u32) {
        let mut seen = None;
        rendered
            .with(&mut |text, lost| seen = Some((String::from_utf8(text.into()).unwrap(), lost)));
        seen.unwrap()
    }

    fn used() -> usize {
        SCRATCH_OF_THREAD.with(|scratch| scratch.borrow().used)
    }

    struct Odd;

    impl fmt::Display for Odd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer ")?;
            let nested = display(&"nested");
            assert_eq!(text(&nested).0, "nested");
            drop(nested);
            f.write_str("goes on")
        }
    }

    #[test]
    fn texts_stand_beside_each_other_and_one_within_another() {
        let (one, two) = (display(&1), debug(&"two"));
        let odd = display(&Odd);
        assert_eq!((text(&one).0, text(&two).0), ("1".into(), "\"two\"".into()));
        assert_eq!(text(&odd), ("outer goes on".into(), 0));
        drop(one);
        drop(odd);
        drop(two);
        assert_eq!(used(), 0);
    }

    #[test]
    fn a_text_is_bounded_and_so_are_all_together() {
        let long = "é".repeat(10_000);
        let texts: Vec<Rendered> = (0..6).map(|_| display(&long)).collect();
        for (i, rendered) in texts.iter().enumerate() {
            let (text, lost) = text(rendered);
            assert_eq!(text.len(), if i < 4 { MOST_TEXT } else { 0 });
            assert_eq!(text.len() + lost as usize, 20_000);
            assert!(long.starts_with(&text));
        }
        drop(texts);
        assert_eq!(used(), 0);
    }

    #[test]
    fn a_panic_is_a_word_and_nothing_more() {
        struct Panics;
        impl fmt::Display for Panics {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                std::panic::resume_unwind(Box::new(()));
            }
        }
        let rendered = display(&Panics);
        assert_eq!(text(&rendered), (PANICKED.into(), 0));
        drop(rendered);
        assert_eq!(used(), 0);
    }

    #[test]
    fn a_panic_with_a_payload_that_panics_is_no_more() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::resume_unwind(Box::new(()));
            }
        }
        struct Panics;
        impl fmt::Display for Panics {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                std::panic::resume_unwind(Box::new(Bomb));
            }
        }
        assert_eq!(text(&display(&Panics)), (PANICKED.into(), 0));
        assert_eq!(used(), 0);
    }
}
