#!/usr/bin/env bash
# Records capture.pcap: real clients talking to real servers, for `portledger demo` to send through the NAT.
#
#   record.sh [OUTPUT]          default: capture.pcap beside this script
#   SECONDS_LONG=270 SEED=7     how long to record (60 at least), and which schedule
#
# Needs root, Linux network namespaces and these Debian packages:
#   nginx-light openssh-server openssh-client curl dnsmasq-base bind9-dnsutils iputils-ping
#   ncat iproute2 ethtool tcpdump procps
#
# Everything happens in two namespaces made here, joined by one virtual link: no packet leaves them, no file
# of the host is changed, and what was made is removed at the end, also after a failure.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=$(realpath -m "${1:-$here/capture.pcap}")
long=${SECONDS_LONG:-270}
seed=${SEED:-7}

clients_ns=plrec-c-$$
servers_ns=plrec-s-$$
work=$(mktemp -d)

main() {
    [ "$(id -u)" = 0 ] || die "must run as root: it makes network namespaces"
    need nginx sshd ssh ssh-keygen curl dnsmasq dig ping ncat ip ethtool tcpdump
    trap clean_up EXIT
    trap 'exit 1' INT TERM
    choose_clients >"$work/clients"
    make_network
    start_servers
    start_recording
    schedule >"$work/schedule"
    play_in_clients
    stop_recording
    echo "$output: $(stat -c %s "$output") bytes" >&2
}

die() {
    echo "record.sh: $*" >&2
    exit 1
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || die "$program not found: install the packages listed in this script"
    done
}

# 240 subscribers spread over one shared range, 80 over another (RFC 6598 addresses).
choose_clients() {
    local i
    for i in $(seq 0 239); do echo "100.64.$((i / 24)).$((i % 24 * 10 + 3))"; done
    for i in $(seq 0 79); do echo "100.72.$((i / 16)).$((i % 16 * 15 + 9))"; done
}

# --- the network -----------------------------------------------------------------------------------------

make_network() {
    ip netns add "$clients_ns"
    ip netns add "$servers_ns"
    ip -n "$servers_ns" link add name servers type veth peer name clients netns "$clients_ns"
    # With offloads on, the capture would hold unfinished checksums and segments no wire can carry.
    ip netns exec "$servers_ns" ethtool -K servers tx off rx off tso off gso off gro off >/dev/null
    ip netns exec "$clients_ns" ethtool -K clients tx off rx off tso off gso off gro off >/dev/null
    local namespace
    for namespace in "$clients_ns" "$servers_ns"; do
        ip netns exec "$namespace" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
        ip -n "$namespace" link set lo up
    done
    local address
    for address in 10 11 22 23 53 80; do
        ip -n "$servers_ns" address add "198.51.100.$address/32" dev lo
    done
    ip -n "$servers_ns" address add 192.0.2.1/30 dev servers
    ip -n "$servers_ns" link set servers up
    ip -n "$clients_ns" address add 192.0.2.2/30 dev clients
    ip -n "$clients_ns" link set clients up
    ip -n "$clients_ns" route add 198.51.100.0/24 via 192.0.2.1
    ip -n "$servers_ns" route add 100.64.0.0/10 via 192.0.2.2
    sed 's|.*|address add &/32 dev lo|' "$work/clients" | ip -n "$clients_ns" -batch -
}

clean_up() {
    local namespace pids
    # The shell would report each server it sees killed.
    exec 2>/dev/null
    for namespace in "$clients_ns" "$servers_ns"; do
        # The namespaces are ours alone, so whatever runs in them is ours too; it must be gone before its files.
        while pids=$(ip netns pids "$namespace") && [ -n "$pids" ]; do
            # shellcheck disable=SC2086  # a list of numbers
            kill -KILL $pids || true
            sleep 0.1
        done
        ip netns del "$namespace" || true
    done
    rm -rf "$work"
}

# --- the servers -----------------------------------------------------------------------------------------

start_servers() {
    start_web
    start_ssh
    serve dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --port=53 \
        --listen-address=198.51.100.53 --bind-interfaces --user=root --pid-file= \
        --address=/www.example.org/198.51.100.10 --address=/files.example.org/198.51.100.11 \
        --address=/example.org/198.51.100.80 \
        --txt-record="note.example.org,$(printf 'a%.0s' $(seq 200))"
    # An echo service: long-lived connections with a few bytes now and then.
    serve ncat --listen --keep-open --max-conns 100 --exec /bin/cat 198.51.100.80 5222
    wait_for 198.51.100.10 80
    wait_for 198.51.100.22 22
    wait_for 198.51.100.53 53
    wait_for 198.51.100.80 5222
}

# Runs a server in the servers' namespace, with a /run of its own and the demo's user among the accounts.
serve() {
    # shellcheck disable=SC2016  # expanded by the inner shell
    ip netns exec "$servers_ns" sh -ec '
        mount -t tmpfs none /run
        mkdir -m 755 /run/sshd
        for file in passwd shadow; do
            if [ -e "$0/$file" ]; then mount --bind "$0/$file" "/etc/$file"; fi
        done
        exec "$@"' "$work" "$@" >>"$work/servers.log" 2>&1 &
}

start_web() {
    mkdir "$work/www"
    head -c 180 /dev/zero | tr '\0' 'h' >"$work/www/index.html"
    head -c 150 /dev/zero | tr '\0' 'p' >"$work/www/page.html"
    head -c 16000 /dev/zero | tr '\0' 'f' >"$work/www/file.bin"
    chmod 755 "$work" "$work/www"
    cat >"$work/nginx.conf" <<NGINX
daemon off;
worker_processes 1;
user root;
pid $work/nginx.pid;
error_log $work/nginx-error.log;
events { worker_connections 2048; }
http {
    log_format port '\$remote_addr:\$remote_port [\$time_iso8601] "\$request" \$status';
    access_log $work/nginx-access.log port;
    client_body_temp_path $work/nginx-body;
    proxy_temp_path $work/nginx-proxy;
    fastcgi_temp_path $work/nginx-fastcgi;
    uwsgi_temp_path $work/nginx-uwsgi;
    scgi_temp_path $work/nginx-scgi;
    server_tokens off;
    server {
        listen 198.51.100.10:80;
        listen 198.51.100.11:80;
        root $work/www;
        location /form { return 204; }
        location /slow { alias $work/www/file.bin; limit_rate 100; }
    }
}
NGINX
    serve nginx -c "$work/nginx.conf"
}

start_ssh() {
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/host_key"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/user_key"
    cp "$work/user_key.pub" "$work/authorized_keys"
    { cat /etc/passwd; echo 'customer:x:64999:64999::/tmp:/bin/sh'; } >"$work/passwd"
    { cat /etc/shadow; echo 'customer:*:19000::::::'; } >"$work/shadow"
    chmod 600 "$work/shadow"
    cat >"$work/sshd_config" <<SSHD
ListenAddress 198.51.100.22
ListenAddress 198.51.100.23
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PrintMotd no
MaxStartups 100
SSHD
    serve "$(command -v sshd)" -D -e -f "$work/sshd_config"
}

wait_for() {
    local deadline=$((SECONDS + 10))
    while [ "$SECONDS" -lt "$deadline" ]; do
        if ip netns exec "$servers_ns" ncat -z "$1" "$2" 2>/dev/null; then return; fi
        sleep 0.1
    done
    cat "$work/servers.log" >&2
    die "no server answers at $1 port $2"
}

# --- the recording ---------------------------------------------------------------------------------------

start_recording() {
    ip netns exec "$servers_ns" tcpdump -i servers -n -s 65535 -B 16384 -U -w "$work/capture.pcap" ip \
        2>"$work/tcpdump.log" &
    recorder=$!
    until grep -q 'listening on' "$work/tcpdump.log"; do sleep 0.1; done
}

stop_recording() {
    sleep 1
    kill "$recorder"
    wait "$recorder" || true
    grep -q '^0 packets dropped by kernel' "$work/tcpdump.log" || die "packets were lost: $(cat "$work/tcpdump.log")"
    install -m 644 "$work/capture.pcap" "$output"
}

# --- what the clients do ---------------------------------------------------------------------------------

# One line an action: when to start it (seconds), what, from which address, how much.
schedule() {
    awk -v long="$long" -v seed="$seed" '
        function at(last) { return rand() * (long - last) }
        function act(when, what, how_much) { printf "%.2f %s %s %s\n", when, what, $1, how_much }
        BEGIN { srand(seed) }
        # A dozen heavy users, in both ranges: more than 300 ports each, so one block is not enough.
        NR % 27 == 5 { act(rand() * long * 0.4, "many_lookups", 310); act(at(60), "many_connections", 8); next }
        NR % 40 == 11 { act(at(long * 0.9), "chat", int(long * 0.9)); }
        NR % 40 == 21 { act(at(long * 0.9), "session", int(long * 0.85)); }
        NR % 80 == 31 { act(at(100), "slow", 90) }
        NR % 16 == 2 { act(at(10), "login", 1) }
        NR % 32 == 7 { act(at(10), "denied", 1) }
        NR % 40 == 3 { act(at(10), "download", 1) }
        NR % 5 == 1 { act(at(10), "echo_request", 2) }
        NR % 12 == 8 { act(at(10), "lookup_tcp", 1) }
        NR % 9 == 4 { act(at(10), "post", 1) }
        NR % 50 == 13 { act(at(10), "refused", 1) }
        # Some come back again and again: few ports at a time, many over the day.
        NR % 6 == 0 { for (i = 0; i < 3; i++) act(at(10), "web", 1 + int(rand() * 2)) }
        { act(at(10), "lookup", 1); act(at(10), "web", 1 + int(rand() * 2)) }
    ' "$work/clients" | sort -n
}

play_in_clients() {
    export work
    export -f play web post download slow many_connections lookup lookup_tcp many_lookups echo_request \
        login denied session ssh_as chat refused quiet
    echo "recording $(wc -l <"$work/schedule") actions of $(wc -l <"$work/clients") clients, $long seconds" >&2
    # The time limit ends what hangs; the actions themselves are bounded.
    timeout $((long + 60)) ip netns exec "$clients_ns" bash -c play &
    # Waited for, not run in the foreground: a signal is then acted on at once.
    wait $! || die "the clients did not finish in time"
}

play() {
    local start now when action address amount
    start=$(date +%s.%N)
    while read -r when action address amount; do
        now=$(date +%s.%N)
        sleep "$(awk -v s="$start" -v n="$now" -v w="$when" 'BEGIN { d = s + w - n; print (d > 0 ? d : 0) }')"
        "$action" "$address" "$amount" </dev/null >>"$work/clients.log" 2>&1 &
    done <"$work/schedule"
    wait
}

quiet() { curl --silent --output /dev/null --max-time 100 "$@"; }

# Several requests on one connection.
web() {
    quiet --interface "$1" "http://198.51.100.$((10 + $2 % 2))/page.html?[1-$2]"
}

post() {
    quiet --interface "$1" --data "name=subscriber&message=$(printf 'm%.0s' $(seq 300))" http://198.51.100.10/form
}

download() { quiet --interface "$1" http://198.51.100.11/file.bin; }

# A download that trickles until the client gives up.
slow() { quiet --max-time "$2" --interface "$1" http://198.51.100.10/slow; }

# A connection for each request, two in a second.
many_connections() {
    quiet --interface "$1" --rate 2/s --header 'Connection: close' "http://198.51.100.10/?[1-$2]"
}

lookup() { dig @198.51.100.53 -b "$1" +tries=1 +time=3 +short www.example.org; }

lookup_tcp() { dig @198.51.100.53 -b "$1" +tcp +tries=1 +time=3 +short note.example.org TXT; }

# dig takes a new source port for each name.
many_lookups() {
    local done_so_far
    for ((done_so_far = 0; done_so_far < $2; done_so_far += 10)); do
        seq -f "n%g.example.org" $done_so_far $((done_so_far + 9)) |
            dig @198.51.100.53 -b "$1" +noedns +tries=1 +time=3 +short -f -
        sleep 2
    done
}

echo_request() { ping -q -n -I "$1" -c "$2" -i 1 -s 24 198.51.100.10; }

ssh_as() {
    local user=$1 address=$2
    shift 2
    ssh -F none -i "$work/user_key" -o BindAddress="$address" -o BatchMode=yes -o ConnectTimeout=10 \
        -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR \
        -o ServerAliveInterval=40 "$user@198.51.100.22" "$@"
}

login() { ssh_as customer "$1" true; }

denied() { ssh_as "intruder" "$1" true; }

session() { ssh_as customer "$1" "sleep $2"; }

# A few bytes now and then, as a messenger does.
chat() {
    local passed
    for ((passed = 0; passed < $2; passed += 30)); do
        echo "message at $passed"
        sleep 30
    done | ncat --source "$1" 198.51.100.80 5222
}

# Nobody listens there: a reset over TCP, port unreachable over UDP.
refused() {
    quiet --interface "$1" http://198.51.100.11:81/ || true
    dig @198.51.100.11 -b "$1" +tries=1 +time=1 www.example.org || true
}

main
