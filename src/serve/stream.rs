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

/// What the console answers, as the endpoint sends it, and the bytes that it holds until they are read:
/// those of a stream are the board's, which all viewers share.
pub(super) fn answer(reply: Reply, watch: &Rc<Watch>) -> (Event, Answer, usize) {
    let (mut parts, content) = reply.response.into_parts();
    let mut held = 0;
    let sent = match content {
        Content::Whole(bytes) => {
            // Of what is not sent again it would be taken for the file's.
            if parts.status != StatusCode::NOT_MODIFIED {
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            held = bytes.len();
            Sent::Whole(Some(bytes))
        }
        Content::Events(events) => Sent::Events(Stream { events, watch: watch.clone() }),
    };
    (reply.event, Answer::from_parts(parts, sent), held)
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
    use crate::console::{Console, Nothing};
    use crate::export::Event;
    use crate::export::stub::Stub;

    const SHORT: Duration = Duration::from_millis(50);
    /// What is "for ever" in a test that fails.
    const LONG: Duration = Duration::from_secs(60);

    type Started = (Endpoint, SocketAddr, Arc<Stub>, Arc<Console>);

    fn start(limits: Limits, ping: Duration) -> Started {
        start_as("here", limits, ping)
    }

    fn start_as(service: impl Into<String>, limits: Limits, ping: Duration) -> Started {
        let console = Console::told(service, Box::new(Nothing), ping);
        let stub = Arc::new(Stub::new(""));
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

    #[test]
    fn slow_readers_of_answers_lose_the_oldest_past_a_bound() {
        // More than the sockets hold, in each state.
        let service = "x".repeat(16 << 20);
        let limits = Limits { held_bytes: 72 << 20, ..patient() };
        let (_endpoint, addr, stub, _console) = start_as(service, limits, LONG);
        let ask = || {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            let request = b"GET /console/api/state HTTP/1.1\r\nhost: localhost\r\n\
                            connection: close\r\n\r\n";
            stream.write_all(request).unwrap();
            stream.read_exact(&mut [0; 1]).unwrap();
            stream
        };
        // Four are within the bound, so that the fifth and sixth cost the oldest two.
        let mut slow: Vec<_> = (0..6).map(|_| ask()).collect();
        stub.wait_for(Event::HttpEvicted, 2);
        let read = |mut stream: TcpStream| {
            let mut read = Vec::new();
            let _ = stream.read_to_end(&mut read);
            read.len()
        };
        let newest: Vec<usize> = slow.split_off(2).into_iter().map(read).collect();
        assert!(newest.iter().all(|read| *read > 16 << 20), "{newest:?}");
        assert!(slow.into_iter().all(|oldest| read(oldest) < 16 << 20));
        assert_eq!(stub.seen(Event::HttpEvicted), 2);
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
