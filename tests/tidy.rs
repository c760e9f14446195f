//! The source keeps the crate's own rules: which room may use which, where `unsafe` and atomics
//! live, and that nothing is written to stdout.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines a file may have.
const MOST_LINES: usize = 700;

/// Each room under `src/`, and the rooms it may name. What is not in the table may not exist.
///
/// `api` is whatever `lib.rs` gives to a user.
const ARROWS: &[(&str, &[&str])] = &[
    ("lib", &["*"]),
    // Hold numbers.
    ("sync", &[]),
    // The processor's counter is read by an instruction that takes `unsafe`.
    ("clock", &["sync", "shard"]),
    ("error", &[]),
    ("shard", &["sync"]),
    // Hold frames.
    // Their memory is charged to the budget of the cells.
    ("ring", &["sync", "shard"]),
    ("batch", &["ring", "logs", "traces", "clock"]),
    // Texts are looked through by wide vectors, as numbers are written by them.
    ("logs", &["ring", "shard", "sync", "clock", "error", "batch", "export"]),
    // Values of attributes are those of a line's fields.
    // `SpanForm` is made in `encode`, and named here.
    (
        "traces",
        &[
            "ring", "sync", "clock", "error", "batch", "export", "logs", "encode", "analysis",
            "store",
        ],
    ),
    // Spans as plain data: what their times say.
    ("analysis", &["traces", "logs"]),
    // Read, written in words, handed to the sinks.
    (
        "flusher",
        &[
            "ring",
            "batch",
            "logs",
            "traces",
            "encode",
            "export",
            "clock",
            "sync",
            "error",
            "background",
            "store",
            "shard",
        ],
    ),
    // Traces in memory, charged to the engine's budget.
    ("store", &["ring", "batch", "traces", "clock", "sync", "shard", "error"]),
    // What processes left behind that had died.
    ("recover", &["ring", "batch", "logs", "encode", "flusher", "error"]),
    // What exists. It counts its losses in counters, and spells a boundary when a family is born.
    ("registry", &["shard", "sync", "clock", "error", "metrics", "encode"]),
    // Record. `get` reads like a scrape does.
    // An observation within a span is a candidate for an exemplar.
    ("metrics", &["registry", "ring", "shard", "sync", "clock", "collect", "error"]),
    // Read.
    ("collect", &["registry", "shard", "sync", "snapshot"]),
    ("snapshot", &["registry"]),
    ("cardinality", &["registry", "snapshot"]),
    // Asks the host at each scrape, on threads of its own.
    ("collectors", &["registry", "metrics", "shard", "sync", "background", "snapshot", "error"]),
    // Data to bytes. It asks for memory ahead of time as the shards do.
    ("encode", &["snapshot", "shard", "pool", "batch", "logs", "ring", "traces"]),
    ("pool", &["error"]),
    // The edges: through the public API alone.
    // What goes to other systems is read as spans and encoded there.
    (
        "export",
        &["api", "error", "sync", "background", "batch", "encode", "logs", "ring", "traces"],
    ),
    ("serve", &["api", "error", "sync", "background", "console", "export"]),
    // It reads with a visitor of its own, what it wants alone; and names what it evaluates by the
    // catalog's rules.
    (
        "console",
        &[
            "api",
            "error",
            "sync",
            "background",
            "batch",
            "catalog",
            "encode",
            "export",
            "logs",
            "ring",
            "snapshot",
            "store",
            "traces",
        ],
    ),
    // Stdout for the protocol; strays go out by a sink.
    ("stdio", &["api", "error", "sync", "background", "export"]),
    // The same names as `api`, taken from where they are made.
    ("system", &["api", "error", "sync", "background", "metrics", "vitals"]),
    // Each metric knows the outcomes that its labels take, and times what it records.
    ("catalog", &["api", "error", "clock", "mcp"]),
    // Each request is logged, too, and has a span.
    ("mcp", &["api", "error", "catalog", "clock", "sync", "logs", "traces", "vitals"]),
    ("typed", &["api", "error"]),
    // What the attribute macros' code names: each of the three signals, and the process's engine.
    ("attributes", &["api", "error", "catalog", "clock", "logs", "mcp", "traces", "vitals"]),
    // Its lines come in by `logs::inlet`: a target and a call site of another crate are no logger
    // of ours, and the macros' rendering of values is theirs too. What `tracing` enters is current by
    // `traces::entered`: in any order, which no guard of ours allows.
    ("bridge", &["api", "error", "logs", "traces"]),
    ("cli", &["api", "mcp", "catalog"]),
    ("main", &["api", "mcp", "cli"]),
    // What ties.
    ("background", &["sync", "error"]),
    ("outlets", &["*"]),
    ("own", &["*"]),
    ("builder", &["*"]),
    ("vitals", &["*"]),
];

/// What a user logs with: public, and named at the root by the macros themselves.
const MACROS: &[&str] = &["log", "trace", "debug", "info", "warn"];

/// Files that may say `unsafe`, beside `shard/` and `ring/`: an allocator can't be hooked without, and label
/// values are read while others come and go, at no more than a pointer's price.
const UNSAFE: &[&str] = &["registry/handle.rs", "registry/values.rs", "system/heap.rs"];

struct Source {
    /// Under `src/`, with slashes.
    path: String,
    room: String,
    text: String,
    /// Code without comments, strings and tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    assert!(paths.len() > 20, "the walk found only {} files", paths.len());
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            let room = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let code = code(&text);
            Source { path, room, text, code }
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// What the rules are about: without comments, the insides of strings, and `mod tests`.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_test = line == "#[cfg(test)]";
        if is_test && lines.peek().is_some_and(|next| next.contains("mod ") && next.ends_with('{'))
        {
            // A module at the top level ends at the first brace that stands at the edge.
            lines.find(|line| *line == "}");
            continue;
        }
        let line = line.trim_start();
        if line.starts_with("//") {
            continue;
        }
        let mut in_string = false;
        let mut chars = line.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '\\' if in_string => drop(chars.next()),
                '\'' if !in_string && chars.peek() == Some(&'"') => drop(chars.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && chars.peek() == Some(&'/') => break,
                _ if in_string => continue,
                _ => {}
            }
            code.push(char);
        }
        code.push('\n');
    }
    code
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|word| !word.is_empty())
}

/// The first names after `crate::`, also within braces.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // What a macro names is the public API, seen from another crate.
    for rest in code.replace("$crate::", "").split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for char in list.chars() {
                match char {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.extend(first(&std::mem::take(&mut item))),
                    _ if depth == 0 => item.push(char),
                    _ => {}
                }
            }
            names.extend(first(&item));
        } else {
            names.extend(first(rest));
        }
    }
    names
}

fn first(path: &str) -> Option<String> {
    words(path).next().map(str::to_owned)
}

#[test]
fn arrows_point_one_way() {
    let sources = sources();
    let lib = sources.iter().find(|source| source.path == "lib.rs").unwrap();
    let public: BTreeSet<&str> = lib
        .code
        .split("pub use ")
        .skip(1)
        .flat_map(|rest| words(rest.split(';').next().unwrap_or_default()))
        .collect();
    assert!(public.contains("Vitals") && public.contains("Desc"));
    let mut wrong = Vec::new();
    for Source { path, room, code, .. } in &sources {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == room) else {
            wrong.push(format!("{path}: room `{room}` is not in the table of arrows"));
            continue;
        };
        for name in named(code) {
            let target = ARROWS.iter().any(|(room, _)| *room == name);
            let is_public = (public.contains(&*name) || MACROS.contains(&&*name)) && !target;
            // `crate::Error` is the room `error`, and a public name stands for `api`. The rooms
            // under the API give names to it themselves: they take them from their own folder.
            let ok = name == *room
                || allowed.contains(&"*")
                || allowed.contains(&&*name)
                || name == "Error" && allowed.contains(&"error")
                || is_public && allowed.contains(&"api");
            if !ok {
                wrong.push(format!("{path}: `{room}` may not use `crate::{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_has_one_home() {
    for Source { path, code, .. } in sources() {
        let allowed = ["shard/", "ring/"].iter().any(|room| path.starts_with(room))
            || UNSAFE.contains(&&*path);
        assert!(allowed || !words(&code).any(|word| word == "unsafe"), "unsafe in {path}");
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_safe() {
    for Source { path, text, .. } in sources() {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let block = code.contains("unsafe {") || code.contains("unsafe impl");
            let near = &lines[at.saturating_sub(4)..at];
            let said = near.iter().any(|line| line.starts_with("// SAFETY:"));
            assert!(!block || said, "{path}:{}: {line}", at + 1);
        }
    }
}

fn is_model(path: &str) -> bool {
    ["shard/model", "ring/model"].iter().any(|models| path.starts_with(models))
}

#[test]
fn atomics_come_by_one_door() {
    for Source { path, code, .. } in sources() {
        let direct =
            ["sync::atomic", "core::sync", "loom::"].iter().any(|door| code.contains(door));
        assert!(path == "sync.rs" || is_model(&path) || !direct, "atomics in {path}");
    }
}

/// Under MCP's stdio transport stdout carries the protocol; and `eprintln!` panics where stderr is
/// closed.
#[test]
fn nothing_is_written_to_stdout() {
    for Source { path, code, .. } in sources() {
        for word in words(&code) {
            let writes = ["println", "print", "eprintln", "eprint", "dbg"].contains(&word);
            assert!(!writes, "`{word}` in {path}");
        }
        // Where a user asked for it; and the guard's own, which takes stdout away from all others.
        let asked = ["cli/analyze/mod.rs", "cli/recover.rs", "stdio/strays.rs"].contains(&&*path);
        assert!(asked || !code.contains("stdout()"), "stdout in {path}");
    }
}

#[test]
fn nothing_panics_by_choice() {
    for Source { path, code, .. } in sources() {
        if is_model(&path) || path.ends_with("tests.rs") {
            continue;
        }
        for word in [".unwrap()", "panic!", "todo!", "unimplemented!"] {
            assert!(!code.contains(word), "{word} in {path}");
        }
    }
}

#[test]
fn files_keep_to_one_purpose() {
    for Source { path, text, .. } in sources() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{path} has {lines} lines");
        assert!(text.starts_with("//! "), "{path} does not say what it is for");
    }
}
