//! Whose a ring file is: the process's that holds a POSIX record lock on it.
//!
//! The system drops the lock when that process ends, however it ends, and a child that was forked
//! off does not have it. Two things about such locks need care. They don't hold within one process,
//! and closing *any* descriptor of the file drops them: so a table says which files this process
//! has open, and no file is opened twice. And between a look and the lock the file may have been
//! removed: so the path is looked at again afterwards.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, fcntl_lock};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::sync::{AtomicU32, Ordering, lock};

/// How a ring file's name ends.
const SUFFIX: &str = ".ring";
/// Names that a file is tried under. In containers that share a folder each process has the same number, and
/// the files of all that died there may wait in it.
const TRIES: u32 = 10_000;

/// Files of this process, by device and inode. Locked while one is opened or closed.
static OPEN: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A ring file that is this process's.
pub(crate) struct Owned {
    path: PathBuf,
    id: (u64, u64),
    pid: u32,
    /// Closed when dropped, with the table locked.
    file: Option<File>,
}

/// What came of an attempt to own a file.
pub(crate) enum Taken {
    Ours(Owned),
    /// Its process lives; it may be this one.
    Busy,
    /// It is not there any more, or not a file.
    Gone,
}

fn id(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

impl Owned {
    /// A new file of `bytes` in `folder`, all zero, with the bytes allocated.
    pub(crate) fn create(folder: &Path, service: &str, bytes: u64) -> io::Result<Owned> {
        let pid = std::process::id();
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}{pid}.{number}{SUFFIX}", prefix(service)));
            let mut open = lock(&OPEN);
            let file = match options().write(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            // Whoever looks for files left behind may be quicker, and take this one for one.
            let mut owned = match own(&mut open, &path, file)? {
                Taken::Ours(owned) => owned,
                Taken::Busy | Taken::Gone => continue,
            };
            drop(open);
            if let Err(error) = owned.allocate(bytes) {
                let _ = owned.remove();
                return Err(error);
            }
            return Ok(owned);
        }
        Err(io::Error::other(format!("no name for a file is free there, after {TRIES} tries")))
    }

    /// The file at `path`, if nobody has it.
    pub(crate) fn take(path: &Path) -> io::Result<Taken> {
        let mut open = lock(&OPEN);
        let about = match fs::symlink_metadata(path) {
            Ok(about) => about,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Taken::Gone),
            Err(error) => return Err(error),
        };
        if !about.is_file() {
            return Ok(Taken::Gone);
        }
        // Not even opened: closing it would drop the lock.
        if open.contains(&id(&about)) {
            return Ok(Taken::Busy);
        }
        match options().write(true).open(path) {
            Ok(file) => own(&mut open, path, file),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Taken::Gone),
            Err(error) => Err(error),
        }
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        let file = self.file()?;
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // What is written is allocated too.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let zeroes = vec![0; 1 << 20];
                let mut left = bytes;
                while left > 0 {
                    let n = left.min(zeroes.len() as u64);
                    io::Write::write_all(&mut &*file, &zeroes[..n as usize])?;
                    left -= n;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is the process that took it, and not a child of that.
    pub(crate) fn is_ours(&self) -> bool {
        std::process::id() == self.pid
    }

    /// Removes the file, if the path is still its own and the process too.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let same = |about: &Metadata| id(about) == self.id;
        if !self.is_ours() || !fs::symlink_metadata(&self.path).is_ok_and(|about| same(&about)) {
            return Ok(());
        }
        fs::remove_file(&self.path)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if !self.is_ours() {
            // A child closes its own descriptor, which leaves the parent's lock alone, and takes no
            // lock of a thread that it does not have.
            return;
        }
        let mut open = lock(&OPEN);
        drop(self.file.take());
        open.retain(|open| *open != self.id);
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Neither a link that somebody laid there, nor a pipe that would hold us up.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    options.read(true).custom_flags(flags.bits() as i32);
    options
}

fn own(open: &mut Vec<(u64, u64)>, path: &Path, file: File) -> io::Result<Taken> {
    let about = file.metadata()?;
    if !about.is_file() {
        return Ok(Taken::Gone);
    }
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => return Ok(Taken::Busy),
        Err(error) => return Err(error.into()),
    }
    // Its last owner may have removed it between our look and the lock.
    if !fs::symlink_metadata(path).is_ok_and(|there| id(&there) == id(&about)) {
        return Ok(Taken::Gone);
    }
    let id = id(&about);
    open.push(id);
    let pid = std::process::id();
    Ok(Taken::Ours(Owned { path: path.to_path_buf(), id, pid, file: Some(file) }))
}

/// Whether a file is called as [`Owned::create`] calls them.
pub(crate) fn is_name(path: &Path) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = path.file_name().unwrap_or_default().to_str();
    let mut parts = name.and_then(|name| name.strip_suffix(SUFFIX)).unwrap_or_default().rsplit('.');
    (0..2).all(|_| parts.next().is_some_and(is_number)) && parts.next().is_some()
}

/// How the names of a service's files begin.
fn prefix(service: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = service.chars().map(plain).take(64).collect();
    format!("{name}.")
}

/// Ring files in `folder`, of all services or one, whoever has them; in the order of their names.
pub(crate) fn files(folder: &Path, service: Option<&str>) -> io::Result<Vec<PathBuf>> {
    let prefix = service.map(prefix);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix));
        if ours && name.ends_with(SUFFIX) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The folder for ring files: `given`, else one in memory that is the user's own. Made where it is
/// missing; refused where somebody else could put files there.
pub(crate) fn folder(given: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(given) = given {
        return checked(given.to_path_buf());
    }
    let mine = format!("mcp-vitals-{}", geteuid().as_raw());
    let shm = checked(Path::new("/dev/shm").join(mine));
    shm.or_else(|error| match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(runtime) => checked(Path::new(&runtime).join("mcp-vitals")),
        None => Err(error),
    })
}

fn checked(folder: PathBuf) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let about = fs::symlink_metadata(&folder)?;
    let refused =
        |why: &str| Err(io::Error::new(ErrorKind::PermissionDenied, format!("{folder:?} {why}")));
    if !about.is_dir() {
        return refused("is no folder");
    }
    if about.uid() != geteuid().as_raw() {
        return refused("is another user's");
    }
    if about.mode() & 0o022 != 0 {
        return refused("can be written by others; chmod 0700 it");
    }
    Ok(folder)
}
