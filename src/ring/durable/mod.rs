//! Rings in a file that outlives the process: what a call has written is there after SIGKILL,
//! abort, `exit` and panic. It survives the process, not the kernel or the power.
//!
//! A thread writes its frames as it does in the heap: a frame is committed by the ring's one
//! release store, into a page that the system keeps when the process is gone. What is added is done
//! by the background: the log file's chunk is noted before its write and the rings are freed after
//! it ([`journal`]); names are written down when they are made ([`dictionary`]); the clock's
//! anchors once a second. The file is the process's by a lock ([`owner`]) and removed after a clean
//! end. What is left behind is decoded from a copy, which trusts nothing ([`image`]), by the next
//! start or the command line ([`orphan`]).

pub(crate) mod dictionary;
pub(crate) mod image;
pub(crate) mod journal;
pub(crate) mod layout;
pub(crate) mod mapping;
pub(crate) mod orphan;
pub(crate) mod owner;
mod repair;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Place;
use super::cursor::Cursor;
use super::memory::Memory;
use super::names::{Define, Name};
use super::writer::cut;
use crate::sync::Ordering;
use layout::{Layout, MAGIC, Rules, Sizes, VERSION, head};
use mapping::Mapping;
use owner::Owned;

/// What a ring file is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Nothing for one in memory that is the user's own.
    pub(crate) folder: Option<PathBuf>,
    /// Whose next start takes over what is left behind.
    pub(crate) service: String,
    /// Of each ring; rounded up as those in the heap are.
    pub(crate) ring_bytes: usize,
    /// Without the shared one.
    pub(crate) rings: usize,
    /// For call sites and loggers.
    pub(crate) dictionary_bytes: usize,
    /// Names of threads.
    pub(crate) threads: usize,
    /// Of the longest chunk that goes into the log file.
    pub(crate) chunk_bytes: usize,
    /// What readers are to keep out of lines, and out of spans: frames are as they were written.
    pub(crate) rules: [Vec<String>; 2],
}

/// Ticks of the process's clock, and the nanoseconds since 1970 at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) ticks: u64,
    pub(crate) unix_nanos: u64,
}

/// The ring file of one engine.
pub(crate) struct RingFile {
    layout: Layout,
    /// Before `owned`: what is mapped goes before the lock.
    mapping: Arc<Mapping>,
    owned: Owned,
}

impl RingFile {
    /// Makes the file, allocated in full, mapped and locked.
    ///
    /// * `rate`: nanoseconds in 2^40 ticks.
    ///
    /// An error, and nothing left behind, when there is no room or the folder is not safe.
    pub(crate) fn create(
        settings: &Settings,
        rate: u64,
        anchor: Anchor,
    ) -> io::Result<Arc<RingFile>> {
        let sizes = Sizes {
            ring_bytes: settings.ring_bytes.max(Memory::LEAST).next_power_of_two() as u64,
            rings: settings.rings as u64,
            dictionary: (settings.dictionary_bytes as u64).next_multiple_of(layout::PAGE),
            threads: settings.threads as u64,
            chunk: (settings.chunk_bytes as u64).next_multiple_of(layout::PAGE),
        };
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "sizes that no file can have");
        let layout = Layout::of(sizes).ok_or_else(invalid)?;
        let folder = owner::folder(settings.folder.as_deref())?;
        let owned = Owned::create(&folder, &settings.service, layout.total)?;
        let mapping = match owned.file().and_then(|file| Mapping::new(file, layout.total)) {
            Ok(mapping) => Arc::new(mapping),
            Err(error) => {
                let _ = owned.remove();
                return Err(error);
            }
        };
        let file = RingFile { layout, mapping, owned };
        file.begin(settings, rate, anchor)?;
        Ok(Arc::new(file))
    }

    /// Writes the header and the rules. On an error the file is empty, and removed when dropped.
    fn begin(&self, settings: &Settings, rate: u64, anchor: Anchor) -> io::Result<()> {
        let Sizes { ring_bytes, rings, dictionary, threads, chunk } = self.layout.sizes;
        let words = [
            (head::MAGIC, MAGIC),
            (head::VERSION, VERSION),
            (head::RING_BYTES, ring_bytes),
            (head::RINGS, rings),
            (head::DICTIONARY_BYTES, dictionary),
            (head::THREADS, threads),
            (head::CHUNK_BYTES, chunk),
            (head::PID, std::process::id().into()),
            (head::STARTED, anchor.unix_nanos),
            (head::RATE, rate),
        ];
        for (at, value) in words {
            self.set(at, value);
        }
        let service = cut(settings.service.as_bytes(), head::MOST_SERVICE);
        self.text(head::SERVICE, head::MOST_SERVICE, service);
        let boot = boot_id();
        self.set(head::BOOT_ID, boot as u64);
        self.set(head::BOOT_ID + 8, (boot >> 64) as u64);
        self.anchor(anchor);
        for (of, texts) in [Rules::Lines, Rules::Spans].into_iter().zip(&settings.rules) {
            // SAFETY: nobody else knows of the file yet.
            if !unsafe { dictionary::keep(&self.mapping, &self.layout, of, texts) } {
                let why = "rules of redaction that are longer than its dictionary";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        }
        self.set(head::READY, 1);
        Ok(())
    }

    fn set(&self, at: u64, value: u64) {
        self.mapping.word(at).store(value, Ordering::Release);
    }

    fn text(&self, at: u64, most: usize, text: &[u8]) {
        let text = text.get(..most).unwrap_or(text);
        // None, while it changes.
        self.set(at, 0);
        // SAFETY: within the header, which the thread that sets an engine up writes alone.
        unsafe { self.mapping.put(at + 8, text) };
        self.set(at, text.len() as u64);
    }

    /// Says where the log file is, so that recovery can compare it with the note. At set-up, by the
    /// thread that made the file.
    pub(crate) fn set_log(&self, path: &Path) {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        // Half a path would be another file's.
        let bytes = path.as_os_str().as_bytes();
        self.text(
            head::LOG,
            head::MOST_LOG,
            if bytes.len() > head::MOST_LOG { &[] } else { bytes },
        );
    }

    /// Keeps a reading of both clocks; by one thread, about once a second.
    pub(crate) fn anchor(&self, anchor: Anchor) {
        let count = self.mapping.word(head::ANCHORS);
        // Relaxed: this thread's own.
        let number = count.load(Ordering::Relaxed);
        let at = head::ANCHOR + number % head::MOST_ANCHORS * 16;
        self.set(at, anchor.ticks);
        self.set(at + 8, anchor.unix_nanos);
        // Release: the reading before the number that says so.
        count.store(number + 1, Ordering::Release);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.layout.total
    }

    /// How many rings there are without the shared one, which is the next number.
    pub(crate) fn rings(&self) -> usize {
        self.layout.sizes.rings as usize
    }

    pub(crate) fn path(&self) -> &Path {
        self.owned.path()
    }

    /// Names that the dictionary had no room for; what frames say of them is shown as numbers.
    pub(crate) fn unnamed(&self) -> u64 {
        self.mapping.word(head::UNNAMED).load(Ordering::Relaxed)
    }

    /// The memory and the positions of a ring, which is asked for once.
    pub(crate) fn ring(&self, number: usize, bytes: u64) -> Option<(Memory, Place<Cursor>)> {
        if number > self.rings() || bytes != self.layout.sizes.ring_bytes {
            return None;
        }
        let owner: Arc<dyn Any + Send + Sync> = self.mapping.clone();
        let start = self.mapping.at(self.layout.ring(number as u64));
        // SAFETY: the ring's part of the mapping, which its owner keeps, aligned to a page; this is
        // the one call for it.
        let memory = unsafe { Memory::over(start, bytes as usize, owner.clone()) };
        let cursor = self.mapping.at(self.layout.cursor(number as u64)).cast();
        debug_assert!(cursor.is_aligned());
        // SAFETY: atomics in the mapping, aligned by the layout, for which any bytes are values.
        Some((memory, unsafe { Place::over(cursor, owner) }))
    }

    fn cursor(&self, number: usize) -> Option<&Cursor> {
        if number > self.rings() {
            return None;
        }
        let cursor = self.mapping.at(self.layout.cursor(number as u64)).cast::<Cursor>();
        // SAFETY: as in `ring`, for as long as `self` keeps the mapping.
        Some(unsafe { cursor.as_ref() })
    }

    /// Removes the file if nothing is left in it: after the last drain, when no line is written any
    /// more. Else it stays for the next start.
    pub(crate) fn finish(&self) -> bool {
        let empty = (0..=self.rings())
            .filter_map(|number| self.cursor(number))
            .all(|cursor| cursor.published() == cursor.freed());
        let noted = self.mapping.word(self.layout.notes).load(Ordering::Acquire) != 0;
        empty && !noted && self.owned.remove().is_ok()
    }
}

impl Define for RingFile {
    fn define(&self, number: u32, name: &Name) {
        // In a child numbers go their own way.
        if self.owned.is_ours() {
            // SAFETY: `Define` is called with the table of names locked, from there alone.
            unsafe { dictionary::define(&self.mapping, &self.layout, number, name) };
        }
    }
}

impl Drop for RingFile {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Of the system's present run; 0 where it does not say.
fn boot_id() -> u128 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or(0)
}
