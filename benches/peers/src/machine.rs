//! What a run was made on and with.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine, and what was measured on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as the system calls it.
    pub cpu: String,
    /// How many threads may run at once.
    pub cores: usize,
    /// System and kernel.
    pub system: String,
    /// The compiler.
    pub rustc: String,
    /// The peers' versions, by the lock file.
    pub peers: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cpu: model.map_or("unknown", |(_, model)| model).to_string(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            system: format!("{} {}", std::env::consts::OS, kernel.trim()).trim_end().to_string(),
            rustc: env!("PEERS_RUSTC").to_string(),
            peers: env!("PEERS_VERSIONS").to_string(),
        }
    }
}
