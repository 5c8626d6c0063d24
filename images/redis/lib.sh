# Shared by the scripts of Redis and Sentinel: who is who, and how to ask them. Sourced by bash.
#
# /etc/hms/config/nodes and sentinels: a line `<pod name> <address>` each. /etc/hms/secrets: passwords, a file each.
# Passwords go through standard input: they are in no argument and no environment. The variables are for tests.

config=${HMS_CONFIG:-/etc/hms/config}
secrets=${HMS_SECRETS:-/etc/hms/secrets}
run=${HMS_RUN:-/run/hms}
data=${HMS_DATA:-/data}
self=${HMS_SELF:-127.0.0.1}
redis_port=6379
sentinel_port=26379
master_name=hms

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

secret() { cat "$secrets/$1"; }

hashed() { secret "$1" | sha256sum | cut -d' ' -f1; }

address_of() { awk -v name="$2" '$1 == name { print $2 }' "$config/$1"; }

# ask ADDRESS PORT COMMAND: the answer as redis-cli prints it raw; fails if there is none within a second.
ask() {
    local answer
    answer=$(printf 'AUTH sentinel %s\n%s\n' "$(secret sentinel-password)" "$3" |
        timeout 1 redis-cli -h "$1" -p "$2" --raw 2>/dev/null) || return 1
    [[ $answer == OK* ]] || return 1
    printf '%s\n' "${answer#OK}" | tail -n +2
}

# ask_all PORT COMMAND ADDRESS...: the first line of each one's answer, all asked at once; `-` where none came.
ask_all() {
    local port=$1 command=$2 address
    shift 2
    for address in "$@"; do
        {
            answer=$(ask "$address" "$port" "$command") && answer=${answer%%$'\n'*} || answer=-
            printf '%s %s\n' "$address" "$answer"
        } &
    done
    wait
}

# await_answers PORT ADDRESS...: wait until each one answers, at most 3 s.
#
# A node refuses the connections of a pod whose address it has not heard of yet. One that is refused as it begins, and
# comes about a moment later all the same, keeps the refusal in its socket's error queue, which Redis never reads: its
# event loop then turns without end, a third of a core. So a server is started when those that it will dial can be reached.
await_answers() {
    local port=$1 deadline=$((SECONDS + 3))
    shift
    while ((SECONDS < deadline)) && (ask_all "$port" PING "$@") | grep -q ' -$'; do sleep 0.2; done
}

# The address that a majority of the Sentinels name as primary; `unknown` if a majority knows none; else `silent`.
named_primary() {
    local addresses total
    addresses=$(awk '{ print $2 }' "$config/sentinels")
    total=$(wc -l <"$config/sentinels")
    # shellcheck disable=SC2086
    (ask_all "$sentinel_port" "SENTINEL get-master-addr-by-name $master_name" $addresses) |
        awk -v majority=$((total / 2 + 1)) '
            $2 == "-" { next }
            { votes[$2 == "" ? "unknown" : $2]++ }
            END { for (who in votes) if (votes[who] >= majority) { print who; exit } print "silent" }' | head -1
}

# The first node besides $1 whose own word is that it is the primary; nothing if there is none.
serving_primary() {
    local others
    others=$(awk -v me="$1" '$2 != me { print $2 }' "$config/nodes")
    # shellcheck disable=SC2086
    (ask_all "$redis_port" ROLE $others) | awk '$2 == "master" { print $1; exit }'
}

# answer_kubelet KIND: for ever, and again whenever what answers has ended.
answer_kubelet() {
    while true; do
        "${0%/*}/readiness" "$1" || true
        sleep 1
    done
}

# Run a server as a child, so that this script stays process 1, and wait for its end; sets `child` and `code`.
run_child() {
    "$@" &
    child=$!
    code=0
    while kill -0 "$child" 2>/dev/null; do
        code=0
        wait "$child" || code=$?
    done
}
