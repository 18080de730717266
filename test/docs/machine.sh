# A machine made up for one page of the documentation, sourced by bash in namespaces of its own (mounts, network, processes): everything that exists is read-only
# but $scratch, of which /etc, /run, /root, /opt, /nix, /var/lib and /var/cache are made. Stand-ins: sudo, systemctl (one service), cloudflared and the edge.
#   machine.sh SCRATCH REPOSITORY STORE
set -euo pipefail
export scratch=$1
repository=$2
store=$3

mount --make-rprivate /
mount --bind "$scratch" "$scratch"
mkdir -p "$scratch"/{bin,edge,tmp,etc/nix,run/systemd/system,root,opt/burrow,var/lib,var/cache,client}
mount --bind "$repository" "$scratch/opt/burrow"
for name in passwd group nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives; do
  [ ! -e "/etc/$name" ] || cp -r "/etc/$name" "$scratch/etc/"
done
echo '127.0.0.1 localhost cache.example.org' > "$scratch/etc/hosts"
printf '%s\n' 'experimental-features = nix-command' 'sandbox = false' 'build-users-group =' 'substituters =' > "$scratch/nix.conf"
cp "$scratch/nix.conf" "$scratch/etc/nix/nix.conf"
for dir in etc run root opt var/lib var/cache; do mount --rbind "$scratch/$dir" "/$dir"; done
mount -o remount,bind,ro /opt/burrow
mount -o remount,bind,ro "$scratch/opt/burrow"
mount --bind "$store" /nix
mount -o remount,bind,ro /
ip link set lo up

cat > "$scratch/bin/sudo" <<'SUDO'
#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
SUDO

# What systemd does for burrow.service, as far as a reader sees it: in the foreground is nothing, ready means ready.
cat > "$scratch/bin/systemctl" <<'SYSTEMCTL'
#!/bin/bash
set -euo pipefail
# Burrow gives what it starts little of its own environment, as systemd does.
scratch=$(dirname "$(dirname "$0")")
export HOME=/root TMPDIR="$scratch/tmp"
log=$scratch/service.log
pidFile=$scratch/service.pid
stop() {
  for file in "$pidFile" "$scratch/foreground.pid"; do
    [ -e "$file" ] || continue
    kill "$(cat "$file")" && tail -f --pid="$(cat "$file")" /dev/null
    rm "$file"
  done
}
start() {
  [ ! -e "$pidFile" ] || return 0
  stop
  mkdir -p /run/burrow /var/lib/burrow /var/cache/burrow
  : > "$log"
  STATE_DIRECTORY=/var/lib/burrow CACHE_DIRECTORY=/var/cache/burrow RUNTIME_DIRECTORY=/run/burrow setsid burrow --config /etc/burrow/burrow.json serve >> "$log" 2>&1 < /dev/null &
  echo $! > "$pidFile"
  await 1 'Burrow is ready'
  if grep -q '"tunnel"' /etc/burrow/burrow.json; then await 1 'The tunnel is connected'; fi
}
await() { grep -q "$2" < <(exec tail -n "+$1" -f --pid="$(cat "$pidFile")" "$log") || { cat "$log" >&2; exit 1; }; }
case "$*" in
  daemon-reload | 'enable burrow.service') ;;
  'start burrow.service') start ;;
  'restart burrow.service' | 'restart burrow') stop; start ;;
  'reload burrow') from=$(($(wc -l < "$log") + 1)); kill -HUP "$(cat "$pidFile")"; await "$from" 'Reloaded the config' ;;
  *) echo "no such systemctl here: $*" >&2; exit 1 ;;
esac
SYSTEMCTL
chmod +x "$scratch"/bin/*

# What stays in the foreground of a reader's terminal.
foreground() {
  : > "$scratch/foreground.log"
  setsid "$@" >> "$scratch/foreground.log" 2>&1 < /dev/null &
  echo $! > "$scratch/foreground.pid"
  # The lines for clients, with the login, are printed after that.
  local line
  for line in 'Burrow is ready' '^machine '; do
    grep -q "$line" < <(exec tail -n +1 -f --pid="$(cat "$scratch/foreground.pid")" "$scratch/foreground.log") || { cat "$scratch/foreground.log" >&2; exit 1; }
  done
  paste_setup "$scratch/foreground.log"
}

# What a reader does with lines that are printed for clients.
paste_setup() {
  grep -q '^machine ' "$1" || return 0
  { cat "$scratch/nix.conf"; grep '^extra-' "$1"; } > /etc/nix/nix.conf
  (umask 077; grep '^machine ' "$1" > /etc/nix/netrc)
}

# What a reader does with a block of JSON: its members take the place of those of the same name.
merge() {
  node -e 'const fs = require("node:fs"), file = "/etc/burrow/burrow.json"
    fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, "utf8")), ...JSON.parse(process.argv[1]) }, null, 2))' "$1"
}

export HOME=/root TMPDIR="$scratch/tmp" NIX_REMOTE="$scratch/client" PATH="$scratch/bin:/opt/burrow/node_modules/.bin:$PATH"
start_edge() {
  mkfifo "$scratch/edge/ready"
  node --disable-warning=ExperimentalWarning "/opt/burrow/test/docs/edge.ts" "$scratch/edge" "$scratch/bin" > "$scratch/edge/ready" &
  grep -q ready < "$scratch/edge/ready"
  export NODE_EXTRA_CA_CERTS="$scratch/edge/ca.pem" NIX_SSL_CERT_FILE="$scratch/edge/ca.pem" CURL_CA_BUNDLE="$scratch/edge/ca.pem"
}
