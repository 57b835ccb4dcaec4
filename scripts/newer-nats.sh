#!/usr/bin/env bash
# Fetches a newer nats-server than this Debian has, for the tests of evaq/jetstream: from a later suite of the archives that the system itself uses, by a list
# of sources of its own. Installs nothing: the binary is unpacked to node_modules/.cache/evaq/nats-server, or where the first argument says.
# Ends with 0 and the path when it is there, with 1 and a reason when it cannot be had.
set -uo pipefail
cd "$(dirname "$0")/.."
target=${1:-node_modules/.cache/evaq/nats-server}
suite=${EVAQ_NATS_SUITE:-sid}

give_up() {
  echo "newer-nats: $1" >&2
  exit 1
}

if [ -x "$target" ]; then
  echo "$target"
  exit 0
fi
command -v apt-get >/dev/null || give_up "no apt-get"
command -v dpkg-deb >/dev/null || give_up "no dpkg-deb"
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$codename" ] || give_up "the system does not say which suite it is"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts" "$work/unpacked"
touch "$work/status"

# Of each archive that has this suite: the same, with the later one.
{
  cat /etc/apt/sources.list.d/*.sources 2>/dev/null
} | awk -v RS= -v from="$codename" -v to="$suite" '
  {
    suites = ""; uris = ""; key = ""
    n = split($0, lines, "\n")
    for (i = 1; i <= n; i++) {
      if (lines[i] ~ /^Suites:/) suites = lines[i]
      if (lines[i] ~ /^URIs:/) uris = lines[i]
      if (lines[i] ~ /^Signed-By: *\//) key = lines[i]
    }
    if ((suites " ") ~ (" " from " ")) printf "Types: deb\n%s\nSuites: %s\nComponents: main\n%s\n\n", uris, to, key
  }' >"$work/parts/later.sources"
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
  sed -nE "s/^(deb( +\[[^]]*\])? +[^ ]+) +$codename +.*/\1 $suite main/p" >"$work/parts/later.list"
[ -s "$work/parts/later.sources" ] || [ -s "$work/parts/later.list" ] || give_up "no archive of $codename is configured"
[ -s "$work/parts/later.sources" ] || rm "$work/parts/later.sources"

apt() {
  timeout 120 apt-get -qq \
    -o Dir::State="$work" -o Dir::State::status="$work/status" -o Dir::State::lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
    -o APT::Sandbox::User=root -o Acquire::Languages=none "$@" >&2
}
apt update || give_up "the lists of $suite cannot be had"
(cd "$work/unpacked" && apt download nats-server) || give_up "$suite has no nats-server"
package=$(find "$work/unpacked" -name '*.deb' | head -n 1)
[ -n "$package" ] || give_up "$suite gave no package"
dpkg-deb -x "$package" "$work/unpacked" || give_up "the package cannot be unpacked"
binary=$(find "$work/unpacked" -type f -name nats-server -perm -u+x | head -n 1)
[ -n "$binary" ] || give_up "the package has no nats-server"
"$binary" --version >&2 || give_up "that nats-server does not run here"
mkdir -p "$(dirname "$target")"
cp "$binary" "$target.part" && mv "$target.part" "$target" || give_up "$target cannot be written"
echo "$target"
