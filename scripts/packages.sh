#!/usr/bin/env bash
# Counts the packages that the crate brings: at most 45 without features.
set -euo pipefail
cd "$(dirname "$0")/.."
count() { cargo tree --quiet -e normal --prefix none "$@" | sed 's/ (.*//' | sort -u | wc -l; }
bare=$(count)
printf 'without features: %d packages (at most 45)\n' "$bare"
for feature in macros gzip zstd http console tower rayon rmcp otlp otlp-grpc otlp,tls cli; do
  printf '%-16s  %d\n' "$feature:" "$(count --features "$feature")"
done
[ "$bare" -le 45 ]
