# Carries batches into a machine that can only be asked to run one program at a time, and their answers out of it:
#   sh -c THIS phoenix FORM NAME VERB ARGUMENT...
# A batch is a directory NAME in memory that nobody else may enter: the calls of guest.sh go in, its answers come out.
# FORM is `raw` or, where bytes would not survive the way, `text`.

umask 077
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
form=$1 name=$2 verb=$3
shift 3
places='/dev/shm /run /var/tmp /tmp'

receive() { if [ "$form" = text ]; then base64 -d; else cat; fi; }
send() { if [ "$form" = text ]; then base64 -w0; else cat; fi; }

# KIB: makes the directory where so much leaves as much free; its path is in $dir.
make() {
    for at in $places; do
        dir=$at/$name
        if [ "$1" = 0 ] || [ "$(df -k --output=avail "$at" 2>/dev/null | tail -n 1)" -gt "$(($1 * 2))" ]; then
            if mkdir "$dir" 2>/dev/null; then return; fi
        fi
    done
    echo "no place for $1 KiB of temporary files: tried $places" >&2
    exit 1
}

# What somebody else put there under this name is not it.
find() {
    for at in $places; do
        dir=$at/$name
        if [ -O "$dir" ]; then return; fi
    done
    echo 'its temporary files are gone' >&2
    exit 1
}

# SECONDS MOST GUEST.SH: runs the calls. Says the exit status, how many bytes of answers there are and their digest (`-`
# if they follow at once, as no more than MOST do), and on standard error what the shell said on its own behalf.
run() {
    env -i PATH="$PATH" timeout -k 5 "$1" sh -c "$3" phoenix "$dir" \
        <"$dir/calls" >"$dir/answers" 2>"$dir/said"
    code=$?
    size=$(stat -c %s "$dir/answers")
    if [ -s "$dir/said" ]; then tail -c 4096 "$dir/said" >&2; fi
    if [ "$size" -le "$2" ]; then
        { echo "$code $size -"; cat "$dir/answers"; } | send
        rm -rf "$dir"
    else
        digest=$(sha256sum <"$dir/answers")
        echo "$code $size ${digest%% *}" | send
    fi
}

case $verb in
    # SECONDS MOST GUEST.SH: all at once, the calls come as standard input.
    perform)
        make 0
        receive >"$dir/calls"
        run "$@"
        ;;
    # In pieces: KIB; a piece; what the digest is of what arrived; the same arguments as above.
    make) make "$1" ;;
    add)
        find
        receive >>"$dir/calls"
        ;;
    digest)
        find
        digest=$(sha256sum <"$dir/calls")
        echo "${digest%% *}" | send
        ;;
    run)
        find
        run "$@"
        ;;
    # OFFSET BYTES: a piece of the answers.
    take)
        find
        tail -c "+$(($1 + 1))" "$dir/answers" | head -c "$2" | send
        ;;
    drop)
        find
        rm -rf "$dir"
        ;;
esac
