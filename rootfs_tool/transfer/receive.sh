# shellcheck shell=sh disable=SC2046,SC2086,SC2154
# Takes a file from the terminal and lets it grow in $part, block by block (push.py).
#
# Set before it: mark, a word that nothing else on this console knows; part, and at, the bytes that
# are in it; total; block, a file for one block; tool, which takes digests; full, an option of dd;
# flow, options of stty; and the function take, which has the block out of LENGTH bytes.
#
# Blocks:   "AT LENGTH SIZE DIGEST", 40 characters with blanks and a line end, and LENGTH bytes.
# Answers, each with the bytes that are in $part:
#   A  the block before this is there      N  a block was damaged: stop sending
#   R  nothing is on its way any more: send from here
#   F  it can't be written               L  it leaves
exec 2>/dev/null
set -f

say() { printf '\n\036%s %s %s|%s %s\n' "$1" "$mark" "$at" "$at" "$1"; }

# Until the line is silent: what is still on its way belongs to nothing.
drain() {
    stty time 1
    cat >/dev/null
    stty time 3
}

# Whether the block that the four words announce has come whole.
came() {
    [ "$1" = "$at" ] && [ "$#" = 4 ] || return 1
    case $2$3 in *[!0-9]* | ????????????*) return 1 ;; esac
    take "$2" >"$block"
    set -- "$4" $($tool <"$block")
    [ "${2#"$1"}" != "$2" ]
}

interrupt=$(printf '\003') # typed by whoever found the board left like this
# No read waits for ever: a line that is silent for that long is the end of what dd reads.
stty raw -echo $flow min 0 time 3
say R
bad=0
while [ "$at" -lt "$total" ] && [ "$bad" -lt 90 ]; do
    bad=$((bad + 1))
    head=$(dd bs=40 count=1 $full)
    case $head in
        '') [ $((bad % 3)) != 0 ] || say R ;;
        *leave* | "$interrupt"*)
            say L
            exit 5
            ;;
        *)
            set -- $head
            if came "$@"; then
                if ! cat "$block" >>"$part"; then
                    rm -f "$part"
                    drain
                    say F
                    exit 40 # words.Refusal.FULL
                fi
                at=$((at + $3))
                bad=0
                say A
                continue
            fi
            say N
            drain
            say R
            ;;
    esac
done
[ "$at" = "$total" ]
