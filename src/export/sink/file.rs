//! The log file: one `write` a chunk, rolled by size and by the clock, shared with other processes.
//!
//! Each chunk is written under a lock on the file (see [`super::lock`]) after one look at the path,
//! which says at once whether the file is still the one that is open, where the chunk will start and
//! whether it must be rolled first. Whoever rolls it renames it under the lock that its writers take,
//! and they see a path that is another file's when their turn comes. So no line goes to a file that
//! is being compressed or removed, and none is written twice.
//!
//! A line that the disk had no room for is not begun: room for it is reserved beforehand, beyond the
//! end, where no reader sees it. Where that can't be had (a limit on the file's size, a file system
//! without it) what was begun is finished as soon as it can be. It is never cut off again: whoever
//! tails the file takes one that gets shorter for one that was emptied, and reads it anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::keeper::Keeper;
pub(crate) use super::lock::FileId;
use super::lock::Turn;
use super::rolled::Names;
use super::settings::LogFile;
use super::stamp::stamp;
use super::voice::Voice;
use super::{Chunk, Sink, SinkEvents};
use crate::error::Error;
use crate::export::slot::Template;

/// Room that is reserved at once.
const RESERVE: u64 = 1 << 20;

/// How long another process may hold the lock. Past that its turn is not waited for: it was stopped
/// in the middle, or it is somebody who should not have it, and appending is whole by itself on all
/// but network file systems.
const TURN: Duration = Duration::from_secs(1);

/// How soon a rotation that failed is tried again; until then the file grows.
const ROTATE_AGAIN: Duration = Duration::from_secs(10);

/// How often one chunk may find the file replaced.
const REPLACED: u32 = 100;

/// What is told where each chunk goes, and that it is there.
pub(crate) trait Journal: Send {
    /// Right before a `write` to `file` that will start at `offset` and carry what follows the first
    /// `from` bytes of `chunk`. That is 0 unless an earlier write was cut short by the system.
    fn before(&mut self, file: FileId, offset: u64, chunk: &Chunk, from: usize);

    /// All of `chunk` was taken by the system.
    fn after(&mut self, chunk: &Chunk);
}

/// A log file that is rolled.
pub(crate) struct FileSink {
    names: Names,
    settings: LogFile,
    events: Arc<SinkEvents>,
    journal: Option<Box<dyn Journal>>,
    open: Option<Open>,
    /// A file was open before: the next one is a replacement.
    was_open: bool,
    /// The chunk under way: how much of it stands, and in which file, up to where.
    done: usize,
    torn: Option<(FileId, u64)>,
    rotate_again: Option<Instant>,
    keeper: Keeper,
    voice: Voice,
}

/// The file that is open.
struct Open {
    file: Arc<File>,
    id: FileId,
    /// Where our last chunk ended; nothing while it is not known what the file ends with.
    end: Option<u64>,
    /// Up to where room is reserved.
    reserved: u64,
    /// When it was begun, in periods since 1970; what it was when it was opened, where it had lines.
    period: u64,
}

/// The file's turn, and what a look at the path said.
struct Turned {
    turn: Turn,
    size: u64,
}

impl LogFile {
    /// Opens the file.
    ///
    /// * `service`: what `{service}` stands for.
    /// * `journal`: is told where each chunk goes.
    pub(crate) fn open(
        &self,
        service: &str,
        events: Arc<SinkEvents>,
        journal: Option<Box<dyn Journal>>,
    ) -> Result<FileSink, Error> {
        self.check()?;
        let refused = |source| Error::LogFile { path: self.path.clone(), source };
        let template = Template::parse(&self.path, service, std::process::id()).map_err(refused)?;
        let around = template.around_pid();
        let around = around.as_ref().map(|(before, after)| (*before, after.as_str()));
        let names = Names::new(&template.path(), around);
        let mut sink = FileSink {
            keeper: Keeper::new(names.clone(), self.clone(), events.clone()),
            names,
            settings: self.clone(),
            events,
            journal,
            open: None,
            was_open: false,
            done: 0,
            torn: None,
            rotate_again: None,
            voice: Voice::default(),
        };
        sink.reopen().map_err(refused)?;
        sink.keeper.wake();
        Ok(sink)
    }
}

impl FileSink {
    /// The file's path, with what its placeholders stand for.
    pub(crate) fn path(&self) -> &Path {
        &self.names.path
    }
}

impl Sink for FileSink {
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        if chunk.bytes.is_empty() {
            return Ok(());
        }
        let mut turned = self.turn()?;
        if self.is_due(turned.size, chunk.bytes.len() as u64) {
            let Turned { turn, size } = turned;
            self.rotate(turn, size);
            turned = self.turn()?;
        }
        let put = self.put(chunk, turned.size);
        if put.as_ref().is_err_and(|error| !is_full(error)) {
            // The descriptor may be what is wrong.
            self.open = None;
            self.was_open = false;
        }
        put
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn tick(&mut self) {
        self.keeper.tick();
        // What fails here fails again, and is said, when there is a line to write.
        match self.turn() {
            Ok(Turned { turn, size }) if self.is_due(size, 0) => self.rotate(turn, size),
            Ok(_) => {}
            Err(_) => self.events.add_error(),
        }
    }

    fn abandon(&mut self) {
        self.done = 0;
        self.torn = None;
        if let Some(open) = &mut self.open {
            // It may end in the middle of a line: the next chunk looks.
            open.end = None;
        }
    }
}

impl FileSink {
    /// Waits for our turn at the file that stands at the path, opened anew where that is another.
    fn turn(&mut self) -> io::Result<Turned> {
        for _ in 0..REPLACED {
            let open = match &self.open {
                Some(open) => open,
                None => self.reopen()?,
            };
            let (file, id) = (open.file.clone(), open.id);
            let turn = wait_for_turn(&file);
            match fs::symlink_metadata(&self.names.path) {
                Ok(there) if there.is_file() && FileId::of(&there) == id => {
                    return Ok(Turned { turn, size: there.len() });
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            drop(turn);
            // Moved, removed or replaced.
            self.open = None;
        }
        Err(io::Error::other("it is replaced all the time"))
    }

    fn reopen(&mut self) -> io::Result<&Open> {
        let (file, about) = open_log(&self.names.path)?;
        if self.was_open {
            self.events.add_reopened();
        }
        self.was_open = true;
        Ok(self.open.insert(Open::new(file, &about, &self.settings)))
    }

    /// Whether the file must be rolled before so many bytes more.
    fn is_due(&mut self, size: u64, more: u64) -> bool {
        let now = self.settings.period().map(|seconds| period(SystemTime::now(), seconds));
        if size == 0 {
            if let (Some(now), Some(open)) = (now, &mut self.open) {
                open.period = now;
            }
            return false;
        }
        let by_size = more > 0 && size.saturating_add(more) > self.settings.rotate_bytes;
        let by_time = now.zip(self.open.as_ref()).is_some_and(|(now, open)| now > open.period);
        // In the middle of a line the file is finished first.
        (by_size || by_time)
            && self.torn.is_none()
            && self.rotate_again.is_none_or(|again| Instant::now() >= again)
    }

    /// Renames the file and opens a new one. What goes wrong is counted and said, and the file that
    /// is open goes on.
    fn rotate(&mut self, turn: Turn, size: u64) {
        let rolled = match turn {
            Turn::Ours(_) | Turn::Unknown => self.roll(),
            // Others may be about to write to it.
            Turn::Busy => Err(io::Error::other("another process holds its lock")),
        };
        match rolled {
            Ok(()) => {
                self.rotate_again = None;
                self.events.add_rotation();
                self.keeper.wake();
            }
            Err(error) => {
                self.events.add_error();
                if self.rotate_again.is_none() {
                    let path = &self.names.path;
                    self.voice.say(format!(
                        "log file {path:?} ({size} bytes) cannot be rolled: {error}; it grows"
                    ));
                }
                self.rotate_again = Some(Instant::now() + ROTATE_AGAIN);
            }
        }
    }

    fn roll(&mut self) -> io::Result<()> {
        let mut time = SystemTime::now();
        let to = loop {
            let to = self.names.rolled(&stamp(time));
            match fs::symlink_metadata(&to) {
                Err(error) if error.kind() == ErrorKind::NotFound => break to,
                Err(error) => return Err(error),
                Ok(_) => time += Duration::from_micros(1),
            }
        };
        fs::rename(&self.names.path, &to)?;
        match open_log(&self.names.path) {
            Ok((file, about)) => {
                self.open = Some(Open::new(file, &about, &self.settings));
                Ok(())
            }
            Err(error) => {
                // No room for a new file, say: the old one goes on under its own name.
                if fs::symlink_metadata(&self.names.path).is_err() {
                    let _ = fs::rename(&to, &self.names.path);
                }
                Err(error)
            }
        }
    }

    /// Writes the rest of `chunk` behind the `size` bytes that the file has.
    fn put(&mut self, chunk: &Chunk, mut size: u64) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(ErrorKind::NotFound.into()) };
        let bytes = &chunk.bytes;
        if self.torn != Some((open.id, size)) {
            // Another file, or somebody wrote behind what we had begun: that line starts again.
            self.torn = None;
            let begun = &bytes[..self.done];
            self.done = begun.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            if open.end != Some(size) && !ends_a_line(&open.file, size) {
                (&*open.file).write_all(b"\n")?;
                size += 1;
            }
        }
        open.reserve(size, (bytes.len() - self.done) as u64, self.settings.rotate_bytes)?;
        while self.done < bytes.len() {
            if let Some(journal) = &mut self.journal {
                journal.before(open.id, size, chunk, self.done);
            }
            match (&*open.file).write(&bytes[self.done..]) {
                Ok(written) => {
                    self.done += written;
                    size += written as u64;
                    let in_line = self.done > 0 && bytes[self.done - 1] != b'\n';
                    self.torn = in_line.then_some((open.id, size));
                    open.end = None;
                    if written == 0 {
                        return Err(ErrorKind::WriteZero.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(journal) = &mut self.journal {
            journal.after(chunk);
        }
        open.end = Some(size);
        self.done = 0;
        self.torn = None;
        Ok(())
    }
}

impl Open {
    fn new(file: File, about: &fs::Metadata, settings: &LogFile) -> Open {
        let seconds = settings.period().unwrap_or(u64::MAX);
        // Lines that stand there already are as old as the last of them.
        let begun = match about.modified() {
            Ok(modified) if about.len() > 0 => modified,
            _ => SystemTime::now(),
        };
        Open {
            file: Arc::new(file),
            id: FileId::of(about),
            end: None,
            reserved: 0,
            period: period(begun, seconds),
        }
    }

    /// Sees to it that the next `more` bytes have room on the disk, or says that they have none.
    fn reserve(&mut self, size: u64, more: u64, rotate_bytes: u64) -> io::Result<()> {
        let needed = size + more;
        // Emptied by somebody, or it is not known: what was reserved may have gone.
        if self.end.is_none_or(|end| size < end) {
            self.reserved = 0;
        }
        if needed <= self.reserved {
            return Ok(());
        }
        let ahead = needed.saturating_add(RESERVE).min(needed.max(rotate_bytes));
        for until in [ahead, needed] {
            match reserve(&self.file, size, until - size) {
                Err(error) if is_full(&error) => {
                    if until == needed {
                        return Err(error);
                    }
                }
                // Where it can't be done the write itself says whether there is room.
                _ => {
                    self.reserved = until;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserve(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reserve(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

/// Our turn at `file`, waited for as long as is reasonable.
fn wait_for_turn(file: &Arc<File>) -> Turn {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(20);
    loop {
        match Turn::take(file) {
            Turn::Busy if begun.elapsed() < TURN => {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(1));
            }
            turn => return turn,
        }
    }
}

fn period(time: SystemTime, seconds: u64) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / seconds
}

/// Opens the file at `path` to append to it, made where there is none.
fn open_log(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidInput, what.to_owned());
    let regular = |about: &fs::Metadata| match about.file_type() {
        kind if kind.is_symlink() => Err(wrong("it is a symbolic link")),
        kind if kind.is_dir() => Err(wrong("it is a folder")),
        kind if !kind.is_file() => Err(wrong("it is no regular file")),
        _ => Ok(()),
    };
    // Asked first: to open a pipe may wait for its reader.
    match fs::symlink_metadata(path) {
        Ok(about) => regular(&about)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if path
                .parent()
                .is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            {
                return Err(io::Error::new(ErrorKind::NotFound, "its folder does not exist"));
            }
        }
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    let file = open_as_it_is(&mut options, path)?;
    let about = file.metadata()?;
    regular(&about)?;
    if is_stdout(&about) {
        return Err(wrong("stdout goes there, which is the protocol's"));
    }
    Ok((file, about))
}

/// With read permission where there is some: the last byte of what others wrote is looked at.
#[cfg(unix)]
fn open_as_it_is(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.mode(0o640).custom_flags(flags.bits() as i32);
    match options.read(true).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => options.read(false).open(path),
        opened => opened,
    }
}

#[cfg(not(unix))]
fn open_as_it_is(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// Whether the file of `size` bytes ends with a newline, or can't be read.
#[cfg(unix)]
fn ends_a_line(file: &File, size: u64) -> bool {
    use std::os::unix::fs::FileExt;
    let mut last = [b'\n'];
    size == 0 || file.read_at(&mut last, size - 1).is_err() || last == [b'\n']
}

#[cfg(not(unix))]
fn ends_a_line(_: &File, _: u64) -> bool {
    true
}

#[cfg(unix)]
fn is_stdout(about: &fs::Metadata) -> bool {
    // By its descriptor's name, which is there wherever a file could be given by it.
    ["/dev/stdout", "/proc/self/fd/1"]
        .iter()
        .any(|name| fs::metadata(name).is_ok_and(|it| FileId::of(&it) == FileId::of(about)))
}

#[cfg(not(unix))]
fn is_stdout(_: &fs::Metadata) -> bool {
    false
}
