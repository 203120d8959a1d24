# shellcheck shell=sh
# What the kernel of a board says of its network: sections, begun as tail begins those of its files.
# Few programs are started, and none for each process: a slow board with many answers in time too.
[ -e /proc/self ] && cd /proc || exit 1
tail -n +1 sys/kernel/hostname net/dev net/arp net/route net/ipv6_route net/if_inet6 \
    net/tcp net/tcp6 net/udp net/udp6 net/raw net/raw6 sys/net/ipv6/bindv6only \
    /etc/resolv.conf 2>/dev/null

echo '==> user <=='
id -u
echo '==> sysfs <=='
(cd /sys/class/net && grep -s . ./*/address ./*/mtu ./*/flags ./*/carrier ./*/speed ./*/duplex)
echo '==> addresses <=='
ip -4 -o addr show 2>/dev/null || ifconfig -a 2>/dev/null
echo '==> neighbours6 <=='
ip -6 neigh show 2>/dev/null

# Which process has which socket: a line for each, its inode and the process's id.
# shellcheck disable=SC2012 # where a link leads only ls says for all at once
held=$(ls -ln [0-9]*/fd 2>/dev/null | sed -n \
    -e '/^[0-9]*\/fd:$/{s/\/.*//;h;d}' \
    -e '/ -> socket:\[/{s/.* -> socket:\[\([0-9]*\)\].*/\1/;G;s/\n/ /;p}')
echo '==> held <=='
echo "$held"
files='' last=''
while read -r _ process; do
    [ "$process" = "$last" ] || files="$files $process/cmdline $process/status"
    last=$process
done <<END
$held
END
echo '==> programs <=='
# shellcheck disable=SC2086 # one word for each file
[ "$last" = '' ] || cat $files 2>/dev/null | tr '\000' ' ' |
    grep -e 'Name:' -e '^Pid:' -e '^Uid:'
echo '==> users <=='
sed -n 's/^\([^:]*\):[^:]*:\([0-9]*\):.*/\2 \1/p' /etc/passwd 2>/dev/null
exit 0
