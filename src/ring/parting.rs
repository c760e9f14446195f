//! How many recorders share one ring: who writes where, and when it can be read.
//!
//! | atomic  | writer    | reader   | write / read      | what the pair publishes       | model                      |
//! |---------|-----------|----------|-------------------|-------------------------------|----------------------------|
//! | `tail`  | recorders | recorders| CAS Relaxed       | nothing: it only parts rooms  | `shared_frames_arrive_whole`|
//! | `head`  | flusher   | recorders| Release / Acquire | bytes read and zeroed         | `shared_room_comes_back_clean`|
//! | a frame's first word | recorder | flusher | Release / Acquire | the frame     | `shared_frames_arrive_whole`|
//!
//! A frame begins with a word that is zero until the frame is whole; the flusher zeroes what it has
//! read. A recorder that is suspended between reserve and commit holds up what came after it in this
//! ring, and nothing else.

use crate::sync::{AtomicU64, Ordering};

/// Parts the positions between recorders. In a ring's file it is a [`Cursor`].
pub(crate) struct Parting;

impl Parting {
    /// `length` bytes at the tail that do not run over the ring's end, of `capacity` bytes with
    /// `reserve` kept free: where the padding begins, and where the frame does.
    pub(crate) fn reserve(
        tail: &AtomicU64,
        head: &AtomicU64,
        capacity: u64,
        length: u64,
        reserve: u64,
    ) -> Option<(u64, u64)> {
        let mut at = tail.load(Ordering::Relaxed);
        loop {
            let to_end = capacity - (at & (capacity - 1));
            let frame = if length > to_end { at + to_end } else { at };
            // Acquire: the flusher has read and zeroed what it gives back.
            let free = capacity.saturating_sub(at - head.load(Ordering::Acquire).min(at));
            if frame + length - at + reserve > free {
                return None;
            }
            // Relaxed: each recorder learns that the room is its own, which the order of the
            // exchanges alone says; what is written there is published by the frame's word.
            match tail.compare_exchange_weak(
                at,
                frame + length,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some((at, frame)),
                Err(now) => at = now,
            }
        }
    }

    /// Makes a frame seen, by its first word.
    pub(crate) fn commit(word: &AtomicU64, first: u64) {
        // Release: the frame's other bytes come before.
        word.store(first, Ordering::Release);
    }

    /// The first word of a frame that is whole.
    pub(crate) fn committed(word: &AtomicU64) -> Option<u64> {
        // Acquire: with `commit`.
        Some(word.load(Ordering::Acquire)).filter(|&word| word != 0)
    }

    /// Gives back what was read, and zeroed.
    pub(crate) fn free(head: &AtomicU64, to: u64) {
        // Release: with the Acquire in `reserve`.
        head.store(to, Ordering::Release);
    }
}
