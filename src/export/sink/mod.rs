//! What runs between the flusher and the world: whole lines go into a bounded queue for each sink,
//! and a thread of its own takes them out, so that a stalled pipe or disk holds up nobody else.

pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod setback;
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
use std::time::Duration;

pub(crate) use events::{Loss, SinkEvents};
pub(crate) use setback::{Again, Setback};
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

    /// How it is tried again.
    fn pace(&self) -> Pace {
        Pace::default()
    }

    /// How many chunks make one; nothing where each is written by itself.
    fn gather(&self) -> Option<Gather> {
        None
    }

    /// What became of the lines of the chunk that is over, written, refused or given up, where that
    /// was not the same for all of them. Asked once, before `abandon`.
    fn tally(&mut self) -> Option<Tally> {
        None
    }
}

/// How a chunk that was not taken is tried again: after a random part of a pause that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The pause after the first failure.
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    /// The least part of the pause, in hundredths.
    pub(crate) least: u32,
    /// After how long a chunk is given up, from its first attempt on.
    pub(crate) patience: Duration,
}

impl Default for Pace {
    /// Of what is on this machine: it is worth waiting for, however long.
    fn default() -> Pace {
        Pace {
            first: Duration::from_millis(50),
            longest: Duration::from_secs(2),
            least: 50,
            patience: Duration::MAX,
        }
    }
}

impl Pace {
    /// Of servers elsewhere, which many come back to: any part of the pause ("full jitter"), and no
    /// more than a minute for one chunk.
    #[cfg(any(feature = "_post", feature = "otlp-grpc", test))]
    pub(crate) fn network() -> Pace {
        Pace {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(8),
            least: 0,
            patience: Duration::from_secs(60),
        }
    }
}

/// When chunks that wait are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gather {
    /// How long the first may wait for others; not where somebody waits for it.
    pub(crate) linger: Duration,
    /// Lines and bytes from which on it is not waited; the next chunk is then one of its own where it
    /// would go past them.
    pub(crate) lines: u32,
    pub(crate) bytes: usize,
}

/// What became of the lines of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The other side has them.
    pub(crate) taken: u32,
    /// It would not have them.
    pub(crate) refused: u32,
}
