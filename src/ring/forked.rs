//! Memory that a forked child finds zeroed, and the question whether this is one.
//!
//! A child that was forked off without `exec` has the parent's rings, shared mappings among them,
//! and no flusher. It must write nothing there, and asking for the process at each line would cost
//! more than the line. So what a thread knows of its ring stands on pages that the system empties
//! in a child: no engine is number 0, the warm path finds nothing of its own, and the cold one asks
//! here. Where the system can't empty pages (before Linux 4.14, elsewhere) a child must not log.

use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock};

use crate::sync::{AtomicU32, Ordering, lock};

/// Bytes of a place: a cache line and its neighbour, so that threads don't disturb each other.
pub(crate) const PLACE: usize = 128;
/// Places that are mapped at once.
const AT_ONCE: usize = 32;

/// Zeroed in a child, else the life that the process is in.
static MARK: OnceLock<Mark> = OnceLock::new();
/// How often this memory began anew, in a child of a child of …
static LIVES: AtomicU32 = AtomicU32::new(1);
static FREE: Mutex<Vec<Free>> = Mutex::new(Vec::new());

struct Mark(NonNull<AtomicU32>);

// SAFETY: an atomic that is never freed.
unsafe impl Send for Mark {}
// SAFETY: as above.
unsafe impl Sync for Mark {}

impl Mark {
    fn get(&self) -> &AtomicU32 {
        // SAFETY: valid for ever; zeroes are a value of it.
        unsafe { self.0.as_ref() }
    }
}

struct Free(NonNull<u8>);

// SAFETY: a place that nobody has.
unsafe impl Send for Free {}

/// Begins a life for an engine: the process's own, or in a child that makes an engine itself a new
/// one. Engines that the child got from its parent stay as they are, without effect.
///
/// A child of a process that had several threads may meet a lock here that a thread held which is
/// no more; it is better to fork before there are threads, or to `exec`.
pub(crate) fn begin() -> u32 {
    let mark = MARK.get_or_init(|| {
        let mark = Mark(map(PLACE).unwrap_or_else(|| heap(PLACE)).cast());
        mark.get().store(LIVES.load(Ordering::Relaxed), Ordering::Relaxed);
        mark
    });
    let life = mark.get().load(Ordering::Relaxed);
    if life != 0 {
        return life;
    }
    let life = LIVES.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
    mark.get().store(life, Ordering::Relaxed);
    life
}

/// Whether an engine that began in `life` came here from the parent.
pub(crate) fn is_inherited(life: u32) -> bool {
    // Relaxed: written before the threads of a life were made.
    MARK.get().is_some_and(|mark| mark.get().load(Ordering::Relaxed) != life)
}

/// Whether this is a child that has made no engine of its own: all there is came from the parent.
pub(crate) fn is_child() -> bool {
    // 0 is no life: the system has emptied the mark. Relaxed: as above.
    MARK.get().is_some_and(|mark| mark.get().load(Ordering::Relaxed) == 0)
}

/// Has `run` called in each child that is forked off from now on, on its one thread, before `fork`
/// returns there. It does no more than set what is there: a thread that is no more may hold any lock.
#[cfg(unix)]
pub(crate) fn in_each_child(run: extern "C" fn()) {
    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> std::ffi::c_int;
    }
    // SAFETY: as POSIX declares it; functions are there as long as the code that they are of. What it
    // says is that there is no memory: then nothing is called.
    unsafe { pthread_atfork(None, None, Some(run)) };
}

#[cfg(not(unix))]
pub(crate) fn in_each_child(_: extern "C" fn()) {}

/// A place of [`PLACE`] bytes, aligned to as many, all zero or with what was there before. Briefly
/// locks.
pub(crate) fn take() -> NonNull<u8> {
    let mut free = lock(&FREE);
    if let Some(Free(place)) = free.pop() {
        return place;
    }
    let Some(start) = map(AT_ONCE * PLACE) else { return heap(PLACE) };
    // SAFETY: within what was mapped.
    free.extend((1..AT_ONCE).map(|n| Free(unsafe { start.add(n * PLACE) })));
    start
}

/// Gives a place back that nobody points to any more. Briefly locks.
///
/// # Safety
/// It came from [`take`], in this life, and is not used again.
pub(crate) unsafe fn give_back(place: NonNull<u8>) {
    lock(&FREE).push(Free(place));
}

/// Without the promise: for systems that don't know it.
fn heap(bytes: usize) -> NonNull<u8> {
    #[repr(align(128))]
    struct Aligned(#[allow(dead_code)] [u8; PLACE]);
    debug_assert!(bytes <= PLACE);
    NonNull::from(Box::leak(Box::new(Aligned([0; PLACE])))).cast()
}

/// Pages that are zero, and zero again in a child.
#[cfg(target_os = "linux")]
fn map(bytes: usize) -> Option<NonNull<u8>> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
    let bytes = bytes.next_multiple_of(4096);
    let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping, wherever the system puts it.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, prot, flags) }.ok()?;
    // SAFETY: the mapping just made, whole.
    if unsafe { madvise(start, bytes, Advice::LinuxWipeOnFork) }.is_err() {
        // SAFETY: nobody has it yet.
        let _ = unsafe { munmap(start, bytes) };
        return None;
    }
    NonNull::new(start.cast())
}

#[cfg(not(target_os = "linux"))]
fn map(_: usize) -> Option<NonNull<u8>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_lasts_and_places_are_used_again() {
        let life = begin();
        assert_eq!(begin(), life);
        assert!(!is_inherited(life) && is_inherited(life + 1));
        let place = take();
        assert!(place.as_ptr().addr().is_multiple_of(PLACE));
        // SAFETY: just taken, and nobody has it.
        unsafe { give_back(place) };
    }
}
