//! A ring with one producer: the thread that has it on lease.

use std::cell::Cell;
use std::{ptr, slice};

use super::cursor::Cursor;
use super::frame::{ALIGN, Frame, kind};
use super::memory::Memory;
use super::writer::{Blocks, Fill, Head, MOST_TEXT, TEXT_LIMITS, Writer, frame_room};
use super::{Place, Refused, most_frame};
use crate::shard::ahead;

/// A ring that one thread writes and the flusher reads.
pub(crate) struct Ring {
    memory: Memory,
    cursor: Place<Cursor>,
}

impl Ring {
    pub(crate) fn new(memory: Memory, cursor: Place<Cursor>) -> Ring {
        Ring { memory, cursor }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.memory.capacity()
    }

    /// Bytes that are written and not freed.
    pub(crate) fn used(&self) -> u64 {
        // In this order: what is freed was published before.
        let freed = self.cursor.freed();
        self.cursor.published().saturating_sub(freed)
    }

    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// What stands from position `at` on up to `end`, or the memory's end: frames one after the other,
    /// of which the first is no padding. That is passed over: what comes behind it lies elsewhere.
    ///
    /// # Safety
    /// As [`read`](Self::read).
    pub(crate) unsafe fn rest(&self, at: &mut u64, end: u64) -> &[u8] {
        loop {
            let n = self.memory.contiguous(*at, end.saturating_sub(*at));
            // SAFETY: published and not freed: the recorder leaves it alone.
            let bytes = unsafe { self.memory.read(*at, n) };
            match Frame::first(bytes) {
                Some(frame) if frame.kind() == kind::PAD => *at += frame.bytes().len() as u64,
                _ => return bytes,
            }
        }
    }

    /// The frame at position `at`, and where the next one begins; nothing when all that is published
    /// was read. Padding is passed over, and so is a rest that is no frame: the last is true.
    ///
    /// # Safety
    /// Called by the one reader, with positions not freed yet: its own or what this returned.
    pub(crate) unsafe fn read(&self, mut at: u64, end: u64) -> Option<(Option<Frame<'_>>, u64)> {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.rest(&mut at, end) };
        if bytes.is_empty() {
            return None;
        }
        Some(match Frame::first(bytes) {
            Some(frame) => (Some(frame), at + frame.bytes().len() as u64),
            None => (None, end),
        })
    }
}

/// How far before the next frame memory is asked for. The flusher has had these lines in another core's
/// cache, and each comes back as slowly as from memory: some hundred nanoseconds, or eight frames.
const AHEAD: usize = 1 << 10;
/// Bytes of a cache line; most frames are of two.
const LINE: usize = 64;

/// The recorder's side of a ring: what only the thread on lease knows. Zeroes are a value of it, into
/// which nothing fits.
pub(crate) struct Producer {
    /// Where the next frame goes.
    at: Cell<*mut u8>,
    /// Up to where a line of any level may be written without a look at what is free, or at the
    /// ring's end.
    until: Cell<*mut u8>,
    /// What makes a position of an address, until the ring's end.
    lap: Cell<u64>,
    /// The ring's.
    start: *mut u8,
    mask: u64,
    cursor: *const Cursor,
    /// Bytes that lines less urgent than a warning leave free.
    reserve: u64,
}

impl Producer {
    /// Takes the ring up where the thread before left it.
    ///
    /// # Safety
    /// The ring has no other producer for as long as this one is used, and outlives it.
    pub(crate) unsafe fn new(ring: &Ring, reserve: u64) -> Producer {
        let producer = Producer {
            start: ring.memory.start(),
            mask: ring.capacity() - 1,
            cursor: &*ring.cursor,
            reserve,
            ..Producer::nowhere()
        };
        producer.set_tail(ring.cursor.published());
        producer.look(ring);
        producer
    }

    /// For a thread that writes no ring in place.
    pub(crate) const fn nowhere() -> Producer {
        Producer {
            at: Cell::new(ptr::null_mut()),
            until: Cell::new(ptr::null_mut()),
            lap: Cell::new(0),
            start: ptr::null_mut(),
            mask: 0,
            cursor: ptr::null(),
            reserve: 0,
        }
    }

    fn tail(&self) -> u64 {
        self.lap.get().wrapping_add(self.at.get().addr() as u64)
    }

    fn set_tail(&self, tail: u64) {
        let at = self.start.wrapping_add((tail & self.mask) as usize);
        self.at.set(at);
        self.lap.set(tail.wrapping_sub(at.addr() as u64));
    }

    /// Sees what is free now; up to where the bytes are the producer's.
    fn look(&self, ring: &Ring) -> u64 {
        let tail = self.tail();
        // At the ring's end it goes on at its start.
        self.set_tail(tail);
        let limit = ring.cursor.freed() + ring.capacity();
        let lap = (tail | self.mask) + 1;
        let free = limit.saturating_sub(self.reserve).min(lap).saturating_sub(tail);
        self.until.set(self.at.get().wrapping_add(free as usize));
        limit
    }

    /// Writes one frame, if there is room for it without a closer look; true if so.
    ///
    /// # Safety
    /// The ring that this was made for is there, and this thread has it on lease.
    #[inline(always)]
    pub(crate) unsafe fn try_write(
        &self,
        head: Head,
        context: Blocks<'_>,
        fill: &impl Fill,
    ) -> bool {
        let at = self.at.get();
        let room = frame_room(context, fill.room());
        // What may have to be cut is not for this.
        if room > MOST_TEXT || at.addr() + room > self.until.get().addr() {
            return false;
        }
        ahead::fetch(at.wrapping_add(AHEAD));
        ahead::fetch(at.wrapping_add(AHEAD + LINE));
        // SAFETY: up to `until` the bytes are the producer's, one after the other, and enough for all
        // that an unchecked writer may write.
        let at = unsafe {
            let room = slice::from_raw_parts_mut(at.cast(), room);
            let mut writer = Writer::unchecked(room, head, context);
            fill.fill_unchecked(&mut writer);
            at.add(writer.finish(head).unwrap_unchecked())
        };
        self.at.set(at);
        // SAFETY: the ring's cursor, which is there as long as the ring.
        unsafe { (*self.cursor).publish(self.tail()) };
        true
    }

    fn publish(&self, ring: &Ring, tail: u64) {
        self.set_tail(tail);
        ring.cursor.publish(tail);
    }

    /// [`write_slowly`](Self::write_slowly), and what follows of it for the next lines.
    ///
    /// # Safety
    /// As [`write_slowly`](Self::write_slowly).
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn write(
        &self,
        ring: &Ring,
        is_urgent: bool,
        head: Head,
        context: Blocks<'_>,
        fill: &impl Fill,
    ) -> Result<(), Refused> {
        let limit = self.look(ring);
        let limit = if is_urgent { limit } else { limit.saturating_sub(self.reserve) };
        // SAFETY: the caller's promise.
        let wrote = unsafe { self.write_slowly(ring, limit, head, context, fill) };
        self.look(ring);
        wrote
    }

    /// Writes one frame that ends at `limit` at the latest, here or at the ring's other end; and one
    /// whose size is not known before. `fill` may run more than once and calls no code of a host's.
    ///
    /// # Safety
    /// `ring` is the one that this producer was made for, and this thread has it on lease.
    unsafe fn write_slowly(
        &self,
        ring: &Ring,
        limit: u64,
        head: Head,
        context: Blocks<'_>,
        fill: &impl Fill,
    ) -> Result<(), Refused> {
        let tail = self.tail();
        let free = limit.saturating_sub(tail);
        let most = most_frame(ring.capacity());
        // Here, and else at the front, with padding up to there.
        let here = ring.memory.contiguous(tail, free.min(most));
        let end = ring.capacity() - (tail & (ring.capacity() - 1));
        let front = free.saturating_sub(end).min(most) as usize;
        for most_text in TEXT_LIMITS {
            for (at, n) in [(tail, here), (tail + end, front)] {
                // SAFETY: from `tail` up to the limit the bytes are the producer's.
                let room = unsafe { ring.memory.room(at, n) };
                let mut writer = Writer::within(room, most_text, context);
                fill.fill(&mut writer);
                if let Some(length) = writer.finish(head) {
                    if at != tail {
                        // SAFETY: as above; the padding is in front of the frame.
                        unsafe { pad(ring.memory.room(tail, ALIGN), end) };
                    }
                    self.publish(ring, at + length as u64);
                    return Ok(());
                }
                // Texts are squeezed for what is too long for any ring, not for want of room.
                if n as u64 == most {
                    break;
                }
            }
            if (here as u64).max(front as u64) < most {
                return Err(Refused::Full);
            }
        }
        Err(Refused::TooLong)
    }
}

/// Writes the head of `length` bytes of padding.
fn pad(room: &mut [std::mem::MaybeUninit<u8>], length: u64) {
    let word = length | u64::from(kind::PAD) << 32;
    for (byte, of) in room.iter_mut().zip(word.to_le_bytes()) {
        byte.write(of);
    }
}
