#!/bin/sh
# SIGKILL in the middle of the logs' durable mode, many times over.
#
#   scripts/soak-logs.sh [KILLS]      for rings in memory, for rings on a disk under fsync, and for
#                                     a whole engine with rotation; default 100
#
# The plain tests do the same ten times each. As root the rings in memory lie on a tmpfs of 1 MiB,
# else on /dev/shm, which the output says.
set -eu
cd "$(dirname "$0")/.."
export MCP_VITALS_KILLS="${1:-100}"
cargo test --lib ring::durable::tests::kill_tests -- --nocapture
cargo test --test durable -- --nocapture
