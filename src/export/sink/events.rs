//! What happened at one sink, in numbers that the engine shows.
//!
//! Every word is a count that is only added to (the queue's bytes: a reading), publishes nothing
//! and is read for display: Relaxed throughout.

use crate::sync::{AtomicU64, Ordering};

/// Why lines did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The sink works, but not as fast as lines come.
    Full,
    /// The sink fails, or has panicked over them.
    Failed,
    /// The deadline of the last drain had passed.
    Stopped,
    /// The other side would not have them, and never will.
    Refused,
}

impl Loss {
    /// Every reason, in the order of their numbers.
    pub(crate) const ALL: [Loss; 4] = [Loss::Full, Loss::Failed, Loss::Stopped, Loss::Refused];

    /// Those that a log can have.
    pub(crate) const OF_LOGS: [Loss; 3] = [Loss::Full, Loss::Failed, Loss::Stopped];

    /// The value of the label `reason`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Loss::Full => "full",
            Loss::Failed => "failed",
            Loss::Stopped => "stopped",
            Loss::Refused => "refused",
        }
    }
}

/// What happened at one sink since its start.
#[derive(Debug, Default)]
pub(crate) struct SinkEvents {
    written: [AtomicU64; 5],
    written_bytes: AtomicU64,
    lost: [[AtomicU64; 5]; 4],
    errors: AtomicU64,
    rotations: AtomicU64,
    reopened: AtomicU64,
    restarted: AtomicU64,
    compressed: AtomicU64,
    removed: AtomicU64,
    queued_bytes: AtomicU64,
}

/// Declares an adder and a getter for each plain count.
macro_rules! counts {
    ($($(#[$doc:meta])* $word:ident, $add:ident;)*) => {
        impl SinkEvents {
            $(
                $(#[$doc])*
                pub(crate) fn $word(&self) -> u64 {
                    self.$word.load(Ordering::Relaxed)
                }

                pub(crate) fn $add(&self) {
                    self.$word.fetch_add(1, Ordering::Relaxed);
                }
            )*
        }
    };
}

counts! {
    /// Attempts that failed: writes, rotations, and the care of rolled files.
    errors, add_error;
    /// Files that were rolled.
    rotations, add_rotation;
    /// Files opened anew because somebody moved, removed or replaced the one that was open.
    reopened, add_reopened;
    /// Panics of the sink that were caught.
    restarted, add_restarted;
    /// Rolled files that were compressed.
    compressed, add_compressed;
    /// Rolled files that were removed because they were too many, too large or too old.
    removed, add_removed;
}

impl SinkEvents {
    pub(crate) fn add_written(&self, lines: &[u32; 5], bytes: usize) {
        add(&self.written, lines);
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_lost(&self, lines: &[u32; 5], why: Loss) {
        add(&self.lost[why as usize], lines);
    }

    pub(crate) fn set_queued(&self, bytes: usize) {
        self.queued_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Lines that arrived, by level, `Error` first.
    pub(crate) fn written(&self) -> [u64; 5] {
        read(&self.written)
    }

    /// Bytes of the lines that arrived.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// Lines that did not arrive, by level, `Error` first.
    pub(crate) fn lost(&self, why: Loss) -> [u64; 5] {
        read(&self.lost[why as usize])
    }

    /// Lines that did not arrive, whatever the level and the reason.
    pub(crate) fn lost_lines(&self) -> u64 {
        Loss::ALL.iter().flat_map(|&why| self.lost(why)).sum()
    }

    /// Bytes that wait in the queue or are being written.
    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queued_bytes.load(Ordering::Relaxed)
    }
}

fn add(to: &[AtomicU64; 5], lines: &[u32; 5]) {
    for (cell, &lines) in to.iter().zip(lines) {
        if lines > 0 {
            cell.fetch_add(lines.into(), Ordering::Relaxed);
        }
    }
}

fn read(from: &[AtomicU64; 5]) -> [u64; 5] {
    std::array::from_fn(|level| from[level].load(Ordering::Relaxed))
}
