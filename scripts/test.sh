#!/usr/bin/env bash
# Runs the tests.
#
#   scripts/test.sh                 all that cargo alone can run; lists what it left out
#   scripts/test.sh --with-servers  installs the real servers and clients and runs against them too
#
# CI=true implies --with-servers, and fails where anything is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

with_servers=${CI:-false}
for argument in "$@"; do
  case "$argument" in
    --with-servers) with_servers=true ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "unknown argument $argument; see --help" >&2; exit 2 ;;
  esac
done

# One build, never edited: what incremental builds keep would be gigabytes for nothing.
export CARGO_INCREMENTAL=0

started=$SECONDS
left_out=()
step() {
  printf '\n== %s (after %d s)\n' "$1" $((SECONDS - started))
  shift
  "$@"
}

# First: some of cargo's own tests use them where they are there.
if [ "$with_servers" = true ]; then
  step "servers and clients" scripts/install-parts.sh
fi
step "formatting" cargo fmt --all --check
step "lints, all features" cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
step "lints, no features" cargo clippy --quiet --all-targets -- -D warnings
step "lints, the console alone" cargo clippy --quiet --all-targets --features console -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --all-features -p mcp-vitals -p mcp-vitals-macros
step "tests, all features" cargo test --quiet --all-features
step "tests, no features" cargo test --quiet --lib
step "tests of the macros" cargo test --quiet -p mcp-vitals-macros
step "models of the lock-free rooms" scripts/model.sh --weaken
step "packages without features" scripts/packages.sh

if [ "$with_servers" = true ]; then
  step "our totals beside the peers'" cargo run --quiet --release -p mcp-vitals-peers --bin peers -- --quick
  step "release build" cargo build --release --quiet --features cli --bin mcp-vitals --example trace_forms --example exemplars
  step "real servers" scripts/real-parts.sh "${CARGO_TARGET_DIR:-target}/release/mcp-vitals"
else
  left_out+=("Prometheus, promtool, vmagent, rsyslog, syslog-ng, lnav, the Python and npm clients: --with-servers installs and runs them")
fi

if command -v "${CXX:-c++}" >/dev/null || [ "${CI:-false}" = true ]; then
  step "fuzzing, short" scripts/fuzz.sh 20
else
  left_out+=("fuzzing: libFuzzer's driver needs a C++ compiler")
fi

printf '\nAll passed in %d s.\n' $((SECONDS - started))
for what in "${left_out[@]+"${left_out[@]}"}"; do
  printf 'Left out: %s\n' "$what"
done
