//! Loggers: by name, each with the level that it takes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use arc_swap::ArcSwap;

use super::filter::LogFilter;
use super::inlet::{Beside, Inlet};
use super::level::Level;
use super::loggable::{Call, Message, Values};
use super::site::Site;
use crate::clock::Clock;
use crate::ring::frame::kind;
use crate::ring::names;
use crate::ring::set::Rings;
use crate::ring::thread::try_write_line;
use crate::ring::writer::Head;
use crate::sync::{AtomicU32, AtomicU64, Ordering, lock};

/// Records lines, for the macros [`info!`](crate::info) and so on, and the helpers for what MCP
/// servers have in common.
///
/// A clone is the same logger. A call whose level is not taken costs a load and a comparison; one
/// that is taken writes a frame into the calling thread's ring: no lock, no allocation, no system
/// call, and no waiting unless the builder asked for it ([`Overflow`](super::Overflow)). A thread's
/// first line leases its ring.
#[derive(Clone)]
pub struct Logger {
    core: Arc<Core>,
}

/// What the loggers of one name share.
pub(crate) struct Core {
    /// In the lowest byte the most verbose level, 0 for none; `BY_MODULE`, `NO_COUNTER`; above them the
    /// stamp of the filter, which no other filter or logger has.
    takes: AtomicU64,
    name: Arc<str>,
    number: u32,
    /// The number of the engine, or what no engine has: a call need not look for it in `way`.
    engine: u64,
    clock: Clock,
    /// `None` where nothing is logged.
    way: Option<Way>,
}

struct Way {
    rings: Arc<Rings>,
    filter: Arc<ArcSwap<LogFilter>>,
    /// Says what this logger takes, whatever the filter says: a level's number, or `UNSET`.
    own: AtomicU32,
    /// Held while that and the filter become what is taken: the last one finds what was set last.
    refreshing: Mutex<()>,
}

const BY_MODULE: u64 = 1 << 8;
/// The clock is not the processor's counter, which a call reads by itself.
const NO_COUNTER: u64 = 1 << 9;
const STAMP: u32 = 32;
const UNSET: u32 = u32::MAX;
const NO_ENGINE: u64 = u64::MAX;

/// Stamps are the process's: a call site may log for several engines.
static STAMPS: AtomicU32 = AtomicU32::new(1);

static DISABLED: LazyLock<Arc<Core>> = LazyLock::new(|| {
    Arc::new(Core {
        takes: AtomicU64::new(0),
        name: "".into(),
        number: 0,
        engine: NO_ENGINE,
        clock: Clock::get(),
        way: None,
    })
});

impl Core {
    /// Takes what the filter says now.
    fn refresh(&self) {
        let Some(way) = &self.way else { return };
        let _refreshing = lock(&way.refreshing);
        let (most, by_module) = match way.own.load(Ordering::Relaxed) {
            _ if way.rings.is_closed() => (0, false),
            UNSET => way.filter.load().of_logger(&self.name),
            own => (own as u8, false),
        };
        let stamp = u64::from(STAMPS.fetch_add(1, Ordering::Relaxed)) << STAMP;
        let by_module = if by_module { BY_MODULE } else { 0 };
        let no_counter = if self.clock.is_counter() { 0 } else { NO_COUNTER };
        let takes = u64::from(most) | by_module | no_counter | stamp;
        // Relaxed: one word; a call that is on its way may still use the word before.
        self.takes.store(takes, Ordering::Relaxed);
    }

    /// Whether a line of this level is taken from there, by the module too.
    fn allows(&self, takes: u64, level: Level, site: &Site) -> bool {
        takes & BY_MODULE == 0 || site.allows(self, (takes >> STAMP) as u32, level as u8)
    }

    /// When a line is of that is not as most are; nothing where it is not taken.
    #[cold]
    #[inline(never)]
    fn unusual(&self, takes: u64, level: Level, site: &Site) -> Option<u64> {
        self.allows(takes, level, site).then(|| self.clock.ticks())
    }

    /// The most verbose level that is taken from `module`.
    pub(crate) fn most_verbose(&self, module: &str) -> u8 {
        let Some(way) = &self.way else { return 0 };
        way.filter.load().most_verbose([module, &self.name])
    }
}

impl Logger {
    pub(crate) fn disabled() -> Logger {
        Logger { core: DISABLED.clone() }
    }

    /// The name, as lines carry it.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Whether a line of this level may be taken: false means that it is not. One relaxed load.
    #[inline(always)]
    pub fn is_enabled(&self, level: Level) -> bool {
        self.taking(level).is_some()
    }

    /// Takes lines up to this level, whatever the engine's filter says; `None` goes back to the
    /// filter. All loggers of this name and engine change with it.
    pub fn set_level(&self, level: impl Into<Option<Level>>) {
        if let Some(way) = &self.core.way {
            let own = level.into().map_or(UNSET, |level| level as u32);
            way.own.store(own, Ordering::Relaxed);
            self.core.refresh();
        }
    }

    /// Where a line of this level is logged, if it may be taken; what the macros ask for.
    #[doc(hidden)]
    #[inline(always)]
    pub fn taking(&self, level: Level) -> Option<Taking<'_>> {
        let core = &*self.core;
        // Relaxed: a setting that publishes nothing.
        let takes = core.takes.load(Ordering::Relaxed);
        (level as u8 <= takes as u8).then_some(Taking { core, takes })
    }

    /// Logs a line of a moment that was read before.
    #[cold]
    pub(crate) fn record_at<V: Values>(&self, ticks: u64, level: Level, site: &Site, values: V) {
        let core = &*self.core;
        let takes = core.takes.load(Ordering::Relaxed);
        let Some(way) = core.way.as_ref().filter(|_| core.allows(takes, level, site)) else {
            return;
        };
        let head = core.head(level, site.number(), ticks);
        way.rings.write(head, &Call { message: &(), values: &values });
    }
}

/// A logger, and what it took when it was asked for a level.
#[derive(Clone, Copy)]
pub struct Taking<'a> {
    core: &'a Core,
    takes: u64,
}

impl Taking<'_> {
    /// Logs one line from a call site; what the macros call. Inlined: of a value that is known at the
    /// call its copy is a store or two, and there is nothing to hand over and to save.
    #[inline(always)]
    pub fn record<M: Message, V: Values + Copy>(
        self,
        level: Level,
        site: &Site,
        message: &M,
        values: V,
    ) {
        let Taking { core, takes } = self;
        let ticks = if takes & (BY_MODULE | NO_COUNTER) == 0 {
            core.clock.counter()
        } else {
            let Some(ticks) = core.unusual(takes, level, site) else { return };
            ticks
        };
        let head = core.head(level, site.number(), ticks);
        if !try_write_line(core.engine, head, &Call { message, values: &values }) {
            // With a copy of the values: of those themselves nobody else knows, so that they stay in
            // registers.
            core.write_slowly(level, head.site, ticks, message, values);
        }
    }
}

impl Core {
    #[inline(always)]
    fn head(&self, level: Level, site: u32, ticks: u64) -> Head {
        let logger = self.number;
        Head { kind: kind::LINE, level: level as u8, ticks, site, logger, thread: 0 }
    }

    #[cold]
    #[inline(never)]
    fn write_slowly<M: Message, V: Values>(
        &self,
        level: Level,
        site: u32,
        ticks: u64,
        message: &M,
        values: V,
    ) {
        if let Some(way) = &self.way {
            let head = self.head(level, site, ticks);
            way.rings.write_otherwise(head, &Call { message, values: &values });
        }
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("name", &self.core.name).finish_non_exhaustive()
    }
}

/// The loggers of an engine.
pub(crate) struct Loggers {
    rings: Arc<Rings>,
    clock: Clock,
    filter: Arc<ArcSwap<LogFilter>>,
    by_name: Mutex<HashMap<Arc<str>, Weak<Core>>>,
    beside: Arc<Beside>,
}

impl Loggers {
    pub(crate) fn new(rings: Arc<Rings>, filter: LogFilter) -> Loggers {
        Loggers {
            rings,
            clock: Clock::get(),
            filter: Arc::new(ArcSwap::from_pointee(filter)),
            by_name: Mutex::default(),
            beside: Arc::default(),
        }
    }

    /// The logger of this name. Locks and allocates: make one and keep it.
    pub(crate) fn get(&self, name: &str) -> Logger {
        let mut by_name = lock(&self.by_name);
        if let Some(core) = by_name.get(name).and_then(Weak::upgrade) {
            return Logger { core };
        }
        // Those that nobody has any more.
        by_name.retain(|_, core| core.strong_count() > 0);
        let name: Arc<str> = name.into();
        let core = Arc::new(Core {
            takes: AtomicU64::new(0),
            number: names::define_logger(&name),
            name: name.clone(),
            engine: self.rings.id(),
            clock: self.clock,
            way: Some(Way {
                rings: self.rings.clone(),
                filter: self.filter.clone(),
                own: AtomicU32::new(UNSET),
                refreshing: Mutex::new(()),
            }),
        });
        core.refresh();
        by_name.insert(name, Arc::downgrade(&core));
        Logger { core }
    }

    pub(crate) fn filter(&self) -> LogFilter {
        LogFilter::clone(&self.filter.load())
    }

    /// Without effect where the engine has ended.
    pub(crate) fn set_filter(&self, filter: LogFilter) {
        let by_name = lock(&self.by_name);
        if self.rings.is_closed() {
            return;
        }
        self.filter.store(Arc::new(filter));
        by_name.values().filter_map(Weak::upgrade).for_each(|core| core.refresh());
        drop(by_name);
        self.beside.tell(&self.filter);
    }

    /// For lines in other crates' words.
    pub(crate) fn inlet(&self) -> Inlet {
        Inlet {
            clock: self.clock,
            rings: self.rings.clone(),
            filter: self.filter.clone(),
            beside: self.beside.clone(),
        }
    }

    /// Fields of spans that were cut, or left out of a line.
    pub(crate) fn cut(&self) -> u64 {
        self.beside.cut()
    }

    /// From now on nothing is taken: the engine has ended.
    pub(crate) fn close(&self) {
        let by_name = lock(&self.by_name);
        self.rings.close();
        self.filter.store(Arc::new(LogFilter::off()));
        by_name.values().filter_map(Weak::upgrade).for_each(|core| core.refresh());
        drop(by_name);
        self.beside.tell(&self.filter);
    }
}

#[cfg(test)]
mod tests {
    use crate::Vitals;
    use crate::logs::{LogConfig, LogFilter, set_request_context};
    use crate::traces::{Sampler, TraceConfig};

    /// Texts and contexts are copied by blocks: of each length around one all arrives, and nothing else.
    #[test]
    fn lines_say_what_was_said_whatever_its_length() {
        let vitals = Vitals::builder()
            .system_metrics(false)
            .logs(LogConfig::to_memory())
            .traces(TraceConfig::to_memory().sampler(Sampler::Always))
            .build()
            .unwrap();
        let (logger, tracer) = (vitals.logger("search"), vitals.tracer("search"));
        let alphabet: String = ('a'..='z').cycle().take(140).collect();
        let texts: Vec<_> = (0..=140).map(|n| alphabet.split_at(n)).collect();
        for (n, (id, text)) in texts.iter().enumerate() {
            let span = (n % 2 == 1).then(|| tracer.span("request"));
            // Before the span is current, or the context has its ids too.
            let _context = set_request_context((n > 0).then_some(id), None, None);
            let _entered = span.as_ref().map(|span| span.enter());
            info!(logger, "said", text = *text, known = "swarm.init", id = *id, n = n);
        }
        let lines = vitals.captured_logs();
        assert_eq!(lines.len(), texts.len());
        for (n, ((id, text), line)) in texts.iter().zip(lines).enumerate() {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let of = |key: &str| line.get(key).and_then(|value| value.as_str());
            assert_eq!(
                (of("text"), of("known"), of("id")),
                (Some(*text), Some("swarm.init"), Some(*id))
            );
            assert_eq!(of("request_id"), (n > 0).then_some(*id));
            assert_eq!((of("trace_id").is_some(), &line["n"]), (n % 2 == 1, &n.into()));
        }
    }

    /// Neither what is said with a value that is rendered, nor what stands at a module's level, takes
    /// the shortest way.
    #[test]
    fn lines_that_are_not_as_most_are_arrive_too() {
        let filter: LogFilter = "info,mcp_vitals::logs=debug".parse().unwrap();
        let logs = LogConfig::to_memory().level(filter);
        let vitals = Vitals::builder().system_metrics(false).logs(logs).build().unwrap();
        let logger = vitals.logger("search");
        let (shown, long) = (std::net::Ipv4Addr::LOCALHOST, "x".repeat(20_000));
        for _ in 0..2 {
            debug!(logger, "by {shown}", %shown, ?shown, plain = "p");
            debug!(logger, "long", long = long);
            trace!(logger, "not taken", long = long);
        }
        let lines = vitals.captured_logs();
        let has = |line: &String, words: &[&str]| words.iter().all(|word| line.contains(word));
        let address = "127.0.0.1";
        assert_eq!(lines.len(), 4);
        assert!(has(
            &lines[2],
            &[&format!("by {address}"), &format!("\"shown\":\"{address}\""), "\"p\""]
        ));
        assert!(
            has(&lines[3], &[&"x".repeat(8 << 10)]) && !has(&lines[3], &[&"x".repeat(9 << 10)])
        );
    }
}
