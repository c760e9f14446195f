#!/bin/sh
# Runs each fuzz target for a while, from the committed seeds on.
#
#   scripts/fuzz.sh [SECONDS]      for each target; default 30
#
# Needs a C++ compiler for libFuzzer's driver, and nothing else: the instrumentation is the
# compiler's own and works with a stable toolchain. `cargo fuzz run exposition fuzz/seeds/exposition`
# does the same with the address sanitizer on, where cargo-fuzz and a nightly toolchain are there.
#
# A finding is an input under fuzz/artifacts: copy it to fuzz/seeds/TARGET, where the plain tests
# replay it, and mend what it found.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-30}

if ! command -v "${CXX:-c++}" > /dev/null; then
    echo "fuzz: skipped, no C++ compiler (${CXX:-c++}) for libFuzzer" >&2
    # On CI a gap is a failure.
    [ "${CI:-}" != true ]
    exit
fi

target=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR="$target/fuzz"
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes too. By --target, so that build scripts and macros are not instrumented.
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host"

for source in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    # Grows from run to run, outside the repository.
    corpus=$CARGO_TARGET_DIR/corpus/$name
    artifacts=fuzz/artifacts/$name/
    mkdir -p "$corpus" "$artifacts"
    log=$CARGO_TARGET_DIR/$name.log
    echo "fuzz: $name for $seconds s"
    if "$CARGO_TARGET_DIR/$host/release/$name" "$corpus" "fuzz/seeds/$name" \
        -max_total_time="$seconds" -max_len=1024 -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$artifacts" > "$log" 2>&1; then
        grep -E '^Done ' "$log"
        # The counters are there and inputs were kept: without them it would be a random test.
        grep -E 'INITED cov: [1-9]' "$log" > /dev/null || { echo "fuzz: not instrumented"; exit 1; }
    else
        tail -n 60 "$log"
        echo "fuzz: $name found something, see $artifacts" >&2
        exit 1
    fi
done
