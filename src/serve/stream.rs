//! The console over the endpoint: its answers, and event streams as bodies.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderValue};

use super::answer::{Answer, Sent};
use super::connection::Watch;
use crate::console::{Content, Events, Reply};
use crate::export::Event;

/// A stream of events, and the watch of the connection that it is sent on.
pub(crate) struct Stream {
    events: Events,
    watch: Rc<Watch>,
}

impl Stream {
    /// What to send next; nothing at the end.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = self.events.poll(context);
        match &next {
            Poll::Ready(Some(_)) => self.watch.streaming(),
            Poll::Ready(None) => self.watch.streamed(),
            Poll::Pending => {}
        }
        next
    }
}

/// What the console answers, as the endpoint sends it.
pub(super) fn answer(reply: Reply, watch: &Rc<Watch>) -> (Event, Answer) {
    let (mut parts, content) = reply.response.into_parts();
    let sent = match content {
        Content::Whole(bytes) => {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            Sent::Whole(Some(bytes))
        }
        Content::Events(events) => Sent::Events(Stream { events, watch: watch.clone() }),
    };
    (reply.event, Answer::from_parts(parts, sent))
}
