#!/usr/bin/env bash
# Runs one step of the build: prints its name, its whole output, and its wall time at the end.
# Usage: tools/step.sh NAME COMMAND...
set -uo pipefail
name=$1
shift
printf '\n== %s\n' "$name"
start=$(date +%s%N)
"$@"
code=$?
elapsed=$((($(date +%s%N) - start) / 100000000))
verdict=ok
[ "$code" -eq 0 ] || verdict="FAILED (exit code $code)"
printf '== %s: %s, %d.%d s\n' "$name" "$verdict" $((elapsed / 10)) $((elapsed % 10))
exit "$code"
