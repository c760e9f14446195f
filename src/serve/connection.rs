//! One connection's watch: what its client may take time for, and for how long.
//!
//! hyper has a time-out for the head alone. Here the socket itself tells how far a client is, so
//! that a head that trickles in, an answer that is never read and a connection that idles each have
//! their own bound, and so that the endpoint knows which connection to close for another's sake.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::listen::Limits;

/// Longer than anything takes.
const NEVER: Duration = Duration::from_secs(86_400);

/// How far a client is with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between the connection's start, or a request's first byte, and the end of the head.
    Head,
    /// Between the head and the answer's last byte.
    Answer { begun: bool },
    /// In a stream without an end; `behind` while an event is not in the system's hands.
    #[cfg_attr(not(feature = "console"), allow(dead_code))]
    Stream { behind: bool },
    /// After an answer, before the next request.
    Idle,
}

/// Why a connection is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// The client was too slow, in this phase.
    Slow(Phase),
    /// Too many bytes were held for slow readers, and this one's were the oldest.
    Evicted,
    /// It was idle, and its place was needed.
    MadeRoom,
    /// The endpoint is being stopped.
    Stopping,
    /// The client has closed its side of a connection that a stream is sent on.
    Left,
}

/// What the endpoint knows of one connection. Shared within the endpoint's thread only.
pub(crate) struct Watch {
    limits: Rc<Limits>,
    phase: Cell<Phase>,
    /// When the phase began, and when it must have ended.
    since: Cell<Instant>,
    deadline: Cell<Instant>,
    /// The rendering that is being sent, and its bytes.
    holds: Cell<Option<(u64, usize)>>,
    doom: Cell<Option<Doom>>,
    waker: RefCell<Option<Waker>>,
    /// Close after the answer instead of waiting for the next request.
    closing: Cell<bool>,
}

impl Watch {
    pub(crate) fn new(limits: Rc<Limits>) -> Rc<Watch> {
        let now = Instant::now();
        let deadline = now + limits.head;
        Rc::new(Watch {
            limits,
            phase: Cell::new(Phase::Head),
            since: Cell::new(now),
            deadline: Cell::new(deadline),
            holds: Cell::new(None),
            doom: Cell::new(None),
            waker: RefCell::new(None),
            closing: Cell::new(false),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn since(&self) -> Instant {
        self.since.get()
    }

    /// The rendering that is being sent, and its bytes.
    pub(crate) fn holds(&self) -> Option<(u64, usize)> {
        self.holds.get()
    }

    /// The request's head is whole.
    pub(crate) fn answering(&self) {
        self.enter(Phase::Answer { begun: false });
    }

    /// The answer is this rendering.
    pub(crate) fn hold(&self, number: u64, bytes: usize) {
        self.holds.set(Some((number, bytes)));
    }

    /// Closes the connection: at once.
    pub(crate) fn doom(&self, why: Doom) {
        if self.doom.get().is_none() {
            self.doom.set(Some(why));
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Closes the connection: at once, or after the answer that is being sent.
    pub(crate) fn close_after_answer(&self) {
        self.closing.set(true);
        if !matches!(self.phase.get(), Phase::Answer { .. }) {
            self.doom(Doom::Stopping);
        }
    }

    /// The next event of a stream is being sent.
    #[cfg(feature = "console")]
    pub(crate) fn streaming(&self) {
        // The deadline is for all that is not in the system's hands, and not renewed by each event.
        if self.phase.get() != (Phase::Stream { behind: true }) {
            self.enter(Phase::Stream { behind: true });
        }
        if self.closing.get() {
            self.doom(Doom::Stopping);
        }
    }

    /// There are no more events.
    #[cfg(feature = "console")]
    pub(crate) fn streamed(&self) {
        self.enter(Phase::Answer { begun: true });
    }

    fn enter(&self, phase: Phase) {
        let now = Instant::now();
        let time = match phase {
            Phase::Head => self.limits.head,
            Phase::Answer { .. } => self.limits.answer,
            Phase::Stream { behind: true } => self.limits.event,
            // Until the next event, which is never long away.
            Phase::Stream { behind: false } => NEVER,
            Phase::Idle => self.limits.idle,
        };
        self.phase.set(phase);
        self.since.set(now);
        self.deadline.set(now + time);
    }

    fn was_read(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    fn was_written(&self) {
        // The deadline stays: it is for the whole answer, not for each of its bytes.
        if let Phase::Answer { .. } = self.phase.get() {
            self.phase.set(Phase::Answer { begun: true });
        }
    }

    /// hyper flushes the socket when it has written all that it had; an answer is one piece and
    /// its head, so there is no flush between them.
    fn was_flushed(&self) {
        if self.phase.get() == (Phase::Stream { behind: true }) {
            self.enter(Phase::Stream { behind: false });
        }
        if self.phase.get() == (Phase::Answer { begun: true }) {
            self.holds.set(None);
            self.enter(Phase::Idle);
            if self.closing.get() {
                self.doom(Doom::Stopping);
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if matches!(self.watch.doom.get(), Some(Doom::Slow(_) | Doom::Evicted)) {
            // A reset instead of an end: else the system would hold megabytes of its own for a
            // client that does not read them.
            let _ = self.stream.borrow().set_zero_linger();
        }
    }
}

/// A socket that tells its watch how far the client is.
pub(crate) struct Watched {
    stream: Shared,
    watch: Rc<Watch>,
}

/// hyper reads and writes it; who supervises the connection looks whether the client is still there.
type Shared = Rc<RefCell<TcpStream>>;

impl Watched {
    pub(crate) fn new(stream: Shared, watch: Rc<Watch>) -> Watched {
        Watched { stream, watch }
    }
}

impl Read for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // By way of a buffer of our own: handing hyper's memory to tokio would take `unsafe`, and
        // a request's head is a few hundred bytes.
        let mut bytes = [0; 2048];
        let room = into.remaining().min(bytes.len());
        let mut read = ReadBuf::new(&mut bytes[..room]);
        match Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, &mut read) {
            Poll::Ready(Ok(())) => {
                if !read.filled().is_empty() {
                    self.watch.was_read();
                    into.put_slice(read.filled());
                }
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl Write for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.watch.was_written();
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.borrow_mut()).poll_write_vectored(context, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.watch.was_written();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream.borrow_mut()).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.watch.was_flushed();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(context)
    }
}

/// How a connection ended.
pub(crate) enum End {
    /// hyper ended it.
    Served(hyper::Result<()>),
    /// We did.
    Closed(Doom),
}

/// Drives `connection` until it ends, is doomed, or stays in a phase for too long.
pub(crate) struct Supervised<C> {
    connection: Pin<Box<C>>,
    stream: Shared,
    watch: Rc<Watch>,
    timer: Pin<Box<Sleep>>,
}

impl<C> Supervised<C> {
    pub(crate) fn new(connection: C, stream: Shared, watch: Rc<Watch>) -> Self {
        let timer = Box::pin(sleep_until(watch.deadline.get()));
        Supervised { connection: Box::pin(connection), stream, watch, timer }
    }

    /// Whether the client has left a stream. hyper does not look: a client may close its side after a
    /// request and wait for the answer; but nobody waits for the end of a stream.
    fn has_left(&self, context: &mut Context<'_>) -> bool {
        if !matches!(self.watch.phase.get(), Phase::Stream { .. }) {
            return false;
        }
        let mut byte = [0; 1];
        let mut byte = ReadBuf::new(&mut byte);
        matches!(self.stream.borrow().poll_peek(context, &mut byte), Poll::Ready(Ok(0) | Err(_)))
    }
}

impl<C: Future<Output = hyper::Result<()>>> Future for Supervised<C> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        *self.watch.waker.borrow_mut() = Some(context.waker().clone());
        if let Some(doom) = self.watch.doom.get() {
            return Poll::Ready(End::Closed(doom));
        }
        if let Poll::Ready(result) = self.connection.as_mut().poll(context) {
            return Poll::Ready(End::Served(result));
        }
        // Again: the answer that just ended may have been the last.
        if let Some(doom) = self.watch.doom.get() {
            return Poll::Ready(End::Closed(doom));
        }
        if self.has_left(context) {
            self.watch.doom.set(Some(Doom::Left));
            return Poll::Ready(End::Closed(Doom::Left));
        }
        let deadline = self.watch.deadline.get();
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => {
                let slow = Doom::Slow(self.watch.phase.get());
                self.watch.doom.set(Some(slow));
                Poll::Ready(End::Closed(slow))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
