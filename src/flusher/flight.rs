//! Writes out what the flight recorder has: on a call, or by its rule.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::background::Joined;
use crate::batch::{Known, Record, SpanRecord, timed};
use crate::clock::Clock;
use crate::encode::line::Lines;
use crate::error;
use crate::logs::LogFormat;
use crate::ring::frame::kind;
use crate::store::flight::{OnError, Recorder};
use crate::sync::{Ordering, contained};

/// What dumps by the rule are called, around their time.
const BEFORE: &str = "flight-";
const AFTER: &str = ".jsonl";
/// How long the end of the engine waits for a dump that is being written.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nanoseconds by which the clocks of those who share a folder may be apart.
const SLACK: u64 = 60_000_000_000;
/// How long the draft of a dump lies untouched before it is taken for a killed process's.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// The flusher's side: its rule.
pub(super) struct Flight {
    recorder: Arc<Recorder>,
    last: Option<Instant>,
    dumping: Option<Joined>,
}

impl Flight {
    pub(super) fn new(recorder: Arc<Recorder>) -> Flight {
        Flight { recorder, last: None, dumping: None }
    }

    /// Begins a dump where there was an error, on a thread of its own: it may take longer than rings
    /// can wait.
    pub(super) fn tick(&mut self, unix_nanos: u64) {
        if !self.recorder.has_failed() {
            return;
        }
        let Some(OnError { folder, period }) = self.recorder.settings.on_error.clone() else {
            return;
        };
        let is_busy = self.dumping.as_ref().is_some_and(|thread| !thread.has_ended());
        if is_busy || self.last.is_some_and(|last| last.elapsed() < period) {
            self.recorder.passed_over.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.last = Some(Instant::now());
        let recorder = self.recorder.clone();
        let run = move || by_rule(&recorder, &folder, unix_nanos);
        match Joined::spawn("mcp-vitals-dump", run) {
            Ok(thread) => self.dumping = Some(thread),
            Err(why) => refused(&self.recorder, &why),
        }
    }

    /// Waits for what is being written.
    pub(super) fn finish(&mut self, unix_nanos: u64) {
        self.tick(unix_nanos);
        if let Some(mut thread) = self.dumping.take() {
            thread.join(PATIENCE);
        }
    }
}

fn refused(recorder: &Recorder, why: &io::Error) {
    recorder.refused.fetch_add(1, Ordering::Relaxed);
    error::say(format_args!("flight recorder: {why}"));
}

fn by_rule(recorder: &Recorder, folder: &Path, unix_nanos: u64) {
    let name = format!("{BEFORE}{unix_nanos:020}-{}{AFTER}", std::process::id());
    let written = contained(|| {
        dump(recorder, &folder.join(name))?;
        prune(folder, recorder.settings.most_dumps as usize, unix_nanos)
    });
    if let Err(why) = written.unwrap_or_else(|| Err(io::Error::other("it panicked"))) {
        refused(recorder, &why);
    }
}

/// Removes the oldest dumps in a folder, and what killed processes left of theirs.
fn prune(folder: &Path, most: usize, unix_nanos: u64) -> io::Result<()> {
    let soon = unix_nanos.saturating_add(SLACK);
    let mut dumps = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        // Of the entry itself: a link with such a name is not ours.
        let about = entry.metadata().ok().filter(Metadata::is_file);
        let (Some(name), Some(about)) = (name.to_str(), about) else { continue };
        match time_of(name) {
            Some(time) => dumps.push((time <= soon, time, path)),
            None if is_draft(name) && is_old(&about) => remove(&path)?,
            None => {}
        }
    }
    // Those first that were written while the clock was ahead: for the newest they would be taken until then.
    dumps.sort();
    let many = dumps.len().saturating_sub(most);
    dumps.iter().take(many).try_for_each(|(_, _, path)| remove(path))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another process that shares the folder was first.
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// When a dump by the rule was made, by its name; nothing where that is not exactly of our making.
fn time_of(name: &str) -> Option<u64> {
    let (time, pid) = name.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (time.len() == 20 && is_number(time) && is_number(pid)).then(|| time.parse().ok()).flatten()
}

/// Whether this is the draft of a dump by the rule, as [`create`] calls it.
fn is_draft(name: &str) -> bool {
    let rest = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    rest.and_then(|rest| rest.rsplit_once('.')).is_some_and(|(dump, _)| time_of(dump).is_some())
}

/// Whether nobody has written to it for longer than any dump takes.
fn is_old(about: &Metadata) -> bool {
    let age = about.modified().ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > ABANDONED)
}

/// Writes what there is to `path`, whole or not at all; gives the number of lines.
pub(crate) fn dump(recorder: &Recorder, path: &Path) -> io::Result<u64> {
    let invalid = || io::Error::new(ErrorKind::InvalidInput, "no file name");
    let name = path.file_name().ok_or_else(invalid)?.to_string_lossy();
    let (draft, file) = create(path, &name)?;
    let written = fill(recorder, file).and_then(|lines| {
        fs::rename(&draft, path)?;
        Ok(lines)
    });
    match &written {
        Ok(_) => {
            recorder.written.fetch_add(1, Ordering::Relaxed);
        }
        // A full disk gets its space back.
        Err(_) => drop(fs::remove_file(&draft)),
    }
    written
}

/// Names that a draft is tried under: what a process left behind that was killed over one has another's,
/// whose number in a container is the same each time.
const NAMES: u32 = 16;

/// A draft beside `path`, of a name that nobody has.
fn create(path: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let mut options = File::options();
    // Created anew, never opened: in a folder that others may write, the name could be a link.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut last = ErrorKind::AlreadyExists.into();
    for n in 0..NAMES {
        let draft = path.with_file_name(format!(".{name}.{}-{n}.tmp", std::process::id()));
        match options.open(&draft) {
            Ok(file) => return Ok((draft, file)),
            Err(why) if why.kind() == ErrorKind::AlreadyExists => last = why,
            Err(why) => return Err(why),
        }
    }
    Err(last)
}

fn fill(recorder: &Recorder, file: File) -> io::Result<u64> {
    let mut file = BufWriter::new(file);
    let lines = write(recorder, &mut file)?;
    file.flush()?;
    Ok(lines)
}

/// Writes what there is to `out`; gives the number of lines.
pub(crate) fn write(recorder: &Recorder, out: &mut dyn Write) -> io::Result<u64> {
    let blocks = recorder.blocks();
    let clock = Clock::get();
    let mut known = Known::default();
    let mut lines = Lines::new(LogFormat::Json);
    let mut newest = 0;
    for block in &blocks {
        known.learn_all(block);
        let mut rest = &block[..];
        while let Some((unix_nanos, _)) = timed(&mut rest) {
            newest = newest.max(unix_nanos);
        }
    }
    let last = recorder.settings.last.as_nanos().min(u64::MAX.into()) as u64;
    let oldest = newest.saturating_sub(last);
    let (mut count, mut bytes) = (0, Vec::new());
    for block in &blocks {
        let mut rest = &block[..];
        while let Some((unix_nanos, frame)) = timed(&mut rest) {
            if unix_nanos < oldest {
                continue;
            }
            known.learn(frame);
            let (site, names) = known.get(frame);
            bytes.clear();
            if frame.kind() == kind::LINE {
                let Some(record) = Record::read(frame, site, names, unix_nanos) else { continue };
                lines.write(&record, &mut bytes);
            } else {
                let Some(span) = SpanRecord::read(frame, names, unix_nanos, clock) else {
                    continue;
                };
                lines.write_span(&span, &mut bytes);
            }
            out.write_all(&bytes)?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::export::textfile::scratch::Folder;

    #[test]
    fn the_oldest_dumps_go_and_nothing_that_is_not_ours() {
        let folder = Folder::new();
        let plant = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
        let draft = |pid: u32| format!(".flight-01700000000000000000-{pid}.jsonl.{pid}-0.tmp");
        let foreign = [
            "flight-0-briefing.jsonl",
            "flight-lh400.jsonl",
            "flight-1700000000000000000-17.jsonl",
            "flight-01700000000000000000-.jsonl",
            "flight-01700000000000000000-17.jsonl.gz",
            ".flight.tmp",
        ];
        foreign.iter().for_each(|name| plant(name));
        let dump = |seconds: u64| format!("flight-0{seconds}000000000-17.jsonl");
        // The last one of a clock that was ahead.
        let all = [1_600_000_000, 1_600_000_001, 1_600_000_002, 1_900_000_000];
        all.iter().for_each(|&at| plant(&dump(at)));
        plant(&draft(1));
        plant(&draft(2));
        let dead = File::options().write(true).open(folder.path().join(draft(2))).unwrap();
        dead.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        prune(folder.path(), 2, 1_600_000_002_000_000_000).unwrap();
        let mut left = [dump(1_600_000_001), dump(1_600_000_002), draft(1)].to_vec();
        left.extend(foreign.map(str::to_owned));
        left.sort();
        assert_eq!(folder.names(), left);
    }
}
