//! The care of rolled files: compressed and, past what is kept, removed. On a short-lived thread of
//! low priority, because a large file takes seconds to compress and milliseconds to remove.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::compress::compress;
use super::rolled::{Found, Names, Rolled};
use super::settings::LogFile;
use super::stamp::stamp;
use super::{SinkEvents, lock::Turn};
use crate::background::{DROP_DEADLINE, Joined};
use crate::error;
use crate::sync::{AtomicBool, Ordering};

/// How often it is looked whether a file has become too old.
const ROUND: Duration = Duration::from_secs(600);
/// So far the clocks of those who share a folder may be apart.
const SLACK: Duration = Duration::from_secs(60);

/// Starts a thread where there is something to do; stops it when dropped.
pub(crate) struct Keeper {
    care: Arc<Care>,
    thread: Option<Joined>,
    looked: Instant,
}

/// What the thread works by. The flags publish nothing: Relaxed throughout.
struct Care {
    names: Names,
    settings: LogFile,
    events: Arc<SinkEvents>,
    /// There is something to do.
    due: AtomicBool,
    /// Whatever is under way may be left: the next start goes on.
    stop: AtomicBool,
    /// The failure that lasts was said.
    said: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(names: Names, settings: LogFile, events: Arc<SinkEvents>) -> Keeper {
        let flag = || AtomicBool::new(false);
        let (due, stop, said) = (flag(), flag(), flag());
        let care = Arc::new(Care { names, settings, events, due, stop, said });
        Keeper { care, thread: None, looked: Instant::now() }
    }

    /// There is a new rolled file, or there may be old ones.
    pub(crate) fn wake(&mut self) {
        self.care.due.store(true, Ordering::Relaxed);
        self.tick();
    }

    /// Sees to it that somebody does what is due.
    pub(crate) fn tick(&mut self) {
        if self.looked.elapsed() >= ROUND {
            self.looked = Instant::now();
            self.care.due.store(true, Ordering::Relaxed);
        }
        let free = self.thread.as_ref().is_none_or(Joined::has_ended);
        if free && self.care.due.load(Ordering::Relaxed) {
            let care = self.care.clone();
            self.thread = Joined::spawn("mcp-vitals-roll", move || care.run()).ok();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.care.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = &mut self.thread {
            thread.join(DROP_DEADLINE);
        }
    }
}

impl Care {
    fn run(&self) {
        // On Linux of this thread alone; elsewhere it would be the whole process's.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(10);
        while self.due.swap(false, Ordering::Relaxed) && !self.is_stopped() {
            match self.once() {
                Ok(()) => self.said.store(false, Ordering::Relaxed),
                Err(error) => {
                    self.events.add_error();
                    if !self.said.swap(true, Ordering::Relaxed) {
                        error::say(format_args!(
                            "rolled files of {:?}: {error}; trying on at the next rotation",
                            self.names.path
                        ));
                    }
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sweeps, compresses, sweeps: what goes anyway is not compressed, and bytes are counted after.
    fn once(&self) -> io::Result<()> {
        let Found { rolled, drafts } = self.names.list()?;
        for (draft, source) in drafts {
            // Left by a process that was killed; while one works, it has the source locked.
            if !is_locked(&source) {
                remove(&draft)?;
            }
        }
        let rolled = self.remove_old(rolled, None)?;
        let mut failed = Ok(());
        for file in rolled.iter().filter(|file| !file.compressed) {
            if self.is_stopped() {
                return Ok(());
            }
            match compress(&file.path, self.settings.compression, &|| !self.is_stopped()) {
                Ok(true) => self.events.add_compressed(),
                Ok(false) => {}
                // Another process has compressed or removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed = Err(error),
            }
        }
        let rolled = self.names.list()?.rolled;
        self.remove_old(rolled, self.settings.keep_bytes)?;
        failed
    }

    /// Removes what is too many, too old, or too much; gives what stays.
    fn remove_old(&self, mut rolled: Vec<Rolled>, bytes: Option<u64>) -> io::Result<Vec<Rolled>> {
        // What was rolled while the clock was ahead goes first: for the newest it would be taken until that time
        // has come, and what is rolled now for the oldest.
        let soon = stamp(SystemTime::now() + SLACK);
        let past = rolled.partition_point(|file| file.stamp <= soon);
        rolled.rotate_left(past);
        let oldest = self.settings.keep_for.and_then(|age| SystemTime::now().checked_sub(age));
        let oldest = oldest.map(stamp).unwrap_or_default();
        let (mut kept, mut sum, mut full) = (Vec::<Rolled>::new(), 0_u64, false);
        // The newest first. One that is there in both forms counts once.
        for file in rolled.into_iter().rev() {
            let twin = kept.last().is_some_and(|last| last.stamp == file.stamp);
            let files = kept.len() - kept.windows(2).filter(|w| w[0].stamp == w[1].stamp).count();
            sum = sum.saturating_add(file.bytes);
            full |= !twin && files >= self.settings.keep_files as usize
                || file.stamp < oldest
                || bytes.is_some_and(|most| sum > most);
            if full {
                if remove(&file.path)? {
                    self.events.add_removed();
                }
            } else {
                kept.push(file);
            }
        }
        Ok(kept)
    }
}

/// Removes a file; false when it was gone already.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_locked(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|file| matches!(Turn::take(&Arc::new(file)), Turn::Busy))
}
