# shellcheck shell=sh disable=SC2154
# What the kernel of a board says of the rest: sections, begun as those of the network are.
# The caller sets $files, those that a failure speaks of, and $claims, interfaces and addresses.

# Who else says that an address is his (RFC 5227, 2.1.1)? They have time until the end to say so.
claimed=$(mktemp 2>/dev/null) || claimed=/dev/null
asking=''
while read -r interface address; do
    [ "$interface" = '' ] && continue
    arping -D -f -c 1 -w 1 -I "$interface" "$address" >>"$claimed" 2>/dev/null &
    asking="$asking $!"
done <<END
$claims
END

echo '==> mounts <=='
cat /proc/mounts
echo '==> room <=='
df -Pk 2>/dev/null
echo '==> inodes <=='
df -Pi 2>/dev/null
echo '==> clock <=='
date +%s
echo '==> kernel <=='
uname -srm
echo '==> modules <=='
cut -d ' ' -f 1 /proc/modules 2>/dev/null
echo '==> first port <=='
cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null
echo '==> libraries <=='
ls /lib/ld-* /lib64/ld-* /lib/*/ld-* /lib/libc.so.6 /lib/*/libc.so.6 /usr/lib/libc.so.6 \
    /usr/lib/*/libc.so.6 2>/dev/null

echo '==> undriven <=='
for device in /sys/bus/virtio/devices/* /sys/bus/pci/devices/* /sys/bus/usb/devices/* \
    /sys/bus/sdio/devices/* /sys/bus/platform/devices/*ethernet*; do
    [ -e "$device/modalias" ] && [ ! -e "$device/driver" ] &&
        { read -r alias <"$device/modalias"; echo "${device##*/} $alias"; }
done
echo '==> aliases <=='
grep -s -e ' virtio:' -e ' pci:' -e ' usb:' -e ' of:' -e ' sdio:' \
    "/lib/modules/$(uname -r)/modules.alias"

# Of each file its mode, what the kernel looks at to tell what it is, and who runs it.
echo '==> directory <=='
pwd
echo '==> files <=='
for file in $files; do
    [ -f "$file" ] || continue
    case $file in ./*) file=${PWD%/}/${file#./} ;; esac
    echo "file $file $(stat -L -c '%a %u %s' "$file")"
    echo "head $(dd if="$file" bs=2048 count=1 2>/dev/null | hexdump -v -e '1/1 "%02x"')"
    # shellcheck disable=SC2012 # where a link leads only ls says for all at once
    echo "run $(ls -l /proc/[0-9]*/exe 2>/dev/null |
        sed -n "s|.*/proc/\([0-9]*\)/exe -> $(readlink -f "$file")\$|\1|p" | tr '\n' ' ')"
done

echo '==> claims <=='
if [ "$asking" != '' ]; then
    sleep 0.2 2>/dev/null || sleep 1
    # shellcheck disable=SC2086 # many words
    kill $asking 2>/dev/null
    cat "$claimed"
fi
[ "$claimed" = /dev/null ] || rm -f "$claimed"
exit 0
