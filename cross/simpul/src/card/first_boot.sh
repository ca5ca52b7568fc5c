#!/bin/sh
# Installs the Simpul agent when this card boots for the first time, then takes itself and its secrets off the boot
# partition. It may be run again at any point: a power cut in the middle costs another start, nothing else.
#
# Called by the kernel command line (systemd.run) or by cloud-init (vendor-data). Ends with 0 in every case: a card whose
# agent cannot be installed still boots, and simpul-first-boot.log on the boot partition says why.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive

NODE='@NODE@'
VOLUME='@VOLUME@'
AGENT='@AGENT@'
HOOK='@HOOK@'
HOST='@HOST@'
ROOT="${SIMPUL_ROOT:-}"

boot=
for place in "$ROOT/boot/firmware" "$ROOT/boot" "$ROOT/boot/efi"; do
    if [ -f "$place/simpul-first-boot.sh" ]; then boot=$place; break; fi
done
if [ -z "$boot" ] && [ -e "/dev/disk/by-uuid/$VOLUME" ]; then
    mkdir -p /run/simpul-boot && mount "/dev/disk/by-uuid/$VOLUME" /run/simpul-boot && boot=/run/simpul-boot
fi
[ -n "$boot" ] || { echo "simpul: the boot partition was not found" >&2; exit 0; }

say() { echo "simpul: $*"; echo "$*" >> "$boot/simpul-first-boot.log"; }

finish() { # the hook goes first: whatever happens after, the next start is an ordinary one
    if [ -n "$HOOK" ] && [ -f "$boot/cmdline.txt" ]; then
        sed "s| *$HOOK||" "$boot/cmdline.txt" > "$boot/cmdline.new" && sync && mv "$boot/cmdline.new" "$boot/cmdline.txt"
    fi
    sync
}

# What is checked first is deleted first: where it is gone, everything is installed and only the rest is to be tidied.
if [ ! -f "$boot/simpul-sha256sums" ]; then
    finish
    rm -f "$boot/simpul-agent.toml" "$boot/$AGENT" "$boot/simpul-tries"
    exit 0
fi

tries=$(cat "$boot/simpul-tries" 2>/dev/null || echo 0)
tries=$((tries + 1))
echo "$tries" > "$boot/simpul-tries"
fail() {
    say "failed (try $tries of 3): $*"
    if [ "$tries" -ge 3 ]; then say "given up; install by hand"; finish; fi
    sync
    exit 0
}

say "installing node $NODE"
(cd "$boot" && sha256sum -c simpul-sha256sums > /dev/null) || fail "a file on the boot partition is damaged"

case $AGENT in
*.deb)
    dpkg --root="${ROOT:-/}" --force-confold -i "$boot/$AGENT" >> "$boot/simpul-first-boot.log" 2>&1 || fail "the package was refused"
    ;;
*)
    mkdir -p "$ROOT/usr/bin" "$ROOT/etc/systemd/system" || fail "the system cannot be written"
    cp "$boot/$AGENT" "$ROOT/usr/bin/simpul-agent.new" && chmod 755 "$ROOT/usr/bin/simpul-agent.new" \
        && mv "$ROOT/usr/bin/simpul-agent.new" "$ROOT/usr/bin/simpul-agent" || fail "the agent cannot be copied"
    if ! id simpul > /dev/null 2>&1 && [ -z "$ROOT" ]; then
        useradd --system --home-dir /var/lib/simpul --shell /usr/sbin/nologin simpul || fail "no user for the agent"
    fi
    cp "$boot/simpul-agent.service" "$ROOT/etc/systemd/system/simpul-agent.service" || fail "the unit cannot be copied"
    ;;
esac

if [ -n "$HOST" ]; then
    # The label's link names the machine so; what answers for .local takes the name from here.
    mkdir -p "$ROOT/etc" && echo "$HOST" > "$ROOT/etc/hostname.new" && chmod 644 "$ROOT/etc/hostname.new" && mv "$ROOT/etc/hostname.new" "$ROOT/etc/hostname" \
        || fail "the machine's name cannot be written"
    if grep -q '^127\.0\.1\.1' "$ROOT/etc/hosts" 2>/dev/null; then
        sed "s/^127\.0\.1\.1.*/127.0.1.1 $HOST/" "$ROOT/etc/hosts" > "$ROOT/etc/hosts.new" \
            && mv "$ROOT/etc/hosts.new" "$ROOT/etc/hosts" || fail "the machine's name cannot be written"
    fi
    if [ -z "$ROOT" ] && [ -z "$HOOK" ]; then
        hostname "$HOST" && systemctl try-restart avahi-daemon.service || say "the name $HOST is known after a restart"
    fi
fi

mkdir -p "$ROOT/etc/simpul" "$ROOT/var/lib/simpul" || fail "the system cannot be written"
umask 077
cp "$boot/simpul-agent.toml" "$ROOT/etc/simpul/agent.toml.new" && mv "$ROOT/etc/simpul/agent.toml.new" "$ROOT/etc/simpul/agent.toml" \
    || fail "the configuration cannot be copied"
if [ -f "$boot/simpul-identity.cbor" ]; then
    mkdir -p "$ROOT/var/lib/simpul/identity" && chmod 700 "$ROOT/var/lib/simpul/identity" \
        && cp "$boot/simpul-identity.cbor" "$ROOT/var/lib/simpul/identity/identity.new" \
        && mv "$ROOT/var/lib/simpul/identity/identity.new" "$ROOT/var/lib/simpul/identity/identity.cbor" \
        || fail "the identity cannot be copied"
elif [ -f "$boot/simpul-enrolment.token" ]; then
    cp "$boot/simpul-enrolment.token" "$ROOT/var/lib/simpul/enrolment.token.new" \
        && mv "$ROOT/var/lib/simpul/enrolment.token.new" "$ROOT/var/lib/simpul/enrolment.token" || fail "the token cannot be copied"
elif [ ! -f "$ROOT/var/lib/simpul/enrolment.token" ] && [ ! -f "$ROOT/var/lib/simpul/identity/identity.cbor" ]; then
    fail "the enrolment token is gone"
fi
# Passwords that the configuration names; those that an earlier try brought in place are off the boot partition already.
secrets=
for file in "$boot"/simpul-secret.*; do
    [ -f "$file" ] || continue
    name=${file##*/simpul-secret.}
    cp "$file" "$ROOT/etc/simpul/$name.new" && mv "$ROOT/etc/simpul/$name.new" "$ROOT/etc/simpul/$name" || fail "a password cannot be copied"
    secrets="$secrets $name"
done
if [ -z "$ROOT" ] && id simpul > /dev/null 2>&1; then
    # The token is the agent's to delete; the configuration is only its to read.
    chown root:simpul /etc/simpul /etc/simpul/agent.toml && chmod 750 /etc/simpul && chmod 640 /etc/simpul/agent.toml
    for name in $secrets; do chown simpul:simpul "/etc/simpul/$name"; done
    chown -R simpul:simpul /var/lib/simpul
fi
sync

if [ -z "$ROOT" ]; then
    systemctl enable simpul-agent.service >> "$boot/simpul-first-boot.log" 2>&1 || fail "the service was not enabled"
fi

# The secrets first: cut off here, the next start finds the token where it belongs and goes on.
rm -f "$boot/simpul-enrolment.token" "$boot/simpul-identity.cbor" "$boot"/simpul-secret.*
sync
rm -f "$boot/simpul-sha256sums"
finish
rm -f "$boot/simpul-agent.toml" "$boot/$AGENT" "$boot/simpul-tries"
say "done"
sync
# Under cloud-init the system is up and stays up; under systemd.run it starts again by itself.
if [ -z "$ROOT" ] && [ -z "$HOOK" ]; then
    systemctl start --no-block simpul-agent.service || say "the agent starts with the next start of the machine"
fi
exit 0
