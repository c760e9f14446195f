//! The endpoint: one thread, one current-thread runtime, hyper's HTTP/1.
//!
//! Everything that a client can hold is bounded by [`Limits`]: connections, head, answer, idle
//! time, bytes of old answers. Rendering happens on this thread; a client that reads slowly holds
//! one shared text and no turn.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::{self, Answer, Asked};
use super::connection::{Doom, End, Phase, Supervised, Watch, Watched};
use super::listen::{Limits, Listen, OnPortTaken};
use super::log_level;
use super::scrapes::{Renderings, Scraped};
use super::token::{self, Token};
#[cfg(feature = "console")]
use super::{scrapes, stream};
use crate::background::{DROP_DEADLINE, Joined};
#[cfg(feature = "console")]
use crate::console::{self, Console};
use crate::error::Error;
use crate::export::{Event, Source};

/// How long accepting rests after the system refused, for want of file descriptors, say: the
/// refused connection stays in the queue, so that an accept at once would fail at once.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How long the thread may outlast the deadline of [`Endpoint::stop`] that its connections keep.
const GRACE: Duration = Duration::from_millis(500);

/// `/metrics` and `/healthz` on a port; stopped and its thread joined when dropped.
pub(crate) struct Endpoint {
    addr: Option<SocketAddr>,
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<Instant>,
    thread: Joined,
}

impl Endpoint {
    /// Listens, then serves on a thread of its own. The port is open when this returns.
    pub(crate) fn start(config: &Listen, source: Arc<dyn Source>) -> Result<Endpoint, Error> {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let refused = |addr| move |source| Error::Listen { addr, source };
        let addr = config.addr.resolve().map_err(|error| {
            let told =
                io::Error::new(error.kind(), format!("{:?}: {error}", config.addr.to_string()));
            refused(unknown)(told)
        })?;
        #[cfg(feature = "console")]
        if let Some(console) = &config.console {
            console.check(addr)?;
        }
        let token = config.token.as_deref().map(Token::new);
        let token = token.transpose()?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = Own(Some(runtime.map_err(Error::Spawn)?));
        let listener = {
            let _context = runtime.0.as_ref().map(Runtime::enter);
            match (bind(addr), config.on_port_taken) {
                (Err(error), OnPortTaken::Ephemeral) if is_taken(&error) => {
                    bind(SocketAddr::new(addr.ip(), 0))
                }
                (Err(error), OnPortTaken::Skip) if is_taken(&error) => {
                    return Ok(Endpoint { addr: None, running: None });
                }
                (bound, _) => bound,
            }
        }
        .map_err(refused(addr))?;
        let addr = listener.local_addr().map_err(refused(addr))?;
        let (stop, stopped) = oneshot::channel();
        let config = config.clone();
        let thread = Joined::spawn("mcp-vitals-http", move || {
            if let Some(runtime) = &runtime.0 {
                run(runtime, listener, config, token, source, stopped);
            }
        })
        .map_err(Error::Spawn)?;
        Ok(Endpoint { addr: Some(addr), running: Some(Running { stop, thread }) })
    }

    /// Where it listens; none when the port was taken and the policy is to skip.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Closes the port at once, lets answers that are under way end within `deadline`, and ends the
    /// thread; false when that took longer. Further calls do nothing.
    pub(crate) fn stop(&mut self, deadline: Duration) -> bool {
        let Some(mut running) = self.running.take() else { return true };
        // A day stands for all that is longer: an `Instant` has an end.
        let deadline = deadline.min(Duration::from_secs(86_400));
        let _ = running.stop.send(Instant::now() + deadline);
        running.thread.join(deadline + GRACE)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop(DROP_DEADLINE);
    }
}

/// A runtime that may be dropped anywhere. Where listening fails it ends on the caller's thread,
/// which is often inside another runtime, and there an ordinary drop panics.
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Elsewhere it would let two processes share a port; on Unix it only forgets closed ones.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(256)
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// The thread.
fn run(
    runtime: &Runtime,
    listener: TcpListener,
    config: Listen,
    token: Option<Token>,
    source: Arc<dyn Source>,
    stopped: oneshot::Receiver<Instant>,
) {
    let limits = Rc::new(config.limits);
    let scrapes = Renderings::new(source, Some(answer::gzip));
    let server = Rc::new(Server {
        limits,
        scrapes,
        log_level: config.log_level,
        token,
        #[cfg(feature = "console")]
        console: config.console,
        open: Open::default(),
    });
    let local = LocalSet::new();
    local.block_on(runtime, async {
        let deadline = server.clone().accept(listener, stopped).await;
        server.open.finish(deadline).await;
    });
    // What is still open after the deadline is closed here, with the tasks that hold it.
}

struct Server {
    limits: Rc<Limits>,
    scrapes: Renderings,
    /// Whether `/log-level` is there.
    log_level: bool,
    token: Option<Token>,
    #[cfg(feature = "console")]
    console: Option<Arc<Console>>,
    open: Open,
}

impl Server {
    fn count(&self, event: Event) {
        self.scrapes.source().count(event);
    }

    /// Takes connections until told to stop; returns the deadline of those that are open then.
    async fn accept(
        self: Rc<Self>,
        listener: TcpListener,
        mut stopped: oneshot::Receiver<Instant>,
    ) -> Instant {
        loop {
            let next = poll_fn(|context| {
                if let Poll::Ready(told) = Pin::new(&mut stopped).poll(context) {
                    // An endpoint that was dropped without a word stops at once.
                    return Poll::Ready(Err(told.unwrap_or_else(|_| Instant::now())));
                }
                listener.poll_accept(context).map(Ok)
            });
            match next.await {
                Err(deadline) => return deadline,
                Ok(Ok((stream, _))) => self.admit(stream),
                Ok(Err(error)) => {
                    // That client left before it was taken; no fault of the system's.
                    if error.kind() != io::ErrorKind::ConnectionAborted {
                        self.count(Event::HttpAcceptFailed);
                        sleep(ACCEPT_REST).await;
                    }
                }
            }
        }
    }

    /// Serves the connection, in the place of an idle one where there is no other.
    fn admit(self: &Rc<Self>, stream: TcpStream) {
        if self.open.len() >= self.limits.connections && !self.open.make_room() {
            self.count(Event::HttpRefused);
            // As far as the system takes it at once: nobody waits for a client that we don't want.
            let _ = stream.try_write(answer::BUSY);
            return;
        }
        let watch = Watch::new(self.limits.clone());
        let place = Place::take(self.clone(), watch);
        spawn_local(async move {
            let end = place.serve(stream).await;
            place.ended(&end);
        });
    }

    async fn answer(&self, watch: &Rc<Watch>, ends: &Ends, request: Request<Incoming>) -> Answer {
        watch.answering();
        #[cfg(feature = "console")]
        if let Some(console) = &self.console
            && console::is_below(request.uri().path())
        {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            let asked = console::Asked { method, uri, headers, local: ends.local };
            let (event, answer, bytes) = stream::answer(console.answer(&asked), watch);
            self.count(event);
            self.hold(watch, scrapes::next_id(), bytes);
            return answer;
        }
        let is_let_in = |token: &Token| token.is_in(request.headers());
        let head = request.method() == Method::HEAD;
        if request.uri().path() != answer::HEALTH && !self.token.as_ref().is_none_or(is_let_in) {
            self.count(Event::HttpUnauthorized);
            return token::refusal(head);
        }
        if self.log_level && request.uri().path() == log_level::PATH {
            let (event, answer) =
                log_level::answer(self.scrapes.source(), ends.peer, request).await;
            self.count(event);
            return answer;
        }
        let formats = self.scrapes.source().formats();
        let asked = answer::asked(request.method(), request.uri(), request.headers(), formats);
        if matches!(asked, Asked::Metrics { .. }) {
            // By way of the sockets: a client that sends many requests at once has one answered, and
            // then everybody else's turn comes.
            tokio::task::yield_now().await;
        }
        match asked {
            Asked::Metrics { format, only: None, compressed } => {
                let scraped = self.scrapes.of(format).scrape(compressed).await;
                self.metrics(watch, scraped, compressed, head)
            }
            Asked::Metrics { format, only: Some(names), compressed } => {
                let scrape = self.scrapes.filtered().scrape(format, names, compressed);
                let Some(scrape) = scrape else {
                    self.count(Event::HttpRefused);
                    return answer::too_many(head);
                };
                self.metrics(watch, scrape.await, compressed, head)
            }
            Asked::Names(why) => {
                self.count(Event::HttpBadRequest);
                answer::text(StatusCode::BAD_REQUEST, why, head)
            }
            Asked::Health => {
                self.count(Event::HttpHealth);
                answer::health(self.scrapes.source().alive(), head)
            }
            Asked::Unknown => {
                self.count(Event::HttpBadRequest);
                answer::unknown(head)
            }
            Asked::Method => {
                self.count(Event::HttpBadRequest);
                answer::wrong_method()
            }
        }
    }

    fn metrics(
        &self,
        watch: &Watch,
        scraped: Option<Scraped>,
        compressed: bool,
        head: bool,
    ) -> Answer {
        if let Some(scraped) = &scraped {
            self.count(Event::HttpScrape);
            if scraped.shared {
                self.count(Event::HttpShared);
            }
            let rendered = &scraped.rendered;
            let compressed = rendered.compressed.as_ref().map_or(0, |bytes| bytes.len());
            self.hold(watch, rendered.id, rendered.text.len() + compressed);
        }
        answer::metrics(scraped.as_ref().map(|scraped| &scraped.rendered), compressed, head)
    }

    /// The answer on this connection is of so many bytes, until the client has read it.
    fn hold(&self, watch: &Watch, number: u64, bytes: usize) {
        watch.hold(number, bytes);
        self.open.evict(self.limits.held_bytes);
    }
}

/// A connection's place among those that are open; free again when dropped, by a panic too.
struct Place {
    server: Rc<Server>,
    watch: Rc<Watch>,
}

impl Place {
    fn take(server: Rc<Server>, watch: Rc<Watch>) -> Place {
        server.open.watches.borrow_mut().push(watch.clone());
        Place { server, watch }
    }

    async fn serve(&self, stream: TcpStream) -> End {
        let _ = stream.set_nodelay(true);
        let ends = &Ends {
            peer: stream.peer_addr().ok(),
            #[cfg(feature = "console")]
            local: stream.local_addr().ok(),
        };
        let stream = Rc::new(RefCell::new(stream));
        let (server, watch) = (&self.server, &self.watch);
        let service = service_fn(|request| async move {
            Ok::<_, Infallible>(server.answer(watch, ends, request).await)
        });
        let connection = http1::Builder::new()
            // A client may close its side after the request and still wait for the answer.
            .half_close(true)
            // The watch's is one for every phase.
            .header_read_timeout(None)
            .max_header_size(server.limits.head_bytes)
            .max_buf_size(server.limits.head_bytes.max(8 << 10))
            .serve_connection(Watched::new(stream.clone(), watch.clone()), service);
        Supervised::new(connection, stream, watch.clone()).await
    }

    /// Counts what ended the connection, where it was not the client's being done.
    fn ended(&self, end: &End) {
        let event = match end {
            End::Served(Ok(())) => return,
            End::Served(Err(error)) if error.is_parse() => Event::HttpBadRequest,
            End::Served(Err(_)) if self.watch.phase() == Phase::Idle => return,
            End::Served(Err(_)) => Event::HttpHungUp,
            End::Closed(Doom::Slow(Phase::Head)) => Event::HttpHeadTimeout,
            End::Closed(Doom::Slow(Phase::Answer { .. } | Phase::Stream { .. })) => {
                Event::HttpSlowReader
            }
            End::Closed(Doom::Slow(Phase::Idle) | Doom::Stopping | Doom::Left) => return,
            End::Closed(Doom::Evicted) => Event::HttpEvicted,
            End::Closed(Doom::MadeRoom) => Event::HttpMadeRoom,
        };
        self.server.count(event);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.open.leave(&self.watch);
    }
}

/// Who is at the two ends of a connection.
struct Ends {
    peer: Option<SocketAddr>,
    #[cfg(feature = "console")]
    local: Option<SocketAddr>,
}

/// The open connections.
#[derive(Default)]
struct Open {
    watches: RefCell<Vec<Rc<Watch>>>,
    /// Who waits for the last of them.
    finisher: Cell<Option<Waker>>,
}

impl Open {
    fn len(&self) -> usize {
        self.watches.borrow().len()
    }

    fn leave(&self, watch: &Rc<Watch>) {
        let mut watches = self.watches.borrow_mut();
        watches.retain(|other| !Rc::ptr_eq(other, watch));
        if watches.is_empty()
            && let Some(finisher) = self.finisher.take()
        {
            finisher.wake();
        }
    }

    /// Closes the connection that has idled longest; false when none idles.
    fn make_room(&self) -> bool {
        let mut watches = self.watches.borrow_mut();
        let idle = watches.iter().enumerate().filter(|(_, watch)| watch.phase() == Phase::Idle);
        let Some((place, _)) = idle.min_by_key(|(_, watch)| watch.since()) else { return false };
        // It leaves the list now, so that it is not chosen twice; its socket closes with its task.
        let watch = watches.swap_remove(place);
        watch.doom(Doom::MadeRoom);
        true
    }

    /// Takes the oldest texts from slow readers until all that is held is within `bytes`, or four times
    /// the largest: a short one costs nobody a long one that is just being read. The newest text stays
    /// whatever its size.
    fn evict(&self, bytes: usize) {
        let watches = self.watches.borrow();
        let mut held: Vec<_> = watches.iter().filter_map(|watch| watch.holds()).collect();
        held.sort_unstable();
        held.dedup_by_key(|(number, _)| *number);
        let mut sum: usize = held.iter().map(|(_, bytes)| bytes).sum();
        let largest = held.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
        let bytes = bytes.max(largest.saturating_mul(4));
        let older = held.len().saturating_sub(1);
        for (number, size) in held.into_iter().take(older) {
            if sum <= bytes {
                break;
            }
            sum -= size;
            let of_it = |watch: &&Rc<Watch>| watch.holds().is_some_and(|(held, _)| held == number);
            watches.iter().filter(of_it).for_each(|watch| watch.doom(Doom::Evicted));
        }
    }

    /// Closes what idles, and waits for the answers under way, until `deadline`.
    async fn finish(&self, deadline: Instant) {
        for watch in self.watches.borrow().iter() {
            watch.close_after_answer();
        }
        let mut timer = Box::pin(sleep_until(deadline));
        poll_fn(|context: &mut Context<'_>| {
            if self.watches.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.finisher.set(Some(context.waker().clone()));
            timer.as_mut().poll(context)
        })
        .await;
    }
}
