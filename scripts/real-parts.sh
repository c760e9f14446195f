#!/usr/bin/env bash
# Runs the real parts against the demo: Prometheus, promtool, the Python parser, vmagent and
# VictoriaMetrics, then from a fault over Alertmanager to its notification, then the readers of spans
# against what the example trace_forms writes, then rsyslog, syslog-ng and lnav against a log that is
# rolled, then gRPC, rotel and Phoenix for spans, then the console in a browser, then Grafana's own code
# for the dashboards, then the MCP clients.
#
#   scripts/real-parts.sh BINARY       everything; BINARY is the built mcp-vitals
#   scripts/real-parts.sh --static     only what needs no binary: rules, configuration, dashboards,
#                                      and the harness's own tests
#
# scripts/install-parts.sh installs what it needs. What is not there is SKIPPED, with exit 0,
# unless CI=true: then it is a failure.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export MCP_VITALS_PARTS=${MCP_VITALS_PARTS:-$root/target/parts}
export PYTHONDONTWRITEBYTECODE=1 # the tests leave nothing in the tree

if [ $# != 1 ]; then
  echo "usage: scripts/real-parts.sh BINARY | --static" >&2
  exit 2
fi
if [ "$1" != --static ] && [ ! -x "$1" ]; then
  echo "$1 is no program: build it with  cargo build --release --features cli" >&2
  exit 2
fi

python=$MCP_VITALS_PARTS/venv/bin/python
if [ ! -x "$python" ] && ! python=$(command -v python3); then
  echo "SKIPPED: all real parts: no python3; scripts/install-parts.sh installs it"
  [ "${CI:-}" != true ]
  exit
fi

# bash waits for its child before it runs a trap. In the background, the child is told at once; in
# a process group of its own (-m), so are the children that it has.
set -m
child=
end() {
  trap - EXIT INT TERM
  if [ -n "$child" ]; then
    kill -TERM -- "-$child" 2>/dev/null
    wait "$child" 2>/dev/null
  fi
  exit "$1"
}
trap 'end 130' INT
trap 'end 143' TERM

failed=()
part() {
  local name=$1
  shift
  echo "== $name"
  "$@" &
  child=$!
  wait "$child" || failed+=("$name")
  child=
}

part "the harness can fail" "$python" -m unittest discover -s "$root/tests/real/selftest"
part "mutants of the rules" "$python" "$root/scripts/mutate-rules.py" --short
if [ "$1" = --static ]; then
  part "rules, configuration, dashboards" "$python" "$root/tests/real/run.py" --static
  part "files of the log shippers" "$python" "$root/tests/real/shippers.py" --static
else
  binary=$(realpath "$1")
  part "servers" "$python" "$root/tests/real/run.py" "$binary"
  part "notifications" "$python" "$root/tests/real/notify.py" "$binary"
  part "thresholds by tool" "$python" "$root/tests/real/thresholds.py" "$binary"
  # Built beside it by  cargo build --release --example trace_forms
  part "forms of spans" "$python" "$root/tests/real/traces_forms.py" "$(dirname "$binary")/examples/trace_forms"
  # Built beside it:  cargo build --release --example exemplars --features http
  part "exemplars" "$python" "$root/tests/real/exemplars.py" "$(dirname "$binary")/examples/exemplars"
  part "native histograms" "$python" "$root/tests/real/native.py" "$(dirname "$binary")/examples/exemplars"
  part "log shippers" "$python" "$root/tests/real/shippers.py"
  part "collectors of spans" "$python" "$root/tests/real/traces.py"
  part "spans in a store" "$python" "$root/tests/real/phoenix.py" "$binary"
  part "console" bash "$root/scripts/console-test.sh" "$binary"
  if command -v node >/dev/null; then
    part "dashboards, by Grafana's code" node "$root/tests/grafana/run.mjs" "$binary"
  else
    echo "SKIPPED: dashboards, by Grafana's code: no node; scripts/install-parts.sh installs it"
    [ "${CI:-}" != true ] || failed+=("dashboards, by Grafana's code")
  fi
  # The MCP clients have an entry of their own.
  if [ -f "$root/tests/clients/run.sh" ]; then
    part "MCP clients" bash "$root/tests/clients/run.sh" "$binary"
  else
    echo "SKIPPED: MCP clients: tests/clients/run.sh is not there"
    [ "${CI:-}" != true ] || failed+=("MCP clients")
  fi
fi

if [ ${#failed[@]} != 0 ]; then
  printf 'FAILED real part: %s\n' "${failed[@]}" >&2
  exit 1
fi
