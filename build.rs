//! Says whether the compiler knows more than `rust-version` promises.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(vitals_avx512)");
    // The least minor version whose `target_feature` may name AVX-512.
    if minor().is_some_and(|minor| minor >= 89) {
        println!("cargo::rustc-cfg=vitals_avx512");
    }
}

/// Of `rustc 1.89.0 (...)` the second number; nothing of what is spelled otherwise.
fn minor() -> Option<u32> {
    let said = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let mut version = said.strip_prefix("rustc 1.")?.split('.');
    version.next()?.parse().ok()
}
