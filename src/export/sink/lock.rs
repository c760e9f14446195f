//! Whose turn it is to write or roll a log file that several processes share: a `flock` on the file
//! itself, given back after each chunk.
//!
//! A lock file beside it was the other choice. It would stay behind, and a folder that lets the
//! server write one log file but create nothing is common.

use std::fs::{File, Metadata};
use std::sync::Arc;

/// Which file it is, whatever its name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId {
    /// The device.
    pub(crate) dev: u64,
    /// The inode.
    pub(crate) ino: u64,
}

#[cfg(unix)]
impl FileId {
    /// Of the file that `about` was read from.
    pub(crate) fn of(about: &Metadata) -> FileId {
        use std::os::unix::fs::MetadataExt;
        FileId { dev: about.dev(), ino: about.ino() }
    }
}

#[cfg(not(unix))]
impl FileId {
    /// All files are one here: that a file was replaced is not seen.
    pub(crate) fn of(_: &Metadata) -> FileId {
        FileId { dev: 0, ino: 0 }
    }
}

/// What an attempt to lock has come to.
pub(crate) enum Turn {
    /// Ours until dropped.
    Ours(#[expect(dead_code, reason = "held until it is dropped")] Held),
    /// Somebody else's.
    Busy,
    /// There are no locks on this file system.
    Unknown,
}

/// A lock, given back when dropped.
pub(crate) struct Held(Arc<File>);

#[cfg(unix)]
impl Turn {
    /// Takes the lock if nobody has it.
    pub(crate) fn take(file: &Arc<File>) -> Turn {
        use rustix::fs::{FlockOperation, flock};
        use rustix::io::Errno;
        loop {
            match flock(&**file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Turn::Ours(Held(file.clone())),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Turn::Busy,
                Err(_) => return Turn::Unknown,
            }
        }
    }
}

#[cfg(unix)]
impl Drop for Held {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&*self.0, rustix::fs::FlockOperation::Unlock);
    }
}

#[cfg(not(unix))]
impl Turn {
    /// Nothing to lock with.
    pub(crate) fn take(_: &Arc<File>) -> Turn {
        Turn::Unknown
    }
}
