#!/usr/bin/env bash
# Runs the console in a real browser against the demo: tests/console/*.test.mjs, by node's own runner
# with Playwright. Installs nothing: scripts/install-parts.sh does.
#
#   scripts/console-test.sh BINARY                 BINARY is the built mcp-vitals
#   scripts/console-test.sh BINARY --screenshots   draw docs/images/console-*.png anew, test nothing
#
# What is missing makes it SKIPPED, with exit 0, unless CI=true: then it is a failure.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export MCP_VITALS_PARTS=${MCP_VITALS_PARTS:-$root/target/parts}

if [ $# -lt 1 ] || [ $# -gt 2 ] || { [ $# = 2 ] && [ "$2" != --screenshots ]; }; then
  echo "usage: scripts/console-test.sh BINARY [--screenshots]" >&2
  exit 2
fi
if [ ! -x "$1" ]; then
  echo "$1 is no program: build it with  cargo build --release --features cli" >&2
  exit 2
fi
CONSOLE_BINARY=$(realpath "$1")
export CONSOLE_BINARY

if command -v node >/dev/null; then
  missing=$(node "$root/tests/console/parts.mjs")
else
  missing="apt package nodejs"
fi
if [ -n "$missing" ]; then
  echo "SKIPPED: the console in a browser: scripts/install-parts.sh installs what is missing:"
  echo "$missing"
  [ "${CI:-}" != true ]
  exit
fi

if [ "${2:-}" = --screenshots ]; then
  exec node "$root/tests/console/pictures.mjs"
fi
# One file after the other: each has a demo and a browser of its own, and two cores are common.
exec node --test --test-concurrency=1 "$root"/tests/console/*.test.mjs
