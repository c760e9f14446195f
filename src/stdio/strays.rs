//! The pipe in stdout's place, and the thread that empties it.
//!
//! The pipe's writing end blocks, because a print that is refused panics. So the reading end is
//! always read: by a thread that waits for nothing else. It hands its lines to a sink of their own,
//! whose thread alone waits for stderr, and whose queue drops what has no room.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat};

use crate::background::Joined;
use crate::error::{self, Error};
use crate::export::sink::stderr::StderrSink;
use crate::export::sink::{Chunk, SinkEvents, SinkThread};
use crate::sync::{AtomicBool, Ordering, lock};

/// What each line on stderr begins with.
const PREFIX: &[u8] = b"mcp-vitals: stdout: ";

/// Bytes of a line that are shown; the rest is dropped.
const MOST_LINE: usize = 4 << 10;

/// Bytes that may wait for stderr.
const QUEUE: usize = 64 << 10;

/// Reads before somebody else has a turn at the drain.
const READS: usize = 64;

/// How long a line may lack its end before it is shown as it is.
const UNFINISHED: Timespec = Timespec { tv_sec: 3, tv_nsec: 0 };

/// Stdout is guarded. AcqRel on both changes: who guards next finds what the last one put back.
static GUARDED: AtomicBool = AtomicBool::new(false);

/// The drain of the guard that there was last.
static DRAIN: Mutex<Option<Arc<Mutex<Drain>>>> = Mutex::new(None);

/// Puts a pipe in stdout's place and gives the real one.
pub(super) fn divert(count: impl Fn(u64) + Send + 'static) -> Result<File, Error> {
    if GUARDED.swap(true, Ordering::AcqRel) {
        let twice = io::Error::new(io::ErrorKind::AlreadyExists, "it is guarded already");
        return Err(Error::StdoutGuard(twice));
    }
    let diverted = try_divert(Box::new(count));
    if diverted.is_err() {
        GUARDED.store(false, Ordering::Release);
    }
    diverted
}

fn try_divert(count: Box<dyn Fn(u64) + Send>) -> Result<File, Error> {
    let refused = Error::StdoutGuard;
    // What was printed so far belongs where it was meant to go.
    io::stdout().flush().map_err(refused)?;
    // From 3 on, and not for children: only the protocol's own end keeps the client waiting.
    let real = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3);
    let real = File::from(real.map_err(|error| refused(error.into()))?);
    let (reader, writer) = io::pipe().map_err(refused)?;
    let flags = fcntl_getfl(&reader).map_err(|error| refused(error.into()))?;
    fcntl_setfl(&reader, flags | OFlags::NONBLOCK).map_err(|error| refused(error.into()))?;
    let sink = Box::new(StderrSink::default());
    let stderr = SinkThread::start("mcp-vitals-err", sink, QUEUE, Arc::<SinkEvents>::default())?;
    let reader = Arc::new(reader);
    let (lines, block) = (Lines::default(), vec![0; 16 << 10]);
    let drain = Drain { reader: reader.clone(), lines, block, stderr: Arc::new(stderr), count };
    let drain = Arc::new(Mutex::new(drain));
    let own = drain.clone();
    // Never joined: it ends when nobody is left who could print, a child that is still there too.
    Joined::spawn("mcp-vitals-out", move || run(&reader, &own)).map_err(Error::Spawn)?;
    *lock(&DRAIN) = Some(drain);
    rustix::stdio::dup2_stdout(&writer).map_err(|error| refused(error.into()))?;
    Ok(real)
}

/// Puts the real stdout back.
pub(super) fn restore(real: &File) -> io::Result<()> {
    io::stdout().flush()?;
    rustix::stdio::dup2_stdout(real)?;
    GUARDED.store(false, Ordering::Release);
    Ok(())
}

/// Waits until what was printed is on stderr.
pub(super) fn settle(deadline: Instant) -> bool {
    let Some(drain) = lock(&DRAIN).clone() else { return true };
    let _ = io::stdout().flush();
    let stderr = {
        let mut drain = lock(&drain);
        drain.turn();
        drain.end_line();
        drain.stderr.clone()
    };
    // Without the drain, which goes on: a print must not wait for stderr here either.
    stderr.flush(deadline)
}

fn run(reader: &PipeReader, drain: &Mutex<Drain>) {
    let _last = LastResort(reader);
    let mut wait = None;
    loop {
        let mut ready = [PollFd::new(reader, PollFlags::IN)];
        match poll(&mut ready, wait.as_ref()) {
            // Nothing more for a while: what there is of a line is shown.
            Ok(0) => lock(drain).end_line(),
            Ok(_) => {
                if !lock(drain).turn() {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        wait = lock(drain).lines.is_begun().then_some(UNFINISHED);
    }
}

/// Without its reader the pipe would panic whoever prints: stdout goes to `/dev/null` then.
struct LastResort<'a>(&'a PipeReader);

impl Drop for LastResort<'_> {
    fn drop(&mut self) {
        let (Ok(stdout), Ok(pipe)) = (fstat(rustix::stdio::stdout()), fstat(self.0)) else {
            return;
        };
        if (stdout.st_dev, stdout.st_ino) == (pipe.st_dev, pipe.st_ino)
            && let Ok(null) = File::options().write(true).open("/dev/null")
        {
            let _ = rustix::stdio::dup2_stdout(&null);
            error::say(format_args!("stdout is no longer drained: prints are dropped"));
        }
    }
}

/// From the pipe to stderr's queue.
struct Drain {
    reader: Arc<PipeReader>,
    lines: Lines,
    block: Vec<u8>,
    stderr: Arc<SinkThread>,
    count: Box<dyn Fn(u64) + Send>,
}

impl Drain {
    /// Reads what is there, up to a bound; false at the end of it all.
    fn turn(&mut self) -> bool {
        let mut more = true;
        for _ in 0..READS {
            match (&*self.reader).read(&mut self.block) {
                Ok(0) => {
                    self.lines.end();
                    more = false;
                }
                Ok(read) => self.lines.add(&self.block[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    more = error.kind() == io::ErrorKind::WouldBlock;
                    break;
                }
            }
            self.pass_on();
            if !more {
                break;
            }
        }
        more
    }

    /// Shows a line that lacks its end.
    fn end_line(&mut self) {
        self.lines.end();
        self.pass_on();
    }

    fn pass_on(&mut self) {
        let (bytes, lines) = self.lines.take(self.stderr.buffer());
        if lines > 0 {
            (self.count)(lines.into());
        }
        // As warnings: something prints that should not.
        let chunk = Chunk { bytes, lines: [0, lines, 0, 0, 0], ticket: 0 };
        if let Err(chunk) = self.stderr.push(chunk) {
            self.stderr.lose(chunk);
        }
    }
}

/// Bytes as they come, to lines that are safe to show.
#[derive(Debug, Default)]
struct Lines {
    /// The line that has no end yet, up to the bound.
    line: Vec<u8>,
    /// Some bytes of it were dropped.
    cut: bool,
    shown: Vec<u8>,
    count: u32,
}

impl Lines {
    fn is_begun(&self) -> bool {
        !self.line.is_empty()
    }

    fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = MOST_LINE - self.line.len();
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.show();
            }
        }
    }

    /// Shows a line that lacks its end, if there is one.
    fn end(&mut self) {
        if self.is_begun() {
            self.show();
        }
    }

    fn show(&mut self) {
        self.shown.extend_from_slice(PREFIX);
        for part in self.line.utf8_chunks() {
            for char in part.valid().chars() {
                if char.is_control() {
                    let _ = write!(self.shown, "{}", char.escape_default());
                } else {
                    let _ = write!(self.shown, "{char}");
                }
            }
            for byte in part.invalid() {
                let _ = write!(self.shown, "\\x{byte:02x}");
            }
        }
        self.shown.extend_from_slice(if self.cut { b" ...\n" } else { b"\n" });
        self.line.clear();
        self.cut = false;
        self.count += 1;
    }

    /// What there is to show, and how many lines it is; `spare` is used for the next.
    fn take(&mut self, spare: Vec<u8>) -> (Vec<u8>, u32) {
        (std::mem::replace(&mut self.shown, spare), std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&[u8]]) -> (String, u32) {
        let mut lines = Lines::default();
        pieces.iter().for_each(|piece| lines.add(piece));
        lines.end();
        let (bytes, count) = lines.take(Vec::new());
        (String::from_utf8(bytes).unwrap().replace("mcp-vitals: stdout: ", ">"), count)
    }

    #[test]
    fn lines_are_put_together_and_nothing_in_them_controls_a_terminal() {
        assert_eq!(
            shown(&[b"one\ntw", b"o\n", b"", b"\nthree"]),
            (">one\n>two\n>\n>three\n".into(), 4)
        );
        let nasty = "\u{1b}[2J\r\u{9b}\t\u{7f} é".as_bytes();
        assert_eq!(shown(&[nasty]).0, ">\\u{1b}[2J\\r\\u{9b}\\t\\u{7f} é\n");
        assert_eq!(shown(&[b"a\xffb\xc3\n"]).0, ">a\\xffb\\xc3\n");
        // A character that comes in two pieces is one.
        assert_eq!(shown(&[b"\xc3", b"\xa9\n"]).0, ">é\n");
        assert_eq!(shown(&[]), (String::new(), 0));
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.add(&[b'x'; 1000]);
            assert!(lines.line.capacity() <= 2 * MOST_LINE);
        }
        lines.add(b"\nnext\n");
        let (bytes, count) = lines.take(Vec::new());
        assert_eq!((bytes.len(), count), (2 * PREFIX.len() + MOST_LINE + " ...\nnext\n".len(), 2));
    }
}
