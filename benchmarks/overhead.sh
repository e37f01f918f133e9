#!/usr/bin/env bash
# Measures the overhead under the payloads sketch, basis and dense; needs BANKING77 where overhead.toml names it, an
# idle machine, 2 GiB and about forty minutes.
#
#   benchmarks/overhead.sh [FOLDER]           FOLDER: where results go, benchmarks/results if not given
#                                             SECUREFL: the program, .venv/bin/securefl if not given
#                                             REPEATS: runs of each variant, 3 if not given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder="${1:-benchmarks/results}"
program="${SECUREFL:-.venv/bin/securefl}"
mkdir -p "$folder"

# Beside the original, because paths in it count from its folder.
file="benchmarks/.overhead.toml"
trap 'rm -f "$file"' EXIT
for payload in sketch basis dense; do
  sed "/^\[payload\]/,/^\[/ s/^name = .*/name = \"$payload\"/" benchmarks/overhead.toml >"$file"
  grep -qx "name = \"$payload\"" "$file" || { echo "benchmarks/overhead.toml has no [payload] name" >&2; exit 1; }
  "$program" bench overhead "$file" --repeat "${REPEATS:-3}" --json "$folder/overhead-$payload.json" </dev/null
done
