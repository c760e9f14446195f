//! SIGTERM and SIGINT, where the host asked us to handle them.
//!
//! One thread for the process, started by the first engine that asks. It shuts down all that asked, at
//! once, and then ends the process by the signal itself, so that whoever waits for it sees the truth.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::{Core, Vitals};
use crate::error::Error;
use crate::sync::lock;

/// How long a shutdown may take, and then how long it is waited for. Clients of MCP kill a server
/// two seconds after SIGTERM.
const DEADLINE: Duration = Duration::from_millis(1_200);
const MOST: Duration = Duration::from_millis(1_600);

static WATCHED: Mutex<Watched> = Mutex::new(Watched { running: false, engines: Vec::new() });

struct Watched {
    /// Handlers and thread are there, and stay.
    running: bool,
    engines: Vec<Weak<Core>>,
}

/// Has `engine` shut down by a signal from now on.
pub(super) fn watch(engine: &Arc<Core>) -> Result<(), Error> {
    let mut watched = lock(&WATCHED);
    if !watched.running {
        let wanted = [SIGTERM, SIGINT].into_iter().filter(|&signal| !is_ignored(signal));
        let signals = Signals::new(wanted).map_err(Error::Signals)?;
        let run = move || run(signals);
        // On an error the handlers go with it.
        thread::Builder::new().name("mcp-vitals-sig".into()).spawn(run).map_err(Error::Spawn)?;
        watched.running = true;
    }
    watched.engines.retain(|engine| engine.strong_count() > 0);
    watched.engines.push(Arc::downgrade(engine));
    Ok(())
}

fn run(mut signals: Signals) {
    // The first one ends the process; those that come meanwhile change nothing.
    if let Some(signal) = signals.forever().next() {
        shut_down();
        end(signal);
    }
}

/// Shuts down all engines side by side, each with all of the time.
fn shut_down() {
    let engines: Vec<Arc<Core>> = lock(&WATCHED).engines.iter().filter_map(Weak::upgrade).collect();
    let (running, ended) = mpsc::channel::<()>();
    for core in engines {
        let vitals = Vitals { core: Some(core) };
        let (running, of_thread) = (running.clone(), vitals.clone());
        let work = move || {
            of_thread.shutdown(DEADLINE);
            drop(running);
        };
        if thread::Builder::new().name("mcp-vitals-end".into()).spawn(work).is_err() {
            vitals.shutdown(DEADLINE);
        }
        // The last handle would stop what it holds a second time.
        std::mem::forget(vitals);
    }
    drop(running);
    // Nobody sends: the answer is that all have gone, or that it took too long.
    let _ = ended.recv_timeout(MOST);
}

/// Ends the process as `signal` does by default.
fn end(signal: i32) -> ! {
    // To the first process of a container the system delivers no default actions. What a shell says of
    // one that a signal ended is the next best.
    if std::process::id() == 1 {
        low_level::exit(128 + signal);
    }
    let _ = low_level::emulate_default_handler(signal);
    // Not reached but for a signal that it does not know.
    low_level::exit(128 + signal)
}

/// Whether the process was started with the signal ignored, as `nohup` and shells do for what is not to
/// be ended by it.
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign >> (signal - 1) & 1 == 1)
}

#[cfg(not(target_os = "linux"))]
fn is_ignored(_: i32) -> bool {
    false
}
