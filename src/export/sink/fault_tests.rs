//! What goes wrong with log files, and what can be read then: numbered lines, of which each one is
//! found once and whole, or counted as lost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::file::{FileId, FileSink, Journal};
#[cfg(any(feature = "gzip", feature = "zstd"))]
use super::settings::Compression;
use super::settings::{LogFile, Rotation};
use super::{Chunk, Sink, SinkEvents, SinkThread};
use crate::error::Error;
use crate::export::textfile::scratch::Folder;

const LONG: Duration = Duration::from_secs(60);
const STAMP: &str = "20200101T000000.000000Z";

/// Line `number` of `who`, of a length that differs from its neighbours'.
fn line(who: &str, number: u32) -> String {
    let padding = "x".repeat(number as usize * 7 % 200);
    format!("{who} {number:08} {padding} end\n")
}

fn chunk(who: &str, numbers: std::ops::Range<u32>) -> Chunk {
    let count = numbers.len() as u32;
    let text: String = numbers.map(|number| line(who, number)).collect();
    Chunk { bytes: text.into_bytes(), lines: [0, 0, count, 0, 0], ticket: 1 }
}

/// How often each line stands in `text`. One that is torn or strange fails the test.
fn read_lines(text: &str, found: &mut BTreeMap<String, u32>) {
    for it in text.split_inclusive('\n') {
        let mut words = it.split(' ');
        let who = words.next().unwrap();
        let number = words.next().unwrap_or_default().parse();
        let whole = number.map(|number| line(who, number));
        assert_eq!(whole.as_deref(), Ok(it), "a torn line");
        *found.entry(it.to_owned()).or_default() += 1;
    }
}

/// All lines of all files in `folder`, compressed or not.
fn read_folder(folder: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        read_lines(&read_file(&entry.unwrap().path()), &mut found);
    }
    found
}

fn read_file(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).unwrap();
    match path.extension().and_then(|end| end.to_str()) {
        #[cfg(feature = "gzip")]
        Some("gz") => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
        #[cfg(feature = "zstd")]
        Some("zst") => zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap(),
        _ => { file }.read_to_string(&mut text).unwrap(),
    };
    text
}

fn assert_each_once(found: &BTreeMap<String, u32>, who: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let times = found.get(&line(who, number)).copied().unwrap_or(0);
        assert_eq!(times, 1, "line {number} of {who}");
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn open(settings: &LogFile) -> (FileSink, Arc<SinkEvents>) {
    let events = Arc::new(SinkEvents::default());
    (settings.open("s", events.clone(), None).unwrap(), events)
}

fn log(folder: &Folder) -> PathBuf {
    folder.path().join("server.log")
}

#[test]
fn a_file_is_rolled_before_it_gets_too_large() {
    let folder = Folder::new();
    let settings = LogFile::new(log(&folder)).rotate_bytes(4096).keep_files(1000);
    let (mut sink, events) = open(&settings);
    for n in 0..200 {
        sink.write(&chunk("a", n * 5..n * 5 + 5)).unwrap();
    }
    drop(sink);
    assert_each_once(&read_folder(folder.path()), "a", 0..1000);
    assert_eq!(folder.names().len() as u64, events.rotations() + 1);
    assert!(events.rotations() > 20);
    for name in folder.names().into_iter().skip(1) {
        let bytes = fs::metadata(folder.path().join(&name)).unwrap().len();
        assert!(bytes <= 4096 && bytes > 2048, "{name} has {bytes} bytes");
    }
}

#[test]
fn a_file_of_yesterday_is_rolled_at_its_first_line_and_by_the_tick() {
    let folder = Folder::new();
    let settings = LogFile::new(log(&folder)).rotate_every(Rotation::Daily);
    let (mut sink, events) = open(&settings);
    sink.write(&chunk("a", 0..1)).unwrap();
    sink.tick();
    assert_eq!(events.rotations(), 0);
    drop(sink);
    for n in 1..3 {
        let yesterday = SystemTime::now() - Duration::from_secs(86_400);
        File::options().append(true).open(log(&folder)).unwrap().set_modified(yesterday).unwrap();
        let (mut sink, events) = open(&settings);
        if n == 1 {
            sink.write(&chunk("a", n..n + 1)).unwrap();
        } else {
            sink.tick();
        }
        assert_eq!(events.rotations(), 1);
        sink.tick();
        assert_eq!(events.rotations(), 1, "an empty file or one of today is not rolled");
    }
    assert_each_once(&read_folder(folder.path()), "a", 0..2);
    assert_eq!(folder.names().len(), 3);
}

#[test]
fn retention_keeps_the_newest_and_touches_nothing_else() {
    let folder = Folder::new();
    let plant = |name: &str| fs::write(folder.path().join(name), "0123456789").unwrap();
    let foreign = [
        "server.log.1",
        "server.log.bak",
        &format!("other.log.{STAMP}"),
        &format!("server.log.{STAMP}.txt"),
    ];
    foreign.iter().for_each(|name| plant(name));
    // A folder with such a name is none of ours.
    fs::create_dir(folder.path().join("server.log.20190101T000000.000000Z")).unwrap();
    for year in 2001..=2009 {
        plant(&format!("server.log.{year}0101T000000.000000Z"));
    }
    let kept = || {
        let names = folder.names().into_iter();
        names.filter(|name| name.contains(".200")).map(|name| name[11..15].to_owned())
    };
    let settle = |settings: &LogFile, events: u64| {
        let (sink, seen) = open(settings);
        wait_until("the removal", || seen.removed() == events);
        drop(sink);
        assert_eq!(seen.removed(), events);
    };
    settle(&LogFile::new(log(&folder)).keep_files(6), 3);
    assert!(kept().eq(["2004", "2005", "2006", "2007", "2008", "2009"]));
    settle(&LogFile::new(log(&folder)).keep_bytes(49).keep_files(100), 2);
    assert!(kept().eq(["2006", "2007", "2008", "2009"]));
    let since_2008 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
        - Duration::from_secs(1_199_145_600 - 86_400);
    settle(&LogFile::new(log(&folder)).keep_for(since_2008), 2);
    assert!(kept().eq(["2008", "2009"]));
    settle(&LogFile::new(log(&folder)).keep_files(0), 2);
    assert!(kept().next().is_none());
    let left = folder.names();
    assert!(foreign.iter().all(|name| left.iter().any(|left| left == name)), "{left:?}");
    assert_eq!(left.len(), foreign.len() + 2, "and the log, and the folder");
}

#[test]
fn what_was_rolled_while_the_clock_was_ahead_goes_before_what_is_rolled_now() {
    let folder = Folder::new();
    let ahead = |day: u32| format!("server.log.2999010{day}T000000.000000Z");
    (1..=3).for_each(|day| fs::write(folder.path().join(ahead(day)), line("old", day)).unwrap());
    let (mut sink, events) = open(&LogFile::new(log(&folder)).rotate_bytes(1024).keep_files(3));
    for n in 0..3 {
        sink.write(&chunk("a", n * 20..n * 20 + 20)).unwrap();
        sink.write(&chunk("a", n * 20..n * 20 + 20)).unwrap();
        let rolled = events.rotations();
        wait_until("the removal", || {
            sink.tick();
            events.removed() == rolled
        });
    }
    let rolled = events.rotations().min(3);
    drop(sink);
    let left = folder.names().into_iter().filter(|name| name.contains(".2999")).collect::<Vec<_>>();
    let newest: Vec<_> = (1 + rolled as u32..=3).map(ahead).collect();
    assert_eq!((left, folder.names().len()), (newest, 1 + 3));
}

#[test]
fn a_file_that_is_moved_removed_or_emptied_costs_no_line() {
    let folder = Folder::new();
    let elsewhere = Folder::new();
    let (mut sink, events) = open(&LogFile::new(log(&folder)));
    let mut write = |n| sink.write(&chunk("a", n..n + 1));
    write(0).unwrap();
    fs::rename(log(&folder), folder.path().join("moved")).unwrap();
    write(1).unwrap();
    assert_eq!(events.reopened(), 1);
    // What logrotate does with `copytruncate`.
    fs::copy(log(&folder), folder.path().join("copied")).unwrap();
    File::options().write(true).open(log(&folder)).unwrap().set_len(0).unwrap();
    write(2).unwrap();
    assert_eq!(fs::read_to_string(log(&folder)).unwrap(), line("a", 2), "no hole before it");
    fs::rename(log(&folder), folder.path().join("replaced")).unwrap();
    fs::write(log(&folder), line("b", 0)).unwrap();
    write(3).unwrap();
    assert_eq!(events.reopened(), 2);
    fs::rename(log(&folder), elsewhere.path().join("gone")).unwrap();
    fs::create_dir(log(&folder)).unwrap();
    let refused = write(4).unwrap_err();
    assert!(refused.to_string().contains("folder"), "{refused}");
    fs::remove_dir(log(&folder)).unwrap();
    write(4).unwrap();
    drop(sink);
    let mut found = read_folder(folder.path());
    found.extend(read_folder(elsewhere.path()));
    assert_each_once(&found, "a", 0..5);
    assert_each_once(&found, "b", 0..1);
}

#[test]
fn a_folder_that_is_gone_for_a_while_costs_what_had_no_room() {
    let folder = Folder::new();
    let home = folder.path().join("logs");
    fs::create_dir(&home).unwrap();
    let settings = LogFile::new(home.join("server.log"));
    let events = Arc::new(SinkEvents::default());
    let sink = settings.open("s", events.clone(), None).unwrap();
    let thread = SinkThread::start("test", Box::new(sink), 4096, events.clone()).unwrap();
    let mut lost = Vec::new();
    for n in 0..200 {
        match n {
            50 => {
                assert!(thread.flush(Instant::now() + LONG));
                fs::rename(&home, folder.path().join("away")).unwrap();
            }
            150 => {
                wait_until("a failure", || events.errors() > 0);
                fs::create_dir(&home).unwrap();
                assert!(thread.flush(Instant::now() + LONG));
            }
            _ => {}
        }
        if let Err(chunk) = thread.push(chunk("a", n..n + 1)) {
            thread.lose(chunk);
            lost.push(n);
        }
    }
    assert!(thread.stop(Instant::now() + LONG));
    assert!(lost.iter().any(|lost| (50..150).contains(lost)), "a hundred do not fit");
    assert_eq!(events.lost_lines(), lost.len() as u64);
    assert_eq!(events.written()[2], 200 - lost.len() as u64);
    let mut found = read_folder(&home);
    found.extend(read_folder(&folder.path().join("away")));
    assert_eq!(found.len(), 200 - lost.len());
    for n in (0..200).filter(|n| !lost.contains(n)) {
        assert_each_once(&found, "a", n..n + 1);
    }
}

#[test]
fn what_is_no_file_of_ours_to_write_is_refused_and_said_clearly() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("target"), "").unwrap();
    std::os::unix::fs::symlink(path("target"), path("link")).unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    fs::create_dir(path("folder")).unwrap();
    let cases = [
        (path("link"), "symbolic link"),
        (path("pipe"), "no regular file"),
        (path("folder"), "folder"),
        (path("missing/server.log"), "its folder does not exist"),
        ("/dev/stdout".into(), "symbolic link"),
        ("/proc/self/fd/1".into(), "symbolic link"),
        ("/dev/full".into(), "no regular file"),
        (path("{host}.log"), "placeholders"),
        ("".into(), "names no file"),
    ];
    for (path, what) in cases {
        let settings = LogFile::new(&path);
        let refused = settings.open("s", Arc::default(), None).err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|said| said.contains(what)), "{path:?}: {refused:?}");
    }
    let small = LogFile::new(path("small.log")).rotate_bytes(1);
    assert!(matches!(small.open("s", Arc::default(), None), Err(Error::OutOfRange { .. })));
    let named = LogFile::new(path("{service}-{pid}.log")).open("a/b", Arc::default(), None);
    assert!(named.is_ok());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(path(&format!("a_b-{}.log", std::process::id()))).unwrap().permissions(),
    );
    assert_eq!(mode & 0o137, 0, "nothing for others, nothing to execute");
}

#[test]
fn the_file_that_stdout_goes_to_is_refused() {
    let folder = Folder::new();
    let out = File::create(folder.path().join("out.log")).unwrap();
    child("stdout", folder.path(), |command| {
        command.stdout(out);
    });
}

#[test]
fn a_line_that_somebody_left_unfinished_is_ended_first() {
    let folder = Folder::new();
    fs::write(log(&folder), "half a li").unwrap();
    let (mut sink, _) = open(&LogFile::new(log(&folder)));
    sink.write(&chunk("a", 0..1)).unwrap();
    let mut other = File::options().append(true).open(log(&folder)).unwrap();
    other.write_all(b"another half").unwrap();
    sink.write(&chunk("a", 1..2)).unwrap();
    let lines = format!("half a li\n{}another half\n{}", line("a", 0), line("a", 1));
    assert_eq!(fs::read_to_string(log(&folder)).unwrap(), lines);
}

#[test]
fn a_lock_that_is_never_given_back_stops_the_rotation_and_not_the_log() {
    let folder = Folder::new();
    let (mut sink, events) = open(&LogFile::new(log(&folder)).rotate_bytes(1024));
    let stuck = File::open(log(&folder)).unwrap();
    rustix::fs::flock(&stuck, rustix::fs::FlockOperation::LockExclusive).unwrap();
    sink.write(&chunk("a", 0..5)).unwrap();
    sink.write(&chunk("a", 5..20)).unwrap();
    assert_eq!(events.rotations(), 0);
    drop(sink);
    assert_each_once(&read_folder(folder.path()), "a", 0..20);
}

#[test]
fn the_journal_knows_where_each_chunk_stands() {
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<(FileId, u64, usize)>>>);
    impl Journal for Notes {
        fn before(&mut self, file: FileId, offset: u64, _: &Chunk, from: usize) {
            self.0.lock().unwrap().push((file, offset, from));
        }
        fn after(&mut self, chunk: &Chunk) {
            assert_eq!(chunk.ticket, 1);
        }
    }
    let folder = Folder::new();
    let notes = Notes::default();
    let settings = LogFile::new(log(&folder)).rotate_bytes(2048);
    let mut sink = settings.open("s", Arc::default(), Some(Box::new(notes.clone()))).unwrap();
    for n in 0..40 {
        sink.write(&chunk("a", n..n + 1)).unwrap();
    }
    let notes = notes.0.lock().unwrap();
    let mut checked = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let id = FileId::of(&fs::metadata(&path).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        for (n, (_, offset, from)) in notes.iter().enumerate().filter(|(_, note)| note.0 == id) {
            assert!(text[*offset as usize..].starts_with(&line("a", n as u32)));
            assert_eq!(*from, 0);
            checked += 1;
        }
    }
    assert_eq!(checked, 40);
}

#[test]
fn two_processes_roll_one_file_and_no_line_is_lost_or_doubled() {
    let folder = Folder::new();
    let children: Vec<_> = ["one", "two"]
        .map(|who| {
            let path = folder.path().to_path_buf();
            std::thread::spawn(move || {
                child("flood", &path, |command| {
                    command.env("MCP_VITALS_WHO", who);
                });
            })
        })
        .into();
    children.into_iter().for_each(|child| child.join().unwrap());
    let logs = folder.path().join("logs");
    let found = read_folder(&logs);
    for who in ["one", "two"] {
        assert_each_once(&found, who, 0..20_000);
    }
    assert_eq!(found.len(), 40_000);
    // A race without a lock shows in files that were rolled as soon as they were begun.
    for entry in fs::read_dir(&logs).unwrap() {
        let path = entry.unwrap().path();
        let bytes = read_file(&path).len();
        assert!(path.ends_with("server.log") || bytes > 8 << 10, "{path:?} has {bytes} bytes");
    }
}

/// One of the two of the flood: 40,000 lines into files of 16 KiB, compressed while they go on.
fn flood(folder: &Path) {
    let who = std::env::var("MCP_VITALS_WHO").unwrap();
    let logs = folder.join("logs");
    let _ = fs::create_dir(&logs);
    fs::write(folder.join(&who), "").unwrap();
    wait_until("the other", || ["one", "two"].iter().all(|who| folder.join(who).exists()));
    let settings = LogFile::new(logs.join("server.log")).rotate_bytes(16 << 10).keep_files(10_000);
    #[cfg(feature = "gzip")]
    let settings = settings.compress(Compression::Gzip);
    let (mut sink, _) = open(&settings);
    for n in 0..10_000 {
        sink.write(&chunk(&who, n * 2..n * 2 + 2)).unwrap();
    }
}

/// A disk of 256 KiB that fills up and has room again, or, where nothing may be mounted, a limit on
/// the size of a file that another program then empties.
#[test]
fn a_disk_that_is_full_costs_what_had_no_room_and_tears_no_line() {
    let folder = Folder::new();
    let mounts = Command::new("unshare").args(["-rm", "true"]).status();
    if mounts.is_ok_and(|status| status.success()) {
        let mount = "mount -t tmpfs -o size=256k tmpfs \"$MCP_VITALS_FOLDER\" && exec \"$@\"";
        child_by(&["unshare", "-rm", "sh", "-c", mount, "sh"], "full", folder.path());
    } else {
        full_by_limit();
    }
}

#[test]
fn a_line_that_the_system_cut_short_is_finished_or_begun_again() {
    full_by_limit();
}

fn full_by_limit() {
    let folder = Folder::new();
    // The signal that comes with it would end a process that has not asked to live on.
    let limit = "trap '' XFSZ; ulimit -f 100; exec \"$@\"";
    child_by(&["sh", "-c", limit, "sh"], "limited", folder.path());
}

/// Lines until the sink fails and the queue is full; then `free`, and lines until all is well.
fn fill(folder: &Path, free: impl FnOnce(&Path)) -> Vec<u32> {
    let path = folder.join("server.log");
    let events = Arc::new(SinkEvents::default());
    let settings = LogFile::new(&path).rotate_bytes(1 << 30);
    let sink = settings.open("s", events.clone(), None).unwrap();
    let thread = SinkThread::start("test", Box::new(sink), 16 << 10, events.clone()).unwrap();
    let mut next = 0;
    let mut ten = || {
        next += 10;
        chunk("a", next - 10..next)
    };
    let stuck = loop {
        let mut refused = thread.push(ten());
        while events.errors() == 0
            && let Err(chunk) = refused
        {
            std::thread::yield_now();
            refused = thread.push(chunk);
        }
        if let Err(chunk) = refused {
            break chunk;
        }
    };
    let first_lost = chunk_start(&stuck);
    thread.lose(stuck);
    assert_eq!(events.lost_lines(), 10);
    free(&path);
    assert!(thread.flush(Instant::now() + LONG));
    for _ in 0..15 {
        assert!(thread.push_until(ten(), Instant::now() + LONG).is_ok());
    }
    assert!(thread.stop(Instant::now() + LONG));
    let lost = first_lost..first_lost + 10;
    let expected: Vec<u32> = (0..next).filter(|n| !lost.contains(n)).collect();
    assert_eq!((events.written()[2], events.lost_lines()), (expected.len() as u64, 10));
    expected
}

/// The number of its first line.
fn chunk_start(chunk: &Chunk) -> u32 {
    std::str::from_utf8(&chunk.bytes[2..10]).unwrap().parse().unwrap()
}

fn full(folder: &Path) {
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![0; 128 << 10]).unwrap();
    let expected = fill(folder, |path| {
        // Nothing was begun that had no room.
        read_lines(&fs::read_to_string(path).unwrap(), &mut BTreeMap::new());
        fs::remove_file(&ballast).unwrap();
    });
    let found = read_folder(folder);
    assert_eq!(found.len(), expected.len());
    expected.iter().for_each(|&n| assert_each_once(&found, "a", n..n + 1));
}

fn limited(folder: &Path) {
    let copy = folder.join("copy");
    let expected = fill(folder, |path| {
        let text = fs::read_to_string(path).unwrap();
        // The limit is no line's end: what was begun stands at the end of the copy, once.
        assert!(!text.ends_with('\n'), "the limit has cut a line");
        fs::write(&copy, &text[..text.rfind('\n').unwrap() + 1]).unwrap();
        File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    });
    let found = read_folder(folder);
    assert_eq!(found.len(), expected.len());
    expected.iter().for_each(|&n| assert_each_once(&found, "a", n..n + 1));
}

#[cfg(feature = "gzip")]
#[test]
fn what_a_killed_process_left_half_compressed_is_cleared_and_done_again() {
    compressed_again(Compression::Gzip, ".gz");
}

#[cfg(feature = "zstd")]
#[test]
fn the_same_with_zstd() {
    compressed_again(Compression::Zstd, ".zst");
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn compressed_again(how: Compression, ending: &str) {
    let folder = Folder::new();
    let path = |name: String| folder.path().join(name);
    let rolled = |year: u32| format!("server.log.{year}0101T000000.000000Z");
    // Killed in the middle; between the rename and the removal; after the file itself was gone.
    fs::write(path(rolled(2001)), line("a", 0)).unwrap();
    fs::write(path(format!(".{}{ending}.tmp", rolled(2001))), "half").unwrap();
    fs::write(path(rolled(2002)), line("a", 1)).unwrap();
    fs::write(path(format!("{}{ending}", rolled(2002))), "as it was made then").unwrap();
    fs::write(path(format!(".{}{ending}.tmp", rolled(2003))), "half").unwrap();
    // Another process is at this one.
    fs::write(path(rolled(2004)), line("a", 2)).unwrap();
    fs::write(path(format!(".{}{ending}.tmp", rolled(2004))), "its own").unwrap();
    let theirs = File::open(path(rolled(2004))).unwrap();
    rustix::fs::flock(&theirs, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (sink, events) = open(&LogFile::new(log(&folder)).compress(how));
    let done = || !path(format!(".{}{ending}.tmp", rolled(2003))).exists();
    wait_until("the compression", || events.compressed() == 2 && done());
    drop(sink);
    let theirs_now = format!(".{}{ending}.tmp", rolled(2004));
    assert_eq!(fs::read_to_string(path(theirs_now.clone())).unwrap(), "its own");
    fs::remove_file(path(theirs_now)).unwrap();
    let names = [
        "server.log".to_owned(),
        format!("{}{ending}", rolled(2001)),
        format!("{}{ending}", rolled(2002)),
        rolled(2004),
    ];
    assert_eq!(folder.names(), names);
    assert_each_once(&read_folder(folder.path()), "a", 0..3);
}

#[test]
fn a_rotation_that_fails_lets_the_file_grow() {
    if rustix::process::geteuid().is_root() {
        // Root may rename anywhere: the same from a user without rights, by a child without them.
        return drop_rights();
    }
    let folder = Folder::new();
    grow(folder.path());
}

fn drop_rights() {
    let folder = Folder::new();
    // Still root, so that it may read and run what root may, but held to the modes of its files.
    let rights = "--bounding-set=-dac_override,-dac_read_search";
    child_by(
        &["setpriv", rights, "--inh-caps=-dac_override,-dac_read_search"],
        "grow",
        folder.path(),
    );
}

fn grow(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let (mut sink, events) = open(&LogFile::new(folder.join("server.log")).rotate_bytes(1024));
    let allow = |mode| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o500);
    for n in 0..20 {
        sink.write(&chunk("a", n..n + 1)).unwrap();
    }
    allow(0o700);
    assert_eq!((events.rotations(), events.errors()), (0, 1), "tried once, and not at each line");
    assert_each_once(&read_folder(folder), "a", 0..20);
}

#[cfg(feature = "gzip")]
#[test]
fn a_compressed_file_is_at_no_moment_open_to_more_than_its_source_was() {
    use std::os::unix::fs::PermissionsExt;

    use crate::sync::{AtomicBool, Ordering};

    let folder = Folder::new();
    let source = folder.path().join(format!("server.log.{STAMP}"));
    let draft = folder.path().join(format!(".server.log.{STAMP}.gz.tmp"));
    let is_over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut modes = std::collections::BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                modes.extend(fs::metadata(&draft).map(|about| about.permissions().mode() & 0o777));
            }
            modes
        });
        for _ in 0..300 {
            fs::write(&source, line("a", 0)).unwrap();
            fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
            super::compress::compress(&source, Compression::Gzip, &|| true).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        looks.join().unwrap()
    });
    assert!(seen.contains(&0o640), "never seen");
    assert!(seen.iter().all(|mode| mode & !0o640 == 0), "{seen:?}");
}

/// Runs `what` in a process of its own, this test binary again, with `folder`.
fn child(what: &str, folder: &Path, set: impl FnOnce(&mut Command)) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    set(&mut command);
    run(command, what, folder);
}

/// The same by way of another program.
fn child_by(way: &[&str], what: &str, folder: &Path) {
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).arg(std::env::current_exe().unwrap());
    run(command, what, folder);
}

fn run(mut command: Command, what: &str, folder: &Path) {
    command.args(["--exact", "export::sink::fault_tests::in_a_child", "--nocapture"]);
    command.env("MCP_VITALS_CHILD", what).env("MCP_VITALS_FOLDER", folder);
    let output = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("the child's part is done"), "{said}");
}

#[test]
fn in_a_child() {
    let Ok(what) = std::env::var("MCP_VITALS_CHILD") else { return };
    let folder = PathBuf::from(std::env::var_os("MCP_VITALS_FOLDER").unwrap());
    match &*what {
        "flood" => flood(&folder),
        "full" => full(&folder),
        "limited" => limited(&folder),
        "grow" => grow(&folder),
        "stdout" => {
            let refused = LogFile::new(folder.join("out.log")).open("s", Arc::default(), None);
            let said = refused.err().map(|error| error.to_string());
            assert!(said.as_ref().is_some_and(|said| said.contains("stdout")), "{said:?}");
        }
        other => unreachable!("{other}"),
    }
    writeln!(io::stderr(), "the child's part is done").unwrap();
}
