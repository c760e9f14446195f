//! A panic of the host's, where it asked us to write the logs out then.
//!
//! The hook is the process's, and runs on whatever thread panics: one that a runtime lives on, say,
//! where a client may make a tool panic as often as it likes. So it wakes the flushers and goes; it
//! waits only where the process is about to end, and there no more than a tenth of the time.

use std::panic;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::flusher::Nudge;
use crate::ring::thread::is_ours;
use crate::sync::lock;

/// How long one panic waits for the sinks at most.
const WAIT: Duration = Duration::from_secs(1);
/// What a panic has waited, so many times, no further one waits: one that is caught is not the end.
const REST: u32 = 9;

/// The engines that asked. Read by the hook, which may wait for no lock that its thread holds.
static WATCHED: LazyLock<ArcSwap<Vec<Nudge>>> = LazyLock::new(ArcSwap::default);
static INSTALLED: Mutex<bool> = Mutex::new(false);
/// When a panic may wait again.
static NEXT_WAIT: Mutex<Option<Instant>> = Mutex::new(None);

/// Has `engine` told of panics from now on, for as long as it is there.
pub(super) fn watch(engine: Nudge) {
    let mut installed = lock(&INSTALLED);
    // Those that are gone make room.
    let mut watched: Vec<Nudge> =
        WATCHED.load().iter().filter(|nudge| !nudge.is_gone()).cloned().collect();
    watched.push(engine);
    WATCHED.store(Arc::new(watched));
    // While a thread panics it may not change the hook; the next engine does.
    if *installed || thread::panicking() {
        return;
    }
    let hosts = panic::take_hook();
    panic::set_hook(Box::new(move |about| {
        // First: it may log.
        hosts(about);
        panicked();
    }));
    *installed = true;
}

fn panicked() {
    let engines = WATCHED.load();
    if is_ours() {
        // It is caught, and what the flusher waits for may be this thread.
        return engines.iter().for_each(Nudge::wake);
    }
    let is_main = thread::current().name() == Some("main");
    // Not waited for: who holds it waits already.
    let next = NEXT_WAIT.try_lock();
    match next {
        Ok(mut next) if may_wait(is_main, cfg!(panic = "abort"), *next) => {
            // Of all engines before any is waited for.
            engines.iter().for_each(Nudge::ask);
            let began = Instant::now();
            for engine in engines.iter() {
                engine.flush(began + WAIT);
            }
            *next = Some(Instant::now() + began.elapsed() * REST);
        }
        _ => engines.iter().for_each(Nudge::ask),
    }
}

fn may_wait(is_main: bool, aborts: bool, next: Option<Instant>) -> bool {
    aborts || is_main && next.is_none_or(|next| Instant::now() >= next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_where_the_process_is_about_to_end_and_not_all_the_time() {
        let soon = Some(Instant::now() + Duration::from_secs(3_600));
        assert!(may_wait(true, false, None) && may_wait(true, false, Some(Instant::now())));
        assert!(!may_wait(true, false, soon));
        assert!(!may_wait(false, false, None), "a thread of a runtime");
        assert!(may_wait(false, true, soon), "the last thing that happens");
    }
}
