//! What the flusher counts of spans, for whoever scrapes.

use std::sync::{Arc, Mutex};

use super::assembler::Decisions;
use crate::store::recent::Stored;
use crate::sync::lock;

/// Counts since the engine's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Spans that came out of the rings.
    pub(crate) spans: u64,
    /// Frames that could not be read.
    pub(crate) poison: u64,
    /// Values and parts of texts that were taken out.
    pub(crate) redacted: u64,
    /// Attributes, events and links that spans had no room for.
    pub(crate) left_out: [u64; 3],
    /// Of the rules, where there are any.
    pub(crate) decisions: Decisions,
    /// What can be looked up.
    pub(crate) stored: Stored,
}

impl Tally {
    #[cold]
    pub(super) fn add_left_out(&mut self, counts: [u16; 3]) {
        for (sum, count) in self.left_out.iter_mut().zip(counts) {
            *sum += u64::from(count);
        }
    }
}

/// A [`Tally`] between the flusher, which tells it about once a second and at each flush, and others.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Tally>>);

impl Told {
    pub(super) fn tell(&self, tally: &Tally) {
        *lock(&self.0) = *tally;
    }

    pub(crate) fn read(&self) -> Tally {
        *lock(&self.0)
    }
}
