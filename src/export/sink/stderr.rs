//! Lines to stderr: what a stdio server's client shows or keeps.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use super::{Chunk, Sink};

/// How often, and how long, a stderr that was made non-blocking is waited for within one write.
const TRIES: u32 = 100;
const TRY: Duration = Duration::from_millis(10);

/// Whole chunks to stderr, under its lock, so that a host's own line comes before or after.
///
/// A stderr that is closed takes everything, as the standard library's does; one that nobody reads
/// any more refuses, and the lines are counted as lost.
#[derive(Debug, Default)]
pub(crate) struct StderrSink {
    /// Bytes of the chunk under way that are out.
    done: usize,
}

impl Sink for StderrSink {
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        put(&mut stderr, &chunk.bytes, &mut self.done)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }

    fn abandon(&mut self) {
        self.done = 0;
    }
}

/// Writes what follows `done`, which it keeps up to date; back to 0 at the end.
fn put(to: &mut dyn Write, bytes: &[u8], done: &mut usize) -> io::Result<()> {
    let mut tries = 0;
    while *done < bytes.len() {
        match to.write(&bytes[*done..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                *done += written;
                tries = 0;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever shares the terminal may have made it non-blocking for all.
            Err(error) if error.kind() == ErrorKind::WouldBlock && tries < TRIES => {
                tries += 1;
                thread::sleep(TRY);
            }
            Err(error) => return Err(error),
        }
    }
    *done = 0;
    Ok(())
}

/// Whether lines on stderr are to be coloured: it is a terminal that can, or `CLICOLOR_FORCE` asks
/// for it, and `NO_COLOR` does not forbid it.
pub(crate) fn wants_colour() -> bool {
    colour(io::stderr().is_terminal(), |name| std::env::var_os(name))
}

fn colour(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let is = |name, what: &str| set(name).is_some_and(|value| value == what);
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0") {
        return true;
    }
    is_terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_unless_somebody_says_otherwise() {
        let ask = |terminal, variables: &[(&str, &str)]| {
            colour(terminal, |name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        assert!(ask(true, &[]));
        assert!(!ask(false, &[]));
        assert!(!ask(true, &[("NO_COLOR", "1")]));
        assert!(ask(true, &[("NO_COLOR", "")]), "an empty one is as good as none");
        assert!(!ask(true, &[("TERM", "dumb")]));
        assert!(!ask(true, &[("CLICOLOR", "0")]));
        assert!(ask(false, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")]));
        assert!(!ask(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!ask(true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    }

    /// Takes three bytes, then refuses once, and so on.
    struct Grudging(Vec<u8>, bool);

    impl Write for Grudging {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if !self.1 {
                return Err(ErrorKind::StorageFull.into());
            }
            let some = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_retry_goes_on_where_it_stopped() {
        let (mut to, mut done) = (Grudging(Vec::new(), false), 0);
        for line in ["one line\n", "and another\n"] {
            while put(&mut to, line.as_bytes(), &mut done).is_err() {}
        }
        assert_eq!(String::from_utf8(to.0).unwrap(), "one line\nand another\n");
    }
}
