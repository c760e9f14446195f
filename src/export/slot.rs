//! Which file is ours: copies of one server share a setting and must not share a file.
//!
//! Each copy owns a *slot*: the path itself, or the path with `.1`, `.2` … before its extension,
//! whichever is free first. A slot is held by a lock on a hidden file beside it, which the system
//! gives back when a process ends in whatever way. Process ids were the other choice: in containers
//! that share a volume every server is process 1, and "is that process gone?" has no answer across
//! them; besides, a number that comes back keeps the number of series small.
//!
//! A slot whose owner has ended is not taken over at once: its file holds the last values of a
//! copy that may not have been read yet. After [`KEEP`] it is free, and its file is swept away.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the last values of a copy that has ended stay, for node exporters that are scraped
/// once a minute.
pub(crate) const KEEP: Duration = Duration::from_secs(120);

/// Most copies that may share one setting.
pub(crate) const MAX_COPIES: u32 = 256;

/// Most folder entries that one sweep looks at.
const MAX_SWEPT: usize = 10_000;

/// How every file of ours begins; nothing that begins otherwise is ever replaced or removed.
pub(crate) const HEADER: &str = "# Written by mcp-vitals";

/// A path as the user set it, its placeholders understood.
#[derive(Debug)]
pub(crate) struct Template {
    folder: PathBuf,
    /// What precedes the process id in the file's name; empty without `{pid}`.
    before: String,
    /// The process id, where the name asks for it.
    pid: Option<u32>,
    /// What stands between the id (or the start) and the extension.
    stem: String,
    /// The extension with its dot, or nothing.
    extension: String,
}

impl Template {
    /// Reads `path`, in which `{service}` and, in the file's name, `{pid}` stand for the service's
    /// name and the process id.
    pub(crate) fn parse(path: &Path, service: &str, pid: u32) -> io::Result<Template> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_string());
        let text = path.to_str().ok_or_else(|| wrong("the path must be UTF-8"))?;
        let text = text.replace("{service}", &file_safe(service));
        let path = Path::new(&text);
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.filter(|_| !text.ends_with('/')).ok_or_else(|| wrong("names no file"))?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let (before, after, pid) = match name.split_once("{pid}") {
            Some((before, after)) => (before, after, Some(pid)),
            None => ("", name, None),
        };
        if folder.to_str().is_some_and(braced) || braced(before) || braced(after) {
            return Err(wrong(
                "the placeholders are {service} and, once in the file's name, {pid}",
            ));
        }
        // A dot that starts the name is not an extension's.
        let split = match after.rfind('.') {
            Some(0) if pid.is_none() => after.len(),
            Some(dot) => dot,
            None => after.len(),
        };
        Ok(Template {
            folder,
            before: before.to_string(),
            pid,
            stem: after[..split].to_string(),
            extension: after[split..].to_string(),
        })
    }

    /// The path itself, that of slot 0.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(self.name(0))
    }

    /// What the file's name has before and after the process id, where it has one.
    pub(crate) fn around_pid(&self) -> Option<(&str, String)> {
        self.pid?;
        Some((&self.before, format!("{}{}", self.stem, self.extension)))
    }

    /// The file's name in slot `n`.
    fn name(&self, n: u32) -> String {
        let Template { before, stem, extension, .. } = self;
        let pid = self.pid.map(|pid| pid.to_string()).unwrap_or_default();
        match n {
            0 => format!("{before}{pid}{stem}{extension}"),
            n => format!("{before}{pid}{stem}.{n}{extension}"),
        }
    }

    /// Whether `name` is what some copy with this setting, in whatever slot, would write.
    fn is_sibling(&self, name: &str) -> bool {
        let Some(mut rest) = name.strip_prefix(self.before.as_str()) else { return false };
        if self.pid.is_some() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return false;
            }
            rest = &rest[digits..];
        }
        let rest = rest.strip_prefix(self.stem.as_str());
        let rest = rest.and_then(|rest| rest.strip_suffix(self.extension.as_str()));
        match rest {
            Some("") => true,
            Some(n) => n.strip_prefix('.').is_some_and(all_digits),
            None => false,
        }
    }

    /// Takes the first slot that is free, and whose last values are no longer awaited by a reader.
    ///
    /// An error when the folder cannot be written, when the path is a file that is not ours, or
    /// when [`MAX_COPIES`] run already.
    pub(crate) fn claim(&self) -> io::Result<Slot> {
        let mut fresh = None;
        for n in 0..MAX_COPIES {
            let path = self.folder.join(self.name(n));
            let Some(lock) = Lock::take(&path)? else { continue };
            let slot = Slot { path, copy: self.copy(n), lock };
            match state(&slot.path)? {
                State::Free => return Ok(slot),
                State::Foreign if n == 0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        "the file exists and was not written by mcp-vitals",
                    ));
                }
                State::Foreign => {}
                // Kept locked until the search ends, so that two that search side by side do not
                // fall back on the same one.
                State::Fresh if fresh.is_none() => fresh = Some(slot),
                State::Fresh => {}
            }
        }
        fresh.ok_or_else(|| io::Error::other(format!("{MAX_COPIES} copies write it already")))
    }

    /// The label value that tells this copy's series from the others'.
    fn copy(&self, n: u32) -> String {
        match self.pid {
            None => n.to_string(),
            Some(pid) if n == 0 => pid.to_string(),
            Some(pid) => format!("{pid}-{n}"),
        }
    }

    /// Removes the files of copies that have ended, once their last values are [`KEEP`] old.
    /// Returns how many. What cannot be read or removed stays: the next sweep tries again.
    pub(crate) fn sweep(&self) -> usize {
        let Ok(entries) = fs::read_dir(&self.folder) else { return 0 };
        let mut swept = 0;
        for entry in entries.take(MAX_SWEPT).flatten() {
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| self.is_sibling(name)) {
                continue;
            }
            let path = entry.path();
            // The cheap question first; asked again under the lock.
            let stale = || matches!(state(&path), Ok(State::Free)) && is_file(&path);
            if stale()
                && let Ok(Some(_lock)) = Lock::take(&path)
                && stale()
                && fs::remove_file(&path).is_ok()
            {
                swept += 1;
            }
        }
        swept
    }
}

fn braced(text: &str) -> bool {
    text.contains(['{', '}'])
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// A service's name as part of a file's name: nothing that leaves the folder, hides the file or
/// needs quoting, 64 bytes at most.
fn file_safe(service: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let mut name: String = service.chars().take(64).map(safe).collect();
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    if name.is_empty() { "service".to_string() } else { name }
}

/// What stands in the place of a slot that nobody holds.
enum State {
    /// Nothing, or a file of ours that has been there long enough.
    Free,
    /// A file of ours whose last values may still be awaited.
    Fresh,
    /// Something that we did not write.
    Foreign,
}

fn state(path: &Path) -> io::Result<State> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Free),
        Err(error) => return Err(error),
    };
    if !found.is_file() || !is_ours(path) {
        return Ok(State::Foreign);
    }
    // A time in the future is a clock that was set back, not a file to keep for years.
    let fresh = found.modified()?.elapsed().is_ok_and(|age| age < KEEP);
    Ok(if fresh { State::Fresh } else { State::Free })
}

fn is_ours(path: &Path) -> bool {
    let mut start = [0; HEADER.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == HEADER.as_bytes()
}

/// A file name that this process alone writes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    path: PathBuf,
    copy: String,
    lock: Lock,
}

impl Slot {
    /// The file to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The label value that tells this copy's series from the others'.
    pub(crate) fn copy(&self) -> &str {
        &self.copy
    }

    /// Where the next version is written before it takes the file's place: hidden, so that no
    /// reader takes it for a metrics file, and ours alone as the slot is.
    pub(crate) fn draft(&self) -> PathBuf {
        beside(&self.path, "tmp")
    }

    /// False when somebody removed the lock's file: another copy may hold the slot by now.
    pub(crate) fn is_held(&self) -> bool {
        self.lock.is_held()
    }
}

/// The hidden file `.NAME.KIND` in the same folder.
fn beside(path: &Path, kind: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{kind}"))
}

#[cfg(unix)]
use unix::Lock;

#[cfg(unix)]
mod unix {
    //! An exclusive `flock`: freed with the descriptor, and so with the process.

    use std::fs::{self, File};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use rustix::fs::{FlockOperation, Mode, OFlags};

    use super::beside;

    #[derive(Debug)]
    pub(crate) struct Lock {
        path: PathBuf,
        file: File,
    }

    impl Lock {
        /// Locks the slot of `path`; none when somebody else holds it.
        pub(crate) fn take(path: &Path) -> io::Result<Option<Lock>> {
            let path = beside(path, "lock");
            // Again when the file was removed by its last owner between the opening and the lock.
            for _ in 0..100 {
                let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let file = match rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644)) {
                    Ok(file) => File::from(file),
                    // Another user's: as good as held. Without a file it is the folder's refusal.
                    Err(rustix::io::Errno::ACCESS) if fs::symlink_metadata(&path).is_ok() => {
                        return Ok(None);
                    }
                    Err(error) => return Err(error.into()),
                };
                match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => {}
                    Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                }
                let lock = Lock { path: path.clone(), file };
                if lock.is_held() {
                    return Ok(Some(lock));
                }
            }
            Ok(None)
        }

        /// Whether the file that is locked is still the one that others would open.
        pub(crate) fn is_held(&self) -> bool {
            match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
                (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
                _ => false,
            }
        }
    }

    impl Drop for Lock {
        fn drop(&mut self) {
            // While it is still locked: whoever opened it meanwhile sees that it is gone.
            if self.is_held() {
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}

#[cfg(not(unix))]
use elsewhere::Lock;

#[cfg(not(unix))]
mod elsewhere {
    //! A lock's file that nobody may have created before. Windows: open files cannot be removed,
    //! so a file left by a process that has ended is told from a held one by removing it.

    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::path::{Path, PathBuf};

    use super::beside;

    #[derive(Debug)]
    pub(crate) struct Lock {
        path: PathBuf,
        file: Option<File>,
    }

    impl Lock {
        /// Locks the slot of `path`; none when somebody else holds it.
        pub(crate) fn take(path: &Path) -> io::Result<Option<Lock>> {
            let path = beside(path, "lock");
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(windows)]
            {
                use std::os::windows::fs::OpenOptionsExt;
                // Shared with nobody: neither opened nor removed by others while it is open.
                options.share_mode(0);
                let _ = fs::remove_file(&path);
            }
            match options.open(&path) {
                Ok(file) => Ok(Some(Lock { path, file: Some(file) })),
                Err(_) if path.exists() => Ok(None),
                Err(error) => Err(error),
            }
        }

        /// Whether the lock's file is still there.
        pub(crate) fn is_held(&self) -> bool {
            self.path.exists()
        }
    }

    impl Drop for Lock {
        fn drop(&mut self) {
            self.file = None;
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::export::textfile::scratch::Folder;

    fn template(folder: &Folder, name: &str) -> Template {
        Template::parse(&folder.path().join(name), "my server", 42).unwrap()
    }

    /// Writes a file of ours that looks `age` old.
    fn write(path: &Path, age: Duration) {
        fs::write(path, format!("{HEADER}\nx 1\n")).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn names_by_placeholder_and_slot() {
        let folder = Folder::new();
        let name = |name: &str, n| template(&folder, name).name(n);
        assert_eq!(name("mcp.prom", 0), "mcp.prom");
        assert_eq!(name("mcp.prom", 3), "mcp.3.prom");
        assert_eq!(name("{service}-{pid}.prom", 0), "my_server-42.prom");
        assert_eq!(name("{service}-{pid}.prom", 1), "my_server-42.1.prom");
        assert_eq!(name("{pid}", 1), "42.1");
        assert_eq!(name(".hidden", 1), ".hidden.1");
        assert_eq!(file_safe("../../etc/x\ny"), "_._.._etc_x_y");
        assert_eq!(file_safe(""), "service");
    }

    #[test]
    fn a_path_that_says_nothing_clear_is_refused() {
        for path in ["", "/", "folder/", "..", "a/{pid}/b.prom", "{pid}{pid}", "{host}.prom", "a}"]
        {
            let error = Template::parse(Path::new(path), "s", 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }

    #[test]
    fn siblings_are_what_a_copy_could_have_written() {
        let folder = Folder::new();
        let plain = template(&folder, "mcp.prom");
        for name in ["mcp.prom", "mcp.1.prom", "mcp.255.prom"] {
            assert!(plain.is_sibling(name), "{name}");
        }
        for name in ["other.prom", "mcp.prom.bak", "mcp..prom", "mcp.x.prom", "mcp", ".mcp.prom"] {
            assert!(!plain.is_sibling(name), "{name}");
        }
        let by_pid = template(&folder, "mcp-{pid}.prom");
        for name in ["mcp-1.prom", "mcp-99.prom", "mcp-99.2.prom"] {
            assert!(by_pid.is_sibling(name), "{name}");
        }
        for name in ["mcp-.prom", "mcp.prom", "mcp-1x.prom", "mcp-1.x.prom"] {
            assert!(!by_pid.is_sibling(name), "{name}");
        }
    }

    #[test]
    fn every_copy_gets_its_own_slot_and_gives_it_back() {
        let folder = Folder::new();
        let template = template(&folder, "mcp.prom");
        let slots: Vec<_> = (0..5).map(|_| template.claim().unwrap()).collect();
        let copies: Vec<_> = slots.iter().map(Slot::copy).collect();
        assert_eq!(copies, ["0", "1", "2", "3", "4"]);
        drop(slots);
        assert_eq!(template.claim().unwrap().copy(), "0");
        assert_eq!(folder.names(), Vec::<String>::new(), "no lock is left behind");
    }

    #[test]
    fn the_last_values_of_an_ended_copy_are_kept_and_then_overwritten() {
        let folder = Folder::new();
        let template = template(&folder, "mcp.prom");
        let first = folder.path().join("mcp.prom");
        write(&first, Duration::ZERO);
        assert_eq!(template.claim().unwrap().copy(), "1");
        write(&first, KEEP);
        assert_eq!(template.claim().unwrap().copy(), "0");
    }

    #[test]
    fn somebody_elses_file_is_never_taken() {
        let folder = Folder::new();
        let template = template(&folder, "mcp.prom");
        fs::write(folder.path().join("mcp.prom"), "theirs 1\n").unwrap();
        assert_eq!(template.claim().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(template.sweep(), 0);
    }

    #[test]
    fn a_sweep_takes_what_is_ours_ended_and_old() {
        let folder = Folder::new();
        let template = template(&folder, "mcp.prom");
        let at = |name: &str| folder.path().join(name);
        let held = template.claim().unwrap();
        write(held.path(), KEEP * 2);
        write(&at("mcp.1.prom"), KEEP * 2);
        write(&at("mcp.2.prom"), Duration::ZERO);
        write(&at("other.prom"), KEEP * 2);
        fs::write(at("mcp.3.prom"), "theirs 1\n").unwrap();
        assert_eq!(template.sweep(), 1);
        let left = ["mcp.2.prom", "mcp.3.prom", "mcp.prom", "other.prom"];
        drop(held);
        assert_eq!(folder.names(), left);
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_was_removed_is_noticed() {
        let folder = Folder::new();
        let template = template(&folder, "mcp.prom");
        let slot = template.claim().unwrap();
        assert!(slot.is_held());
        fs::remove_file(beside(slot.path(), "lock")).unwrap();
        assert!(!slot.is_held());
        let other = template.claim().unwrap();
        assert!(other.is_held());
        drop(slot);
        assert!(other.is_held(), "the one that lost it must not remove the new owner's");
    }
}
