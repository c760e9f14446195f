//! The log file, of which the last chunk may be there, or not, or in part.
//!
//! What stands at the noted place is compared with the chunk byte by byte. Nothing is ever cut off:
//! who tails the file would take one that gets shorter for one that was emptied. A part is finished
//! instead, with the bytes as they were to be written, under the lock that the file's writers take.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::image::Note;

/// Files of a folder that are looked at to find one that was renamed.
const MOST_FILES: usize = 10_000;
/// How long a writer of the log file may hold its lock. Past that it was stopped in the middle.
const TURN: Duration = Duration::from_secs(1);

/// What became of the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// All of it is in the log file; so many of its lines only since now.
    Whole { finished: u64 },
    /// None of it is.
    Absent,
    /// Nobody can tell: the file is gone or was emptied, or the chunk was too long to be kept. Its
    /// lines may be there already.
    Unknown,
}

/// Looks for the chunk in the log file, and finishes it where a part is there.
///
/// * `path`: the log file's; it may have been renamed within its folder since.
/// * `owner`: the user whose the ring file is.
/// * `mend`: false leaves the file as it is, and what is there in part is [`Chunk::Unknown`].
pub(crate) fn look(path: &[u8], note: &Note<'_>, owner: u32, mend: bool) -> io::Result<Chunk> {
    let Some(chunk) = note.chunk else { return Ok(Chunk::Unknown) };
    if path.is_empty() {
        return Ok(Chunk::Unknown);
    }
    let path = Path::new(OsStr::from_bytes(path));
    let Some(path) = find(path, (note.device, note.inode))? else { return Ok(Chunk::Unknown) };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).append(mend).custom_flags(flags);
    let mut file = options.open(&path)?;
    wait_for_turn(&file)?;
    let about = file.metadata()?;
    if !about.is_file() || (about.dev(), about.ino()) != (note.device, note.inode) {
        return Ok(Chunk::Unknown);
    }
    if about.len() < note.offset {
        return Ok(Chunk::Unknown);
    }
    // All that is known of the log, and what is to be written there, a ring file says. Another user's, read by
    // root, could name any file: none is touched that is not that user's own.
    let mend = mend && (owner == geteuid().as_raw() || owner == about.uid());
    let rest = chunk.get(note.from..).unwrap_or_default();
    let there = common(&mut file, note.offset, rest)?;
    if there == rest.len() {
        return Ok(Chunk::Whole { finished: 0 });
    }
    let is_last = about.len() == note.offset + there as u64;
    let done = note.from + there;
    // Behind others' lines one begins anew, and whether anything of the chunk is there at all is
    // for its whole lines to say: others' lines may begin as ours do.
    let whole = chunk[..done].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if done == 0 || note.from == 0 && whole == 0 && !is_last {
        return Ok(Chunk::Absent);
    }
    if !mend {
        return Ok(Chunk::Unknown);
    }
    if !is_last && !ends_a_line(&mut file, about.len())? {
        file.write_all(b"\n")?;
    }
    file.write_all(&chunk[if is_last { done } else { whole }..])?;
    let finished = chunk[whole..].iter().filter(|byte| **byte == b'\n').count() as u64;
    Ok(Chunk::Whole { finished })
}

/// How many bytes of `rest` stand at `offset`.
fn common(file: &mut File, offset: u64, rest: &[u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    let mut there = Vec::new();
    file.take(rest.len() as u64).read_to_end(&mut there)?;
    Ok(there.iter().zip(rest).take_while(|(a, b)| a == b).count())
}

fn ends_a_line(file: &mut File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(true) };
    file.seek(SeekFrom::Start(last))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte == *b"\n")
}

/// The file of this device and inode: at `path`, or in its folder.
fn find(path: &Path, id: (u64, u64)) -> io::Result<Option<PathBuf>> {
    let is_it = |path: &Path| {
        let about = fs::symlink_metadata(path);
        about.is_ok_and(|about| about.is_file() && (about.dev(), about.ino()) == id)
    };
    if is_it(path) {
        return Ok(Some(path.to_path_buf()));
    }
    let entries = match fs::read_dir(path.parent().unwrap_or(Path::new("."))) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let paths = entries.take(MOST_FILES).filter_map(|entry| Some(entry.ok()?.path()));
    Ok({ paths }.find(|path| is_it(path)))
}

fn wait_for_turn(file: &File) -> io::Result<()> {
    let until = Instant::now() + TURN;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::INTR) => {}
            // A file system without such locks, or a writer that was stopped.
            _ => return Ok(()),
        }
    }
}
