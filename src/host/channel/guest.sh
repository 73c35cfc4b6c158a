# The far end of a channel: answers Ops inside a machine. POSIX sh and coreutils; nothing is installed.
#
# Standard input: one line per op, a call of `op` with its arguments quoted for the shell, followed by exactly as many
# payload bytes as the call announces. Standard output: per op an answer, which is fields that end in NUL; a field is
# `=` and data, or `!`, a class of errors (`-`: tell it by the words), a blank and the words; an empty field ends the
# answer. What is secret comes as a line or as payload, never as an argument of a program. An argument of this script is
# a private directory for what it must keep meanwhile; without one it makes its own. What it keeps is in files without a
# name: whoever ends it leaves nothing of them behind.

umask 022
cd /
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 LC_ALL=C.UTF-8
# The channel is 3 and 4, what is kept meanwhile 5 to 8: nothing that is run here gets hold of it by accident.
exec 3<&0 4>&1 </dev/null >/dev/null

nl='
'
# Found before a program's own PATH may hide them.
timeout=$(command -v timeout)
setpriv=$(command -v setpriv)
home=${1-}
dir=
count=0
failed=

# --- answers ---------------------------------------------------------------------------------------------------------

data() { printf '=%s\0' "$1" >&4; }

# CLASS WORDS
fail() {
    bad=1
    printf '!%s %s\0' "$1" "$2" >&4
}

# FILE: its bytes as one field, empty for what is absent. What the kernel makes up while it is read has no size.
content() {
    printf '=' >&4
    case $1 in
        /proc/$$/*) [ -s "$1" ] && base64 -w0 <"$1" >&4 ;;
        /proc/*) [ -e "$1" ] && base64 -w0 <"$1" >&4 ;;
        *) [ -s "$1" ] && base64 -w0 <"$1" >&4 ;;
    esac
    printf '\0' >&4
}

# --- calls -----------------------------------------------------------------------------------------------------------

# A new batch: earlier failures are forgotten.
batch() { failed=; }

# EFFECT PAYLOAD-BYTES FUNCTION ARGUMENT...
op() {
    effect=$1 bytes=$2 bad=
    shift 2
    if [ "$failed" ]; then
        skip
        fail not_run 'an earlier change of the batch failed'
    else
        "$@"
        if [ "$bad" ] && [ "$effect" = change ]; then failed=1; fi
    fi
    printf '\0' >&4
}

refuse() {
    skip
    fail "$1" "$2"
}

# The payload must always be taken whole, or its rest would be read as calls.
skip() { if [ "$bytes" -gt 0 ]; then head -c "$bytes" <&3 >/dev/null; fi; }

# REDIRECTED-TO FILE, by `>` or `>>`: takes the payload; words of a failure in $words.
receive() { words=$({ head -c "$bytes" <&3 | { cat >"$1" || cat >/dev/null; }; } 2>&1); }
receive_more() { words=$({ head -c "$bytes" <&3 | { cat >>"$1" || cat >/dev/null; }; } 2>&1); }

# A private directory in memory for pipes, in $dir, and what programs say and are given: files without a name, which go
# with this shell.
scratch() {
    if [ "$dir" ] && [ -d "$dir" ]; then return 0; fi
    for at in $home /run /dev/shm /tmp; do
        tidy "$at"
        dir=$(mktemp -d "$at/phoenix.$$.XXXXXXXX" 2>/dev/null) || continue
        trap 'rm -rf "$dir"' EXIT
        if touch "$dir/in" "$dir/out" "$dir/err" "$dir/said" 2>/dev/null; then
            exec 5<>"$dir/in" 6<>"$dir/out" 7<>"$dir/err" 8<>"$dir/said"
            rm -f "$dir/in" "$dir/out" "$dir/err" "$dir/said"
            in=/proc/$$/fd/5 out=/proc/$$/fd/6 err=/proc/$$/fd/7 last=/proc/$$/fd/8
            return 0
        fi
        rm -rf "$dir"
    done
    dir=
    words='no directory for temporary files: tried /run, /dev/shm and /tmp'
    return 1
}

# DIRECTORY: nothing stays there of a shell that was killed.
tidy() {
    for old in "$1"/phoenix.[0-9]*.????????; do
        pid=${old##*/phoenix.}
        if [ -O "$old" ] && [ ! -d "/proc/${pid%%.*}" ]; then rm -rf -- "$old"; fi
    done
}

# --- files -----------------------------------------------------------------------------------------------------------

present() { [ -e "$1" ] || [ -L "$1" ]; }

# PATH: whether it can have a file in its place; its directory is in $up. Takes the payload if not.
room_for() {
    up=${1%/*}
    up=${up:-/}
    if [ -d "$up" ]; then return 0; fi
    skip
    while ! present "$up"; do
        up=${up%/*}
        up=${up:-/}
    done
    if [ -d "$up" ] || [ -L "$up" ]; then
        fail not_found "$1: the directory does not exist"
    else
        fail not_a_directory "$1: $up is no directory"
    fi
    return 1
}

# FILE MODE OWNER GROUP; words of a failure in $words.
attributes() {
    if [ "$3$4" ]; then words=$(chown -- "$3${4:+:$4}" "$1" 2>&1) || return 1; fi
    if [ "$2" ]; then words=$(chmod -- "$2" "$1" 2>&1) || return 1; fi
}

stat_path() {
    present "$1" || return 0
    words=$(stat -c '%f %s %u %g %t %T %U %G' -- "$1" 2>&1) || { fail - "$words"; return; }
    data "$words"
    if [ -L "$1" ]; then
        printf '=' >&4
        readlink -n -- "$1" >&4
        printf '\0' >&4
    fi
}

# PATH BYTES
read_file() {
    [ -e "$1" ] || return 0
    if [ -d "$1" ]; then fail is_a_directory "$1: is a directory"; return; fi
    scratch || { fail - "$words"; return; }
    printf '=' >&4
    head -c "$2" -- "$1" 2>"$last" | base64 -w0 >&4
    printf '\0' >&4
    if [ -s "$last" ]; then fail - "$(cat "$last")"; fi
}

digest() {
    [ -e "$1" ] || return 0
    if [ -d "$1" ]; then fail is_a_directory "$1: is a directory"; return; fi
    words=$(sha256sum 2>&1 <"$1") && data "$words" || fail - "$words"
}

list() {
    [ -e "$1" ] || return 0
    if [ ! -d "$1" ]; then fail not_a_directory "$1: is no directory"; return; fi
    data ''
    words=$(find "$1/" -mindepth 1 -maxdepth 1 -printf '=%y%f\0' 2>&1 >&4)
    if [ "$words" ]; then fail - "$words"; fi
}

# DIRECTORY SUFFIX
read_all() {
    for file in "$1/$2" "$1"/.*"$2" "$1"/*"$2"; do
        if [ ! -f "$file" ] || [ -L "$file" ]; then continue; fi
        data "${file##*/}"
        content "$file"
    done
}

# FILE...: one field each, empty for what is absent.
read_files() {
    for file in "$@"; do content "$file"; done
}

# PATH MODE OWNER GROUP [LOCK DIGEST]
write() {
    if [ -d "$1" ] && [ ! -L "$1" ]; then skip; fail is_a_directory "$1: is a directory"; return; fi
    room_for "$1" || return 0
    count=$((count + 1))
    new=${up%/}/.phoenix-$$-$count
    for old in "${up%/}"/.phoenix-*-*; do
        # Nothing stays of a shell that was killed in the middle; others may share the directory.
        if [ -f "$old" ]; then find "$old" -maxdepth 0 -type f -mmin +10 -delete; fi
    done
    # Nobody else may read it before it has its own mode.
    umask 077
    receive "$new"
    umask 022
    if [ "$words" ] || [ "$(stat -c %s -- "$new")" != "$bytes" ]; then
        rm -f -- "$new"
        fail - "${words:-$1: the content did not arrive whole}"
    elif [ "${5-}" ]; then
        { if flock -w 10 9; then replace "$@"; else fail timeout "can't lock file '$5' - got timeout"; fi; } 9>>"$5" ||
            [ "$bad" ] || fail - "$5: cannot be opened"
    else
        replace "$@"
    fi
    if [ "$bad" ]; then rm -f -- "$new"; fi
}

# As write, with the new content in $new.
replace() {
    if [ "${5-}" ]; then
        words=$(sha256sum 2>/dev/null <"$1")
        if [ "${words%% *}" != "$6" ]; then fail conflict "$1: was changed meanwhile"; return; fi
    fi
    mode=$2 owner=$3 group=$4
    if [ -f "$1" ] && [ ! -L "$1" ] && { [ -z "$mode" ] || [ -z "$owner" ] || [ -z "$group" ]; }; then
        # shellcheck disable=SC2046 # three numbers
        set -- "$1" $(stat -c '%a %u %g' -- "$1")
        mode=${mode:-00$2} owner=${owner:-$3} group=${group:-$4}
    fi
    attributes "$new" "${mode:-00644}" "$owner" "$group" && words=$(mv -fT -- "$new" "$1" 2>&1) || fail - "$words"
}

# PATH SYNC
append() {
    if [ -d "$1" ]; then skip; fail is_a_directory "$1: is a directory"; return; fi
    room_for "$1" || return 0
    before=$(stat -Lc %s -- "$1" 2>/dev/null)
    receive_more "$1"
    if [ "$words" ]; then
        # All or nothing.
        if [ "$before" ]; then truncate -cs "$before" -- "$1"; elif [ ! -L "$1" ]; then rm -f -- "$1"; fi 2>/dev/null
        fail - "$words"
        return
    fi
    if [ "$2" ]; then words=$(sync -- "$1" 2>&1) || fail - "$words"; fi
}

# PATH MODE OWNER GROUP
make_dir() {
    if [ -d "$1" ]; then return 0; fi
    if present "$1"; then fail exists "$1: is no directory"; return; fi
    words=$(mkdir -p -- "$1" 2>&1) || { fail - "$words"; return; }
    attributes "$@" || { rmdir -- "$1" 2>/dev/null; fail - "$words"; }
}

# PATH TARGET
link() {
    if [ -e "$1" ] && [ ! -L "$1" ]; then fail exists "$1: is no symlink"; return; fi
    room_for "$1" || return 0
    words=$(ln -sfnT -- "$2" "$1" 2>&1) || fail - "$words"
}

# PATH RECURSIVE
remove() {
    present "$1" || return 0
    if [ "$2" ]; then
        # Data that is mounted below is somebody else's.
        words=$(rm -rf --one-file-system --preserve-root=all -- "$1" 2>&1) || fail - "$words"
    elif [ -d "$1" ] && [ ! -L "$1" ]; then
        fail is_a_directory "$1: is a directory"
    else
        words=$(rm -f -- "$1" 2>&1) || fail - "$words"
    fi
}

# FROM TO
move() {
    present "$1" || { fail not_found "$1: does not exist"; return; }
    room_for "$2" || return 0
    if [ -d "$2" ] && [ ! -L "$2" ] && { [ ! -d "$1" ] || [ -L "$1" ]; }; then
        fail is_a_directory "$2: is a directory"
        return
    fi
    words=$(mv -fT -- "$1" "$2" 2>&1) || fail - "$words"
}

# PATH MODE OWNER GROUP
set_attributes() {
    [ -e "$1" ] || { fail not_found "$1: does not exist"; return; }
    attributes "$@" || fail - "$words"
}

# --- programs --------------------------------------------------------------------------------------------------------

# SECONDS PROGRAM...: run away from the channel; its last words in $words.
quietly() {
    code=1
    scratch || return 1
    seconds=$1
    shift
    timeout -k 5 "$seconds" "$@" >"$last" 2>&1 3<&- 4>&- 5<&- 6<&- 7<&- 8<&-
    code=$?
    words=$(tail -c 4096 "$last")
    return "$code"
}

# Hundredths of a second of SECONDS (two decimals) in $centi; of the machine's life without an argument.
centi() {
    if [ "${1-}" ]; then centi=$1; else read -r centi _ </proc/uptime; fi
    tail=${centi#*.}
    centi=$((${centi%.*} * 100 + ${tail#0}))
}

# BLOCKS: standard input to standard output, at once as it comes, and no more than so many blocks of 512 bytes: then
# the kernel ends it, and whoever writes to it loses the pipe.
drain() {
    ulimit -c 0
    ulimit -f "$1"
    exec cat
}

# MARK: ends all that bears it, also what left its group and its session. First everything is stopped, so that nothing
# new is born meanwhile.
end() {
    known=
    tries=0
    while [ "$tries" -lt 40 ]; do
        tries=$((tries + 1))
        found=$(grep -ls "^Max resident set  *$(($1 * 1024)) " /proc/[0-9]*/limits)
        if [ -z "$found" ]; then return; fi
        if [ "$found" = "$known" ] || [ "$tries" -gt 30 ]; then signal=KILL; else signal=STOP; fi
        known=$found
        for one in $found; do
            one=${one#/proc/}
            kill -s "$signal" "${one%/limits}"
        done 2>/dev/null
    done
}

# SECONDS OUTPUT-BLOCKS CWD USER NAME=VALUE... -- PROGRAM...
execute() {
    scratch || { skip; fail - "$words"; return; }
    if [ -z "$timeout" ]; then skip; fail - 'the machine has no program `timeout` (coreutils)'; return; fi
    seconds=$1 most=$2 cwd=$3 user=$4
    shift 4
    if [ "$user" ]; then
        entry=$(getent passwd "$user") || { skip; fail no_such_user "there is no user '$user'"; return; }
    fi
    if [ ! -d "$cwd" ]; then skip; fail not_found "$cwd: the directory does not exist"; return; fi
    input=/dev/null
    if [ "$bytes" -gt 0 ]; then
        input=$in
        receive "$in"
        if [ "$words" ]; then : >"$in"; fail - "$words"; return; fi
    fi
    centi "$seconds"
    limit=$centi
    centi
    begun=$centi
    count=$((count + 1))
    # A limit that Linux has not minded for twenty years, and that every child inherits, whatever else it does.
    mark=$(((1 << 50) + begun * 4096 + count % 4096))
    [ -p "$dir/1" ] || mkfifo "$dir/1" "$dir/2"
    drain "$most" <"$dir/1" >"$out" 2>/dev/null 3<&- 4>&- 5<&- 6<&- 7<&- 8<&- &
    first=$!
    drain "$most" <"$dir/2" >"$err" 2>/dev/null 3<&- 4>&- 5<&- 6<&- 7<&- 8<&- &
    second=$!
    (
        cd -- "$cwd" || exit 126
        unset OLDPWD
        command ulimit -S -m "$mark" 2>/dev/null
        # In one variable that no program has, because those of this script may be exported over.
        _phoenix_run="$timeout -k 5 $seconds"
        if [ "$user" ]; then
            IFS=: read -r _ _ uid gid _ home _ <<EOT
$entry
EOT
            export USER="$user" LOGNAME="$user" HOME="$home"
            _phoenix_run="$_phoenix_run $setpriv --reuid=$uid --regid=$gid --init-groups --"
        fi
        while [ "$1" != -- ]; do
            export "$1"
            shift
        done
        shift
        # shellcheck disable=SC2086 # words without blanks
        exec $_phoenix_run "$@"
    ) <"$input" >"$dir/1" 2>"$dir/2" 3<&- 4>&- 5<&- 6<&- 7<&- 8<&-
    code=$?
    centi
    case $code in
        # `timeout`'s own exit status, when SIGTERM sufficed and when only SIGKILL did. A program may have it too.
        124 | 137)
            if [ "$((centi - begun + 2))" -ge "$limit" ]; then
                fail timeout "did not finish within $seconds s"
                end "$mark"
            fi
            ;;
    esac
    # A child that goes on in the background may hold the pipes open: what it says later is nobody's business.
    { sleep 0.3; kill "$first" "$second"; } 2>/dev/null 3<&- 4>&- 5<&- 6<&- 7<&- 8<&- &
    patience=$!
    wait "$first"
    first=$?
    wait "$second"
    second=$?
    kill "$patience" 2>/dev/null
    # Pipes that somebody else still holds are not used again.
    if [ "$first$second" != 00 ]; then rm -f "$dir/1" "$dir/2"; fi
    case " $first $second " in
        # Ended by SIGXFSZ.
        *' 153 '*) fail too_large "wrote more than $((most / 2048)) MiB to one stream" ;;
        # Neither at its end nor by us.
        *' 1 '*) fail - "what it wrote could not be kept in $dir: No space left on device" ;;
    esac
    if [ -z "$bad" ]; then
        data "$code"
        content "$out"
        content "$err"
    fi
    : >"$out"
    : >"$err"
    if [ "$input" != /dev/null ]; then : >"$input"; fi
}

# --- packages --------------------------------------------------------------------------------------------------------

# SECONDS ARGUMENT...: apt-get that asks nobody anything. Of others that hold its locks it waits for those that are about
# to end: longer waits are the caller's, who can tell of them and be interrupted.
apt() {
    seconds=$1
    shift
    quietly "$seconds" env DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 \
        apt-get -q -y -o DPkg::Lock::Timeout=2 -o Dpkg::Use-Pty=0 -o APT::Color=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" && return 0
    case $code in
        # `timeout`'s own exit status, when SIGTERM sufficed and when only SIGKILL did.
        124 | 137) fail timeout "apt-get $1 did not finish within $seconds s" ;;
        *) fail - "${words:-apt-get: exit status $code}" ;;
    esac
}

# --- units -----------------------------------------------------------------------------------------------------------

unit_states() {
    words=$(timeout -k 5 60 systemctl --no-pager --no-ask-password show \
        -p LoadState -p ActiveState -p SubState -p UnitFileState -- "$@" 2>&1 3<&- 4>&- 5<&- 6<&- 7<&- 8<&-) &&
        data "$words" || fail - "$words"
}

# SECONDS ACTION NAME
unit() {
    quietly "$1" systemctl --no-pager --no-ask-password "$2" -- "$3" && return 0
    said=$words
    case $2 in
        start | restart | reload)
            quietly 20 systemctl --no-pager --full --lines=8 status -- "$3"
            said=$said$nl$words
            ;;
    esac
    fail - "${said:-systemctl $2 $3: no answer}"
}

# SECONDS PROGRAM...
program() { quietly "$@" || fail - "${words:-$2: exit status $code}"; }

# --- system ----------------------------------------------------------------------------------------------------------

system_state() {
    words=$(timeout -k 5 10 systemctl is-system-running 2>/dev/null 3<&- 4>&- 5<&- 6<&- 7<&- 8<&-)
    data "${words:-offline}"
}

network() {
    words=$(ip -o addr show 2>&1) || { fail - "$words"; return; }
    data "$words"
    data "$(ip -o route show default 2>&1)$(ip -o -6 route show default 2>/dev/null)"
}

operating_system() {
    content /etc/os-release
    data "$(dpkg --print-architecture 2>/dev/null || uname -m)"
}

# --- life ------------------------------------------------------------------------------------------------------------

printf '=%s\0\0' "$$" >&4
while IFS= read -r line <&3; do eval "$line"; done
