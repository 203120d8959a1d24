# shellcheck shell=sh disable=SC2086,SC2154
# Sends pieces of $file on the terminal as they are asked for (pull.py).
#
# Set before it: mark, a word that nothing else on this console knows; file; block, a file for one
# piece; tool, which takes digests; full, an option of dd; flow, options of stty; and the function
# coded, a filter that makes of a piece what this line carries.
#
# Requests: "SIZE NUMBER", 20 characters with blanks and a line end: the piece NUMBER, counted from 0
# in pieces of SIZE bytes.
# Answers:  B "SIZE NUMBER LENGTH DIGEST", and LENGTH bytes that have DIGEST
#           N  a request was damaged; nothing is on its way any more
#           L  it leaves
exec 2>/dev/null
set -f

say() { printf '\n\036%s %s %s|%s %s\n' "$1" "$mark" "$2" "$2" "$1"; }

interrupt=$(printf '\003') # typed by whoever found the board left like this
stty raw -echo $flow min 0 time 3
bad=0
while [ "$bad" -lt 90 ]; do
    bad=$((bad + 1))
    head=$(dd bs=20 count=1 $full)
    case $head in
        *leave* | "$interrupt"*)
            say L 0
            exit 0
            ;;
    esac
    set -- $head
    case $#$1$2 in
        2*[!0-9]* | ?????????????????* | [!2]*) # not a request: somebody's noise, or silence
            if [ -n "$head" ]; then
                stty time 1
                cat >/dev/null
                stty time 3
                say N 0
            fi
            continue
            ;;
    esac
    bad=0
    dd if="$file" bs="$1" skip="$2" count=1 | coded >"$block"
    length=$(wc -c <"$block")
    digest=$($tool <"$block")
    say B "$1 $2 $((length)) ${digest%% *}"
    cat "$block"
done
exit 1
