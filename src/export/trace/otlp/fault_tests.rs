//! A collector that fails in every way that they do: nobody waits for it, what is lost is counted by
//! reason, nothing is sent again that it has, and all goes on by itself once it is back.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::*;
use crate::Vitals;
use crate::export::sink::{Loss, SinkEvents};
use crate::sync::{AtomicU32, Ordering};
use crate::traces::TraceConfig;

const LONG: Duration = Duration::from_secs(60);

/// What a collector does with a request that it has read.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Takes it.
    Take,
    /// Answers so, and takes nothing.
    Say(&'static str),
    /// Takes it, and rejects so many spans by a partial success.
    Reject(u8),
    /// Closes the connection without an answer.
    Close,
    /// Says nothing more, but does not close.
    HalfClose,
    /// Answers half, and closes.
    Half,
    /// Takes it once it may.
    Hold,
}

#[derive(Default)]
struct State {
    script: VecDeque<Does>,
    /// The names of the spans that were taken, by request.
    taken: Vec<Vec<String>>,
    requests: usize,
    may_go: bool,
    /// It has died: it takes no connection, and answers on none.
    dead: bool,
    listens: bool,
}

/// After its script it takes everything.
#[derive(Clone)]
struct Collector {
    state: Arc<(Mutex<State>, Condvar)>,
    addr: SocketAddr,
}

impl Collector {
    fn start(script: &[Does]) -> Collector {
        let collector = Collector::absent(script);
        collector.listen();
        collector
    }

    /// At an address where nobody listens yet.
    fn absent(script: &[Does]) -> Collector {
        // Each of an address of its own: nobody else is given the port while nobody listens there.
        static LAST: AtomicU32 = AtomicU32::new(100);
        let last = if cfg!(target_os = "linux") { LAST.fetch_add(1, Ordering::Relaxed) } else { 1 };
        let last = last as u8;
        let addr = TcpListener::bind(SocketAddr::from(([127, 0, 0, last], 0)))
            .unwrap()
            .local_addr()
            .unwrap();
        let state = State { script: script.iter().copied().collect(), ..State::default() };
        Collector { state: Arc::new((Mutex::new(state), Condvar::new())), addr }
    }

    /// From now on. Its threads end with the test's process.
    fn listen(&self) {
        let listener = TcpListener::bind(self.addr).unwrap();
        let this = self.clone();
        let mut state = self.state.0.lock().unwrap();
        (state.dead, state.listens) = (false, true);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if this.is_dead() {
                    break;
                }
                let this = this.clone();
                thread::spawn(move || this.serve(stream.unwrap()));
            }
            drop(listener);
            this.state.0.lock().unwrap().listens = false;
            this.state.1.notify_all();
        });
    }

    fn is_dead(&self) -> bool {
        self.state.0.lock().unwrap().dead
    }

    /// From now on nobody is there, until it listens again.
    fn die(&self) {
        let (lock, changed) = &*self.state;
        lock.lock().unwrap().dead = true;
        // Its last one, which nobody answers.
        drop(TcpStream::connect(self.addr));
        let listens = |state: &mut State| state.listens;
        drop(changed.wait_while(lock.lock().unwrap(), listens).unwrap());
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).ok()? > 2 {
                head += &line.to_ascii_lowercase();
                line.clear();
            }
            let length = head.split("content-length: ").nth(1)?.lines().next()?;
            let mut body = vec![0; length.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            let names = names(&body);
            let (lock, changed) = &*self.state;
            let mut state = lock.lock().unwrap();
            if state.dead {
                return None;
            }
            state.requests += 1;
            changed.notify_all();
            let does = state.script.pop_front().unwrap_or(Does::Take);
            if let Does::Hold = does {
                state = changed.wait_while(state, |state| !state.may_go).unwrap();
            }
            if let Does::Take | Does::Reject(_) | Does::Hold = does {
                state.taken.push(names);
            }
            drop(state);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n";
            let answer = match does {
                Does::Take | Does::Hold => format!("{head}content-length: 0\r\n\r\n").into_bytes(),
                Does::Reject(spans) => {
                    let body = [0x0a, 2, 0x08, spans];
                    [format!("{head}content-length: 4\r\n\r\n").as_bytes(), &body].concat()
                }
                Does::Say(status) => {
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
                }
                Does::Close => return None,
                Does::HalfClose => {
                    stream.shutdown(Shutdown::Write).ok()?;
                    // Until the other side gives it up.
                    reader.read_to_end(&mut Vec::new()).ok()?;
                    return None;
                }
                Does::Half => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").ok()?;
                    return None;
                }
            };
            stream.write_all(&answer).ok()?;
        }
    }

    fn wait_for_requests(&self, requests: usize) {
        let (lock, changed) = &*self.state;
        let is_early = |state: &mut State| state.requests < requests;
        drop(changed.wait_while(lock.lock().unwrap(), is_early).unwrap());
    }

    fn release(&self) {
        self.state.0.lock().unwrap().may_go = true;
        self.state.1.notify_all();
    }

    fn requests(&self) -> usize {
        self.state.0.lock().unwrap().requests
    }

    /// The names of all spans that were taken, sorted.
    fn taken(&self) -> Vec<String> {
        let mut taken = self.state.0.lock().unwrap().taken.concat();
        taken.sort();
        taken
    }
}

fn names(body: &[u8]) -> Vec<String> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
}

/// The exporter, and what is counted of it.
struct Watched {
    otlp: Otlp,
    events: Arc<Mutex<Arc<SinkEvents>>>,
}

impl Way for Watched {
    fn name(&self) -> &'static str {
        self.otlp.name()
    }

    fn open(&self, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error> {
        *self.events.lock().unwrap() = origin.events.clone();
        self.otlp.open(origin)
    }
}

struct Rig {
    vitals: Vitals,
    events: Arc<SinkEvents>,
    collector: Collector,
    made: usize,
}

impl Rig {
    fn new(collector: Collector, change: impl FnOnce(Otlp) -> Otlp) -> Rig {
        let events = Arc::new(Mutex::default());
        let otlp = change(Otlp::http(&format!("http://{}", collector.addr)));
        let watched = Watched { otlp, events: Arc::clone(&events) };
        let traces = TraceConfig::to_memory().queue_bytes(64 << 10).way(watched);
        let vitals = Vitals::builder().system_metrics(false).traces(traces).build().unwrap();
        let events = events.lock().unwrap().clone();
        Rig { vitals, events, collector, made: 0 }
    }

    fn start(script: &[Does]) -> Rig {
        Rig::new(Collector::start(script), |otlp| otlp)
    }

    fn make(&mut self, spans: usize) {
        let tracer = self.vitals.tracer("test");
        for at in self.made..self.made + spans {
            tracer.span(&format!("{at:05}")).end();
        }
        self.made += spans;
    }

    fn flush(&self) {
        assert!(self.vitals.flush(LONG));
    }

    fn lost(&self, why: Loss) -> u64 {
        self.events.lost(why).iter().sum()
    }

    fn written(&self) -> u64 {
        self.events.written().iter().sum()
    }

    /// All of them, and each once.
    fn assert_whole(&self) {
        let expected: Vec<_> = (0..self.made).map(|at| format!("{at:05}")).collect();
        assert_eq!(self.collector.taken(), expected);
        assert_eq!((self.written(), self.events.lost_lines()), (self.made as u64, 0));
    }
}

#[test]
fn a_collector_that_comes_later_gets_all_that_waited() {
    let mut rig = Rig::new(Collector::absent(&[]), |otlp| otlp);
    rig.make(10);
    while rig.events.errors() == 0 {
        rig.vitals.flush(Duration::from_millis(1));
    }
    rig.collector.listen();
    rig.flush();
    rig.assert_whole();
}

#[test]
fn a_collector_that_dies_and_comes_back_gets_all_without_a_restart() {
    let mut rig = Rig::start(&[]);
    for _ in 0..3 {
        rig.make(10);
        rig.flush();
        rig.collector.die();
        rig.make(10);
        let before = rig.events.errors();
        while rig.events.errors() == before {
            rig.vitals.flush(Duration::from_millis(1));
        }
        rig.collector.listen();
        rig.flush();
    }
    rig.assert_whole();
}

#[test]
fn what_failed_is_sent_again_and_arrives_once() {
    for fault in [
        Does::Say("503 Service Unavailable"),
        Does::Say("502 Bad Gateway\r\nretry-after: 0"),
        Does::Say("504 Gateway Timeout"),
        Does::Say("429 Too Many Requests\r\nretry-after: 0"),
        Does::Say("429 Too Many Requests\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT"),
        Does::Close,
        Does::HalfClose,
        Does::Half,
    ] {
        let mut rig = Rig::start(&[fault, Does::Take, fault]);
        for _ in 0..3 {
            rig.make(10);
            rig.flush();
        }
        rig.assert_whole();
        assert_eq!((rig.collector.requests(), rig.events.errors()), (5, 2), "{fault:?}");
    }
}

#[test]
fn what_is_refused_is_not_sent_again_and_what_comes_next_is() {
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found", "500 Oops"] {
        let mut rig = Rig::start(&[Does::Say(status)]);
        rig.make(10);
        rig.flush();
        assert_eq!((rig.lost(Loss::Refused), rig.events.lost_lines(), rig.written()), (10, 10, 0));
        rig.make(1);
        rig.flush();
        assert_eq!(rig.collector.taken(), ["00010"]);
        assert_eq!((rig.collector.requests(), rig.written()), (2, 1), "{status}");
    }
}

#[test]
fn what_is_too_large_is_sent_in_halves() {
    let large = Does::Say("413 Content Too Large");
    let mut rig = Rig::start(&[large, large, Does::Take, Does::Say("503 Later")]);
    rig.make(10);
    rig.flush();
    rig.assert_whole();
    let sizes: Vec<_> = rig.collector.state.0.lock().unwrap().taken.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 3, 1]);
}

#[test]
fn spans_that_a_collector_rejects_are_counted() {
    let mut rig = Rig::start(&[Does::Reject(4)]);
    rig.make(10);
    rig.flush();
    assert_eq!((rig.lost(Loss::Refused), rig.written(), rig.collector.requests()), (4, 6, 1));
}

/// The collector answers only when all has been recorded.
#[test]
fn nobody_waits_for_a_slow_collector_and_what_has_no_room_is_counted() {
    let mut rig = Rig::start(&[Does::Hold]);
    rig.make(1);
    rig.vitals.flush(Duration::ZERO);
    rig.collector.wait_for_requests(1);
    for _ in 0..20 {
        rig.make(100);
        // The flusher takes them, and waits for nobody either.
        rig.vitals.flush(Duration::from_millis(1));
        assert!(rig.events.queued_bytes() <= 64 << 10, "{}", rig.events.queued_bytes());
    }
    assert_eq!(rig.collector.requests(), 1);
    while rig.lost(Loss::Full) == 0 {
        rig.vitals.flush(Duration::from_millis(1));
    }
    rig.collector.release();
    rig.flush();
    let (lost, written) = (rig.lost(Loss::Full), rig.written());
    assert_eq!((lost + written, lost), (rig.made as u64, rig.events.lost_lines()));
    let mut taken = rig.collector.taken();
    assert_eq!(taken.len() as u64, written);
    taken.dedup();
    assert_eq!(taken.len() as u64, written, "none came twice");
}

#[test]
fn an_answer_that_takes_too_long_is_not_waited_for() {
    let collector = Collector::start(&[Does::Hold]);
    let mut rig = Rig::new(collector, |otlp| otlp.timeout(Duration::from_millis(50)));
    rig.make(3);
    rig.flush();
    // The first may have been taken, or the second as well; nobody can know.
    let mut taken = rig.collector.taken();
    taken.dedup();
    assert_eq!((taken.len(), rig.written()), (3, 3));
    assert!(rig.collector.requests() >= 2);
}

#[test]
fn a_shutdown_has_its_deadline_whatever_the_collector_does() {
    let mut rig = Rig::start(&[Does::Hold]);
    rig.make(10);
    rig.vitals.flush(Duration::ZERO);
    rig.collector.wait_for_requests(1);
    rig.make(10);
    rig.vitals.shutdown(Duration::from_millis(50));
    assert_eq!(rig.lost(Loss::Stopped), 20);
    assert_eq!(rig.collector.taken(), [""; 0]);
    rig.collector.release();

    let mut rig = Rig::new(Collector::absent(&[]), |otlp| otlp);
    rig.make(10);
    rig.vitals.shutdown(Duration::from_millis(50));
    assert_eq!(rig.lost(Loss::Stopped), 10);
}

#[test]
fn a_shutdown_sends_what_waits_for_others() {
    let mut rig = Rig::start(&[]);
    rig.make(10);
    rig.vitals.shutdown(LONG);
    rig.assert_whole();
}
