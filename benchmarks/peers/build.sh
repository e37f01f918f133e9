#!/usr/bin/env bash
# Builds the peers' environments, .venvs/nvflare and .venvs/flower; what is up to date already stays.
#
#   benchmarks/peers/build.sh [nvflare] [flower]      PYTHON names an interpreter, PIP_ARGS goes to pip
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

peers=("$@")
[[ $# -gt 0 ]] || peers=(nvflare flower)
for peer in "${peers[@]}"; do
  wanted="benchmarks/peers/$peer.txt"
  folder=".venvs/$peer"
  [[ -f $wanted ]] || { echo "There is no peer called $peer." >&2; exit 2; }
  if cmp --silent "$wanted" "$folder/installed.txt"; then
    continue
  fi
  echo "Building $folder."
  rm -rf "$folder"
  "${PYTHON:-python3}" -m venv "$folder"
  # shellcheck disable=SC2086 - several arguments
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check ${PIP_ARGS:-} -r "$wanted"
  cp "$wanted" "$folder/installed.txt"
done
