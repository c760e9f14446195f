#!/usr/bin/env bash
# What each feature adds to a bare rmcp server on stdio: packages, and seconds of a clean release
# build: processor seconds of all cores, which another load on the machine moves little. Fills the
# table in README. Takes some minutes.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src"
cp "$root/examples/plain_stdio_server.rs" "$work/src/main.rs"
cp "$root/Cargo.lock" "$work/"

measure() {
  cat >"$work/Cargo.toml" <<TOML
[package]
name = "bare"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
rmcp = { version = "3.9", features = ["server", "macros", "transport-io"] }
schemars = "1"
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
$2
TOML
  cd "$work"
  cargo fetch --quiet
  rm -rf "$work/target"
  local packages seconds
  packages=$(cargo tree --quiet -e normal --prefix none | sed 's/ (.*//' | sort -u | wc -l)
  local TIMEFORMAT='%U %S'
  seconds=$({ time CARGO_TARGET_DIR=$work/target cargo build --release --quiet; } 2>&1 | tail -n 1)
  echo "$seconds" | awk -v what="$1" -v packages="$packages" \
    '{ printf "%-14s %4d packages %6.1f s\n", what, packages, $1 + $2 }'
}

dependency() { printf 'mcp-vitals = { path = "%s", features = [%s] }' "$root" "$1"; }
measure "bare" ""
measure "none" "$(dependency '')"
measure "macros" "$(dependency '"macros"')"
measure "rmcp" "$(dependency '"rmcp"')"
measure "rmcp, http" "$(dependency '"rmcp", "http"')"
measure "rmcp, tower" "$(dependency '"rmcp", "tower"')"
