//! `ServerHandler` gets methods with default bodies in minor releases of `rmcp`. One that the wrapper
//! does not forward is a feature that the wrapped server loses without a word: here it is a failure.
#![cfg(feature = "rmcp")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the `rmcp` that this build resolved to, or the one of `MCP_VITALS_RMCP_SOURCE`,
/// by which `scripts/newest-rmcp.sh` has a release looked at that the lock file does not name.
fn rmcp_source() -> PathBuf {
    if let Some(folder) = std::env::var_os("MCP_VITALS_RMCP_SOURCE") {
        return folder.into();
    }
    // For this platform alone: other platforms' packages need not have been downloaded.
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let features = ["--features", "rmcp", "--filter-platform", host];
    let metadata = cargo(&[&["metadata", "--format-version", "1"][..], &features].concat());
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let package = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|package| package["name"] == "rmcp")
        .expect("rmcp is a dependency");
    let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a path"));
    manifest.parent().expect("a folder").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn read(folder: PathBuf, file: &str) -> String {
    let path = folder.join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names after `fn ` in `source`.
fn functions(source: &str) -> BTreeSet<String> {
    source
        .lines()
        .map(|line| line.trim_start().trim_start_matches("async "))
        .filter_map(|line| line.strip_prefix("fn "))
        .map(|line| {
            let end = line.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(line.len());
            line[..end].to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// The part of `source` between two texts, both of which have to be there.
fn between<'a>(source: &'a str, start: &str, end: &str) -> &'a str {
    let from = source.find(start).unwrap_or_else(|| panic!("no {start:?} any more"));
    let length = source[from..].find(end).unwrap_or_else(|| panic!("no {end:?} after {start:?}"));
    &source[from..from + length]
}

/// The methods of the wrapper's `impl`: plain ones, and those in the lists of its macros.
fn forwarded(wrapper: &str) -> BTreeSet<String> {
    let body = wrapper.split_once("ServerHandler for Instrumented<H> {").expect("the impl").1;
    let mut names = functions(body);
    let lists = ["requests! {", "requests_about! {"];
    let lists = lists.map(|list| between(body, list, "\n    }").lines().skip(1));
    for line in lists.into_iter().flatten() {
        if let Some((_, rest)) = line.split_once(": ")
            && let Some((name, _)) = rest.split_once('(')
            && line.starts_with("        ")
            && !line.starts_with("            ")
        {
            names.insert(name.to_owned());
        }
    }
    for line in between(body, "notifications! {", "\n    }").lines().skip(1) {
        names.insert(line.trim().split('(').next().expect("a name").to_owned());
    }
    names
}

#[test]
fn every_method_of_server_handler_is_forwarded() {
    let source = read(rmcp_source(), "src/handler/server.rs");
    let methods =
        between(&source, "macro_rules! server_handler_methods", "\npub trait ServerHandler");
    // Doc examples hold functions too.
    let code: String = methods
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let wanted = functions(&code);
    assert!(wanted.len() >= 32, "the trait is written another way now: {wanted:?}");
    let wrapper = read(env!("CARGO_MANIFEST_DIR").into(), "src/mcp/server.rs");
    assert_eq!(forwarded(&wrapper), wanted);
}

#[test]
fn every_method_of_service_is_forwarded() {
    let source = read(rmcp_source(), "src/service.rs");
    let start = "#[cfg(not(feature = \"local\"))]\npub trait Service<R: ServiceRole>";
    let wanted = functions(between(&source, start, "\n}"));
    assert!(wanted.len() >= 4, "{wanted:?}");
    let wrapper = read(env!("CARGO_MANIFEST_DIR").into(), "src/mcp/service.rs");
    let body = wrapper.split_once("for InstrumentedService<S> {").expect("the impl").1;
    assert_eq!(functions(body), wanted);
}

#[test]
fn every_request_method_of_the_sdk_has_labels() {
    let source = read(rmcp_source(), "src/model.rs");
    // The other direction: a server asks its client.
    let to_client = ["sampling/createMessage", "roots/list", "elicitation/create"];
    let ours = read(env!("CARGO_MANIFEST_DIR").into(), "src/mcp/method.rs");
    let mut seen = 0;
    for line in source.lines().filter_map(|line| line.strip_prefix("const_string!(")) {
        let Some((_, name)) = line.split_once(" = \"") else { continue };
        let name = name.trim_end_matches("\");");
        if name.starts_with("notifications/") || name == "2.0" || to_client.contains(&name) {
            continue;
        }
        seen += 1;
        assert!(ours.contains(&format!("= {name:?} =>")), "{name} is counted as _other");
    }
    assert!(seen >= 20, "the names are written another way now: {seen}");
}
