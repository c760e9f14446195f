//! What frames say by number, as a reader knows it.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::Names;
use crate::ring::frame::Frame;
use crate::ring::names::{self, SiteText};

/// Names of threads that are kept at hand.
const THREADS: usize = 4_096;

/// A copy of the process's names that grows as frames need it.
#[derive(Default)]
pub(crate) struct Known {
    sites: Vec<Arc<SiteText>>,
    loggers: Vec<Arc<str>>,
    threads: HashMap<u32, Arc<str>>,
    /// Most lines come from the thread that the one before came from.
    last_thread: (u32, Arc<str>),
    nowhere: SiteText,
}

impl Known {
    /// Makes sure that [`get`](Self::get) knows what `frame` says.
    #[inline(always)]
    pub(crate) fn learn(&mut self, frame: Frame<'_>) {
        if !self.is_listed(frame) || self.last_thread.0 != frame.thread() {
            self.learn_anew(frame);
        }
    }

    /// Whether its call site and its logger are known.
    #[inline(always)]
    fn is_listed(&self, frame: Frame<'_>) -> bool {
        let known = |number: u32, known: usize| number as usize <= known;
        known(frame.site(), self.sites.len()) && known(frame.logger(), self.loggers.len())
    }

    #[inline(never)]
    fn learn_anew(&mut self, frame: Frame<'_>) {
        if !self.is_listed(frame) {
            names::list(&mut self.sites, &mut self.loggers);
        }
        if self.last_thread.0 != frame.thread() {
            if self.threads.len() >= THREADS {
                self.threads.clear();
            }
            let name = self.threads.entry(frame.thread());
            let name = name.or_insert_with(|| names::thread_name(frame.thread()));
            self.last_thread = (frame.thread(), name.clone());
        }
    }

    /// The same of frames, each behind its time.
    pub(crate) fn learn_all(&mut self, bytes: &[u8]) {
        let (mut rest, mut last) = (bytes, None);
        while let Some((_, frame)) = timed(&mut rest) {
            // Most say the same as the one before.
            let numbers = Some((frame.site(), frame.logger(), frame.thread()));
            if std::mem::replace(&mut last, numbers) != numbers {
                self.learn(frame);
            }
        }
    }

    /// One that knows these and no others, numbered from 1.
    #[cfg(test)]
    pub(crate) fn these(site: SiteText, loggers: &[&str], threads: &[&str]) -> Known {
        Known {
            sites: vec![Arc::new(site)],
            loggers: loggers.iter().copied().map(Arc::from).collect(),
            threads: (1..).zip(threads.iter().copied().map(Arc::from)).collect(),
            ..Known::default()
        }
    }

    /// What `frame` says by number.
    pub(crate) fn get(&self, frame: Frame<'_>) -> (&SiteText, Names<'_>) {
        let at = |number: u32| (number as usize).wrapping_sub(1);
        let site = self.sites.get(at(frame.site())).map_or(&self.nowhere, |site| site);
        (site, self.names(frame.logger(), frame.thread()))
    }

    /// What a logger and a thread are called.
    pub(crate) fn names(&self, logger: u32, thread: u32) -> Names<'_> {
        let logger = self.loggers.get((logger as usize).wrapping_sub(1)).map_or("", |name| name);
        let thread = match &self.last_thread {
            (number, name) if *number == thread => name,
            _ => self.threads.get(&thread).map_or("", |name| name),
        };
        Names { logger, thread, recovered: false }
    }

    /// What a thread is called, of a frame that was learnt.
    pub(crate) fn thread(&self, number: u32) -> Arc<str> {
        match &self.last_thread {
            (last, name) if *last == number => name.clone(),
            _ => match self.threads.get(&number) {
                Some(name) => name.clone(),
                None => names::thread_name(number),
            },
        }
    }

    /// Threads are called so from now on, whatever they were called before: for frames that are older
    /// than the process's own memory of names.
    #[cfg(feature = "console")]
    pub(crate) fn set_threads(&mut self, threads: &HashMap<u32, Arc<str>>) {
        self.threads.clone_from(threads);
        self.last_thread = Default::default();
    }

    /// Where a call site stands, and what its lines say where that is always the same.
    pub(crate) fn place(&self, site: u32) -> (String, String) {
        let site = self.sites.get((site as usize).wrapping_sub(1)).map_or(&self.nowhere, |s| s);
        let message = site.message.as_deref().unwrap_or_default();
        (format!("{}:{}", site.file, site.line), message.to_owned())
    }
}

/// The next frame, which stands behind its time.
#[inline(always)]
pub(crate) fn timed<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Frame<'a>)> {
    let (unix_nanos, rest) = bytes.split_first_chunk()?;
    let (frame, rest) = Frame::split(rest)?;
    *bytes = rest;
    Some((u64::from_le_bytes(*unix_nanos), frame))
}
