#!/usr/bin/env bash
# Runs a command in a fresh clone of the last commit on a bare Debian: git and this machine's Node, no browser, no Vulkan, no Python, no
# compiler. What passes in it passes for somebody who has just cloned the project.
#
#   scripts/clean-room.sh npm test        as root on a Debian or Ubuntu; the room takes about a minute to make
#   ROOM=/tmp/room scripts/clean-room.sh npm test    keeps the room in that folder, and goes on in it if it is there already
#
# Changes that are not committed are not in the clone. The exit status is that of the command, or 3 where no room can be made.
set -euo pipefail

cannot() {
  echo "No clean room: $1" >&2
  exit 3
}

if [ "${1:-}" != --inside ]; then
  [ $# -gt 0 ] || { sed -n '2,9p' "$0"; exit 2; }
  [ "$(id -u)" = 0 ] || cannot 'it takes root.'
  command -v apt-get >/dev/null || cannot 'it takes the packages of a Debian.'
  if ! command -v mmdebstrap >/dev/null; then
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y mmdebstrap; } >/dev/null || cannot 'mmdebstrap cannot be installed.'
  fi
  room=${ROOM:-$(mktemp -d /tmp/clean-room.XXXXXX)}
  status=0
  # What is mounted and started in namespaces of their own ends with the command, however that ends.
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" --inside "$room" "$@" || status=$?
  [ -n "${ROOM:-}" ] || rm -rf --one-file-system "$room"
  exit "$status"
fi

shift
room=$1
shift
project=$(git rev-parse --show-toplevel)
. /etc/os-release

if [ ! -x "$room/usr/bin/git" ]; then
  chmod 755 "$room" 2>/dev/null || mkdir -p "$room"
  mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates,git,libstdc++6,libatomic1 \
    "${VERSION_CODENAME:?}" "$room" >"$room.log" 2>&1 || { cat "$room.log" >&2; rm -f "$room.log"; cannot 'mmdebstrap failed.'; }
  rm -f "$room.log"

  # Node and npm.
  install -D "$(readlink -f "$(command -v node)")" "$room/usr/bin/node"
  npm=$(readlink -f "$(command -v npm)")
  modules=/usr/lib/node_modules
  mkdir -p "$room$modules"
  cp -a "$(dirname "$(dirname "$npm")")" "$room$modules/npm"
  for name in npm npx; do ln -sf "../lib/node_modules/npm/bin/$name-cli.js" "$room/usr/bin/$name"; done

  # How this machine reaches its package registries: settings of npm and apt, certificates, names of hosts.
  for file in /etc/npmrc /usr/etc/npmrc /etc/resolv.conf /etc/hosts; do
    [ ! -e "$file" ] || install -D -m 644 "$file" "$room$file"
  done
  [ ! -e "$HOME/.npmrc" ] || install -D -m 600 "$HOME/.npmrc" "$room/root/.npmrc"
  rm -rf "$room/etc/apt/sources.list" "$room/etc/apt/sources.list.d" "$room/etc/apt/apt.conf.d"
  for entry in sources.list sources.list.d apt.conf.d; do
    [ ! -e "/etc/apt/$entry" ] || cp -a "/etc/apt/$entry" "$room/etc/apt/"
  done
  cp -aL /etc/ssl/certs/. "$room/etc/ssl/certs/" 2>/dev/null || true
fi

mount -t proc proc "$room/proc"
mount --rbind /sys "$room/sys"
mount --rbind /dev "$room/dev"
chmod 1777 "$room/tmp"
rm -rf "$room/root/project"
git -c safe.directory='*' clone -q "file://$project" "$room/root/project"

# Nothing of the environment but the language and how the network is reached.
settings=()
while IFS= read -r -d '' setting; do
  case $setting in
    NODE_EXTRA_CA_CERTS=* | SSL_CERT_FILE=* | SSL_CERT_DIR=* | CURL_CA_BUNDLE=* | *_proxy=* | *_PROXY=* | npm_config_registry=*)
      settings+=("$setting") ;;
  esac
done < <(env -0)
status=0
chroot "$room" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CI=true "${settings[@]}" \
  /bin/sh -c 'cd /root/project && exec "$@"' room "$@" || status=$?
exit "$status"
