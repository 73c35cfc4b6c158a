# Runs on the node before phoenix does. Lines that begin with the mark are for the workstation; nothing is asked but
# what a bare Debian answers. No single quotes: the login shell may be any, and has to pass this on.
mark=$1; folder=$2; digest=$3; size=$4; needs=$5
shift 5
say() { printf "\n%s " "$mark"; printf %s "$*" | tr "\n" " "; echo; }
fail() { say "$@"; exit 1; }
right() { [ "$(sha256sum "$1" 2>/dev/null | cut -c 1-64)" = "$digest" ]; }

[ "$(id -u)" = 0 ] || fail not-root "$(id -un)"
[ "$needs" != proxmox ] || [ -d /etc/pve ] || fail no-proxmox "$(uname -n)"

binary=$folder/phoenix-$digest
if ! [ -x "$binary" ] || ! right "$binary"; then
    say send "$(uname -m)"
    new=$folder/.phoenix-$digest.$$
    trap "rm -f $new" EXIT
    why=$( { mkdir -p "$folder" && chmod 700 "$folder" && umask 077 && head -c "$size" >"$new"; } 2>&1 ) || fail no-copy "$why"
    right "$new" || fail no-copy "what arrived has another SHA-256"
    why=$(chmod 700 "$new" 2>&1) || fail no-copy "$why"
    why=$("$new" --version 2>&1 </dev/null) || fail cannot-run "$why"
    why=$(mv -f "$new" "$binary" 2>&1) || fail no-copy "$why"
    trap - EXIT
    for old in "$folder"/phoenix-*; do
        [ "$old" = "$binary" ] || rm -f "$old"
    done
    find "$folder" -name ".phoenix-*" -mmin +60 -delete
fi
say ready "$digest"
exec "$binary" "$@"
