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
use crate::ring::writer::{Fill, Head};
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
    /// In the lowest byte the most verbose level, 0 for none; `BY_MODULE`; above them the stamp of
    /// the filter, which no other filter or logger has.
    takes: AtomicU64,
    name: Arc<str>,
    number: u32,
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

const LEVEL: u64 = 0xff;
const BY_MODULE: u64 = 1 << 8;
const STAMP: u32 = 32;
const UNSET: u32 = u32::MAX;

/// Stamps are the process's: a call site may log for several engines.
static STAMPS: AtomicU32 = AtomicU32::new(1);

static DISABLED: LazyLock<Arc<Core>> = LazyLock::new(|| {
    Arc::new(Core {
        takes: AtomicU64::new(0),
        name: "".into(),
        number: 0,
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
        // Relaxed: one word; a call that is on its way may still use the word before.
        self.takes.store(u64::from(most) | by_module | stamp, Ordering::Relaxed);
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
        // Relaxed: a setting that publishes nothing.
        let takes = self.core.takes.load(Ordering::Relaxed);
        u64::from(level as u8) <= takes & LEVEL
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

    /// Logs one line from a call site; what the macros call.
    #[doc(hidden)]
    #[inline(never)]
    pub fn record<M: Message, V: Values>(&self, level: Level, site: &Site, message: M, values: V) {
        let takes = self.core.takes.load(Ordering::Relaxed);
        let stamp = (takes >> STAMP) as u32;
        if takes & BY_MODULE != 0 && !site.allows(&self.core, stamp, level as u8) {
            return;
        }
        self.write(level, site.number(), &Call { message: &message, values: &values });
    }

    /// Logs a line of a moment that was read before.
    #[cold]
    pub(crate) fn record_at<V: Values>(&self, ticks: u64, level: Level, site: &Site, values: V) {
        let takes = self.core.takes.load(Ordering::Relaxed);
        let stamp = (takes >> STAMP) as u32;
        let allowed = takes & BY_MODULE == 0 || site.allows(&self.core, stamp, level as u8);
        let Some(way) = self.core.way.as_ref().filter(|_| allowed) else { return };
        let head = self.head(level, site.number(), ticks);
        way.rings.write(head, &Call { message: &(), values: &values });
    }

    #[inline(always)]
    fn head(&self, level: Level, site: u32, ticks: u64) -> Head {
        let logger = self.core.number;
        Head { kind: kind::LINE, level: level as u8, ticks, site, logger, thread: 0 }
    }

    /// Writes a frame; `fill` puts the message first, where the site has none.
    #[inline(always)]
    pub(crate) fn write(&self, level: Level, site: u32, fill: &impl Fill) {
        let core = &*self.core;
        let Some(way) = &core.way else { return };
        let head = self.head(level, site, core.clock.ticks());
        way.rings.write(head, fill);
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
