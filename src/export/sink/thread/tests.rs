//! A sink that does as it is told, behind its thread and queue.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn long() -> Instant {
    Instant::now() + LONG
}

/// Does with each chunk what the test says, and keeps what it took.
struct Told {
    orders: Receiver<Order>,
    taken: Arc<Mutex<Vec<u8>>>,
    pace: Pace,
    gather: Option<Gather>,
    tally: Option<Tally>,
    ticks: Arc<Mutex<u32>>,
}

enum Order {
    Take,
    /// As a server would refuse it.
    Answer(Again),
    /// The same, with what it took and would not have before.
    Part(Again, Tally),
    Refuse(io::ErrorKind),
    Panic,
}

impl Sink for Told {
    /// Without orders any more it takes everything.
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        match self.orders.recv().unwrap_or(Order::Take) {
            Order::Take => self.taken.lock().unwrap().extend_from_slice(&chunk.bytes),
            Order::Refuse(kind) => return Err(kind.into()),
            Order::Answer(again) => return Err(setback(again)),
            Order::Part(again, tally) => {
                self.tally = Some(tally);
                return Err(setback(again));
            }
            Order::Panic => std::panic::panic_any("told to"),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn tick(&mut self) {
        *self.ticks.lock().unwrap() += 1;
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn gather(&self) -> Option<Gather> {
        self.gather
    }

    fn tally(&mut self) -> Option<Tally> {
        self.tally.take()
    }
}

fn setback(again: Again) -> io::Error {
    io::Error::other(Setback { again, why: "told to".into() })
}

struct Rig {
    thread: SinkThread,
    orders: Option<Sender<Order>>,
    taken: Arc<Mutex<Vec<u8>>>,
    ticks: Arc<Mutex<u32>>,
    events: Arc<SinkEvents>,
}

impl Rig {
    fn new(queue_bytes: usize) -> Rig {
        Rig::with(queue_bytes, Pace::default(), None)
    }

    fn with(queue_bytes: usize, pace: Pace, gather: Option<Gather>) -> Rig {
        let (orders, told) = channel();
        let (taken, events) = (Arc::default(), Arc::new(SinkEvents::default()));
        let ticks = Arc::default();
        let (to, count) = (Arc::clone(&taken), Arc::clone(&ticks));
        let sink = Told { orders: told, taken: to, pace, gather, tally: None, ticks: count };
        let thread =
            SinkThread::start("test", Box::new(sink), queue_bytes, events.clone()).unwrap();
        Rig { thread, orders: Some(orders), taken, ticks, events }
    }

    fn order(&self, order: Order) {
        self.orders.as_ref().unwrap().send(order).unwrap();
    }

    /// From here on all is taken.
    fn release(&mut self) {
        self.orders = None;
    }

    fn taken(&self) -> String {
        String::from_utf8(self.taken.lock().unwrap().clone()).unwrap()
    }
}

fn line(text: &str) -> Chunk {
    Chunk { bytes: format!("{text}\n").into_bytes(), lines: [0, 0, 1, 0, 0], ticket: 0 }
}

#[test]
fn a_sink_that_blocks_holds_up_no_other_and_what_has_no_room_is_counted() {
    let (mut blocked, mut other) = (Rig::new(40), Rig::new(40));
    other.release();
    let mut refused = 0;
    for n in 0..100 {
        let text = format!("line {n:03}");
        if let Err(chunk) = blocked.thread.push(line(&text)) {
            blocked.thread.lose(chunk);
            refused += 1;
        }
        other.thread.push_until(line(&text), long()).unwrap();
    }
    assert!(other.thread.flush(long()));
    assert_eq!(other.taken().lines().count(), 100);
    assert!(!blocked.thread.flush(Instant::now()), "nothing was taken yet");
    assert_eq!(refused, 100 - 4, "four of nine bytes fit into 40");
    assert_eq!(blocked.events.lost(Loss::Full), [0, 0, 96, 0, 0]);
    assert_eq!(blocked.events.queued_bytes(), 36);
    blocked.release();
    assert!(blocked.thread.flush(long()));
    assert_eq!(blocked.taken(), "line 000\nline 001\nline 002\nline 003\n");
    assert_eq!(blocked.events.written(), [0, 0, 4, 0, 0]);
    assert_eq!((blocked.events.written_bytes(), blocked.events.queued_bytes()), (36, 0));
}

/// What it does then may end what ails it: old files that go from a full disk.
#[test]
fn a_sink_that_fails_has_its_ticks() {
    let pace = Pace { patience: LONG, longest: Duration::from_millis(20), ..Pace::default() };
    let mut rig = Rig::with(100, pace, None);
    rig.thread.push(line("waits")).unwrap();
    let begun = Instant::now();
    while *rig.ticks.lock().unwrap() < 2 {
        assert!(begun.elapsed() < LONG, "no tick");
        rig.order(Order::Refuse(io::ErrorKind::StorageFull));
        std::thread::sleep(Duration::from_millis(10));
    }
    rig.release();
    assert!(rig.thread.flush(long()));
    assert_eq!(rig.taken(), "waits\n");
}

#[test]
fn a_chunk_larger_than_the_queue_fits_when_nothing_else_is_there() {
    let rig = Rig::new(4);
    rig.order(Order::Take);
    rig.thread.push(line("longer than that")).unwrap();
    assert!(rig.thread.flush(long()));
    rig.thread.push(line("longer than that")).unwrap();
    assert!(rig.thread.push(line("x")).is_err());
    assert!(rig.thread.push_until(line("x"), Instant::now()).is_err());
    rig.order(Order::Take);
    rig.order(Order::Take);
    assert!(rig.thread.push_until(line("x"), long()).is_ok());
}

#[test]
fn a_refused_chunk_comes_again_and_what_had_no_room_meanwhile_is_counted_as_failed() {
    let mut rig = Rig::new(10);
    rig.thread.push(line("first")).unwrap();
    rig.order(Order::Refuse(io::ErrorKind::StorageFull));
    rig.order(Order::Refuse(io::ErrorKind::StorageFull));
    while rig.events.errors() < 2 {
        std::thread::yield_now();
    }
    let chunk = rig.thread.push(line("second")).unwrap_err();
    rig.thread.lose(chunk);
    assert_eq!(rig.events.lost(Loss::Failed), [0, 0, 1, 0, 0]);
    rig.release();
    assert!(rig.thread.flush(long()));
    assert_eq!(rig.taken(), "first\n");
    let chunk = Chunk { lines: [1, 0, 0, 0, 0], ..line("later") };
    rig.thread.push(chunk).unwrap();
    assert!(rig.thread.stop(long()));
    assert_eq!((rig.events.written(), rig.events.lost_lines()), ([1, 0, 1, 0, 0], 1));
    let chunk = rig.thread.push(line("too late")).unwrap_err();
    rig.thread.lose(chunk);
    assert_eq!(rig.events.lost(Loss::Stopped), [0, 0, 1, 0, 0]);
}

#[test]
fn a_panic_costs_one_chunk() {
    let mut rig = Rig::new(1 << 10);
    for text in ["one", "two", "three"] {
        rig.thread.push(line(text)).unwrap();
    }
    rig.order(Order::Take);
    rig.order(Order::Panic);
    rig.release();
    assert!(rig.thread.flush(long()));
    assert_eq!(rig.taken(), "one\nthree\n");
    assert_eq!((rig.events.restarted(), rig.events.lost(Loss::Failed)[2]), (1, 1));
}

#[test]
fn where_nobody_reads_any_more_nothing_is_tried_again() {
    let mut rig = Rig::new(1 << 10);
    rig.thread.push(line("one")).unwrap();
    rig.order(Order::Refuse(io::ErrorKind::BrokenPipe));
    rig.release();
    assert!(rig.thread.flush(long()));
    assert_eq!((rig.taken().as_str(), rig.events.lost(Loss::Failed)[2]), ("", 1));
}

#[test]
fn what_a_stop_does_not_get_out_in_time_is_lost_and_counted_once() {
    let mut rig = Rig::new(1 << 10);
    for text in ["under way", "queued", "queued"] {
        rig.thread.push(line(text)).unwrap();
    }
    assert!(!rig.thread.stop(Instant::now()));
    assert_eq!(rig.events.lost(Loss::Stopped), [0, 0, 3, 0, 0]);
    rig.release();
    let events = rig.events.clone();
    drop(rig);
    assert_eq!((events.written(), events.lost_lines()), ([0; 5], 3));
}

#[test]
fn a_failing_sink_is_left_at_the_deadline() {
    let rig = Rig::new(1 << 10);
    rig.thread.push(line("one")).unwrap();
    for _ in 0..100 {
        rig.order(Order::Refuse(io::ErrorKind::StorageFull));
    }
    assert!(!rig.thread.stop(Instant::now() + Duration::from_millis(200)));
    assert_eq!(rig.events.lost(Loss::Stopped)[2], 1);
}

#[test]
fn a_flush_waits_for_what_was_pushed_and_not_for_what_comes_later() {
    let mut rig = Rig::new(1 << 10);
    rig.thread.push(line("one")).unwrap();
    rig.thread.push(line("two")).unwrap();
    std::thread::scope(|scope| {
        let flushed = scope.spawn(|| rig.thread.flush(long()));
        while rig.thread.shared.state.lock().unwrap().wanted == 0 {
            std::thread::yield_now();
        }
        rig.thread.push(line("later")).unwrap();
        rig.order(Order::Take);
        rig.order(Order::Take);
        assert!(flushed.join().unwrap());
    });
    assert_eq!(rig.taken(), "one\ntwo\n");
    rig.release();
}

#[test]
fn buffers_are_used_again() {
    let mut rig = Rig::new(1 << 10);
    rig.release();
    let mut bytes = rig.thread.buffer();
    bytes.extend_from_slice(b"line\n");
    let (place, room) = (bytes.as_ptr(), bytes.capacity());
    rig.thread.push(Chunk { bytes, ..line("") }).unwrap();
    assert!(rig.thread.flush(long()));
    let again = rig.thread.buffer();
    assert_eq!((again.as_ptr(), again.capacity(), again.len()), (place, room, 0));
}

#[test]
fn a_chunk_of_nothing_takes_no_place() {
    let rig = Rig::new(100);
    rig.thread.push(Chunk { bytes: vec![b'x'; 100], ..Chunk::default() }).unwrap();
    for _ in 0..1_000 {
        rig.thread.push(Chunk::default()).unwrap();
    }
    assert!(lock(&rig.thread.shared.state).queue.len() <= 1);
}

#[test]
fn a_sink_that_hangs_takes_no_time_from_the_others() {
    let (mut stuck, mut works) = (Rig::new(100), Rig::new(100));
    for rig in [&stuck, &works] {
        rig.thread.push(Chunk { bytes: b"x\n".to_vec(), ..Chunk::default() }).unwrap();
    }
    works.orders = None;
    let threads = [&stuck.thread, &works.thread];
    assert!(!SinkThread::stop_all(&threads, Instant::now() + Duration::from_secs(1)));
    assert!(lock(&works.thread.shared.state).ended, "it had the same second");
    stuck.orders = None;
}

#[test]
fn what_a_server_will_never_take_is_counted_at_once_and_the_next_is_sent() {
    let mut rig = Rig::new(100);
    rig.order(Order::Answer(Again::Never));
    rig.release();
    rig.thread.push(line("refused")).unwrap();
    rig.thread.push(line("taken")).unwrap();
    assert!(rig.thread.flush(long()));
    assert_eq!(rig.taken(), "taken\n");
    assert_eq!(rig.events.lost(Loss::Refused), [0, 0, 1, 0, 0]);
    assert_eq!((rig.events.lost_lines(), rig.events.errors()), (1, 1));
}

#[test]
fn a_chunk_is_tried_no_longer_than_its_sink_has_patience() {
    let mut rig = Rig::with(100, Pace { patience: Duration::ZERO, ..Pace::network() }, None);
    rig.order(Order::Answer(Again::Later(None)));
    rig.release();
    rig.thread.push(line("given up")).unwrap();
    rig.thread.push(line("taken")).unwrap();
    assert!(rig.thread.flush(long()));
    assert_eq!(rig.taken(), "taken\n");
    assert_eq!(rig.events.lost(Loss::Failed), [0, 0, 1, 0, 0]);
}

/// An hour would be longer than the test has.
#[test]
fn a_wait_that_a_server_asks_for_ends_with_the_deadline_of_a_stop() {
    let rig = Rig::new(100);
    rig.order(Order::Answer(Again::Later(Some(LONG * 60))));
    rig.thread.push(line("waits")).unwrap();
    while rig.events.errors() == 0 {
        std::thread::yield_now();
    }
    rig.order(Order::Answer(Again::Later(Some(LONG * 60))));
    assert!(!rig.thread.stop(Instant::now() + Duration::from_millis(50)));
    assert_eq!(rig.events.lost(Loss::Stopped), [0, 0, 1, 0, 0]);
}

#[test]
fn what_a_server_took_before_it_failed_is_not_lost() {
    let mut rig = Rig::with(100, Pace { patience: Duration::ZERO, ..Pace::network() }, None);
    let tally = Tally { taken: 3, refused: 2 };
    rig.order(Order::Part(Again::Later(None), tally));
    rig.release();
    let bytes = b"0123456789".to_vec();
    rig.thread.push(Chunk { bytes, lines: [4, 0, 6, 0, 0], ticket: 0 }).unwrap();
    assert!(rig.thread.flush(long()));
    assert_eq!(rig.events.lost(Loss::Refused), [2, 0, 0, 0, 0]);
    assert_eq!(rig.events.written(), [2, 0, 1, 0, 0]);
    assert_eq!(rig.events.lost(Loss::Failed), [0, 0, 5, 0, 0]);
    assert_eq!(rig.events.written_bytes(), 3);
}

#[test]
fn chunks_wait_for_others_until_they_are_many_or_somebody_waits_for_them() {
    let gather = Gather { linger: LONG * 60, lines: 3, bytes: 1_000 };
    let rig = Rig::with(1_000, Pace::default(), Some(gather));
    // The three are one, and an order is for one.
    rig.order(Order::Take);
    for text in ["one", "two", "three"] {
        rig.thread.push(line(text)).unwrap();
    }
    while rig.events.written() != [0, 0, 3, 0, 0] {
        std::thread::yield_now();
    }
    rig.thread.push(line("four")).unwrap();
    rig.order(Order::Take);
    assert!(rig.thread.flush(long()));
    assert_eq!(rig.taken(), "one\ntwo\nthree\nfour\n");
    // A stop does not wait either.
    rig.thread.push(line("five")).unwrap();
    rig.order(Order::Take);
    assert!(rig.thread.stop(long()));
    assert_eq!(rig.taken(), "one\ntwo\nthree\nfour\nfive\n");
}
