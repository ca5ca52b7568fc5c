#!/bin/sh
# Makes the image that tests write onto a card with `simpul card` and boot: Debian, laid out as on a board, with its boot files
# on FAT. The kernel's command line there is all that names the root.
#
# make.sh FOLDER IMAGE [MIRROR], as root. Without loop devices and mounts of its own. FOLDER is emptied first.
set -eu
folder=$1 image=$2 mirror=${3:-http://deb.debian.org/debian}
root=$folder/root
rm -rf --one-file-system "$folder"
mkdir -p "$folder"

# The agent's package needs adduser, debconf and systemd's helpers, as on Raspberry Pi OS; libeatmydata1 is the control's.
debootstrap --variant=minbase --include=linux-image-cloud-amd64,initramfs-tools,zstd,systemd,systemd-sysv,udev,dbus,kmod,\
adduser,debconf,init-system-helpers,e2fsprogs,dosfstools,mount,procps,libeatmydata1 trixie "$root" "$mirror" >"$folder/log" 2>&1 \
    || { tail -n 20 "$folder/log" >&2; exit 1; }

# The initramfs: the card's driver and its file system. Everything that a machine might have takes minutes to emulate.
printf 'MODULES=list\nCOMPRESS=zstd\n' >"$root/etc/initramfs-tools/conf.d/card"
printf 'virtio_pci\nvirtio_blk\next4\n' >"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }

printf 'LABEL=system / ext4 errors=remount-ro 0 1\nLABEL=BOOTFS /boot/firmware vfat defaults 0 2\n' >"$root/etc/fstab"
mkdir -p "$root/boot/firmware"
echo card >"$root/etc/hostname"
printf '127.0.0.1 localhost card\n' >"$root/etc/hosts"
printf '[Match]\nName=en*\n[Network]\nDHCP=ipv4\n' >"$root/etc/systemd/network/80-wired.network"
: >"$root/etc/machine-id"
# Nobody is there to answer; each unit's start takes a second of emulation: without housekeeping and what only people need.
for unit in systemd-firstboot.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service systemd-logind.service getty.target \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount modprobe@.service systemd-update-utmp.service \
    systemd-user-sessions.service systemd-pstore.service systemd-random-seed.service systemd-journal-catalog-update.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" systemctl --quiet enable systemd-networkd.service 2>"$folder/log"

# Says on the console, once at each start, how the machine and the agent's unit are.
cat >"$root/usr/local/sbin/say-state" <<'SAY'
#!/bin/sh
system=$(systemctl is-system-running --wait)
agent=$(systemctl show -p ActiveState,SubState,Result,NRestarts,User simpul-agent.service | tr '\n' ' ')
failed=$(systemctl --no-legend --plain --state=failed list-units | cut -d ' ' -f 1 | tr '\n' ' ')
echo "simpul-state: system=$system; agent=$agent; failed=$failed;"
SAY
chmod 755 "$root/usr/local/sbin/say-state"
cat >"$root/etc/systemd/system/say-state.service" <<'UNIT'
[Unit]
Description=Says on the console how machine and agent are
[Service]
Type=exec
ExecStart=/usr/local/sbin/say-state
StandardOutput=tty
TTYPath=/dev/console
[Install]
WantedBy=multi-user.target
UNIT
chroot "$root" systemctl --quiet enable say-state.service 2>"$folder/log"
# As an image is that was started once at its maker's: nothing of what the packages brought has to be indexed at first.
touch "$root/etc/.updated" "$root/var/.updated"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/locale/* "$root"/usr/share/man/*

boot=$folder/boot.fat
truncate -s 128M "$boot"
mkfs.vfat -n BOOTFS "$boot" >/dev/null
printf 'root=LABEL=system ro fsck.repair=yes console=ttyS0 quiet systemd.show_status=false systemd.journald.forward_to_console=1\n' \
    >"$folder/cmdline.txt"
mcopy -i "$boot" "$folder/cmdline.txt" ::cmdline.txt
mcopy -i "$boot" "$root"/boot/vmlinuz-* ::vmlinuz
mcopy -i "$boot" "$root"/boot/initrd.img-* ::initrd.img
rm -f "$root"/boot/vmlinuz-* "$root"/boot/initrd.img-* "$root"/vmlinuz* "$root"/initrd.img*

system=$folder/system.ext4
truncate -s 448M "$system"
mke2fs -q -t ext4 -L system -d "$root" "$system"
rm -f "$image"
truncate -s 577M "$image"
printf 'label: dos\nstart=2048, size=262144, type=c, bootable\nstart=264192, size=917504, type=83\n' | sfdisk --quiet "$image"
dd if="$boot" of="$image" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$system" of="$image" bs=1M seek=129 conv=notrunc,sparse status=none
rm -rf --one-file-system "$folder"
