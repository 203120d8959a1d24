# shellcheck shell=sh disable=SC2154
# The program that answers rootfs-tool on the board's console, in place of the shell's prompt.
#
# It runs in a shell of its own with job control, on a terminal that neither echoes nor changes
# what is written to it. Beside the shell it needs dd, cat, rm, tail and stty, and should have
# md5sum, cksum or crc32. What takes it there (start.py) sees to it that the terminal's settings
# are put back at the end, and has set `mark`, a word that nothing else on this console knows.
#
# Requests, one line each:    ID VERB TEXT\:ID VERB TEXT      or with a third copy
# Answers, never in an echo:  RS LETTER mark FIELDS|FIELDS LETTER
# What comes in equal copies has nothing lost, changed or put in. That costs no process, of which a
# digest takes two; a command too long to be typed twice has one.
# A line that says `exit` ends it: for a person who finds it here. Ctrl-C does not, because a line
# that changes bytes can make one of anything.
# Comments, blank lines and indentation are taken out before this is sent.

printk=/proc/sys/kernel/printk
level=          # of kernel messages on the console, while it is down
last=0          # the request that started the newest command
group=          # its process group
fronted=0       # the newest request to run a script in the foreground
long=           # a command too long for one line, as far as it has come

tame() { stty -echo -opost "$flow" -tostop icanon icrnl -isig -iexten eof ^-; }

answer() { printf '\n\036%s %s %s|%s %s\n' "$1" "$mark" "$2" "$2" "$1"; }

# Kernel messages would land in the middle of an answer. The level goes up again when the host has
# it all: on a serial line, what is written is not yet sent.
hush() {
    read -r now _ <"$printk"
    if [ "$now" != 1 ]; then
        level=$now
        echo 1 >"$printk"
    fi
}
unhush() {
    if [ -s "$files.l" ]; then # from the end of a command, which may have set another
        read -r level <"$files.l"
        : >"$files.l"
    fi
    [ -z "$level" ] || echo "$level" >"$printk"
    level=
}

# The digest of a file: the first two words of the tool's answer, or "-" when the file is empty; and
# its size, where that is known. Half of an MD5 does, which is longer than the other tools' sums.
digest() {
    digest=-
    size=0
    if [ -s "$1" ]; then
        # shellcheck disable=SC2046 # the words are wanted
        set -- $($tool <"$1"; $counter <"$1")
        digest=${1%????????????????}.$2
        size=${3:-0}
    fi
}

# What is long is packed; what is short can be read in a log as it is.
show() {
    if [ "$size" -gt 2000 ]; then
        gzip -c "$1"
    else
        cat "$1"
    fi
}

# Whether the long command is the one whose digest this is; if not, it has to come again.
whole() {
    # shellcheck disable=SC2046
    set -- "$1" $(printf %s "$long" | $tool)
    [ "$1" != "${2%????????????????}.$3" ] || return 0
    long=
    answer P "$id 0"
    return 1
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

# What was typed, its escapes made bytes again.
decode() {
    command=$1
    case $command in
        *\\*)
            command=$(printf '%b_' "$command")
            command=${command%_}
            ;;
    esac
}

# A command from its start to its end, in the background: the loop below goes on listening.
# A status that cannot be written down means that its output may not have fitted either. The output
# goes along at once unless it is being watched: to be asked for it costs as much as a short command.
# The sum holds the status once more: two copies of it may be changed in the same way.
job() {
    sh -c "$command" </dev/null >"$out" 2>&1
    status=$?
    digest "$out"
    fields="$status $((id * 256 + status)) $digest"
    [ -e "$out" ] || fields='full 0 -'
    echo "$fields" >"$out.s" || fields='full 0 -'
    if [ -z "$watched" ] && [ "${fields##* }" != - ]; then
        hush
        [ -z "$level" ] || echo "$level" >"$files.l"
        answer B "$id $fields"
        show "$out"
        answer E "$id $fields"
    else
        answer D "$id $fields"
    fi
}

start() {
    [ -z "$group" ] || wait "$group"
    unhush
    last=$id
    [ ! -e "$files.err" ] || : >"$files.err" # the new one has not said it yet
    [ ! -e "$out" ] || : >"$out" # its room is free at once; to remove it costs time, so
    started=$((started + 1))     # that is done now and then
    [ "$((started % 64))" != 0 ] || rm -f "$files-"*
    out=$files-$id
    case $verb in
        w*) watched=1 ;;
        *) watched= ;;
    esac
    decode "$1"
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

# The same for a script in the foreground, whose terminal this is until it ends.
front() {
    if [ "$id" -gt "$fronted" ]; then
        fronted=$id
        unhush
        hush
        decode "$long"
        answer A "$id"
        answer A "$id" # the script does not know what to say if that was lost
        (eval "$command")
        fronted_status=$?
        tame
    fi
    answer F "$id $fronted_status"
}

# What became of the newest command: "STATUS SUM DIGEST", or "running 0 -".
state() {
    state='running 0 -'
    # what it is to write its status with may have been killed by the command
    if [ ! -s "$out.s" ] && { ! read -r _ _ now _ <"/proc/$group/stat" || [ "$now" = Z ]; }; then
        [ ! -e /proc/self ] || state="137 $((last * 256 + 137)) -"
    fi
    if [ -s "$out.s" ]; then read -r state <"$out.s"; fi
}

# chunk PROGRAM BLOCK,SKIP,COUNT[,err]: that piece of what the newest command wrote, in blocks of
# BLOCK bytes
chunk() {
    state
    from=$out
    [ "$2" = "${2%,err}" ] || from=$files.err
    count=${2%,err}
    skip=${count#*,}
    : >"$part" # a command that has only just been started may have no file yet
    dd if="$from" of="$part" bs="${2%%,*}" skip="${skip%,*}" count="${count##*,}"
    digest=${state#* }
    send "$1" "$part" "$id $last:${state%% *}:${digest%% *}"
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
for try in crc32 cksum md5sum; do
    type $try >/dev/null && tool=$try
done
counter=:
case $tool in
    md5sum | cksum) ! type gzip wc >/dev/null || counter='wc -c' ;;
esac
if type base64 >/dev/null; then
    code() { show "$1" | base64; }
else
    code() { cat "$1"; }
fi

tame
answer R "0 $tool $dir"
while IFS= read -r line; do
    request=${line%%'\:'*}
    case $line in
        '') # somebody asks whether anybody is there
            answer R "0 $tool $dir"
            continue
            ;;
        exit) break ;;
        g) # got it all: short, for it is on the way of every command
            unhush
            continue
            ;;
        "$request\\:$request" | "$request\\:$request\\:$request") ;;
        *)
            answer N 0
            continue
            ;;
    esac
    id=${request%% *}
    verb=${request#* }
    text=${verb#* }
    case $id in
        *[!0-9]*) # a piece of a long command whose request was damaged
            answer N 0
            continue
            ;;
    esac
    case $verb in
        'r '* | 'w '*) once "$text" ;;
        'long '* | 'wlong '*) ! whole "$text" || once "$long" ;;
        'front '*) ! whole "$text" || front ;;
        'part '*) # of a long command: OFFSET,LENGTH; the text follows a colon in the next line
            piece=$(dd bs=4096 count=1)
            piece=${piece#:}
            half=${piece%%'\:'*} # on a bad line it comes twice, as requests do
            [ "$piece" != "$half\\:$half" ] || piece=$half
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
        whole) send show "$out" "$id 0" ;;
        'chunk '*) chunk show "$text" ;;
        'coded '*) chunk code "$text" ;;
        'tail '*)
            tail -c "$text" "$out" >"$part"
            send show "$part" "$id 0"
            ;;
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
