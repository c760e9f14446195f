//! The console over the endpoint: its answers, and event streams as bodies.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::StatusCode;
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
            // Of what is not sent again it would be taken for the file's.
            if parts.status != StatusCode::NOT_MODIFIED {
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            Sent::Whole(Some(bytes))
        }
        Content::Events(events) => Sent::Events(Stream { events, watch: watch.clone() }),
    };
    (reply.event, Answer::from_parts(parts, sent))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Arc;
    use std::thread::yield_now;
    use std::time::Duration;

    use super::super::endpoint::Endpoint;
    use super::super::listen::{Limits, Listen};
    use crate::Cardinality;
    use crate::console::{Console, Engine, Reading};
    use crate::export::Event;
    use crate::export::stub::Stub;

    const SHORT: Duration = Duration::from_millis(50);
    /// What is "for ever" in a test that fails.
    const LONG: Duration = Duration::from_secs(60);

    struct Nothing;

    impl Engine for Nothing {
        fn read(&self, _: &mut Reading) -> bool {
            true
        }

        fn cardinality(&self) -> Cardinality {
            Cardinality::default()
        }
    }

    fn start(limits: Limits, ping: Duration) -> (Endpoint, SocketAddr, Arc<Stub>, Arc<Console>) {
        let (stub, console) = (Arc::new(Stub::new("")), Console::told(Box::new(Nothing), ping));
        let listen = Listen { limits, console: Some(console.clone()), ..Listen::new(0.into()) };
        let endpoint = Endpoint::start(&listen, stub.clone()).unwrap();
        let addr = endpoint.addr().unwrap();
        (endpoint, addr, stub, console)
    }

    fn follow(addr: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(b"GET /console/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut begin = [0; 15];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
        stream
    }

    fn patient() -> Limits {
        Limits { head: LONG, answer: LONG, event: LONG, idle: LONG, ..Limits::default() }
    }

    #[test]
    fn a_viewer_that_reads_slowly_is_closed_and_the_others_go_on() {
        let limits = Limits { event: SHORT, ..patient() };
        let (_endpoint, addr, stub, console) = start(limits, LONG);
        let slow = follow(addr);
        while console.viewers() < 1 {
            yield_now();
        }
        // More than the sockets hold.
        console.tell(vec![b'x'; 32 << 20]);
        stub.wait_for(Event::HttpSlowReader, 1);
        while console.viewers() > 0 {
            yield_now();
        }
        let mut quick = follow(addr);
        console.tell("event: state\ndata: here\n\n");
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains("here") {
            let mut some = [0; 1 << 10];
            let count = quick.read(&mut some).unwrap();
            read.extend_from_slice(&some[..count]);
        }
        drop(slow);
    }

    /// The limits of an answer and of an idle connection are none of a stream's.
    #[test]
    fn a_quiet_stream_gets_pings_and_stays() {
        let limits = Limits { answer: SHORT, idle: SHORT, ..patient() };
        let (mut endpoint, addr, stub, console) = start(limits, Duration::from_millis(20));
        let mut stream = follow(addr);
        let mut read = Vec::new();
        while String::from_utf8_lossy(&read).matches(": ping\n\n").count() < 20 {
            let mut some = [0; 1 << 10];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "it ended");
            read.extend_from_slice(&some[..count]);
        }
        assert_eq!(console.viewers(), 1);
        assert_eq!(stub.seen(Event::HttpSlowReader), 0);
        assert!(endpoint.stop(LONG), "what has no end is not waited for");
        let error = stream.read_to_end(&mut read).err().map(|error| error.kind());
        assert!(matches!(
            error,
            None | Some(ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
        ));
        assert_eq!(console.viewers(), 0);
    }

    #[test]
    fn a_viewer_that_leaves_is_noticed_though_nothing_is_sent() {
        let (_endpoint, addr, stub, console) = start(patient(), LONG);
        let stays = follow(addr);
        let leaves = follow(addr);
        while console.viewers() < 2 {
            yield_now();
        }
        drop(leaves);
        while console.viewers() > 1 {
            yield_now();
        }
        assert_eq!(stub.seen(Event::HttpHungUp), 0, "it was done");
        drop(stays);
    }
}
