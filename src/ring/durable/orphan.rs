//! Ring files whose process is dead.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::image::{Found, Image, Tally};
use super::layout::{Rules, head};
use super::owner::{self, Owned, Taken};
use super::repair::{self, Chunk};
use crate::ring::writer::cut;

/// The largest file that is read.
const MOST_BYTES: u64 = 4 << 30;

/// A ring file that was left behind, and that nobody else will take as long as this lives.
pub(crate) struct Orphan {
    owned: Owned,
    /// Nothing where it was never finished.
    image: Option<Image>,
}

/// What came of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) tally: Tally,
    /// Lines that were on their way into the log file, and were written there now.
    pub(crate) finished: u64,
    /// Whether lines may be in the log file already: it is not there any more, say.
    pub(crate) doubtful: bool,
}

/// What stands at a path.
pub(crate) enum At {
    Orphan(Orphan),
    /// Its process lives.
    Busy,
    Gone,
}

impl Orphan {
    /// Takes the ring file at `path`. Errors where it is none, or of another version: it stays.
    pub(crate) fn take(path: &Path) -> io::Result<At> {
        let owned = match Owned::take(path)? {
            Taken::Ours(owned) => owned,
            Taken::Busy => return Ok(At::Busy),
            Taken::Gone => return Ok(At::Gone),
        };
        let mut file = owned.file()?;
        let length = file.metadata()?.len();
        if length > MOST_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "longer than any ring file"));
        }
        // Read, not mapped: a file that gets shorter meanwhile is an error and not a signal.
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length as usize).map_err(|_| ErrorKind::OutOfMemory)?;
        io::Read::by_ref(&mut file).take(length).read_to_end(&mut bytes)?;
        let image = Image::of(bytes)?;
        if image.is_none() && !owner::is_name(path) {
            // It is removed in the end, and only what is surely ours may be.
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "no ring file: there is nothing in it",
            ));
        }
        Ok(At::Orphan(Orphan { owned, image }))
    }

    pub(crate) fn path(&self) -> &Path {
        self.owned.path()
    }

    /// Whose it was; nothing where it was never finished.
    pub(crate) fn service(&self) -> Option<String> {
        self.image.as_ref().map(Image::service)
    }

    /// What its process kept out of lines, or of spans; nothing where it does not say.
    pub(crate) fn rules(&self, of: Rules) -> Option<Vec<Box<str>>> {
        self.image.as_ref()?.rules(of)
    }

    /// Finishes the chunk that was being written, and hands over what is in no log file.
    ///
    /// * `mend`: false leaves the log file as it is; lines of a chunk that is there in part are handed
    ///   over once more.
    pub(crate) fn recover(
        &self,
        mend: bool,
        see: &mut dyn FnMut(&Found<'_>) -> io::Result<()>,
    ) -> io::Result<Recovered> {
        let mut recovered = Recovered::default();
        let Some(image) = &self.image else { return Ok(recovered) };
        let note = image.note();
        let chunk = match &note {
            Some(note) => {
                let owner = self.owned.file()?.metadata()?.uid();
                repair::look(image.log(), note, owner, mend)?
            }
            None => Chunk::Absent,
        };
        let written = match chunk {
            Chunk::Whole { finished } => {
                recovered.finished = finished;
                note.as_ref()
            }
            Chunk::Absent => None,
            Chunk::Unknown => {
                recovered.doubtful = true;
                None
            }
        };
        recovered.tally = image.visit(written, see)?;
        Ok(recovered)
    }

    /// Removes the file, when what it had is in safety.
    pub(crate) fn remove(self) -> io::Result<()> {
        self.owned.remove()
    }
}

/// Takes what is left behind of `service` in `folder`, one after the other: each is held in memory until
/// it is dropped. Files of processes that live are passed over; what can't be read is given with its
/// path, and stays.
pub(crate) fn adopt(
    folder: &Path,
    service: &str,
) -> impl Iterator<Item = Result<Orphan, (PathBuf, io::Error)>> {
    let (files, refused) = match owner::files(folder, Some(service)) {
        Ok(files) => (files, None),
        Err(error) => (Vec::new(), Some(Err((folder.to_path_buf(), error)))),
    };
    let service = cut(service.as_bytes(), head::MOST_SERVICE).to_vec();
    let take = move |path: PathBuf| match Orphan::take(&path) {
        // Names are spelled alike where services are not.
        Ok(At::Orphan(orphan)) => {
            let is_its = orphan.service().is_none_or(|of| of.as_bytes() == service);
            is_its.then_some(Ok(orphan))
        }
        Ok(_) => None,
        Err(error) => Some(Err((path, error))),
    };
    refused.into_iter().chain(files.into_iter().filter_map(take))
}

/// The ring files at `path`, which is one or their folder.
pub(crate) fn at(path: &Path) -> io::Result<Vec<PathBuf>> {
    // A link to the folder is as good as the folder: whoever names it means that.
    match std::fs::metadata(path)?.is_dir() {
        true => owner::files(path, None),
        false => Ok(vec![path.to_path_buf()]),
    }
}
