//! A thread of our own that ticks at an interval and stops at once when told to.
//!
//! The textfile and the system readings live on one each. A thread never keeps its engine alive:
//! what it ticks holds a weak reference, so the engine may end on this very thread, which is why
//! stopping from inside does not join.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::Error;

/// How long a thread that was dropped, not stopped, may take for its last tick.
pub(crate) const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// Why a tick happens.
pub(crate) enum Tick<M> {
    /// The interval has passed.
    Interval,
    /// The thread is being stopped; this is its last tick. What the stopping side handed over.
    Last(Option<M>),
}

/// The thread; stopped and joined when dropped.
pub(crate) struct Background<M: Send + 'static> {
    stop: Option<SyncSender<Option<M>>>,
    thread: Joined,
}

impl<M: Send + 'static> Background<M> {
    /// Starts a thread that ticks after `first`, then every `interval`, until `tick` is false or
    /// the thread is stopped.
    pub(crate) fn start(
        name: &'static str,
        first: Duration,
        interval: Duration,
        mut tick: impl FnMut(Tick<M>) -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        // One place: the only message is the one that stops the thread, so a send never waits.
        let (stop, stopped) = mpsc::sync_channel::<Option<M>>(1);
        let thread = Joined::spawn(name, move || {
            let mut wait = first;
            loop {
                match stopped.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {
                        if !tick(Tick::Interval) {
                            return;
                        }
                        wait = interval;
                    }
                    Ok(last) => {
                        tick(Tick::Last(last));
                        return;
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        tick(Tick::Last(None));
                        return;
                    }
                }
            }
        })
        .map_err(Error::Spawn)?;
        Ok(Background { stop: Some(stop), thread })
    }

    /// Has the thread tick once more, with `last`, and waits for it up to `deadline`. Past that the
    /// thread is left to end by itself and false is returned. Further calls do nothing.
    pub(crate) fn stop(&mut self, last: Option<M>, deadline: Duration) -> bool {
        if let Some(stop) = self.stop.take() {
            // An error means that the thread has ended already, which is what was asked for.
            let _ = stop.try_send(last);
        }
        self.thread.join(deadline)
    }
}

impl<M: Send + 'static> Drop for Background<M> {
    fn drop(&mut self) {
        self.stop(None, DROP_DEADLINE);
    }
}

/// A thread that is joined with a deadline, and never by itself.
pub(crate) struct Joined {
    thread: Option<JoinHandle<()>>,
    done: Receiver<()>,
}

impl Joined {
    /// Spawns `run` as a thread called `name` (Linux shows the first 15 bytes).
    pub(crate) fn spawn(
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Joined> {
        let (running, done) = mpsc::sync_channel::<()>(0);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            // Dropped when the thread ends, by a panic too: that is what the joining side sees.
            let _running = running;
            run();
        })?;
        Ok(Joined { thread: Some(thread), done })
    }

    /// Whether the thread has ended, or was joined.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits up to `deadline` for the thread to end, without joining it; not on the thread itself.
    pub(crate) fn wait(&self, deadline: Duration) {
        let is_another = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        if self.thread.as_ref().is_some_and(is_another) {
            let _ = self.done.recv_timeout(deadline);
        }
    }

    /// Waits for the thread up to `deadline`; false when it had not ended by then. Called on the
    /// thread itself (the engine's last handle was dropped there) it returns at once.
    pub(crate) fn join(&mut self, deadline: Duration) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        if thread.thread().id() == thread::current().id() {
            return false;
        }
        if self.done.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        // A panic was reported by the host's hook; there is nothing to add to it here.
        let _ = thread.join();
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn stopping_does_not_wait_for_the_interval_and_hands_over_the_last_message() {
        let seen = Arc::new(Mutex::new(None));
        let told = seen.clone();
        let mut background = Background::start("test", LONG, LONG, move |tick| {
            if let Tick::Last(last) = tick {
                *told.lock().unwrap() = last;
            }
            true
        })
        .unwrap();
        assert!(background.stop(Some(7), LONG));
        assert_eq!(*seen.lock().unwrap(), Some(7));
        assert!(background.stop(Some(8), LONG), "a second stop is harmless");
        assert_eq!(*seen.lock().unwrap(), Some(7));
    }

    #[test]
    fn a_tick_that_hangs_is_left_behind_at_the_deadline() {
        let (release, held) = mpsc::channel::<()>();
        let mut background = Background::start("test", LONG, LONG, move |_: Tick<()>| {
            let _ = held.recv();
            true
        })
        .unwrap();
        assert!(!background.stop(None, Duration::from_millis(1)));
        drop(release);
    }

    #[test]
    fn a_thread_that_drops_itself_does_not_wait_for_itself() {
        let own: Arc<Mutex<Option<Background<()>>>> = Arc::default();
        let (ended, end) = mpsc::channel();
        let inside = own.clone();
        // Held until the handle is in its place.
        let mut place = own.lock().unwrap();
        let background = Background::start("test", Duration::ZERO, LONG, move |_| {
            let taken = inside.lock().unwrap().take();
            drop(taken);
            let _ = ended.send(());
            true
        })
        .unwrap();
        *place = Some(background);
        drop(place);
        end.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}
