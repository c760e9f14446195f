//! The engine that is the process's own, for what has no handle at hand: the attribute macros, and
//! [`global`].
//!
//! | atomic | writer       | reader          | write / read      | what the pair publishes      | model |
//! |--------|--------------|-----------------|-------------------|------------------------------|-------|
//! | `MODE` | `install`, guards | any call   | Relaxed / Relaxed | nothing: a hint where to look | –    |

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock, Weak};

use super::{Core, Vitals};
use crate::Error;
use crate::sync::{AtomicU32, Ordering};

/// Where the process's engine stands. Weak: it lives as long as its handles, as any other.
static INSTALLED: OnceLock<Weak<Core>> = OnceLock::new();

/// Where the macros look for an engine: 0 nowhere, `PROCESS`, and `THREAD` more for each guard of a
/// thread's own. One word, so that no engine costs a load.
static MODE: AtomicU32 = AtomicU32::new(0);
const PROCESS: u32 = 1;
const THREAD: u32 = 2;

thread_local! {
    static ON_THREAD: RefCell<Option<Vitals>> = const { RefCell::new(None) };
}

/// Where an engine is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// There is none.
    Nowhere,
    /// The process's own, and no other.
    Process,
    /// Some thread has one of its own; it may be this one.
    Threads,
}

/// Where to look for an engine: a load and a comparison or two.
#[inline(always)]
pub(crate) fn place() -> Where {
    // Relaxed: what is found there is published by the lock that it stands in.
    match MODE.load(Ordering::Relaxed) {
        0 => Where::Nowhere,
        PROCESS => Where::Process,
        _ => Where::Threads,
    }
}

/// The process's engine.
pub(crate) fn of_process() -> Option<Vitals> {
    INSTALLED.get()?.upgrade().map(|core| Vitals { core: Some(core) })
}

/// The thread's own engine, else the process's.
pub(crate) fn of_thread() -> Option<Vitals> {
    let own = ON_THREAD.try_with(|own| own.try_borrow().ok()?.clone()).ok().flatten();
    own.or_else(of_process)
}

/// The engine that [`Vitals::install`] made the process's own, or the one that
/// [`Vitals::install_on_thread`] gave to this thread; a disabled handle where there is none, or
/// where its last handle is gone.
///
/// For code that can't be handed a `Vitals`: it takes two counted references. What it gives is a handle like any
/// other, so that it keeps the engine alive: don't keep it in a static.
///
/// ```
/// use mcp_vitals::Vitals;
///
/// assert!(mcp_vitals::global().is_disabled());
/// let vitals = Vitals::builder().build()?;
/// vitals.install()?;
/// mcp_vitals::global().counter("jobs_total", "Jobs done.")?.inc();
/// assert_eq!(vitals.snapshot().value("jobs_total", &[]), Some(1.0));
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
pub fn global() -> Vitals {
    let found = match place() {
        Where::Nowhere => None,
        Where::Process => of_process(),
        Where::Threads => of_thread(),
    };
    found.unwrap_or_else(Vitals::disabled)
}

impl Vitals {
    /// Makes this engine the process's own: the one that the attribute macros (feature `macros`)
    /// record into, and that [`global`](crate::global) gives. Nothing else needs it.
    ///
    /// Once in a process, as a logger of the `log` crate: what the macros look up at their first
    /// call stays as it is. The engine is not kept alive by it: it ends with its last handle, or by
    /// [`shutdown`](Self::shutdown), so hold one until the end of `main`; that writes out what is
    /// left. From then on the macros record nothing that anybody reads.
    ///
    /// A disabled engine is not installed, and no error: the macros go on doing nothing.
    ///
    /// # Errors
    /// [`Error::Installed`] where an engine has been installed before, whether or not it has ended.
    pub fn install(&self) -> Result<(), Error> {
        let Some(core) = &self.core else { return Ok(()) };
        INSTALLED.set(Arc::downgrade(core)).map_err(|_| Error::Installed)?;
        MODE.fetch_or(PROCESS, Ordering::Relaxed);
        Ok(())
    }

    /// Gives this engine to the calling thread alone, in the place of the process's own, until the
    /// guard is dropped: for tests that run side by side, each with an engine of its own.
    ///
    /// Other threads, and what is spawned onto them, see nothing of it. As long as any thread has
    /// such a guard, the macros look their series up at each call, on all threads: not for
    /// production.
    ///
    /// ```
    /// # use mcp_vitals::Vitals;
    /// let vitals = Vitals::builder().build()?;
    /// let _own = vitals.install_on_thread();
    /// assert!(!mcp_vitals::global().is_disabled());
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn install_on_thread(&self) -> OnThread {
        MODE.fetch_add(THREAD, Ordering::Relaxed);
        OnThread { before: swap(Some(self.clone())), _of_thread: PhantomData }
    }
}

fn swap(vitals: Option<Vitals>) -> Option<Vitals> {
    // Nothing where the thread ends.
    ON_THREAD.try_with(|own| own.replace(vitals)).ok().flatten()
}

/// An engine that is its thread's own until this is dropped, from [`Vitals::install_on_thread`].
#[must_use = "the engine is the thread's own for as long as the guard lives"]
pub struct OnThread {
    before: Option<Vitals>,
    _of_thread: PhantomData<*const ()>,
}

impl Drop for OnThread {
    fn drop(&mut self) {
        // What it gives is dropped outside of the cell: it may be the engine's last handle.
        let own = swap(self.before.take());
        MODE.fetch_sub(THREAD, Ordering::Relaxed);
        drop(own);
    }
}

impl std::fmt::Debug for OnThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnThread").finish_non_exhaustive()
    }
}
