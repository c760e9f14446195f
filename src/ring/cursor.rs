//! The two positions of a ring with one producer.
//!
//! Positions count bytes from the ring's birth and never go back.
//!
//! | atomic | writer   | reader  | write / read      | what the pair publishes  | model                  |
//! |--------|----------|---------|-------------------|--------------------------|------------------------|
//! | `tail` | recorder | flusher | Release / Acquire | the frames before `tail` | `frames_arrive_whole`  |
//! | `head` | flusher  | recorder| Release / Acquire | bytes free to be reused  | `no_reuse_while_read`  |
//!
//! A ring that changes hands does so under its set's lock, which publishes `tail` to the next
//! recorder (`a_lease_hands_over`).

use crate::sync::{AtomicU64, Ordering};

/// On a cache line (and its neighbour, which processors fetch with it) of its own.
#[repr(C, align(128))]
struct Padded(AtomicU64);

/// Where a ring is written and read. As it stands in a durable ring's file too.
#[repr(C)]
pub(crate) struct Cursor {
    tail: Padded,
    head: Padded,
}

impl Cursor {
    pub(crate) fn new() -> Cursor {
        Cursor { tail: Padded(AtomicU64::new(0)), head: Padded(AtomicU64::new(0)) }
    }

    /// Gives the flusher what stands before `tail`.
    #[inline(always)]
    pub(crate) fn publish(&self, tail: u64) {
        // Release: the frame is written before the position that says so.
        self.tail.0.store(tail, Ordering::Release);
    }

    /// Up to where the flusher may read.
    pub(crate) fn published(&self) -> u64 {
        // Acquire: with `publish`.
        self.tail.0.load(Ordering::Acquire)
    }

    /// Gives the recorder the bytes before `head` back.
    pub(crate) fn free(&self, head: u64) {
        // Release: the flusher has read them before they are written again.
        self.head.0.store(head, Ordering::Release);
    }

    /// Up to where the bytes are the recorder's again.
    pub(crate) fn freed(&self) -> u64 {
        // Acquire: with `free`.
        self.head.0.load(Ordering::Acquire)
    }

    /// The tail itself, for a ring that many write.
    pub(crate) fn tail(&self) -> &AtomicU64 {
        &self.tail.0
    }

    /// The head itself.
    pub(crate) fn head(&self) -> &AtomicU64 {
        &self.head.0
    }
}
