#!/usr/bin/env bash
# Fails, naming them, if processes are left that were started from FOLDER: leftovers.sh FOLDER
set -euo pipefail
folder=$1
left=0
for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    if [ "$pid" = "$$" ] || [ "$pid" = "$PPID" ]; then continue; fi
    executable=$(readlink "$entry/exe" 2>/dev/null) || continue
    words=$(tr '\0' ' ' <"$entry/cmdline" 2>/dev/null) || continue
    case "$executable" in
        "$folder"/*) ;;
        *) case "$words" in "$folder"/.venv/* | "$folder"/node_modules/*) ;; *) continue ;; esac ;;
    esac
    echo "left behind: $pid $words" >&2
    left=1
done
if [ "$left" = 0 ]; then echo "no process left"; fi
exit "$left"
