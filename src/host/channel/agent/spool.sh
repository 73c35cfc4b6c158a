# Carries batches into a machine that can only be asked to run one program at a time, and their answers out of it:
#   sh -c THIS phoenix FORM NAME VERB ARGUMENT...
# A batch is a directory NAME in memory that nobody else may enter: the calls of guest.sh go in, its answers come out.
# FORM is `raw` or, where bytes would not survive the way, `text`. The calls lose their name before they are run, so that
# nothing secret stays when whoever carries them dies; a directory that somebody left is removed by the next batch.

umask 077
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
form=$1 name=$2 verb=$3
shift 3
places='/dev/shm /run /var/tmp /tmp'

# DIRECTORY SECONDS GUEST.SH: a batch on its own.
batch='
    echo $$ >"$1/pid"
    env -i PATH="$PATH" timeout -k 5 "$2" sh -c "$3" phoenix "$1" >"$1/answers" 2>"$1/said"
    echo $? >"$1/ended"
    mv "$1/ended" "$1/code"
'

receive() { if [ "$form" = text ]; then base64 -d; else cat; fi; }
send() { if [ "$form" = text ]; then base64 -w0; else cat; fi; }

# Nothing of the batch was begun.
refuse() {
    echo "$1" >&2
    exit 1
}

# KIB: makes the directory where so much leaves as much free; its path is in $dir.
make() {
    for at in $places; do
        dir=$at/$name
        tidy "$at"
        free=$(stat -f -c '%a * %S / 1024' "$at" 2>/dev/null)
        if [ "$((${free:-0}))" -gt "$(($1 * 2))" ] && mkdir "$dir" 2>/dev/null; then return; fi
    done
    refuse "no place for $1 KiB of temporary files: tried $places"
}

# DIRECTORY: removes batches there that nobody carries or runs any more.
tidy() {
    for old in "$1"/phoenix-????????????????????????; do
        if [ ! -O "$old" ]; then continue; fi
        pid=$(cat "$old/pid" 2>/dev/null)
        if [ "$pid" ] && [ ! -e "$old/code" ]; then
            kill -0 "$pid" 2>/dev/null || rm -rf "$old"
        elif [ -z "$(find "$old" -mmin -10 2>/dev/null)" ]; then
            rm -rf "$old"
        fi
    done
}

# What somebody else put there under this name is not it.
locate() {
    for at in $places; do
        dir=$at/$name
        if [ -O "$dir" ]; then return; fi
    done
    refuse 'its temporary files are gone'
}

# SECONDS GUEST.SH APART: runs the calls, `apart` where they may end whoever started this: in a scope of the machine's init,
# which the end of the agent's own unit does not reach.
run() {
    exec 3<"$dir/calls"
    rm "$dir/calls"
    if [ "$3" ]; then
        systemd-run --quiet --scope --collect --description='batch of phoenix' -- \
            sh -c "$batch" phoenix "$dir" "$1" "$2" <&3 3<&- >/dev/null 2>&1 &
        wait $!
    fi
    # Also where there is no such init, or it cannot be asked yet.
    if [ ! -e "$dir/pid" ]; then sh -c "$batch" phoenix "$dir" "$1" "$2" <&3 3<&-; fi
    exec 3<&-
}

# Waits for the end of a batch that has begun, or is about to.
await() {
    looks=0
    until [ -e "$dir/code" ]; do
        looks=$((looks + 1))
        pid=$(cat "$dir/pid" 2>/dev/null)
        if [ "$pid" ]; then alive=$(kill -0 "$pid" 2>&1); else alive=$([ "$looks" -lt 20 ] || echo no); fi
        if [ "$alive" ] && [ ! -e "$dir/code" ]; then
            rm -rf "$dir"
            echo 'it was ended from outside' >&2
            exit 2
        fi
        sleep 0.1
    done
}

# MOST APART: says the exit status, how many bytes of answers there are and their digest (`-` if they follow at once, as no
# more than MOST do), and on standard error what the shell said on its own behalf. What ran apart may be asked for again.
answer() {
    code=$(cat "$dir/code")
    size=$(stat -c %s "$dir/answers")
    if [ -s "$dir/said" ]; then tail -c 4096 "$dir/said" >&2; fi
    if [ "$size" -le "$1" ]; then
        { echo "$code $size -"; cat "$dir/answers"; } | send
        if [ -z "$2" ]; then rm -rf "$dir"; fi
    else
        digest=$(sha256sum <"$dir/answers")
        echo "$code $size ${digest%% *}" | send
    fi
}

case $verb in
    # MOST APART SECONDS GUEST.SH: all at once, the calls come as standard input.
    perform)
        make 512
        receive >"$dir/calls" || { rm -rf "$dir"; refuse 'no room for its temporary files'; }
        run "$3" "$4" "$2"
        await
        answer "$1" "$2"
        ;;
    # In pieces: KIB; a piece; what the digest is of what arrived; the same arguments as above.
    make) make "$1" ;;
    add)
        locate
        receive >>"$dir/calls"
        ;;
    digest)
        locate
        digest=$(sha256sum <"$dir/calls")
        echo "${digest%% *}" | send
        ;;
    run)
        locate
        run "$3" "$4" "$2"
        await
        answer "$1" "$2"
        ;;
    # MOST APART: what became of a batch whose answers did not come.
    await)
        locate
        await
        answer "$1" "$2"
        ;;
    # OFFSET BYTES: a piece of the answers.
    take)
        locate
        tail -c "+$(($1 + 1))" "$dir/answers" | head -c "$2" | send
        ;;
    drop)
        locate
        rm -rf "$dir"
        ;;
esac
