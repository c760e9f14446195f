#!/usr/bin/env bash
# Does the rmcp wrapper forward every method of the newest 3.x? Resolves that release in a copy of
# the manifest, so that the lock file stays as it is, and runs the trait test against its source.
# A newer release that fails here is a feature that wrapped servers would lose without a word.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/src"
: >"$scratch/src/lib.rs"
cat >"$scratch/Cargo.toml" <<'TOML'
[package]
name = "newest-rmcp"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
rmcp = { version = "3", default-features = false, features = ["server"] }
TOML

cargo fetch --quiet --manifest-path "$scratch/Cargo.toml"
manifest=$(cargo metadata --format-version 1 --manifest-path "$scratch/Cargo.toml" |
  grep -o '"manifest_path":"[^"]*/rmcp-3[^"]*"' | head -n 1 | cut -d'"' -f4)
echo "newest: $(basename "$(dirname "$manifest")")"

cd "$root"
MCP_VITALS_RMCP_SOURCE=$(dirname "$manifest") cargo test --quiet --features rmcp --test mcp_trait
