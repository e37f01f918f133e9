#!/usr/bin/env bash
# Takes all committed figures of aggregation again, with both peers; needs an idle machine, 8 GiB and about half an
# hour.
#
#   benchmarks/aggregation.sh [FOLDER]        FOLDER: where results go, benchmarks/results if not given
#                                             SECUREFL: the program, .venv/bin/securefl if not given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder="${1:-benchmarks/results}"
program="${SECUREFL:-.venv/bin/securefl}"
mkdir -p "$folder"
benchmarks/peers/build.sh

# name, values, clients, bits, rounds of each path
while read -r name values cohort bits repeats; do
  "$program" bench aggregation --values "$values" --cohort "$cohort" --precision-bits "$bits" --repeats "$repeats" \
    --peer nvflare=.venvs/nvflare/bin/python --peer flower=.venvs/flower/bin/python \
    --json "$folder/aggregation-$name.json" </dev/null
done <<'RUNS'
1m-16      1000000 16 16 3
1m-16-12b  1000000 16 12 3
1m-4       1000000  4 16 3
8m-4       8400000  4 16 3
RUNS

# name, clients, rounds: a process plays all clients, and in cohorts like these a peer takes hours
while read -r name cohort repeats; do
  "$program" bench aggregation --values 1000000 --cohort "$cohort" --repeats "$repeats" --path securefl \
    --json "$folder/aggregation-$name.json" </dev/null
done <<'RUNS'
1m-64     64 3
1m-100   100 3
1m-1000 1000 1
RUNS
