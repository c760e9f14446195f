//! What runs between the flusher and the world: whole lines go into a bounded queue for each sink,
//! and a thread of its own takes them out, so that a stalled pipe or disk holds up nobody else.

pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod settings;
pub(crate) mod stderr;
pub(crate) mod thread;

mod compress;
mod keeper;
mod lock;
mod rolled;
mod stamp;
mod voice;

#[cfg(all(test, unix))]
mod fault_tests;

use std::io;

pub(crate) use events::{Loss, SinkEvents};
pub(crate) use thread::SinkThread;

/// Whole lines for one sink, or a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The lines, each with its newline.
    pub(crate) bytes: Vec<u8>,
    /// How many there are of each level, `Error` first.
    pub(crate) lines: [u32; 5],
    /// What a [`file::Journal`] knows the lines by; 0 for none.
    pub(crate) ticket: u64,
}

/// Bytes to the world; called on a thread of its own, which may wait there as long as it takes.
pub(crate) trait Sink: Send + 'static {
    /// Writes all of `chunk`, or says why not. After an error the same chunk comes again, unless
    /// [`abandon`](Self::abandon) was called; what stands already is not written twice, and no line
    /// is left torn.
    fn write(&mut self, chunk: &Chunk) -> io::Result<()>;

    /// Passes on what `write` may have kept.
    fn flush(&mut self) -> io::Result<()>;

    /// About once a second, with and without lines: what is due by the clock.
    fn tick(&mut self) {}

    /// The chunk under way will not come again: it was given up, or `write` has panicked.
    fn abandon(&mut self) {}
}
