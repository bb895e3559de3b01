#!/bin/sh
# Culvert in one file: this script and, behind it, Deno and Culvert's code in a compressed archive.
#
#   first start   the archive is held against its hash and unpacked into a folder of the user's own; what is there is noted
#   each start    the notes are held against what is there, and that is started in place of this shell
#
# The folder's name is the archive's hash, so that versions do not meet. It is made beside its place and then moved there,
# by one at a time; whoever is killed meanwhile leaves what the next one clears away.

# Root's, for everybody: services of users of their own find it there, even those that cannot write anywhere.
common_place=/var/cache/culvert

payload_sha256='@PAYLOAD_SHA256@'
payload_bytes='@PAYLOAD_BYTES@'

# Only this script's own words are looked for there as well: a PATH may be empty.
usual_path="${PATH:+$PATH:}/usr/bin:/bin"

user=$(PATH=$usual_path; id -u)

say() { echo "culvert: $1" >&2; }

fail() {
  say "$1"
  exit 1
}

# Whatever is done to a file changes what is said of it: nobody can set the time of a change (%z).
describe() (
  PATH=$usual_path
  cd "$1" && TZ=UTC0 find culvert code -exec stat -c '%n %F %u %a %i %s %z' '{}' +
)

# Whether nobody else could have put there what is in it, or lead to something else by a link.
is_own() { [ -O "$1" ] && [ ! -L "$1" ]; }

# Whether it is root's or the user's, and nobody else may write to any of it.
is_closed() (
  PATH=$usual_path
  found=$(
    find "$@" ! '(' '(' -type f -o -type d ')' '(' -user 0 -o -user "$user" ')' ! -perm -020 ! -perm -002 ')' 2>/dev/null
  ) && [ -z "$found" ]
)

# Notes prove nothing where others could have written them: the common place may have become that of a unit's user.
is_trusted() {
  [ -d "$folder" ] || return 1
  if [ "$place" = "$common_place" ]; then
    is_closed "$place" "$folder" "$folder/deno" -prune && is_closed "$folder/culvert" "$folder/code" "$folder/notes"
  else
    is_own "$place" && is_own "$folder"
  fi
}

# [ -x ] is false as well in folders mounted noexec.
is_whole() {
  is_trusted || return 1
  [ -x "$folder/culvert" ] && [ -r "$folder/notes" ] || return 1
  [ "$(describe "$folder")" = "$(PATH=$usual_path; cat "$folder/notes")" ]
}

# It would be no better in another folder.
damaged=3

# What is held against the hash is what is unpacked: a copy, for the file itself may be replaced meanwhile.
fill() {
  archive=$place/unpacking.archive
  mkdir "$1" "$1/deno" && tail -c "$payload_bytes" "$0" >"$archive" && sum=$(sha256sum <"$archive") || return 1
  [ "${sum%% *}" = "$payload_sha256" ] || return "$damaged"
  gzip -dc <"$archive" | tar -xf - -C "$1" && describe "$1" >"$1/notes" && [ -x "$1/culvert" ]
}

# In a subshell, with which its umask and its lock end.
unpack() (
  PATH=$usual_path
  if [ "$place" = "$common_place" ]; then umask 022; else umask 077; fi
  mkdir -p "$place" 2>/dev/null && is_own "$place" && [ -w "$place" ] || exit 1
  # To close it would not tell who has been there.
  [ "$place" != "$common_place" ] || is_closed "$place" -prune || exit 1
  chmod go-w "$place" && exec 9>>"$place/lock" && flock 9 || exit 1
  if is_whole; then exit 0; fi
  if [ -e "$folder" ]; then say "$folder was changed since it was unpacked; it is unpacked again"; fi
  # Nobody else is at it, so what is there was left behind.
  rm -rf "$place"/unpacking.*
  new=$place/unpacking.new
  fill "$new" && { [ ! -e "$folder" ] || mv "$folder" "$place/unpacking.old"; } && mv "$new" "$folder"
  outcome=$?
  rm -rf "$place"/unpacking.*
  exit "$outcome"
)

is_checked=

# Before anything is unpacked, once.
check_tools() (
  PATH=$usual_path
  for tool in tail sha256sum gzip tar find stat flock; do
    command -v $tool >/dev/null || fail "Cannot unpack: $tool must be installed"
  done
)

is_whole_at() {
  place=$1
  folder=$place/$payload_sha256
  is_whole
}

# Whether it can be started from there, unpacked if need be. What is not a whole path is nobody's place.
use() {
  case $1 in /*) ;; *) return 1 ;; esac
  is_whole_at "$1" && return
  if [ -z "$is_checked" ]; then
    check_tools || exit 1
    is_checked=yes
    if [ -t 2 ]; then say "unpacking, once"; fi
  fi
  unpack
  case $? in
  0) is_whole ;;
  "$damaged") fail "Cannot unpack: $0 is damaged; fetch it again" ;;
  *) return 1 ;;
  esac
}

# What root runs must not lie where a user can change it, whatever HOME is.
use_any() {
  if [ -n "${CULVERT_CACHE_DIR-}" ]; then
    use "$CULVERT_CACHE_DIR"
    return
  fi
  use "${CACHE_DIRECTORY%%:*}" && return
  if [ "$user" = 0 ]; then
    use "$common_place" && return
  else
    is_whole_at "$common_place" && return
    cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
    use "${cache:+$cache/culvert}" && return
  fi
  use "/var/tmp/culvert-$user" || use "${TMPDIR:-/tmp}/culvert-$user"
}

use_any || fail "Cannot unpack: no folder can be written to and run programs; name one in CULVERT_CACHE_DIR"

case $0 in
/*) CULVERT_EXECUTABLE=$0 ;;
*) CULVERT_EXECUTABLE=$PWD/$0 ;;
esac
DENO_DIR=$folder/deno
DENO_NO_UPDATE_CHECK=1
export CULVERT_EXECUTABLE DENO_DIR DENO_NO_UPDATE_CHECK
exec "$folder/culvert" run @FLAGS@ "$folder/code/@MAIN@" @WORDS@ "$@"
exit 1
