//! What stands where in a ring file.
//!
//! ```text
//! header       4 KiB    what it is, whose, sizes, clock, service, path of the log (see `head`)
//! notes                 which of two is in force (64 bytes), then the two (see `note`)
//! cursors      256 each `Cursor`, of the threads' rings and then of the shared one
//! threads      64 each  number and name, at the number's remainder
//! dictionary            records of call sites and loggers, one behind the other
//! chunk                 the bytes on their way into the log file
//! rings                 in the order of the cursors
//! ```
//!
//! Each part begins at a multiple of 4 KiB. All is little-endian words of 8 bytes, texts aside. The
//! sizes in the header say all the rest, so that a file is either understood or refused.

use super::super::cursor::Cursor;
use super::super::memory::Memory;

/// "MCPVRING", as the first word says it.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"MCPVRING");
/// Of the layout and of frames. One more with any change of either.
pub(crate) const VERSION: u64 = 1;
/// Parts begin at multiples of this.
pub(crate) const PAGE: u64 = 4096;
/// More than any file has.
const MOST_TOTAL: u64 = 4 << 30;

/// Where the words of the header are.
pub(crate) mod head {
    pub(crate) const MAGIC: u64 = 0;
    pub(crate) const VERSION: u64 = 8;
    pub(crate) const RING_BYTES: u64 = 16;
    pub(crate) const RINGS: u64 = 24;
    pub(crate) const DICTIONARY_BYTES: u64 = 32;
    pub(crate) const THREADS: u64 = 40;
    pub(crate) const CHUNK_BYTES: u64 = 48;
    /// Whether the header is whole: 1, written last.
    pub(crate) const READY: u64 = 56;
    pub(crate) const PID: u64 = 64;
    /// Nanoseconds since 1970.
    pub(crate) const STARTED: u64 = 72;
    /// Nanoseconds in 2^40 ticks.
    pub(crate) const RATE: u64 = 80;
    /// How many anchors were written since the start; the last ones are kept.
    pub(crate) const ANCHORS: u64 = 88;
    /// Bytes of the dictionary that are written.
    pub(crate) const DICTIONARY: u64 = 96;
    /// Names that it had no room for.
    pub(crate) const UNNAMED: u64 = 104;
    /// 16 bytes.
    pub(crate) const BOOT_ID: u64 = 112;
    /// A word, and as many bytes.
    pub(crate) const SERVICE: u64 = 128;
    pub(crate) const MOST_SERVICE: usize = 120;
    /// A word, and as many bytes: the path of the log file.
    pub(crate) const LOG: u64 = 256;
    pub(crate) const MOST_LOG: usize = 2040;
    /// Pairs of ticks and nanoseconds since 1970.
    pub(crate) const ANCHOR: u64 = 2304;
    pub(crate) const MOST_ANCHORS: u64 = 64;
}

/// Where the words of a note are, from its start.
pub(crate) mod note {
    pub(crate) const DEVICE: u64 = 0;
    pub(crate) const INODE: u64 = 8;
    /// Where in the file the next bytes go.
    pub(crate) const OFFSET: u64 = 16;
    /// Which byte of the chunk goes there.
    pub(crate) const FROM: u64 = 24;
    /// Bytes of the chunk.
    pub(crate) const LENGTH: u64 = 32;
    /// For each ring, up to where it was read for this chunk and those before.
    pub(crate) const READ: u64 = 64;
}

/// A name's slot: its number (and the name's length above it), then the name.
pub(crate) const THREAD: u64 = 64;
pub(crate) const MOST_THREAD: usize = 56;

/// A dictionary's record: its length in bytes and its kind above it; the number
/// and the line above it; then what the kind says.
pub(crate) mod record {
    pub(crate) const SITE: u64 = 1;
    pub(crate) const LOGGER: u64 = 2;
    /// What is to be kept out; its number is a `Rules`.
    pub(crate) const RULES: u64 = 3;
    /// Bytes before the texts.
    pub(crate) const HEAD: usize = 16;
    /// The length of a text that is not there.
    pub(crate) const ABSENT: u32 = u32::MAX;
}

/// What rules of redaction are for. What they say is for others to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    Lines = 1,
    Spans = 2,
}

/// What the header says of sizes, in bytes or entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) ring_bytes: u64,
    /// Without the shared one.
    pub(crate) rings: u64,
    pub(crate) dictionary: u64,
    pub(crate) threads: u64,
    pub(crate) chunk: u64,
}

/// Where the parts begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) sizes: Sizes,
    pub(crate) notes: u64,
    cursors: u64,
    pub(crate) threads: u64,
    pub(crate) dictionary: u64,
    pub(crate) chunk: u64,
    data: u64,
    pub(crate) total: u64,
}

impl Layout {
    /// Nothing where a size is out of range.
    pub(crate) fn of(sizes: Sizes) -> Option<Layout> {
        let Sizes { ring_bytes, rings, dictionary, threads, chunk } = sizes;
        let fits = ring_bytes.is_power_of_two()
            && (Memory::LEAST as u64..=1 << 30).contains(&ring_bytes)
            && rings <= 1 << 16
            && (PAGE..=1 << 28).contains(&dictionary)
            && (1..=1 << 16).contains(&threads)
            && (PAGE..=1 << 26).contains(&chunk);
        if !fits {
            return None;
        }
        let notes = PAGE;
        // No overflow: each factor is bounded above.
        let after = |at: u64, bytes: u64| at + bytes.next_multiple_of(PAGE);
        let cursors = after(notes, 64 + 2 * note_bytes(rings));
        let threads_at = after(cursors, (rings + 1) * size_of::<Cursor>() as u64);
        let dictionary_at = after(threads_at, threads * THREAD);
        let chunk_at = after(dictionary_at, dictionary);
        let data = after(chunk_at, chunk);
        let total = data + (rings + 1) * ring_bytes;
        let layout = Layout {
            sizes,
            notes,
            cursors,
            threads: threads_at,
            dictionary: dictionary_at,
            chunk: chunk_at,
            data,
            total,
        };
        (total <= MOST_TOTAL).then_some(layout)
    }

    /// Where the ring of this number has its positions; the shared one's number is `sizes.rings`.
    pub(crate) fn cursor(&self, ring: u64) -> u64 {
        self.cursors + ring * size_of::<Cursor>() as u64
    }

    pub(crate) fn ring(&self, ring: u64) -> u64 {
        self.data + ring * self.sizes.ring_bytes
    }

    /// The first or the second note.
    pub(crate) fn note(&self, which: u64) -> u64 {
        self.notes + 64 + (which & 1) * note_bytes(self.sizes.rings)
    }
}

fn note_bytes(rings: u64) -> u64 {
    (note::READ + (rings + 1) * 8).next_multiple_of(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap_and_wrong_sizes_are_refused() {
        let sizes =
            Sizes { ring_bytes: 4096, rings: 3, dictionary: 5000, threads: 100, chunk: 4096 };
        let layout = Layout::of(sizes).unwrap();
        let parts = [
            (0, PAGE),
            (layout.notes, 64),
            (layout.note(0), note_bytes(3)),
            (layout.note(1), note_bytes(3)),
            (layout.cursor(0), 256),
            (layout.cursor(3), 256),
            (layout.threads, 6400),
            (layout.dictionary, 5000),
            (layout.chunk, 4096),
            (layout.ring(0), 4096),
            (layout.ring(3), 4096),
            (layout.total, 0),
        ];
        for pair in parts.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
        }
        assert_eq!(layout.ring(3) + 4096, layout.total);
        const { assert!(head::ANCHOR + head::MOST_ANCHORS * 16 <= PAGE) };
        for wrong in [
            Sizes { ring_bytes: 4097, ..sizes },
            Sizes { ring_bytes: 0, ..sizes },
            Sizes { rings: u64::MAX, ..sizes },
            Sizes { dictionary: 0, ..sizes },
            Sizes { threads: 0, ..sizes },
            Sizes { chunk: 1 << 40, ..sizes },
            Sizes { ring_bytes: 1 << 30, rings: 100, ..sizes },
        ] {
            assert_eq!(Layout::of(wrong), None, "{wrong:?}");
        }
    }
}
