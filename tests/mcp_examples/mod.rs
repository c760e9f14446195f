//! The examples, built and found; and a small reader of what they expose.

#![allow(dead_code)] // each test file uses its own part

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of an example's binary. Builds all of them at the first call: cargo builds examples
/// with `cargo test`, but not with `cargo test --test NAME`.
pub fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        // With the features of this very build, so that nothing is compiled twice.
        let mut features = vec!["http", "rmcp"];
        features.extend(cfg!(feature = "tower").then_some("tower"));
        let output = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--message-format", "json", "--examples"])
            .args(["--features", &features.join(",")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let binary = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("an example is an executable");
        binary.parent().expect("a folder").to_owned()
    });
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// A folder of a test's own, gone when the test ends well.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mcp-vitals-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The value of one sample of an exposition, by name and the labels given, others ignored.
pub fn sample(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix('{')?;
        let (own, value) = rest.rsplit_once("} ")?;
        let has = |(key, wanted): &(&str, &str)| own.contains(&format!("{key}=\"{wanted}\""));
        labels.iter().all(has).then(|| value.parse().ok()).flatten()
    })
}
