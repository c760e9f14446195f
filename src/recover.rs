//! Lines that a process left behind which had died, from the ring files of the durable mode.
//!
//! An engine's next start does this by itself; here it is for whoever does not wait for one, and
//! for the command line: `mcp-vitals recover PATH`.
//!
//! ```no_run
//! use mcp_vitals::recover::Recovery;
//!
//! let recovered = Recovery::new().each("/dev/shm/mcp-vitals-1000", |record| {
//!     eprintln!("{} {}", record.level, record.message);
//!     Ok(())
//! })?;
//! assert!(recovered.refused.is_empty(), "{recovered}");
//! # Ok::<(), mcp_vitals::Error>(())
//! ```

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::batch::Record;
use crate::encode::line::Lines;
use crate::error::Error;
use crate::flusher::found::Reader;
use crate::logs::{LogFormat, Redaction, Redactions};
use crate::ring::durable::image::{Image, Tally};
use crate::ring::durable::orphan::{self, At, Orphan};

/// Bytes of lines that are written at once.
const CHUNK: usize = 64 << 10;

/// How ring files are read.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Recovery {
    keep: bool,
    redaction: Redaction,
}

/// What became of ring files.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Files that were read.
    pub files: u64,
    /// Files of processes that live: nothing was done with them.
    pub busy: u64,
    /// Lines that were handed over.
    pub lines: u64,
    /// Lines that were on their way into the log file, and have been written there now.
    pub finished: u64,
    /// Lines that were in the log file already.
    pub written: u64,
    /// Places where no line makes sense: one that its thread had not finished, or bytes that were
    /// changed.
    pub torn: u64,
    /// Records of a kind that this version does not know.
    pub foreign: u64,
    /// Names that the file had no room for: numbers stand for them.
    pub unnamed: u64,
    /// Files of which some lines may be in the log already, because the log that they went to is
    /// gone or was emptied, or ([`Recovery::keep`]) ends in the middle of them.
    pub doubtful: u64,
    /// Files that could not be read, with the reason; they stay.
    pub refused: Vec<Error>,
}

impl Recovered {
    fn add(&mut self, tally: Tally) {
        self.files += 1;
        self.lines += tally.lines;
        self.written += tally.written;
        self.torn += tally.torn;
        self.foreign += tally.foreign;
        self.unnamed += tally.unnamed;
    }
}

impl fmt::Display for Recovered {
    /// One line, and one for each file that was refused.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovered { files, lines, torn, .. } = self;
        write!(f, "{files} files, {lines} lines, {torn} torn")?;
        for (number, what) in [
            (self.finished, "finished in the log"),
            (self.written, "in the log already"),
            (self.foreign, "of an unknown kind"),
            (self.unnamed, "names missing"),
            (self.doubtful, "files whose lines may be in the log already"),
            (self.busy, "files in use"),
        ] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        self.refused.iter().try_for_each(|error| write!(f, "\n{error}"))
    }
}

impl Recovery {
    /// Files are removed when what they had is handed over, and a log file that ends in the middle
    /// of a write is finished.
    pub fn new() -> Recovery {
        Recovery::default()
    }

    /// Leaves the ring files and the log files as they are. Lines of a write that was cut short are
    /// handed over though some may be in the log.
    pub fn keep(mut self) -> Recovery {
        self.keep = true;
        self
    }

    /// What is taken out of the lines beside what their process kept out of them, which its ring file
    /// says: there they are as they were logged. The default is that of [`Redaction::new`].
    pub fn redact(mut self, redaction: Redaction) -> Recovery {
        self.redaction = redaction;
        self
    }

    /// Hands over each line that is in no log file, those of a file in the order of time.
    ///
    /// * `path`: a ring file, or a folder of them.
    /// * `see`: an error ends it; the file under way stays.
    ///
    /// An error where the path is not there or, being a file, can't be read or is in use. In a
    /// folder such files are counted and passed over.
    pub fn each(
        &self,
        path: impl AsRef<Path>,
        mut see: impl FnMut(&Record<'_>) -> io::Result<()>,
    ) -> Result<Recovered, Error> {
        self.run(path.as_ref(), &mut |step| match step {
            Step::Line(record) => see(record),
            Step::Done => Ok(()),
        })
    }

    /// The same, as lines that are written to `out`.
    pub fn write(
        &self,
        path: impl AsRef<Path>,
        format: LogFormat,
        out: &mut dyn Write,
    ) -> Result<Recovered, Error> {
        let mut lines = Lines::new(format);
        let mut bytes = Vec::new();
        self.run(path.as_ref(), &mut |step| {
            let enough = match step {
                Step::Line(record) => {
                    lines.write(record, &mut bytes);
                    CHUNK
                }
                Step::Done => 0,
            };
            if bytes.len() >= enough {
                out.write_all(&bytes)?;
                bytes.clear();
            }
            if enough == 0 { out.flush() } else { Ok(()) }
        })
    }

    fn run(
        &self,
        path: &Path,
        see: &mut dyn FnMut(Step<'_, '_>) -> io::Result<()>,
    ) -> Result<Recovered, Error> {
        let refused = |path: &Path, source| Error::RingFile { path: path.to_path_buf(), source };
        let files = orphan::at(path).map_err(|error| refused(path, error))?;
        let is_folder = files.first().is_none_or(|file| file != path);
        let mut all = Recovered::default();
        let mut reader = reader(&self.redaction);
        for file in files {
            match Orphan::take(&file) {
                Ok(At::Orphan(orphan)) => {
                    let read = reader.turn_to(|of| orphan.rules(of));
                    let read = read.and_then(|()| self.one(orphan, &mut reader, &mut all, see));
                    read.map_err(|error| refused(&file, error))?;
                }
                Ok(At::Gone) if is_folder => {}
                Ok(At::Gone) => {
                    let gone =
                        io::Error::other("no file stands there; a link to one is not followed");
                    return Err(refused(&file, gone));
                }
                Ok(At::Busy) if is_folder => all.busy += 1,
                Ok(At::Busy) => {
                    let busy = io::Error::other("its process lives");
                    return Err(refused(&file, busy));
                }
                Err(error) if is_folder => all.refused.push(refused(&file, error)),
                Err(error) => return Err(refused(&file, error)),
            }
        }
        Ok(all)
    }

    fn one(
        &self,
        orphan: Orphan,
        reader: &mut Reader,
        all: &mut Recovered,
        see: &mut dyn FnMut(Step<'_, '_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut senseless = 0;
        let recovered = orphan.recover(!self.keep, &mut |found| {
            let handed = reader.read(found, |record| see(Step::Line(record)));
            handed.unwrap_or_else(|| {
                senseless += 1;
                Ok(())
            })
        })?;
        see(Step::Done)?;
        all.add(recovered.tally);
        all.lines -= senseless;
        all.torn += senseless;
        all.finished += recovered.finished;
        all.doubtful += u64::from(recovered.doubtful);
        if self.keep { Ok(()) } else { orphan.remove() }
    }
}

fn reader(redaction: &Redaction) -> Reader {
    Reader::new(Redactions { lines: redaction.clone(), spans: redaction.clone() })
}

enum Step<'a, 'b> {
    Line(&'a Record<'b>),
    /// A file was handed over, and is removed next.
    Done,
}

/// Hands over the lines of a ring file that was copied into memory, redacted by its process's rules
/// and those of [`Redaction::new`]. Nothing is
/// compared with a log file: lines that were being written at the end may be there too.
///
/// An error where the bytes are no ring file, or not all of one, or of another version.
pub fn decode(bytes: Vec<u8>, mut see: impl FnMut(&Record<'_>)) -> Result<Recovered, Error> {
    let refused = |source| Error::RingFile { path: PathBuf::new(), source };
    let mut all = Recovered::default();
    let Some(image) = Image::of(bytes).map_err(refused)? else { return Ok(all) };
    let mut reader = reader(&Redaction::new());
    reader.turn_to(|of| image.rules(of)).map_err(refused)?;
    let mut senseless = 0;
    let tally = image.visit(None, &mut |found| {
        senseless += u64::from(reader.read(found, &mut see).is_none());
        Ok(())
    });
    all.add(tally.map_err(refused)?);
    all.lines -= senseless;
    all.torn += senseless;
    Ok(all)
}
