//! The ways out that an engine has, started and stopped together.

use std::time::{Duration, Instant};

use crate::builder::VitalsBuilder;
use crate::error::Error;
use crate::export::Event;
use crate::export::textfile::Textfile;
use crate::metrics::{Counter, Desc};
use crate::system::{Shown, System};
use crate::vitals::Vitals;

/// What runs beside the recording threads; nothing when empty.
#[derive(Default)]
pub(crate) struct Outlets {
    textfile: Option<Textfile>,
    system: Option<System>,
    #[cfg(feature = "console")]
    console: Option<crate::console::Running>,
    #[cfg(feature = "http")]
    endpoint: Option<crate::serve::Endpoint>,
}

impl Outlets {
    /// Starts what `builder` asks for. On an error what had been started has stopped again.
    pub(crate) fn start(vitals: &Vitals, builder: &VitalsBuilder) -> Result<Outlets, Error> {
        let mut outlets = Outlets::default();
        if builder.system_metrics {
            outlets.system = Some(System::start(vitals, shown(vitals))?);
        }
        #[cfg(feature = "http")]
        if let Some(addr) = &builder.listen {
            let mut listen = crate::serve::Listen::new(addr.clone());
            listen.on_port_taken = builder.on_port_taken;
            listen.log_level = builder.log_level_endpoint;
            listen.token = builder.metrics_token.as_ref().map(|token| token.expose().clone());
            #[cfg(feature = "console")]
            {
                listen.console = vitals.console(builder);
            }
            let endpoint = crate::serve::start(&listen, vitals.source("http")?)?;
            #[cfg(feature = "console")]
            if let (Some(console), Some(_)) = (listen.console, endpoint.addr()) {
                outlets.console = Some(crate::console::Running::start(console)?);
            }
            outlets.endpoint = Some(endpoint);
        }
        if let Some((path, interval)) = &builder.textfile {
            let source = vitals.source("textfile")?;
            let textfile = Textfile::start(path, *interval, &builder.service.0, source)?;
            outlets.textfile = Some(textfile);
        }
        Ok(outlets)
    }

    #[cfg(feature = "http")]
    pub(crate) fn addr(&self) -> Option<std::net::SocketAddr> {
        self.endpoint.as_ref()?.addr()
    }

    pub(crate) fn textfile_path(&self) -> Option<std::path::PathBuf> {
        Some(self.textfile.as_ref()?.path().to_path_buf())
    }

    /// Stops everything within `deadline`, the textfile with what `last` renders.
    pub(crate) fn stop(&mut self, last: impl FnOnce(&mut Vec<u8>), deadline: Duration) {
        let started = Instant::now();
        let left = || deadline.saturating_sub(started.elapsed());
        // Its viewers' streams end at once, and with them the answers that the endpoint waits for.
        #[cfg(feature = "console")]
        if let Some(mut console) = self.console.take() {
            console.stop(left());
        }
        if let Some(mut textfile) = self.textfile.take() {
            let mut text = Vec::new();
            last(&mut text);
            textfile.stop(Some(text), left());
        }
        if let Some(mut system) = self.system.take() {
            system.stop(left());
        }
        #[cfg(feature = "http")]
        if let Some(mut endpoint) = self.endpoint.take() {
            endpoint.stop(left());
        }
    }
}

fn shown(vitals: &Vitals) -> Shown {
    let mcp = vitals.mcp();
    Shown {
        cpu_percent: mcp.cpu_usage.clone(),
        memory_percent: mcp.memory_percent.clone(),
        memory: mcp.memory_usage.clone(),
    }
}

/// What happened on the ways out, as `mcp_vitals_outlet_events_total`.
pub(crate) struct Counted {
    /// By the event's number; those of other ways out are not there.
    counters: Vec<Option<Counter>>,
}

impl Counted {
    /// Registers the events of one way out, at 0.
    pub(crate) fn register(vitals: &Vitals, way: &str) -> Result<Counted, Error> {
        let help = "What happened on a way out of the metrics.";
        let desc = Desc::counter("mcp_vitals_outlet_events_total", help);
        let family = vitals.register_own(desc.labels(["outlet", "event"]))?;
        let counters = Event::ALL.iter().map(|event| {
            let labels = event.labels();
            (labels[0] == way).then(|| family.with(labels))
        });
        Ok(Counted { counters: counters.collect() })
    }

    pub(crate) fn count(&self, event: Event) {
        if let Some(Some(counter)) = self.counters.get(event as usize) {
            counter.inc();
        }
    }
}
