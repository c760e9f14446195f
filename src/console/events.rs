//! Streams of server-sent events, which a viewer's connection asks for as fast as it takes them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep};

use super::Console;
use super::lines::Follower;

/// Without anything to say, a comment is sent this often: what stands between, and we ourselves, learn
/// by it that somebody is still there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(5);

const PING: &[u8] = b": ping\n\n";

/// How long a browser waits before it comes again.
const RETRY: &str = "retry: 2000\n\n";

/// One viewer's events. Its place is free again when it is dropped.
pub(crate) struct Events {
    feed: Feed,
    ping: Pin<Box<Sleep>>,
    place: Place,
}

/// What is followed.
pub(super) enum Feed {
    /// The state; the number of the last one that was sent.
    States { seen: u64, first: Option<Bytes> },
    /// Lines of the logs; whether the first event was sent, and when is the next look.
    Lines { follower: Box<Follower>, begun: bool, look: Pin<Box<Sleep>> },
}

/// How often new lines are looked for: the flusher has them some milliseconds after they were logged.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Feed {
    pub(super) fn lines(follower: Follower) -> Feed {
        let look = Box::pin(sleep(LOOK_EVERY));
        Feed::Lines { follower: Box::new(follower), begun: false, look }
    }
}

/// New lines as events.
fn lines(
    follower: &mut Follower,
    begun: &mut bool,
    look: &mut Pin<Box<Sleep>>,
    context: &mut Context<'_>,
) -> Poll<Option<Bytes>> {
    let mut out = Vec::new();
    if !std::mem::replace(begun, true) {
        // The browser takes the stream for open when something comes.
        out.extend_from_slice(RETRY.as_bytes());
    }
    let more = follower.next(&mut out);
    if !out.is_empty() {
        return Poll::Ready(Some(out.into()));
    }
    if more {
        // None of these were wanted. Others have their turn before the next ones are looked at.
        context.waker().wake_by_ref();
        return Poll::Pending;
    }
    while look.as_mut().poll(context).is_ready() {
        look.as_mut().reset(Instant::now() + LOOK_EVERY);
    }
    Poll::Pending
}

/// A place among the viewers of one kind.
pub(super) struct Place {
    pub(super) console: Arc<Console>,
    pub(super) kind: Kind,
}

/// What viewers follow; there are so many places for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    States,
    Lines,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.console.left(self.kind);
    }
}

impl Events {
    pub(super) fn new(feed: Feed, place: Place) -> Events {
        Events { feed, ping: Box::pin(sleep(place.console.ping_every)), place }
    }

    /// What to send next; nothing at the end.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let console = &self.place.console;
        let next = match &mut self.feed {
            Feed::States { seen, first } => match first.take() {
                Some(first) => Poll::Ready(Some(first)),
                None => console.board.poll(seen, context),
            },
            Feed::Lines { .. } if console.board.is_over() => Poll::Ready(None),
            Feed::Lines { follower, begun, look } => lines(follower, begun, look, context),
        };
        if next.is_ready() {
            self.ping.as_mut().reset(Instant::now() + console.ping_every);
            return next;
        }
        match self.ping.as_mut().poll(context) {
            Poll::Ready(()) => {
                self.ping.as_mut().reset(Instant::now() + console.ping_every);
                // Registered anew: the timer wakes only who has asked it since.
                let _ = self.ping.as_mut().poll(context);
                Poll::Ready(Some(Bytes::from_static(PING)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// An event of one line of data, which is what JSON is.
pub(super) fn event(name: &str, id: Option<u64>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 64);
    put(&mut out, name, id, data);
    out.freeze()
}

/// The same, the first of a stream.
pub(super) fn first(name: &str, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 64);
    out.put_slice(RETRY.as_bytes());
    put(&mut out, name, None, data);
    out.freeze()
}

pub(super) fn put(out: &mut BytesMut, name: &str, id: Option<u64>, data: &[u8]) {
    if let Some(id) = id {
        out.put_slice(format!("id: {id}\n").as_bytes());
    }
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\ndata: ");
    // A line's end would end the data: in JSON there is none but between its words.
    data.split(|byte| matches!(byte, b'\n' | b'\r')).for_each(|part| out.put_slice(part));
    out.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data() {
        assert_eq!(event("state", None, b"{}"), "event: state\ndata: {}\n\n");
        assert_eq!(event("line", Some(7), b"{\n}\r"), "id: 7\nevent: line\ndata: {}\n\n");
        assert_eq!(first("state", b"1"), "retry: 2000\n\nevent: state\ndata: 1\n\n");
    }
}
