#!/usr/bin/env bash
# Fetches uPlot, the console's charting library, as npm has it, and puts what the page uses into
# src/console/page/vendor/, unchanged. To go to another version, change the three lines below.
#
#   scripts/vendor-uplot.sh            fetch and write
#   scripts/vendor-uplot.sh --check    fetch and compare; exit 1 if what is committed differs
#
# The checksum is npm's own (`npm view uplot@VERSION dist.integrity`); npm checks it, and so do we.
set -euo pipefail

version=1.6.32
integrity=sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==
files="dist/uPlot.esm.js dist/uPlot.min.css LICENSE"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
to=$root/src/console/page/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check=false
case "${1:-}" in
  "") ;;
  --check) check=true ;;
  *)
    echo "usage: scripts/vendor-uplot.sh [--check]" >&2
    exit 2
    ;;
esac

(cd "$work" && npm pack --silent "uplot@$version" >/dev/null)
archive=$work/uplot-$version.tgz
got=sha512-$(openssl dgst -sha512 -binary "$archive" | openssl base64 -A)
if [ "$got" != "$integrity" ]; then
  echo "uplot $version has the checksum $got, not $integrity" >&2
  exit 1
fi
tar -xzf "$archive" -C "$work"
printf 'uPlot %s\n%s\n' "$version" "$integrity" >"$work/package/VERSION"

mkdir -p "$to"
for file in $files VERSION; do
  if $check; then
    cmp "$work/package/$file" "$to/$(basename "$file")"
  else
    cp "$work/package/$file" "$to/$(basename "$file")"
  fi
done
$check && echo "vendor/ is uPlot $version" || echo "wrote uPlot $version to src/console/page/vendor/"
