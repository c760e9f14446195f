//! What frames say by number: call sites, loggers, threads. The process's, for all engines.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::sync::{AtomicU32, Ordering, lock};

/// How long the name of a thread that has ended is kept for lines still on their way.
const KEEP: Duration = Duration::from_secs(60);
/// Names of threads from which on those that ended are looked through.
const MANY_THREADS: usize = 1_024;
/// How often at most.
const LOOK: Duration = Duration::from_secs(1);
/// Names at most; a thread past them is known by its number.
const MOST_THREADS: usize = 65_536;
/// Call sites at most that come up while running, from `log` and `tracing`, and loggers. Those that
/// stand in a program are as many as its text has.
const MOST_SITES: usize = 32_768;
const MOST_LOGGERS: usize = 4_096;
/// What stands for a logger past the last.
const OTHER_LOGGER: &str = "_other";

/// What a call site says, told once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SiteText {
    /// `None` where the frame has a logger.
    pub(crate) logger: Option<Box<str>>,
    pub(crate) module: Box<str>,
    pub(crate) file: Box<str>,
    /// 0 where it is not known.
    pub(crate) line: u32,
    pub(crate) function: Box<str>,
    /// Where it is the same at each call.
    pub(crate) message: Option<Box<str>>,
    /// Of the fields that carry none, in their order.
    pub(crate) keys: Vec<Box<str>>,
}

/// Something that a number stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Site(Arc<SiteText>),
    Logger(Arc<str>),
    Thread(Arc<str>),
}

/// Told what each number stands for, before a frame has it.
pub(crate) trait Define: Send + Sync {
    /// With the table locked: it writes down, and calls nothing of ours.
    fn define(&self, number: u32, name: &Name);
}

struct Thread {
    name: Arc<str>,
    ended: Option<Instant>,
}

#[derive(Default)]
struct Table {
    /// Number 0 of each is nobody's: numbers begin at 1.
    sites: Vec<Arc<SiteText>>,
    loggers: Vec<Arc<str>>,
    threads: Option<HashMap<u32, Thread>>,
    /// When those that ended were looked through.
    looked: Option<Instant>,
    listeners: Vec<Weak<dyn Define>>,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    sites: Vec::new(),
    loggers: Vec::new(),
    threads: None,
    looked: None,
    listeners: Vec::new(),
});
static NEXT_THREAD: AtomicU32 = AtomicU32::new(1);

thread_local! {
    // Const and without a destructor: there while other thread-locals are destroyed.
    static OWN: Cell<u32> = const { Cell::new(0) };
}

impl Table {
    /// Who was told: to be dropped without the lock, for one of them may be the last that there is of
    /// a listener, which has more to do then.
    #[must_use]
    fn tell(&mut self, number: u32, name: &Name) -> Vec<Arc<dyn Define>> {
        let mut told = Vec::new();
        self.listeners.retain(|listener| match listener.upgrade() {
            Some(listener) => {
                listener.define(number, name);
                told.push(listener);
                true
            }
            None => false,
        });
        told
    }
}

/// Tells `listener` all numbers that there are, and each new one before it is used.
pub(crate) fn subscribe(listener: &Arc<dyn Define>) {
    let mut table = lock(&TABLE);
    for (site, number) in table.sites.iter().zip(1..) {
        listener.define(number, &Name::Site(site.clone()));
    }
    for (logger, number) in table.loggers.iter().zip(1..) {
        listener.define(number, &Name::Logger(logger.clone()));
    }
    for (number, thread) in table.threads.iter().flatten() {
        listener.define(*number, &Name::Thread(thread.name.clone()));
    }
    table.listeners.push(Arc::downgrade(listener));
}

/// A number for a call site that comes up while running; nothing past the last of them.
pub(crate) fn define_dynamic_site(site: SiteText) -> Option<u32> {
    let few = lock(&TABLE).sites.len() < MOST_SITES;
    few.then(|| define_site(site))
}

/// A number for a call site of the program's text. Never forgotten.
pub(crate) fn define_site(site: SiteText) -> u32 {
    let mut table = lock(&TABLE);
    let site = Arc::new(site);
    table.sites.push(site.clone());
    let number = table.sites.len() as u32;
    let told = table.tell(number, &Name::Site(site));
    drop(table);
    drop(told);
    number
}

/// The number of a logger's name: the same for the same name.
pub(crate) fn define_logger(name: &str) -> u32 {
    let mut table = lock(&TABLE);
    let name = match table.loggers.len() >= MOST_LOGGERS - 1 {
        true if !table.loggers.iter().any(|known| **known == *name) => OTHER_LOGGER,
        _ => name,
    };
    if let Some(at) = table.loggers.iter().position(|known| **known == *name) {
        return at as u32 + 1;
    }
    let name: Arc<str> = name.into();
    table.loggers.push(name.clone());
    let number = table.loggers.len() as u32;
    let told = table.tell(number, &Name::Logger(name));
    drop(table);
    drop(told);
    number
}

/// Adds the call sites and loggers that `sites` and `loggers` do not have yet, in the order of their
/// numbers, the first of which is 1.
pub(crate) fn list(sites: &mut Vec<Arc<SiteText>>, loggers: &mut Vec<Arc<str>>) {
    let table = lock(&TABLE);
    sites.extend(table.sites[sites.len()..].iter().cloned());
    loggers.extend(table.loggers[loggers.len()..].iter().cloned());
}

/// The calling thread's number, never 0.
#[inline]
pub(crate) fn this_thread() -> u32 {
    match OWN.get() {
        0 => {
            OWN.set(NEXT_THREAD.fetch_add(1, Ordering::Relaxed).max(1));
            OWN.get()
        }
        number => number,
    }
}

/// Keeps the calling thread's name, until [`thread_ended`]. Briefly locks, and allocates.
pub(crate) fn thread_began() {
    let number = this_thread();
    let Some(name) = std::thread::current().name().map(Arc::from) else { return };
    let mut guard = lock(&TABLE);
    let table = &mut *guard;
    let threads = table.threads.get_or_insert_default();
    let now = Instant::now();
    if threads.len() >= MANY_THREADS && looks_through(&mut table.looked, now) {
        let old = |ended: Instant| now.saturating_duration_since(ended) > KEEP;
        threads.retain(|_, thread| !thread.ended.is_some_and(old));
    }
    if threads.len() < MOST_THREADS && !threads.contains_key(&number) {
        threads.insert(number, Thread { name: Arc::clone(&name), ended: None });
        let told = table.tell(number, &Name::Thread(name));
        drop(guard);
        drop(told);
    }
}

/// Whether it is time to look through the names again: thousands of threads that begin would else
/// each look at all of them, with the lock held.
fn looks_through(looked: &mut Option<Instant>, now: Instant) -> bool {
    let is_time = looked.is_none_or(|last| now.saturating_duration_since(last) >= LOOK);
    if is_time {
        *looked = Some(now);
    }
    is_time
}

/// Says that the calling thread's name will not be needed for long.
pub(crate) fn thread_ended() {
    let mut table = lock(&TABLE);
    if let Some(thread) = table.threads.as_mut().and_then(|threads| threads.get_mut(&OWN.get())) {
        thread.ended = Some(Instant::now());
    }
}

/// The name of the thread of this number, or the number.
pub(crate) fn thread_name(number: u32) -> Arc<str> {
    match lock(&TABLE).threads.as_ref().and_then(|threads| threads.get(&number)) {
        Some(thread) => thread.name.clone(),
        None => number.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(u32, Name)>>);

    impl Define for Heard {
        fn define(&self, number: u32, name: &Name) {
            lock(&self.0).push((number, name.clone()));
        }
    }

    #[test]
    fn a_listener_hears_what_was_there_and_what_comes() {
        let site = |line| SiteText { file: "names.rs".into(), line, ..SiteText::default() };
        let before = define_site(site(1));
        let heard = Arc::new(Heard::default());
        let listener: Arc<dyn Define> = heard.clone();
        subscribe(&listener);
        let after = define_site(site(2));
        let logger = define_logger("names-test");
        assert_eq!(define_logger("names-test"), logger);
        std::thread::Builder::new()
            .name("heard".into())
            .spawn(thread_began)
            .unwrap()
            .join()
            .unwrap();
        // A copy: who listens is told under the table's lock, which `list` below takes.
        let heard = lock(&heard.0).clone();
        let has = |number, name| heard.contains(&(number, name));
        assert!(has(before, Name::Site(site(1).into())) && has(after, Name::Site(site(2).into())));
        assert!(has(logger, Name::Logger("names-test".into())));
        assert!(heard.iter().any(|(_, name)| *name == Name::Thread("heard".into())));
        let (mut sites, mut loggers) = (Vec::new(), Vec::new());
        list(&mut sites, &mut loggers);
        assert_eq!(sites[before as usize - 1].line, 1);
        assert_eq!(&*loggers[logger as usize - 1], "names-test");
    }

    #[test]
    fn a_listener_may_end_while_it_is_told_and_ask_for_a_name() {
        struct Leaves(Mutex<Option<Arc<Leaves>>>);
        impl Define for Leaves {
            fn define(&self, _: u32, _: &Name) {
                drop(lock(&self.0).take());
            }
        }
        impl Drop for Leaves {
            fn drop(&mut self) {
                assert_eq!(&*thread_name(u32::MAX), "4294967295");
            }
        }
        let (told, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let leaves = Arc::new(Leaves(Mutex::default()));
            let listener: Arc<dyn Define> = leaves.clone();
            subscribe(&listener);
            *lock(&leaves.0) = Some(leaves.clone());
            drop((leaves, listener));
            define_logger("names-leaves");
            told.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn many_threads_are_looked_through_by_one_of_them_a_second() {
        let (mut looked, now) = (None, Instant::now());
        let later = [0, 0, 999, 1_000, 1_001].map(Duration::from_millis);
        let looks = later.map(|later| looks_through(&mut looked, now + later));
        assert_eq!(looks, [true, false, false, true, false]);
    }

    #[test]
    fn a_thread_has_its_name_and_else_its_number() {
        let named = std::thread::Builder::new().name("worker".into());
        let number = named.spawn(|| {
            thread_began();
            this_thread()
        });
        let number = number.unwrap().join().unwrap();
        assert_eq!(&*thread_name(number), "worker");
        assert_eq!(&*thread_name(u32::MAX), "4294967295");
    }
}
