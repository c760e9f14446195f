//! Notes what was measured with: the compiler, and each peer's resolved version.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

const LOCK: &str = "../../Cargo.lock";
const PEERS: [&str; 20] = [
    "fast-telemetry",
    "fast_log",
    "fastmetrics",
    "fastrace",
    "fastrace-opentelemetry",
    "ftlog",
    "measured",
    "metrics",
    "metrics-exporter-prometheus",
    "opentelemetry",
    "opentelemetry_sdk",
    "prometheus",
    "prometheus-client",
    "rustracing",
    "slog-async",
    "slog-json",
    "spdlog-rs",
    "tracing-appender",
    "tracing-opentelemetry",
    "tracing-subscriber",
];

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_string());
    println!("cargo::rustc-env=PEERS_RUSTC={}", version.unwrap_or_else(|_| "unknown rustc".into()));

    let lock = fs::read_to_string(LOCK).unwrap_or_default();
    let versions: Vec<String> = PEERS.iter().filter_map(|name| resolved(&lock, name)).collect();
    println!("cargo::rustc-env=PEERS_VERSIONS={}", versions.join(", "));
    if Path::new(LOCK).exists() {
        println!("cargo::rerun-if-changed={LOCK}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// `name version`, as the lock file has it.
fn resolved(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{name}\"\nversion = \""))?;
    let (version, _) = rest.split_once('"')?;
    Some(format!("{name} {version}"))
}
