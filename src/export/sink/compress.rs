//! One rolled file made smaller, or left as it is.

use std::fs::{self, File};
use std::io;
#[cfg(any(feature = "gzip", feature = "zstd"))]
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::lock::{FileId, Turn};
use super::rolled::{append, draft};
use super::settings::Compression;

/// What is read at once.
#[cfg(any(feature = "gzip", feature = "zstd"))]
const BLOCK: usize = 64 << 10;

impl Compression {
    /// The end of a compressed file's name; nothing where none is made.
    pub(crate) fn ending(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            #[cfg(feature = "gzip")]
            Compression::Gzip => Some(".gz"),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Some(".zst"),
        }
    }
}

/// Puts the compressed form of `source` beside it and removes `source`; false when another process
/// is at it, or when `go_on` said no.
///
/// The new file is made under a hidden name, synced and renamed: at any moment one of the two is
/// there and whole. Cut off between the rename and the removal it is simply done again.
pub(crate) fn compress(
    source: &Path,
    how: Compression,
    go_on: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let Some(ending) = how.ending() else { return Ok(false) };
    let input = Arc::new(File::open(source)?);
    let turn = Turn::take(&input);
    // Another process may have been done with it between the opening and the lock.
    let there = fs::symlink_metadata(source)?;
    if matches!(turn, Turn::Busy) || FileId::of(&there) != FileId::of(&input.metadata()?) {
        return Ok(false);
    }
    let draft = draft(source, ending);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = make(&input, &draft, how, go_on).and_then(|read| {
        // Also when somebody has written to it meanwhile without a lock: what came late is kept.
        if read.is_none() || read != Some(input.metadata()?.len()) {
            return Ok(false);
        }
        fs::rename(&draft, append(source, ending))?;
        fs::remove_file(source)?;
        Ok(true)
    });
    if !matches!(made, Ok(true)) {
        // A full disk gets its space back.
        let _ = fs::remove_file(&draft);
    }
    drop(turn);
    made
}

/// Writes the compressed form; the bytes read, or nothing when told to stop.
#[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables))]
fn make(
    input: &File,
    draft: &Path,
    how: Compression,
    go_on: &dyn Fn() -> bool,
) -> io::Result<Option<u64>> {
    let mut options = File::options();
    options.write(true).create_new(true);
    // Until it may be read by those who may read the source: who has it open by then keeps it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(draft)?;
    file.set_permissions(input.metadata()?.permissions())?;
    let (read, file) = match how {
        Compression::None => (None, file),
        #[cfg(feature = "gzip")]
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
            (copy(input, &mut encoder, go_on)?, encoder.finish()?)
        }
        #[cfg(feature = "zstd")]
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            (copy(input, &mut encoder, go_on)?, encoder.finish()?)
        }
    };
    // Before the source goes: a rename may reach the disk before what it names does.
    file.sync_all()?;
    Ok(read)
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn copy(mut from: &File, to: &mut dyn Write, go_on: &dyn Fn() -> bool) -> io::Result<Option<u64>> {
    let mut block = vec![0; BLOCK];
    let mut all = 0;
    while go_on() {
        match from.read(&mut block) {
            Ok(0) => return Ok(Some(all)),
            Ok(read) => {
                to.write_all(&block[..read])?;
                all += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
