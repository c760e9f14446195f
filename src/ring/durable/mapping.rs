//! A file in memory, shared with whoever reads it later.

use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::sync::AtomicU64;

/// All of a file, mapped for as long as this lives. The file keeps its length meanwhile: it is ours
/// alone, and nobody else may write it.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: u64,
}

// SAFETY: memory that is reached by atomics, or by the unsafe method, whose callers keep apart.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `bytes`, at least a page, of `file`, which has them allocated. All pages are there at once,
    /// so that no line waits for one.
    pub(crate) fn new(file: &File, bytes: u64) -> io::Result<Mapping> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        let flags = flags | MapFlags::POPULATE;
        // SAFETY: a new mapping, wherever the system puts it.
        let start = unsafe { mmap(ptr::null_mut(), bytes as usize, prot, flags, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, bytes })
    }

    /// The word at `at`; another one where there is none, which does not happen.
    #[inline]
    pub(crate) fn word(&self, at: u64) -> &AtomicU64 {
        debug_assert!(at + 8 <= self.bytes && at.is_multiple_of(8));
        // SAFETY: within the mapping, aligned, and valid as long as it; reached by atomics alone.
        unsafe { AtomicU64::from_ptr(self.at(at.min(self.bytes - 8) & !7).cast().as_ptr()) }
    }

    /// The place `at` bytes from the start.
    pub(crate) fn at(&self, at: u64) -> NonNull<u8> {
        debug_assert!(at <= self.bytes);
        // SAFETY: within the mapping, or its end.
        unsafe { self.start.add(at.min(self.bytes) as usize) }
    }

    /// Copies `bytes` in, if they fit.
    ///
    /// # Safety
    /// Nobody else reads or writes there meanwhile.
    pub(crate) unsafe fn put(&self, at: u64, bytes: &[u8]) {
        if at.checked_add(bytes.len() as u64).is_some_and(|end| end <= self.bytes) {
            // SAFETY: within the mapping, and the caller's promise.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(at).as_ptr(), bytes.len()) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; nothing points there any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes as usize) };
    }
}
