//! Frames of one ring that lie one after the other, for whoever takes them.

use super::frame::{Frame, kind};

/// The next frames of a ring up to some ticks. What is taken out counts as read from then on, whatever
/// becomes of it: a frame over which its taker panics does not come again.
pub(crate) struct Run<'a> {
    rest: &'a [u8],
    /// Up to where the ring is read; `rest` begins there.
    read: &'a mut u64,
    until: u64,
    left: usize,
}

impl<'a> Run<'a> {
    /// At most `most` frames of those that `rest`, at position `read`, begins with, up to one that is
    /// younger than `until` or makes no sense.
    #[inline]
    pub(crate) fn new(rest: &'a [u8], read: &'a mut u64, until: u64, most: usize) -> Run<'a> {
        Run { rest, read, until, left: most }
    }

    /// Frames that may be taken yet.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Takes the next frame, where it is of a kind that is wanted.
    #[inline(always)]
    pub(crate) fn next_if(&mut self, is_wanted: impl Fn(u8) -> bool) -> Option<Frame<'a>> {
        loop {
            let (frame, rest) = Frame::split(self.rest)?;
            if frame.kind() == kind::PAD {
                self.pass(frame, rest);
            } else if self.left == 0 || frame.ticks() > self.until || !is_wanted(frame.kind()) {
                return None;
            } else {
                self.left -= 1;
                self.pass(frame, rest);
                return Some(frame);
            }
        }
    }

    #[inline(always)]
    fn pass(&mut self, frame: Frame<'_>, rest: &'a [u8]) {
        self.rest = rest;
        *self.read += frame.bytes().len() as u64;
    }
}
