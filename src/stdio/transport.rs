//! The guarded stdout, with stdin, as the pair that `rmcp` serves on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::StdoutGuard;

/// What the runtime reads and writes; both on its blocking threads, as `rmcp`'s own `stdio()`.
#[derive(Debug)]
pub(super) struct Pair {
    input: tokio::io::Stdin,
    output: tokio::fs::File,
}

impl Pair {
    pub(super) fn new(real: std::fs::File) -> Pair {
        Pair { input: tokio::io::stdin(), output: tokio::fs::File::from_std(real) }
    }
}

/// Feature `rmcp`: reads stdin.
impl AsyncRead for StdoutGuard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pair.input).poll_read(context, buffer)
    }
}

/// Feature `rmcp`: writes the real stdout.
impl AsyncWrite for StdoutGuard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pair.output).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pair.output).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pair.output).poll_shutdown(context)
    }
}
