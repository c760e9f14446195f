//! Which files beside a log file are its rolled ones: by their names, exactly.
//!
//! A file is rolled by one rename, to its name and the time, and keeps that name. The other scheme
//! (`.1` becomes `.2` becomes `.3`) renames all of them at each rotation, which sends a shipper that
//! remembers paths back to the start of each, leaves a gap where it is interrupted, and pulls a file
//! away from whoever is compressing it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::stamp;

/// Most folder entries that are looked at.
const MOST_ENTRIES: usize = 100_000;

/// The ends of compressed files' names.
pub(crate) const ENDINGS: [&str; 2] = [".gz", ".zst"];

/// How the log file and its rolled files are called.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The log file.
    pub(crate) path: PathBuf,
    /// What its name begins and ends with around the process id, or the whole name and nothing.
    parts: (String, Option<String>),
}

/// One rolled file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rolled {
    /// When it was rolled.
    pub(crate) stamp: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) compressed: bool,
}

/// What is in the folder.
#[derive(Debug)]
pub(crate) struct Found {
    /// The rolled files, the oldest first.
    pub(crate) rolled: Vec<Rolled>,
    /// Compressed files in the making, each with what it is made of.
    pub(crate) drafts: Vec<(PathBuf, PathBuf)>,
}

/// What a name in the folder says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rolled {
        stamp: String,
        compressed: bool,
    },
    /// A compressed file in the making; the name of what it is made of.
    Draft {
        source: String,
    },
}

impl Names {
    /// `around_pid`: what the file's name has before and after the process id, where it has one.
    pub(crate) fn new(path: &Path, around_pid: Option<(&str, &str)>) -> Names {
        let parts = match around_pid {
            Some((before, after)) => (before.to_owned(), Some(after.to_owned())),
            None => {
                let name = path.file_name().unwrap_or_default();
                (name.to_string_lossy().into_owned(), None)
            }
        };
        Names { path: path.to_path_buf(), parts }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// What the log file is renamed to.
    pub(crate) fn rolled(&self, stamp: &str) -> PathBuf {
        append(&self.path, &format!(".{stamp}"))
    }

    /// What comes after the name of a log file that this setting gives, for any process id.
    fn after_log_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(&*self.parts.0)?;
        let Some(after) = &self.parts.1 else { return Some(rest) };
        let unnumbered = rest.trim_start_matches(|char: char| char.is_ascii_digit());
        if unnumbered.len() == rest.len() {
            return None;
        }
        unnumbered.strip_prefix(&**after)
    }

    /// What `name` is to us; nothing where it is not ours.
    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        if let Some(hidden) = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")) {
            let (source, _) = cut_ending(hidden)?;
            return match self.kind(source)? {
                Kind::Rolled { compressed: false, .. } => {
                    Some(Kind::Draft { source: source.to_owned() })
                }
                _ => None,
            };
        }
        let rest = self.after_log_name(name)?.strip_prefix('.')?;
        let (stamp, compressed) = match cut_ending(rest) {
            Some((stamp, _)) => (stamp, true),
            None => (rest, false),
        };
        stamp::is_stamp(stamp).then(|| Kind::Rolled { stamp: stamp.to_owned(), compressed })
    }

    /// What of ours is in the folder beside the log file.
    pub(crate) fn list(&self) -> io::Result<Found> {
        let (mut rolled, mut drafts) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(self.folder())?.take(MOST_ENTRIES).flatten() {
            let name = entry.file_name();
            let Some(kind) = name.to_str().and_then(|name| self.kind(name)) else { continue };
            // Of the entry itself: a link with such a name is not ours.
            let Some(about) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
            let path = entry.path();
            match kind {
                Kind::Rolled { stamp, compressed } => {
                    rolled.push(Rolled { stamp, path, bytes: about.len(), compressed });
                }
                Kind::Draft { source } => drafts.push((path, self.folder().join(source))),
            }
        }
        rolled.sort();
        Ok(Found { rolled, drafts })
    }
}

/// Without the ending of a compressed file, and that ending.
fn cut_ending(name: &str) -> Option<(&str, &'static str)> {
    ENDINGS.iter().find_map(|&ending| Some((name.strip_suffix(ending)?, ending)))
}

/// `path` with `end` behind its name.
pub(crate) fn append(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(end);
    path.with_file_name(name)
}

/// Where the compressed form of `source` is made: hidden, so that nobody reads half of it.
pub(crate) fn draft(source: &Path, ending: &str) -> PathBuf {
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    source.with_file_name(format!(".{name}{ending}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "20261122T205448.123456Z";

    #[test]
    fn only_names_of_our_own_making_are_ours() {
        let names = Names::new(Path::new("/logs/server.log"), None);
        let ours = |name: &str| matches!(names.kind(name), Some(Kind::Rolled { .. }));
        for end in ["", ".gz", ".zst"] {
            assert!(ours(&format!("server.log.{STAMP}{end}")), "{end}");
        }
        for other in [
            "server.log".to_owned(),
            "server.log.1".to_owned(),
            "server.log.gz".to_owned(),
            "server.log-20261122".to_owned(),
            format!("server.log{STAMP}"),
            format!("server.log.{STAMP}.bz2"),
            format!("server.log.{STAMP}.gz.gz"),
            format!("server.log.{STAMP}."),
            format!("my-server.log.{STAMP}"),
            format!("server.log.old.{STAMP}"),
            format!(".server.log.{STAMP}.tmp"),
        ] {
            assert_eq!(names.kind(&other), None, "{other}");
        }
        let draft = draft(Path::new(&format!("/logs/server.log.{STAMP}")), ".gz");
        let name = draft.file_name().unwrap().to_str().unwrap();
        let source = format!("server.log.{STAMP}");
        assert_eq!(names.kind(name), Some(Kind::Draft { source }));
    }

    #[test]
    fn a_name_with_a_process_id_is_ours_whatever_the_id() {
        let names = Names::new(Path::new("/logs/s-7.log"), Some(("s-", ".log")));
        for (name, ours) in [("s-7.log", true), ("s-123.log", true), ("s-.log", false)] {
            let name = format!("{name}.{STAMP}");
            assert_eq!(names.kind(&name).is_some(), ours, "{name}");
        }
    }
}
