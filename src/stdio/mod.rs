//! Stdout for the protocol alone: what anybody else prints goes to stderr, and is counted.

#[cfg(unix)]
mod strays;
#[cfg(all(unix, feature = "rmcp"))]
mod transport;

use std::fs::File;
use std::io;
use std::time::Instant;

use crate::error::Error;

/// The stdout of a stdio server, kept for its protocol.
///
/// Under MCP's stdio transport one `println!` of any library breaks the session. While a server is
/// guarded, file descriptor 1 is a pipe: what is printed there, by this process, by C code or by a
/// child that inherits it, comes out on stderr as lines that begin with `mcp-vitals: stdout: `,
/// control characters escaped and cut at 4 KiB, and is counted in
/// `mcp_vitals_stdout_strays_total`. The real stdout is what this holds.
///
/// With the feature `rmcp` it reads from stdin and writes to the real stdout, as `rmcp`'s own
/// `transport::stdio()` does, so it is what to serve on: `server.serve(vitals.guard_stdout()?)`.
/// Any other SDK is given [`protocol`](Self::protocol).
///
/// A print never waits for stderr. Where nobody reads stderr, 64 KiB of lines wait for it, and what
/// comes then is dropped; it was counted all the same.
///
/// Dropping it closes the real stdout, so that the client sees the end, and leaves the pipe in its
/// place: a late print must not reach a client that still reads. [`restore`](Self::restore) puts
/// the real one back. Unix only.
#[derive(Debug)]
#[must_use = "dropped, it closes stdout"]
pub struct StdoutGuard {
    #[cfg(all(unix, feature = "rmcp"))]
    pair: transport::Pair,
    protocol: File,
}

#[cfg(unix)]
impl StdoutGuard {
    /// Puts a pipe in stdout's place; `count` is told of each line that comes out of it.
    pub(crate) fn take(count: impl Fn(u64) + Send + 'static) -> Result<StdoutGuard, Error> {
        let protocol = strays::divert(count)?;
        Ok(StdoutGuard {
            #[cfg(feature = "rmcp")]
            pair: transport::Pair::new(protocol.try_clone().map_err(Error::StdoutGuard)?),
            protocol,
        })
    }

    /// The real stdout once more, for a transport that is given a file. Not buffered.
    ///
    /// An error when the process has no file descriptor left.
    pub fn protocol(&self) -> io::Result<File> {
        self.protocol.try_clone()
    }

    /// Ends the guard: prints go to the real stdout again. For a program that goes on after it has
    /// served; it may guard stdout anew.
    pub fn restore(self) -> io::Result<()> {
        strays::restore(&self.protocol)
    }
}

#[cfg(not(unix))]
impl StdoutGuard {
    /// Always an error here.
    pub(crate) fn take(_: impl Fn(u64) + Send + 'static) -> Result<StdoutGuard, Error> {
        Err(Error::StdoutGuard(io::ErrorKind::Unsupported.into()))
    }

    /// The real stdout once more.
    pub fn protocol(&self) -> io::Result<File> {
        self.protocol.try_clone()
    }

    /// Ends the guard.
    pub fn restore(self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until what was printed so far is on stderr; false when `deadline` came first.
pub(crate) fn settle(deadline: Instant) -> bool {
    #[cfg(unix)]
    return strays::settle(deadline);
    #[cfg(not(unix))]
    return deadline > Instant::now();
}
