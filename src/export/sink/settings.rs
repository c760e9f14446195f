//! Settings of a log file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;

/// When a log file is rolled by the clock, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// At midnight UTC.
    Daily,
    /// At each full hour UTC.
    Hourly,
    /// At each multiple of this since 1970, UTC: a second to 366 days, in whole seconds.
    Every(Duration),
}

/// How rolled files are compressed, on a thread of its own and at a low priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// To `.gz`. Feature `gzip`.
    #[cfg(feature = "gzip")]
    Gzip,
    /// To `.zst`. Feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// A log file that is rolled: where, how large, and what is kept.
///
/// A file that is full or whose time has come is renamed once, to its name and the time
/// (`server.log.20260131T235959.123456Z`, UTC), and a new one takes its place. Several processes may
/// share one path: each line arrives whole, and the file is rolled by one of them. Where somebody
/// else moves or removes the file, as logrotate does, it is opened anew; `copytruncate` does no harm
/// either.
///
/// ```
/// use mcp_vitals::logs::{LogFile, Rotation};
/// use std::time::Duration;
///
/// let file = LogFile::new("/var/log/search/server.log")
///     .rotate_bytes(50 << 20)
///     .rotate_every(Rotation::Daily)
///     .keep_files(14)
///     .keep_for(Duration::from_secs(30 * 86_400));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) rotate_bytes: u64,
    pub(crate) rotate_every: Option<Rotation>,
    pub(crate) keep_files: u32,
    pub(crate) keep_bytes: Option<u64>,
    pub(crate) keep_for: Option<Duration>,
    pub(crate) compression: Compression,
}

impl LogFile {
    /// The file at `path`, created with mode 0640; its folder must exist. `{service}` and, once in
    /// the file's name, `{pid}` are replaced.
    ///
    /// It must be a regular file if it is there: neither a link nor a pipe nor a device, and not what
    /// stdout goes to.
    pub fn new(path: impl AsRef<Path>) -> LogFile {
        LogFile {
            path: path.as_ref().to_path_buf(),
            rotate_bytes: 100 << 20,
            rotate_every: None,
            keep_files: 5,
            keep_bytes: None,
            keep_for: None,
            compression: Compression::None,
        }
    }

    /// Rolled before it gets larger than this, in bytes: 1 KiB to 1 TiB. 100 MiB unless set. Only a
    /// batch that is larger by itself makes a file larger.
    pub fn rotate_bytes(mut self, bytes: u64) -> Self {
        self.rotate_bytes = bytes;
        self
    }

    /// Rolled by the clock as well. Not unless set. An empty file is not rolled.
    pub fn rotate_every(mut self, rotation: Rotation) -> Self {
        self.rotate_every = Some(rotation);
        self
    }

    /// Most rolled files that are kept: 0 to 10,000, the newest; 5 unless set.
    pub fn keep_files(mut self, files: u32) -> Self {
        self.keep_files = files;
        self
    }

    /// Most bytes that rolled files may have together, as they stand on the disk. No limit unless
    /// set.
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.keep_bytes = Some(bytes);
        self
    }

    /// How long ago a file may have been rolled. No limit unless set.
    pub fn keep_for(mut self, age: Duration) -> Self {
        self.keep_for = Some(age);
        self
    }

    /// How rolled files are compressed. Not unless set.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// All within their limits, or the error that says which is not.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let within = |field, value: u64, min: u64, max: u64| match value {
            value if (min..=max).contains(&value) => Ok(()),
            value => Err(Error::OutOfRange { metric: String::new(), field, value, min, max }),
        };
        within("rotate_bytes", self.rotate_bytes, 1 << 10, 1 << 40)?;
        within("keep_files", self.keep_files.into(), 0, 10_000)?;
        if let Some(Rotation::Every(every)) = self.rotate_every {
            within("rotate_every (seconds)", every.as_secs(), 1, 366 * 86_400)?;
        }
        Ok(())
    }

    /// Seconds between two rotations by the clock.
    pub(crate) fn period(&self) -> Option<u64> {
        self.rotate_every.map(|every| match every {
            Rotation::Daily => 86_400,
            Rotation::Hourly => 3_600,
            Rotation::Every(every) => every.as_secs().max(1),
        })
    }
}
