//! Readings of the machine and of the process, taken in the background.
//!
//! | metric | reading | left out |
//! |---|---|---|
//! | `mcp_system_cpu_usage_percent` | use of the CPUs that are ours: of the control group's quota, else of the CPUs that the process may run on | until the first second has passed |
//! | `mcp_system_memory_usage_percent` | working set of the control group by its limit, else what of the host's memory is not available | |
//! | `mcp_memory_usage_bytes{type="rss"}` | resident memory of the process | |
//! | `mcp_memory_usage_bytes{type="total"}` | the control group's limit, else the host's memory | |
//! | `mcp_memory_usage_bytes{type="heap"}` | bytes that the program holds from the allocator | without [`HeapAlloc`] |
//! | `process_*` | what client libraries call so | one by one, where the system does not tell |
//!
//! On Linux by way of `/proc` and the control groups' own files. Elsewhere only the heap is read:
//! the `process_*` metrics are not there at all, and the rest stays at 0.

// Implementing `GlobalAlloc` is `unsafe`; nothing else here is.
#[allow(unsafe_code)]
mod heap;

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use elsewhere::Sampler;
#[cfg(target_os = "linux")]
use linux::Sampler;

pub use heap::HeapAlloc;

use std::time::Duration;

use crate::background::{Background, Tick};
use crate::error::Error;
use crate::metrics::{Desc, Family, Gauge};
use crate::vitals::Vitals;

/// How often readings are taken.
const INTERVAL: Duration = Duration::from_secs(5);

/// When the second readings are taken: the use of CPUs is what lies between two.
const FIRST: Duration = Duration::from_secs(1);

/// What one look at the system gave; none is what it did not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readings {
    cpu_percent: Option<f64>,
    memory_percent: Option<f64>,
    /// Bytes.
    memory_total: Option<f64>,
    process: Process,
}

/// One value for each `process_*` metric, in its unit.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    start_seconds: Option<f64>,
    threads: Option<f64>,
}

/// The catalog's metrics that the readings are shown in.
pub(crate) struct Shown {
    /// `mcp_system_cpu_usage_percent`.
    pub(crate) cpu_percent: Gauge,
    /// `mcp_system_memory_usage_percent`.
    pub(crate) memory_percent: Gauge,
    /// `mcp_memory_usage_bytes`, by type.
    pub(crate) memory: Family<Gauge, 1>,
}

/// The thread that takes the readings; stopped when dropped.
pub(crate) struct System {
    background: Background<()>,
}

impl System {
    /// Takes the readings once, registers `process_*` for those that the system tells, and goes on
    /// every five seconds on a thread of its own. It holds handles, not the engine.
    pub(crate) fn start(vitals: &Vitals, shown: Shown) -> Result<System, Error> {
        let mut sampler = Sampler::new();
        let first = sampler.sample();
        let process = ProcessGauges::register(vitals, &first.process)?;
        show(&shown, &process, &first);
        let background = Background::start("mcp-vitals-sys", FIRST, INTERVAL, move |tick| {
            if let Tick::Interval = tick {
                show(&shown, &process, &sampler.sample());
            }
            true
        })?;
        Ok(System { background })
    }

    /// Ends the thread within `deadline`; false when that was too short.
    pub(crate) fn stop(&mut self, deadline: Duration) -> bool {
        self.background.stop(None, deadline)
    }
}

fn show(shown: &Shown, process: &ProcessGauges, readings: &Readings) {
    let set = |gauge: &Gauge, value: Option<f64>| {
        if let Some(value) = value {
            gauge.set(value);
        }
    };
    let memory = |kind: &str, value: Option<f64>| {
        // The series is made with its first reading: one at 0 would be a claim.
        if let Some(value) = value {
            shown.memory.with([kind]).set(value);
        }
    };
    set(&shown.cpu_percent, readings.cpu_percent);
    set(&shown.memory_percent, readings.memory_percent);
    memory("rss", readings.process.resident_bytes);
    memory("total", readings.memory_total);
    memory("heap", heap::bytes());
    process.set(&readings.process);
}

/// A gauge for each reading that the system gave at the start; the others are not shown at all.
struct ProcessGauges {
    cpu_seconds: Option<Gauge>,
    resident_bytes: Option<Gauge>,
    virtual_bytes: Option<Gauge>,
    open_fds: Option<Gauge>,
    max_fds: Option<Gauge>,
    start_seconds: Option<Gauge>,
    threads: Option<Gauge>,
}

impl ProcessGauges {
    fn register(vitals: &Vitals, first: &Process) -> Result<ProcessGauges, Error> {
        let add = |reading: Option<f64>, desc: Desc<Gauge, 0>| {
            reading.map(|_| vitals.register(desc).map(|family| family.with([]))).transpose()
        };
        Ok(ProcessGauges {
            cpu_seconds: add(
                first.cpu_seconds,
                Desc::observed(
                    "process_cpu_seconds_total",
                    "Total user and system CPU time spent in seconds.",
                ),
            )?,
            resident_bytes: add(
                first.resident_bytes,
                Desc::gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
            )?,
            virtual_bytes: add(
                first.virtual_bytes,
                Desc::gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
            )?,
            open_fds: add(
                first.open_fds,
                Desc::gauge("process_open_fds", "Number of open file descriptors."),
            )?,
            max_fds: add(
                first.max_fds,
                Desc::gauge("process_max_fds", "Maximum number of open file descriptors."),
            )?,
            start_seconds: add(
                first.start_seconds,
                Desc::gauge(
                    "process_start_time_seconds",
                    "Start time of the process since unix epoch in seconds.",
                ),
            )?,
            threads: add(
                first.threads,
                Desc::gauge("process_threads", "Number of threads of the process."),
            )?,
        })
    }

    fn set(&self, process: &Process) {
        let pairs = [
            (&self.cpu_seconds, process.cpu_seconds),
            (&self.resident_bytes, process.resident_bytes),
            (&self.virtual_bytes, process.virtual_bytes),
            (&self.open_fds, process.open_fds),
            (&self.max_fds, process.max_fds),
            (&self.start_seconds, process.start_seconds),
            (&self.threads, process.threads),
        ];
        for (gauge, value) in pairs {
            if let (Some(gauge), Some(value)) = (gauge, value) {
                gauge.set(value);
            }
        }
    }
}
