# shellcheck shell=sh disable=SC2154
# The program that answers rootfs-tool on the board's console, in place of the shell's prompt.
#
# It runs in a shell of its own with job control, on a terminal that neither echoes nor changes
# what is written to it. Beside the shell it needs dd, cat, rm, tail, stty, and md5sum or cksum.
# The first line typed (start.py) sees to it that the terminal's settings are put back at the end,
# and has set `mark`, a word that nothing else on this console knows.
#
# Requests, one line each:    LENGTH ID VERB TEXT     LENGTH counts the characters of "ID VERB TEXT"
# Answers, never in an echo:  RS LETTER mark FIELDS|FIELDS
# FIELDS come twice, so that a line with a kernel message in it, or a byte out of it, is not one.
# Comments, blank lines and indentation are taken out before this is sent.

printk=/proc/sys/kernel/printk
level=          # of kernel messages on the console, when it is not down already
last=0          # the request that started the newest command
group=          # its process group
long=           # a command too long for one line, as far as it has come

answer() { printf '\n\036%s %s %s|%s\n' "$1" "$mark" "$2" "$2"; }

# Kernel messages would land in the middle of an answer. The level goes up again when the host has
# it all: on a serial line, what is written is not yet sent.
hush() { [ -z "$level" ] || echo 1 >"$printk"; }
unhush() { [ -z "$level" ] || echo "$level" >"$printk"; }

# The digest of a file: the first two words of the tool's answer, or "-" when the file is empty.
digest() {
    digest=-
    if [ -s "$1" ]; then
        # shellcheck disable=SC2046 # the words are wanted
        set -- $($tool <"$1")
        digest=$1.$2
    fi
}

# send PROGRAM FILE FIELDS: an answer whose body PROGRAM prints, with its digest as the last field
send() {
    digest "$2"
    hush
    if [ "$digest" != - ]; then
        answer B "$3 $digest"
        "$1" "$2"
    fi
    answer E "$3 $digest"
}

# A command from its start to its end, in the background: the loop below goes on listening.
# A status that cannot be written down means that its output may not have fitted either. The output
# goes along at once unless it is being watched: to be asked for it costs as much as a short command.
job() {
    sh -c "$command" </dev/null >"$out" 2>&1
    status=$?
    digest "$out"
    echo "$status $digest" >"$out.s" || status=full
    [ -e "$out" ] || status=full
    hush
    if [ -z "$watched" ] && [ "$digest" != - ] && [ "$status" != full ]; then
        answer B "$id $status $digest"
        cat "$out"
        answer E "$id $status $digest"
    else
        answer D "$id $status $digest"
    fi
}

start() {
    [ -z "$group" ] || wait "$group"
    unhush
    read -r now _ <"$printk"
    [ "$now" = 1 ] || level=$now
    last=$id
    [ ! -e "$out" ] || : >"$out" # its room is free at once; to remove it costs time, so
    started=$((started + 1))     # that is done now and then
    [ "$((started % 64))" != 0 ] || rm -f "$files-"*
    out=$files-$id
    case $verb in
        w*) watched=1 ;;
        *) watched= ;;
    esac
    command=$1
    case $command in
        *\\*)
            command=$(printf '%b_' "$command")
            command=${command%_}
            ;;
    esac
    job &
    group=$!
}

# A command is started once, however often it is asked for.
once() {
    if [ "$id" -gt "$last" ]; then
        start "$1"
    else
        state
        answer D "$id $state"
    fi
}

# What became of the newest command: "STATUS DIGEST", or "running -".
state() {
    state='running -'
    if [ -s "$out.s" ]; then read -r state <"$out.s"; fi
}

# chunk PROGRAM BLOCK,COUNT: that piece of the newest command's output, in blocks of 512 bytes
chunk() {
    state
    dd if="$out" of="$part" bs=512 skip="${2%,*}" count="${2#*,}"
    send "$1" "$part" "$id $last:${state%% *}"
}

# A command that has ended may have left programs running: those stay.
stop() { [ -z "$group" ] || [ -s "$out.s" ] || kill -9 "-$group" || kill -9 "$group"; }

# /tmp comes late: a program that fills it must not take the answers along
for dir in "$TMPDIR" /run /dev/shm /tmp /var/tmp /; do
    files=$dir/.rootfs-tool-$mark
    [ -n "$dir" ] && echo >"$files" && break
done
started=0
out=$files
part=$files.part
tool=none
for try in cksum md5sum; do
    type $try >/dev/null && tool=$try
done
coder='cat'
type base64 >/dev/null && coder='base64'

trap : INT # Ctrl-C ends the read, and so the loop, and nothing is left behind
answer R "0 $tool $dir"
while IFS=' ' read -r length line; do
    if [ -z "$length" ]; then # somebody asks whether anybody is there
        answer R "0 $tool $dir"
        continue
    fi
    if [ "${#line}" != "$length" ]; then
        answer N 0
        continue
    fi
    id=${line%% *}
    verb=${line#* }
    text=${verb#* }
    case $verb in
        'run '* | 'watch '*) once "$text" ;;
        long | watchlong) once "$long" ;;
        'part '*) # of a long command: OFFSET,LENGTH; the text follows a colon in the next line
            piece=$(dd bs=4096 count=1)
            piece=${piece#:}
            if [ "${#piece}" = "${text#*,}" ]; then
                [ "${text%,*}" != 0 ] || long=
                [ "${#long}" != "${text%,*}" ] || long=$long$piece
            fi
            answer P "$id ${#long}"
            ;;
        state)
            state
            answer Q "$id $last $state"
            ;;
        whole) send cat "$out" "$id 0" ;;
        'chunk '*) chunk cat "$text" ;;
        'coded '*) chunk "$coder" "$text" ;;
        'tail '*)
            tail -c "$text" "$out" >"$part"
            send cat "$part" "$id 0"
            ;;
        got) unhush ;;
        kill)
            stop
            unhush
            answer K "$id"
            ;;
        leave) break ;;
        *) answer N 0 ;;
    esac
done
stop
unhush
rm -f "$files"*
answer G 0
