//! What the console reads of an engine.

use std::sync::{Arc, Mutex, Weak};

use super::{Core, Vitals};
use crate::builder::VitalsBuilder;
use crate::cardinality::Cardinality;
use crate::collect::Scrape;
use crate::console::{Console, Engine, Kept, Reading};
use crate::sync::lock;

/// Reads an engine without keeping it alive.
struct Eyes {
    core: Weak<Core>,
    /// Its own, so that a scrape finds its own as it left them.
    scrape: Mutex<Scrape>,
}

impl Engine for Eyes {
    fn read(&self, reading: &mut Reading) -> bool {
        let Some(core) = self.core.upgrade() else { return false };
        core.look(&mut lock(&self.scrape), reading);
        true
    }

    fn cardinality(&self) -> Cardinality {
        let core = self.core.upgrade();
        core.map(|core| Cardinality::of(&core.table)).unwrap_or_default()
    }
}

impl Core {
    /// A walk over what the console wants. Host's callbacks and collectors are not asked, what is idle
    /// is not removed: that is a scrape's.
    fn look(&self, scrape: &mut Scrape, reading: &mut Reading) {
        let turn = self.table.turn();
        if let Some(exemplars) = self.table.exemplars() {
            exemplars.turn();
            scrape.candidates.gather(exemplars, |trace| self.is_kept(trace));
        }
        if let Some(logs) = self.logs.get() {
            logs.refresh();
        }
        let collected = lock(&self.kept).collected;
        self.own.refresh(&self.table, collected);
        scrape.walk(&self.table.families(), &turn, reading);
        scrape.candidates.clear();
    }
}

impl Vitals {
    /// The console of this engine, where the builder asks for one.
    pub(crate) fn console(&self, builder: &VitalsBuilder) -> Option<Arc<Console>> {
        let core = Arc::downgrade(self.core.as_ref()?);
        let eyes = Eyes { core, scrape: Mutex::default() };
        let config = &builder.console;
        let kept = || Kept {
            service: builder.service.clone(),
            lines: self.recent_lines(),
            traces: self.shown_traces().map(|(traces, _)| traces),
        };
        config.on.then(|| Console::new(config, kept(), Box::new(eyes)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::metrics::Desc;

    fn look(vitals: &Vitals) -> Reading {
        let mut reading = Reading::new(Instant::now());
        let core = vitals.core.as_ref().unwrap();
        core.look(&mut Scrape::default(), &mut reading);
        reading
    }

    /// What is looked at is counted: series of a host's own are none of it, however many there are.
    #[test]
    fn a_hundred_thousand_series_of_the_hosts_cost_nothing() {
        let build = || Vitals::builder().memory_limit(1 << 30).system_metrics(false).build();
        let (with, without) = (build().unwrap(), build().unwrap());
        let jobs = Desc::counter("jobs_total", "Jobs.").labels(["job"]).series_limit(100_000);
        let jobs = with.register(jobs).unwrap();
        let took = Desc::histogram("job_seconds", "Jobs.").labels(["job"]).series_limit(1_000);
        let took = with.register(took).unwrap();
        for job in 0..100_000 {
            jobs.with([&job.to_string()]).inc();
        }
        (0..1_000).for_each(|job| took.with([&job.to_string()]).record_nanos(job));
        assert!(with.snapshot().label_sets("jobs_total").count() >= 100_000);
        assert!(without.export_prometheus().contains("mcp_requests_total"));
        let visited = look(&without).visited();
        assert!(visited > 0);
        assert_eq!(look(&with).visited(), visited);
    }
}
