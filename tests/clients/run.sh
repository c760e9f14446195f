#!/usr/bin/env bash
# Real MCP clients, not ours, drive the instrumented example servers over stdio and over streamable
# HTTP; the answers are checked, then the metrics are held to what the clients sent.
#
# The clients are installed by scripts/install-parts.sh, into $MCP_VITALS_PARTS, by default
# target/parts. Without them this fails where CI=true, and elsewhere says so and leaves.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/tests/clients
parts=${MCP_VITALS_PARTS:-$root/target/parts}
python=$parts/venv/bin/python
inspector=$parts/node/node_modules/.bin/mcp-inspector

for part in "$python" "$inspector"; do
  if [ ! -x "$part" ]; then
    echo "left out: real MCP clients ($part is missing; scripts/install-parts.sh installs it)" >&2
    [ "${CI:-}" = true ] && exit 1
    exit 0
  fi
done

cd "$root"
cargo build --quiet --features http,rmcp --examples
examples=$(cargo metadata --format-version 1 --no-deps |
  "$python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/examples

scratch=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  server=
}
trap 'stop; rm -rf "$scratch"' EXIT

free_port() {
  "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts the HTTP example; sets `mcp` and `metrics` to its URLs.
start_http() {
  local metrics_port
  metrics_port=$(free_port)
  "$examples/http_server" 127.0.0.1:0 "127.0.0.1:$metrics_port" 2>"$scratch/http.err" &
  server=$!
  metrics=http://127.0.0.1:$metrics_port/metrics
  for _ in $(seq 300); do
    mcp=$(sed -n 's/^mcp: //p' "$scratch/http.err")
    [ -n "$mcp" ] && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$scratch/http.err" >&2
  echo "the HTTP example did not start" >&2
  return 1
}

# One call of the inspector's command line; its JSON on stdout.
inspect() {
  timeout 120 "$inspector" --cli "$@"
}

# expect TEXT COMMAND…: the command's output has to hold the text.
expect() {
  local text=$1 output
  shift
  output=$("$@" 2>&1) || {
    echo "failed: $*" >&2
    echo "$output" >&2
    return 1
  }
  if ! grep -qF -- "$text" <<<"$output"; then
    echo "no $text in the answer of: $*" >&2
    echo "$output" >&2
    return 1
  fi
}

timeout 300 "$python" "$here/client.py" stdio "$examples/stdio_server"

start_http
timeout 300 "$python" "$here/client.py" http "$mcp" "$metrics"
stop

for transport in stdio http; do
  timeout 300 "$python" "$here/traces.py" "$transport" "$examples/traced_server"
done

# The inspector starts a server for each call: one call, one textfile.
mkdir "$scratch/stdio"
(
  cd "$scratch/stdio"
  expect '"name": "add"' inspect "$examples/stdio_server" --method tools/list
  "$python" "$here/counts.py" mcp.prom tools,list,success=1 server,initialize,success=1
)
mkdir "$scratch/call"
(
  cd "$scratch/call"
  expect '"42"' inspect "$examples/stdio_server" \
    --method tools/call --tool-name add --tool-arg a=40 --tool-arg b=2
  "$python" "$here/counts.py" mcp.prom add,execute,success=1 add,execute,error=0
)
echo "inspector over stdio: answers and metrics agree"

start_http
for a in 40 41 42; do
  expect "\"$((a + 2))\"" inspect "$mcp" --transport http \
    --method tools/call --tool-name add --tool-arg "a=$a" --tool-arg b=2
done
expect '"isError": true' inspect "$mcp" --transport http --method tools/call --tool-name fail
expect '"name": "rest"' inspect "$mcp" --transport http --method tools/list
"$python" "$here/counts.py" "$metrics" add,execute,success=3 fail,execute,error=1 \
  server,initialize,success=5
stop
echo "inspector over HTTP: answers and metrics agree"
