//! SIGKILL, again and again: every line whose call returned is in the log or recovered, none twice,
//! none torn.
//!
//! A child logs and writes; its parent kills it, either at a step between write and free that the
//! child has stopped at, or at any moment, and looks at what is left. Ten times each, or as often as
//! `MCP_VITALS_KILLS` says.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use super::super::mapping::Mapping;
use super::*;

const CHILD: &str = "MCP_VITALS_KILL_CHILD";
/// Threads that log: one more than there are rings, so that one shares.
const WRITERS: u64 = 3;
/// The word that says that the child has stopped.
const STOPPED: u64 = 256;
/// Where the child stops: see [`write`].
const STEPS: u64 = 7;

/// What a round does.
struct Round<'a> {
    rings: &'a Path,
    log: &'a Path,
    fsync: bool,
    /// The step and the chunk to stop at; none runs on.
    stop: Option<(u64, u64)>,
}

/// Does nothing unless started by the tests below.
#[test]
fn child() {
    let Ok(task) = env::var(CHILD) else { return };
    let task: Vec<&str> = task.split('|').collect();
    let [rings, log, fsync, step, chunk] = task[..] else { panic!("{task:?}") };
    let file = OpenOptions::new().read(true).write(true).open(Path::new(log).join("progress"));
    let progress = Arc::new(Mapping::new(&file.unwrap(), 4096).unwrap());
    let mut engine = Engine::new(&settings(Path::new(rings)), Overflow::Block(Duration::MAX / 4));
    let path = Path::new(log).join("log");
    engine.file.set_log(&path);
    for who in 0..WRITERS {
        let (rings, progress) = (engine.rings.clone(), progress.clone());
        thread::spawn(move || {
            for number in 0.. {
                line(&rings, who, number);
                progress.word(who * 64).store(number + 1, Ordering::Release);
            }
        });
    }
    let stop = (step.parse::<u64>().unwrap(), chunk.parse::<u64>().unwrap());
    let mut log = Log::open(path);
    loop {
        let Some((ticket, lines)) = engine.drain() else {
            thread::yield_now();
            continue;
        };
        // As a rotation does it.
        if ticket.is_multiple_of(16) {
            let path = log.path.clone();
            fs::rename(&path, path.with_extension(ticket.to_string())).unwrap();
            log = Log::open(path);
        }
        write(&engine.journal, &mut log, ticket, &lines, fsync == "true", &|step| {
            if stop.0 == step && ticket >= stop.1 {
                progress.word(STOPPED).store(1, Ordering::Release);
                loop {
                    thread::park();
                }
            }
        });
    }
}

/// Writes a chunk, every third one in two parts, and says at which step it is.
fn write(
    journal: &Journal,
    log: &mut Log,
    ticket: u64,
    lines: &[u8],
    fsync: bool,
    at_step: &dyn Fn(u64),
) {
    let parts = if ticket.is_multiple_of(3) { vec![0, lines.len() / 2] } else { vec![0] };
    at_step(0);
    for (number, from) in parts.iter().enumerate() {
        let to = parts.get(number + 1).copied().unwrap_or(lines.len());
        let (id, offset) = log.id();
        journal.before(id, offset, ticket, lines, *from);
        at_step(1 + number as u64);
        log.file.write_all(&lines[*from..to]).unwrap();
        at_step(3 + number as u64);
    }
    if fsync {
        log.file.sync_all().unwrap();
    }
    at_step(5);
    journal.after(ticket);
    at_step(6);
}

fn spawn(round: &Round<'_>) -> Child {
    let (step, chunk) = round.stop.unwrap_or((u64::MAX, u64::MAX));
    let (rings, log) = (round.rings.display(), round.log.display());
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "ring::durable::tests::kill_tests::child", "--nocapture"])
        .env(CHILD, format!("{rings}|{log}|{}|{step}|{chunk}", round.fsync))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// One child, killed; what was lost, doubled or torn is a panic.
fn kill_once(round: &Round<'_>, moment: u64) -> (u64, Recovered) {
    let progress = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(round.log.join("progress"))
        .unwrap();
    progress.set_len(4096).unwrap();
    let progress = Mapping::new(&progress, 4096).unwrap();
    let mut child = spawn(round);
    let returned = |who: u64| progress.word(who * 64).load(Ordering::Acquire);
    let is_there = || match round.stop {
        Some(_) => progress.word(STOPPED).load(Ordering::Acquire) == 1,
        None => (0..WRITERS).all(|who| returned(who) > moment),
    };
    let began = Instant::now();
    while !is_there() {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        assert!(began.elapsed() < Duration::from_secs(120), "the child does not move");
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let orphan = adopt(round.rings);
    let (mut lines, recovered) = recover(&orphan, true);
    orphan.remove().unwrap();
    lines.extend(read_all(round.log, "log").unwrap());
    let counts = count(&lines);
    let mut all = 0;
    for who in 0..WRITERS {
        let returned = returned(who);
        all += returned;
        for number in 0..returned {
            let there = counts.get(&(who, number)).copied().unwrap_or(0);
            assert_eq!(there, 1, "line {number} of {who}: {recovered:?}, {:?}", round.stop);
        }
    }
    // The line that was being written may be there.
    assert!(counts.values().all(|there| *there == 1), "{recovered:?}, {:?}", round.stop);
    assert!(counts.len() as u64 <= all + WRITERS);
    assert!(!recovered.doubtful, "{recovered:?}");
    assert!(super::super::owner::files(round.rings, None).unwrap().is_empty());
    (all, recovered)
}

/// Rings in `rings`, the log in a folder of the ordinary file system.
fn kill(rings: &Path, fsync: bool) {
    let rounds = env::var("MCP_VITALS_KILLS").map_or(10, |rounds| rounds.parse().unwrap());
    let (mut all, mut recovered, mut finished, mut kept) = (0, 0, 0, 0);
    for round in 0..rounds {
        let log = Folder::temp();
        // Steps in turn, at chunks that differ; every eighth round at any moment.
        let stop = (round % 8 != 7).then_some((round % 8 % STEPS, 2 + round * 7 % 40));
        let round_of = Round { rings, log: &log.0, fsync, stop };
        let (lines, of) = kill_once(&round_of, 1_000 + round * 997 % 20_000);
        all += lines;
        recovered += of.tally.lines;
        finished += of.finished;
        kept += of.tally.written;
    }
    say(format_args!(
        "{rounds} kills, rings in {rings:?}, fsync {fsync}: {all} lines returned, {recovered} \
         recovered, {finished} finished in the log, {kept} found there"
    ));
    assert!(recovered > 0);
}

/// Mounted, and unmounted in the end.
struct Tmpfs(Folder);

impl Tmpfs {
    fn mount(size: &str) -> io::Result<Tmpfs> {
        let folder = Folder::temp();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&folder.0)
            .stderr(Stdio::null())
            .status()?;
        match mounted.success() {
            true => Ok(Tmpfs(folder)),
            false => Err(io::Error::other("mount(8) refused")),
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0.0).status();
    }
}

#[test]
fn nothing_is_lost_doubled_or_torn_by_a_kill_with_rings_in_memory() {
    match Tmpfs::mount("1m") {
        Ok(tmpfs) => kill(&tmpfs.0.0, false),
        Err(error) => {
            let shm = Folder::new(Path::new("/dev/shm"));
            say(format_args!("NOT ON A TMPFS OF 1 MiB: {error} (needs root); on /dev/shm instead"));
            kill(&shm.0, false);
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_torn_by_a_kill_with_rings_on_a_disk_under_fsync() {
    let disk = Folder::temp();
    kill(&disk.0, true);
}

#[test]
fn a_file_system_that_is_too_small_is_an_error_and_nothing_is_left() {
    let tmpfs = match Tmpfs::mount("256k") {
        Ok(tmpfs) => tmpfs,
        Err(error) => {
            // By a limit on a file's size it would be a signal; there is no other way.
            return say(format_args!("NOT TESTED: a full tmpfs: {error}"));
        }
    };
    let error = RingFile::create(&settings(&tmpfs.0.0), RATE, Anchor::default()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert_eq!(fs::read_dir(&tmpfs.0.0).unwrap().count(), 0);
}

/// On stderr, past what the harness keeps for itself: what was not tested is never silent.
fn say(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "rings: {what}");
}
