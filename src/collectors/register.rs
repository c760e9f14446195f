//! Registering callbacks and collectors, and removing them: names, limits and types are checked
//! once, here.

use std::sync::{Arc, Mutex};

use super::samples::Described;
use super::{About, Collectors, Failures, Item, SampleLosses, WantedFamily, Work};
use crate::Error;
use crate::registry::table::Table;
use crate::registry::{Limits, Spec};
use crate::sync::{AtomicBool, Ordering, lock};

/// Most collectors of an engine; callbacks have their family's series limit.
const MOST_COLLECTORS: usize = 64;

/// What a callback or collector takes beside its texts: what is known of it, its closure's box.
const ITEM_COST: u64 = 512;

/// What is registered.
#[derive(Default)]
pub(crate) struct Registered {
    /// Ids and families given so far.
    ids: u64,
    families: u64,
    items: Vec<(u64, Arc<About>)>,
}

/// What a registration needs of its engine.
pub(crate) struct Engine<'a> {
    pub(crate) table: &'a Table,
    pub(crate) limits: Limits,
    pub(crate) losses: &'a dyn Fn(&Spec) -> SampleLosses,
    pub(crate) failures: &'a dyn Fn(&str) -> Failures,
}

impl Registered {
    fn callbacks<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a About> {
        let items = self.items.iter().map(|(_, about)| &**about);
        items.filter(move |about| about.values.is_some() && &*about.name == family)
    }

    fn uses(&self, family: &Arc<Described>) -> bool {
        let families = self.items.iter().flat_map(|(_, about)| about.families.iter());
        families.into_iter().any(|used| Arc::ptr_eq(used, family))
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        let rule = if name.is_empty() {
            "a collector needs a name"
        } else if self.items.iter().any(|(_, about)| &*about.name == name) {
            "a collector of this name, or a callback of this metric, is registered already"
        } else {
            return Ok(());
        };
        Err(Error::Collector { name: name.to_owned(), rule })
    }

    /// A new family, whose names are reserved.
    fn describe(
        &mut self,
        engine: &Engine<'_>,
        wanted: WantedFamily,
    ) -> Result<Arc<Described>, Error> {
        let clash = engine.table.reserve(&wanted.spec)?;
        let series = wanted.series_limit.unwrap_or(engine.limits.series);
        let limits = Limits { series, ..engine.limits };
        let losses = (engine.losses)(&wanted.spec);
        self.families += 1;
        Ok(Arc::new(Described::new(self.families, wanted.spec, clash, limits, losses)))
    }
}

impl Collectors {
    /// Registers a callback for the series of its family with these label values.
    pub(crate) fn callback(
        &self,
        engine: &Engine<'_>,
        wanted: WantedFamily,
        values: &[&str],
        work: &Arc<Mutex<Work>>,
    ) -> Result<u64, Error> {
        let mut registered = lock(&self.registered);
        let name = wanted.spec.name.clone();
        let conflict = |what| Err(Error::Conflict { name: name.clone(), what });
        let there = registered.callbacks(&name).next().map(|about| about.families[0].clone());
        let family = match there {
            Some(family) if family.spec != wanted.spec => {
                return conflict(
                    "registered already with another type, help text or set of labels",
                );
            }
            Some(family) => family,
            None => {
                registered.check_name(&name)?;
                registered.describe(engine, wanted)?
            }
        };
        let values: Box<[Box<str>]> = values.iter().map(|v| family.within(v).into()).collect();
        if registered.callbacks(&name).any(|about| about.values.as_ref() == Some(&values)) {
            return conflict("asked by another callback with these label values already");
        }
        let (callbacks, max) = (registered.callbacks(&name).count(), family.limits.series.into());
        if callbacks as u64 >= max {
            let (metric, value) = (name, callbacks as u64 + 1);
            return Err(Error::OutOfRange { metric, field: "callbacks", value, min: 0, max });
        }
        let families = Box::from([family]);
        self.add(&mut registered, engine, name, families, Some(values), work)
    }

    /// Registers a collector of these families.
    pub(crate) fn collector(
        &self,
        engine: &Engine<'_>,
        name: &str,
        wanted: Vec<WantedFamily>,
        work: &Arc<Mutex<Work>>,
    ) -> Result<u64, Error> {
        let mut registered = lock(&self.registered);
        registered.check_name(name)?;
        let collectors = registered.items.iter().filter(|(_, about)| about.values.is_none());
        if collectors.count() >= MOST_COLLECTORS {
            let rule = "an engine has at most 64 collectors";
            return Err(Error::Collector { name: name.to_owned(), rule });
        }
        let mut families = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            match registered.describe(engine, wanted) {
                Ok(family) => families.push(family),
                Err(error) => {
                    families.iter().for_each(|family| engine.table.release(&family.spec));
                    return Err(error);
                }
            }
        }
        self.add(&mut registered, engine, name.to_owned(), families.into(), None, work)
    }

    /// The last step of both; on an error names that nobody else has are free again.
    fn add(
        &self,
        registered: &mut Registered,
        engine: &Engine<'_>,
        name: String,
        families: Box<[Arc<Described>]>,
        values: Option<Box<[Box<str>]>>,
        work: &Arc<Mutex<Work>>,
    ) -> Result<u64, Error> {
        let space = engine.table.space();
        let texts: usize = values.iter().flatten().map(|value| value.len() + 16).sum();
        let charged = ITEM_COST + (name.len() + texts) as u64;
        let added = if space.charge(charged) {
            let about = Arc::new(About {
                name: name.as_str().into(),
                families: families.clone(),
                values,
                failures: (engine.failures)(&name),
                space: space.clone(),
                charged,
                removed: AtomicBool::new(false),
            });
            registered.ids += 1;
            let (id, item) = (registered.ids, Item { about: about.clone(), work: work.clone() });
            self.pool.add(id, item).map(|()| {
                registered.items.push((id, about));
                id
            })
        } else {
            Err(Error::MemoryLimit { name, limit: space.limit() })
        };
        if added.is_err() {
            release(registered, engine.table, &families);
        }
        added
    }

    /// Removes a callback or collector; nothing when it is gone already. What is asked for it right
    /// now is not waited for, and not shown. `turn` runs what it is given while nobody renders a
    /// scrape: from then on another may have the names.
    pub(crate) fn remove(&self, id: u64, table: &Table, turn: impl FnOnce(&mut dyn FnMut())) {
        let mut registered = lock(&self.registered);
        let Some(at) = registered.items.iter().position(|(item, _)| *item == id) else { return };
        let (_, about) = registered.items.remove(at);
        // Relaxed: whoever renders after the turn below sees it by the turn's lock; before it the
        // names are still taken.
        about.removed.store(true, Ordering::Relaxed);
        let item = self.pool.remove(id);
        turn(&mut || release(&registered, table, &about.families));
        drop(registered);
        super::pool::release(item);
    }
}

/// Gives the names of families back that no callback or collector has any more.
fn release(registered: &Registered, table: &Table, families: &[Arc<Described>]) {
    for family in families.iter().filter(|family| !registered.uses(family)) {
        table.release(&family.spec);
    }
}
