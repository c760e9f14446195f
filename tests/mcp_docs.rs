//! What the documents say is what the code does: the few lines of `docs/INTEGRATE.md` that make a plain
//! server a measured one.

use std::path::{Path, PathBuf};

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The lines that a longest common subsequence of the two files leaves over, in their order.
fn changed_lines(old: &str, new: &str) -> Vec<String> {
    // What the head of each file says of itself is no part of the change.
    let code = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("//!")).map(str::to_owned).collect()
    };
    let (old, new) = (code(old), code(new));
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut changed) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            changed.push(format!("-{}", old[i]));
            i += 1;
        } else {
            changed.push(format!("+{}", new[j]));
            j += 1;
        }
    }
    changed
}

#[test]
fn the_diffs_of_integrate_md_are_those_of_the_examples() {
    let document = read("docs/INTEGRATE.md");
    let shown: Vec<Vec<String>> = document
        .split("```diff\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("an end").lines().map(str::to_owned).collect())
        .collect();
    let pairs = [
        ("examples/plain_stdio_server.rs", "examples/stdio_server.rs"),
        ("examples/plain_http_server.rs", "examples/http_server.rs"),
    ];
    assert_eq!(shown.len(), pairs.len());
    for (shown, (plain, measured)) in shown.iter().zip(pairs) {
        let sorted = |mut lines: Vec<String>| {
            lines.sort_unstable();
            lines
        };
        let real = changed_lines(&read(plain), &read(measured));
        // One changed line may stand above or below an added one.
        assert_eq!(sorted(real.clone()), sorted(shown.clone()), "{plain} and {measured}");
        assert!(real.len() <= 5, "{} lines: {real:?}", real.len());
    }
}
