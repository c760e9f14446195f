//! Numbers for threads, so that a frame need not carry their names.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};
use std::time::{Duration, Instant};

use crate::sync::{AtomicU32, Ordering};

/// How long the name of a thread that has ended is kept for lines still on their way.
const KEEP: Duration = Duration::from_secs(60);
/// Names from which on those of ended threads are looked through.
const MANY: usize = 1_024;
/// Names at most; a thread past them is known by its number.
const MOST: usize = 65_536;

struct Thread {
    name: Arc<str>,
    ended: Option<Instant>,
}

static THREADS: LazyLock<RwLock<HashMap<u32, Thread>>> = LazyLock::new(RwLock::default);
static NEXT: AtomicU32 = AtomicU32::new(1);

thread_local! {
    // Const and without a destructor: there while other thread-locals are destroyed.
    static OWN: Cell<u32> = const { Cell::new(0) };
}

/// The calling thread's number, never 0.
#[inline]
pub(crate) fn this_thread() -> u32 {
    match OWN.get() {
        0 => {
            OWN.set(NEXT.fetch_add(1, Ordering::Relaxed).max(1));
            OWN.get()
        }
        number => number,
    }
}

/// Keeps the calling thread's name, until [`thread_ended`]. Briefly locks, and allocates.
pub(crate) fn thread_began() {
    let number = this_thread();
    let Some(name) = std::thread::current().name().map(Arc::from) else { return };
    let mut threads = THREADS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if threads.len() >= MANY {
        let old = |ended: Instant| ended.elapsed() > KEEP;
        threads.retain(|_, thread| !thread.ended.is_some_and(old));
    }
    if threads.len() < MOST {
        threads.entry(number).or_insert(Thread { name, ended: None });
    }
}

/// Says that the calling thread's name will not be needed for long.
pub(crate) fn thread_ended() {
    let mut threads = THREADS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(thread) = threads.get_mut(&OWN.get()) {
        thread.ended = Some(Instant::now());
    }
}

/// The name of the thread of this number, or the number.
pub(crate) fn thread_name(number: u32) -> Arc<str> {
    let threads = THREADS.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    match threads.get(&number) {
        Some(thread) => thread.name.clone(),
        None => number.to_string().into(),
    }
}
