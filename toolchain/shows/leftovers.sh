#!/usr/bin/env bash
# Fails, naming them, if processes are left that were started from FOLDER: leftovers.sh FOLDER
#
# A process counts if its executable, its working folder or one of its words lies in FOLDER. Whoever called this doesn't.
set -euo pipefail
folder=$(cd "$1" && pwd -P)

callers=" $$ "
pid=$$
while [ "$pid" -gt 1 ]; do
    pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
    callers+="$pid "
done

left=0
for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    case "$callers" in *" $pid "*) continue ;; esac
    executable=$(readlink "$entry/exe" 2>/dev/null) || continue # a kernel thread, or ended meanwhile
    place=$(readlink "$entry/cwd" 2>/dev/null) || continue
    words=$(tr '\0' ' ' 2>/dev/null <"$entry/cmdline") || continue
    case "$executable/" in "$folder"/*) ;; *)
        case "$place/" in "$folder"/*) ;; *)
            case " $words" in *" $folder"/* | *"=$folder"/*) ;; *) continue ;; esac
            ;;
        esac
        ;;
    esac
    echo "left behind: $pid $words" >&2
    left=1
done
if [ "$left" = 0 ]; then echo "no process left"; fi
exit "$left"
