#!/bin/sh
# Sets up a luckydraw server on a fresh Debian 12/13 or Ubuntu 22.04/24.04. Give it as user data (a
# launch script), or run it as root. It is one file because user data is one file.
#
#   launch.sh [--version VERSION [--page URL]] [ADDRESS]       a released server, which is compared with its sum
#   launch.sh --binary FILE [ADDRESS]                          a binary on this machine
#   launch.sh --url URL --sha256 HEX [ADDRESS]                 a binary elsewhere
#   launch.sh … --edge CODE [ADDRESS]                          an edge of the server whose console gave the code
#   launch.sh --print NAME      prints a file that it would write: luckydraw.service, luckydraw.socket, luckydraw-redirect.socket, sysctl.conf
#   launch.sh --help            prints this
#
# ADDRESS is one of
#   --domain NAME --contact MAIL    HTTPS on port 443 with a certificate of Let's Encrypt; port 80 redirects to it
#   --port N                        plain HTTP on this port
#   --port N --domain NAME          the same, for a proxy that has the certificate of that name
#   --public-url URL                beside any of these: the address by which phones come; an edge without --domain needs it
#
# Without ADDRESS, the first run takes port 80, and a later run keeps what is there. A later run
# with another ADDRESS changes the address; other settings, the token and the data stay. The Debian
# package has a copy of this file, to change the address of the server that it brought.
#
# User data gets no arguments: set the same values here instead. The copy that belongs to a release
# has RELEASE, PAGE and SUMS set, so that it is all that a new machine needs.
RELEASE=${RELEASE:-}            # the release's version
PAGE=${PAGE:-}                  # the address of its files, without the slash at its end
SUMS=${SUMS:-}                  # their SHA-256 sums; empty: those of SHA256SUMS at PAGE
BINARY=${BINARY:-}              # or the server's binary on this machine
BINARY_URL=${BINARY_URL:-}      # or its address, with its checksum
BINARY_SHA256=${BINARY_SHA256:-}
DOMAIN=${DOMAIN:-}
CONTACT=${CONTACT:-}
PORT=${PORT:-}
EDGE=${EDGE:-}                  # the code of an edge
PUBLIC_URL=${PUBLIC_URL:-}
SWAP_MIB=${SWAP_MIB:-1024}
set -eu

HOME_DIR=/opt/luckydraw         # releases/ID/luckydraw, and the link `current` to the running one
STATE_DIR=/var/lib/luckydraw    # the journal and its keys: the folder to back up
SETTINGS=/etc/luckydraw/luckydraw.env
TOKEN=/etc/luckydraw/admin-token
EDGE_SETTINGS=/etc/luckydraw/edge.env   # the code of an edge, which is a secret
UNITS=/etc/systemd/system
CHANGED=$HOME_DIR/changed       # exists until the server is restarted with the changes

say() { printf 'launch: %s\n' "$*"; }
die() { printf 'launch: %s\n' "$*" >&2; exit 1; }

help() { sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$0"; }

is_edge() { [ -n "$EDGE" ] || [ -f "$EDGE_SETTINGS" ]; }
speaks_tls() { [ -n "$CONTACT" ]; }
sockets() { if speaks_tls; then echo luckydraw.socket luckydraw-redirect.socket; else echo luckydraw.socket; fi; }
# The server that the unit starts: the package's where it is the only one.
program() { if [ ! -e "$HOME_DIR/current" ] && [ -x /usr/bin/luckydraw ]; then echo /usr/bin/luckydraw; else echo "$HOME_DIR/current/luckydraw"; fi; }
main_socket() { if speaks_tls; then socket_unit 443 https; else socket_unit "$PORT" http; fi; }

# A chroot or container often has no running systemd and may not set its host's sysctls.
has_systemd() { [ -d /run/systemd/system ]; }

sysctl_conf() { cat <<'EOF'
# luckydraw: each line helps with a rush of phones.
# Connections that arrive at one time, or while a new version starts, wait in this queue; beyond it
# they are refused.
net.core.somaxconn = 16384
# The same for half-open connections; beyond it they retry after a second.
net.ipv4.tcp_max_syn_backlog = 16384
# A flood of half-open connections blocks no other client.
net.ipv4.tcp_syncookies = 1
# Memory of all sockets, in pages: pressure from 64 MiB, at most 128 MiB, so that sockets cannot
# exhaust 512 MB.
net.ipv4.tcp_mem = 8192 16384 32768
# Receive buffer of one socket: thousands of phones send little; the default of 4-6 MiB is for
# downloads.
net.ipv4.tcp_rmem = 4096 16384 1048576
# Send buffer of one socket: the server bounds its outbox, and this bounds the kernel's part.
net.ipv4.tcp_wmem = 4096 16384 1048576
# Phones that have left do not keep half-closed sockets for a minute.
net.ipv4.tcp_fin_timeout = 20
# Each phone is an open file; the default depends on memory and is low on a small machine.
fs.file-max = 200000
# Swap is for idle processes, not for the server.
vm.swappiness = 10
EOF
}

# The socket is its own unit, so that it stays open while the service restarts: phones wait in its
# queue and are not refused. Arguments: the port, and the name that selects the protocol.
socket_unit() { cat <<EOF
[Unit]
Description=luckydraw's listening socket ($2)

[Socket]
# IPv6 and IPv4 together.
ListenStream=[::]:$1
BindIPv6Only=both
FileDescriptorName=$2
Service=luckydraw.service
# The kernel limits it to net.core.somaxconn.
Backlog=65535
# A crash loop must not close the socket.
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
EOF
}

service_unit() { cat <<EOF
[Unit]
Description=luckydraw, a live lucky draw
Requires=$(sockets)
After=$(sockets) time-sync.target$(if speaks_tls; then echo ' network-online.target'; fi)
$(if speaks_tls; then printf '# A certificate is ordered over the network.\nWants=network-online.target'; fi)
# Restarts are unlimited: a limit would close the socket too.
StartLimitIntervalSec=0

[Service]
Sockets=$(sockets)
Type=notify
NotifyAccess=main
ExecStart=$(program)$(if is_edge; then echo ' edge'; fi)
User=luckydraw
Group=luckydraw
StateDirectory=luckydraw
StateDirectoryMode=0700
WorkingDirectory=$STATE_DIR
Environment=LUCKYDRAW_DATA_DIR=$STATE_DIR
EnvironmentFile=-$SETTINGS$(if is_edge; then printf '\nEnvironmentFile=%s' "$EDGE_SETTINGS"; fi)
LoadCredential=admin-token:$TOKEN

# The server pings after its writer, workers and socket threads have answered. If it hangs, systemd
# kills and restarts it.
WatchdogSec=20
Restart=always
RestartSec=500ms
# A replay of 100,000 participants takes a fraction of a second; a slow disk may take longer.
TimeoutStartSec=120
# The server asks sockets to reconnect within 1 s, then waits at most 5 s each for sockets, requests
# and the writer.
TimeoutStopSec=25

# For 512 MB: memory is reclaimed above the first limit, and the process is killed at the second.
MemoryHigh=320M
MemoryMax=400M
OOMScoreAdjust=-500
LimitNOFILE=65536
TasksMax=128

# Access to its folder, its socket and the network only.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
DevicePolicy=closed
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
UMask=0077
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
EOF
}

# Writes stdin to a file if it differs. Arguments: mode, path.
write_file() {
    mkdir -p "$(dirname "$2")"
    (umask 077 && cat >"$2.new")
    chmod "$1" "$2.new"
    if cmp -s "$2.new" "$2"; then rm "$2.new"; else mv "$2.new" "$2"; : >"$CHANGED"; say "wrote $2"; fi
}

# The value of a setting on this machine; empty without one.
setting() { if [ -f "$SETTINGS" ]; then sed -n "s/^$1=//p" "$SETTINGS" | tail -n 1; fi; }

# Completes the address: as asked for, else as this machine has it, else port 80. Changes nothing.
choose_address() {
    if [ -n "$CONTACT" ] && [ -n "$PORT" ]; then die "--contact is for HTTPS on port 443: leave out --port"; fi
    if [ -n "$CONTACT" ] && [ -z "$DOMAIN" ]; then die "a certificate needs a host name: --domain"; fi
    case "$EDGE" in *[!A-Za-z0-9_-]*) die "--edge is followed by the code that the origin's console gives" ;; esac
    case "$PUBLIC_URL" in *[!A-Za-z0-9:/.-]*) die "$PUBLIC_URL is no address" ;; '' | http://* | https://*) ;; *) die "$PUBLIC_URL is no address" ;; esac
    [ -n "$PUBLIC_URL" ] || PUBLIC_URL=$(setting LUCKYDRAW_PUBLIC_URL)
    if [ -n "$EDGE" ] && [ -z "$DOMAIN$PUBLIC_URL" ]; then
        die "phones are led to an edge by its public address: --domain, or --public-url http://ADDRESS"
    fi
    if [ -n "$DOMAIN" ] && [ -z "$CONTACT$PORT" ]; then
        die "--domain needs --contact MAIL for a certificate, or --port N behind a proxy that has one"
    fi
    if [ -z "$DOMAIN$CONTACT$PORT" ] && [ -f "$SETTINGS" ]; then
        DOMAIN=$(setting LUCKYDRAW_DOMAIN) CONTACT=$(setting LUCKYDRAW_ACME_CONTACT)
        bind=$(setting LUCKYDRAW_BIND)
        case "$bind" in
            '[::]:'*) PORT=${bind##*:} ;;
            *) die "$SETTINGS has LUCKYDRAW_BIND=$bind, which is not the socket unit's: name the address, --domain or --port" ;;
        esac
        if speaks_tls; then PORT=; fi
    fi
    PORT=${PORT:-80}
    case "$PORT" in *[!0-9]* | ?????? | 0*) die "$PORT is no port" ;; esac
    [ "$PORT" -le 65535 ] || die "$PORT is no port"
    case "$DOMAIN" in *[!A-Za-z0-9.-]* | .* | -*) die "$DOMAIN is no host name" ;; esac
    case "$CONTACT" in *[!A-Za-z0-9@._+-]*) die "$CONTACT is no mail address" ;; '' | *?@?*) ;; *) die "$CONTACT is no mail address" ;; esac
}

check_binary() {
    if [ -n "$BINARY$BINARY_URL" ]; then RELEASE=; fi
    if [ -n "$RELEASE" ]; then
        [ -n "$PAGE" ] || die "--version needs --page, the address of the release's files"
        case "$RELEASE" in *[!0-9A-Za-z.+-]*) die "$RELEASE is no version" ;; esac
        case "$(uname -m)" in x86_64 | aarch64) ;; *) die "a release has no server for $(uname -m)" ;; esac
    fi
    if [ -n "$BINARY_URL" ]; then
        [ -z "$BINARY" ] || die "--binary or --url, not both"
        case "$BINARY_SHA256" in *[!0-9a-fA-F]* | '') die "--url needs --sha256 and 64 hexadecimal digits" ;; esac
        [ ${#BINARY_SHA256} = 64 ] || die "--sha256 has 64 hexadecimal digits"
    fi
    [ -z "$BINARY" ] || [ -f "$BINARY" ] || die "there is no file $BINARY"
}

check_system() {
    [ "$(id -u)" = 0 ] || die "run it as root"
    # shellcheck disable=SC1091
    . /etc/os-release
    case "$ID:$VERSION_ID" in
        debian:12 | debian:13 | ubuntu:22.04 | ubuntu:24.04) say "$PRETTY_NAME" ;;
        *) die "this is for Debian 12/13 and Ubuntu 22.04/24.04, not for $PRETTY_NAME" ;;
    esac
    mkdir -p "$HOME_DIR"
}

# Installs missing packages only; without any, no mirror is asked.
install_packages() {
    missing=
    has_systemd && ! command -v timedatectl >/dev/null && missing="$missing systemd-timesyncd"
    [ -n "$BINARY_URL$RELEASE" ] && ! command -v curl >/dev/null && missing="$missing curl ca-certificates"
    [ -z "$missing" ] && return
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # Without a network, the defaults wait for minutes.
    quick='-o Acquire::Retries=1 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10'
    # shellcheck disable=SC2086
    apt-get update -qq $quick && apt-get install -y -qq --no-install-recommends $quick $missing || die "cannot install$missing: is there a network?"
}

make_user() {
    id luckydraw >/dev/null 2>&1 && return
    useradd --system --user-group --home-dir "$STATE_DIR" --no-create-home --shell /usr/sbin/nologin luckydraw
    say "made the user luckydraw"
}

# With 512 MB, idle processes are swapped out when another one, such as an update, briefly
# needs memory.
make_swap() {
    if [ "$(wc -l </proc/swaps)" -gt 1 ]; then return; fi
    if [ "$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)" -gt 2500000 ]; then say "no swap made: there is enough memory"; return; fi
    if [ ! -f /swapfile ]; then
        fallocate -l "${SWAP_MIB}M" /swapfile || dd if=/dev/zero of=/swapfile bs=1M count="$SWAP_MIB" status=none
        chmod 600 /swapfile
        mkswap /swapfile >/dev/null
    fi
    grep -q '^/swapfile ' /etc/fstab || echo '/swapfile none swap sw 0 0' >>/etc/fstab
    swapon /swapfile || say "left out: swap is not permitted here"
}

set_sysctls() {
    sysctl_conf | write_file 644 /etc/sysctl.d/60-luckydraw.conf
    if has_systemd; then
        sysctl -q -p /etc/sysctl.d/60-luckydraw.conf || say "some sysctls cannot be set here"
    else
        say "left out: sysctls are written but not set, since they belong to the host"
    fi
}

write_settings() {
    mkdir -p /etc/luckydraw
    if [ ! -s "$TOKEN" ]; then
        (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$TOKEN")
        say "made the admin token, in $TOKEN"
    fi
    { other_settings; address_settings; } >"$HOME_DIR/settings"
    write_file 644 "$SETTINGS" <"$HOME_DIR/settings"
    rm "$HOME_DIR/settings"
    if [ -n "$EDGE" ]; then printf 'LUCKYDRAW_JOIN=%s\n' "$EDGE" | write_file 600 "$EDGE_SETTINGS"; fi
}

# The settings beside the address: the operator's own, or those of a first run.
other_settings() {
    if [ -f "$SETTINGS" ]; then
        sed '/^# The address, as launch.sh wrote it/d; /^# The socket units. addresses/d; /^# Plain HTTP, for healthcheck/d; /^LUCKYDRAW_\(BIND\|REDIRECT_BIND\|PLAIN_BIND\|ACME_CONTACT\|DOMAIN\|PUBLIC_URL\)=/d' "$SETTINGS"
        return
    fi
    echo "# The server's settings (luckydraw settings): systemctl restart luckydraw after a change."
    echo "LUCKYDRAW_DATA_DIR=$STATE_DIR"
    echo "LUCKYDRAW_WORKERS=2"
}

# The address. The socket units have it too, so both are written by the same run.
address_settings() {
    echo "# The address, as launch.sh wrote it for the socket units too: run launch.sh again to change it."
    if speaks_tls; then
        printf '%s\n' 'LUCKYDRAW_BIND=[::]:443' 'LUCKYDRAW_REDIRECT_BIND=[::]:80' "LUCKYDRAW_ACME_CONTACT=$CONTACT"
        # Plain HTTP, for healthcheck.
        echo 'LUCKYDRAW_PLAIN_BIND=127.0.0.1:8000'
    else
        echo "LUCKYDRAW_BIND=[::]:$PORT"
    fi
    if [ -n "$DOMAIN" ]; then echo "LUCKYDRAW_DOMAIN=$DOMAIN"; fi
    if [ -n "$PUBLIC_URL" ]; then echo "LUCKYDRAW_PUBLIC_URL=$PUBLIC_URL"; fi
}

# Downloads a file, which is cut or another one as long as its sum differs. Arguments: address, sum.
download() {
    say "downloading $1"
    curl -fsSL --retry 3 --connect-timeout 10 --max-time 300 -o "$HOME_DIR/download" "$1" || die "the download of $1 failed"
    echo "$2  $HOME_DIR/download" | sha256sum -c --quiet - || { rm "$HOME_DIR/download"; die "the download does not match its checksum"; }
}

# Brings the binary to this machine, before anything depends on it.
fetch_binary() {
    if [ -n "$RELEASE" ]; then
        name=luckydraw-$RELEASE-$(uname -m)-unknown-linux-musl
        [ -n "$SUMS" ] || SUMS=$(curl -fsSL --retry 3 --connect-timeout 10 --max-time 60 "$PAGE/SHA256SUMS") || die "there are no sums at $PAGE/SHA256SUMS"
        sum=$(printf '%s\n' "$SUMS" | sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p")
        [ -n "$sum" ] || die "the release has no sum of $name.tar.gz"
        download "$PAGE/$name.tar.gz" "$sum"
        tar -xzf "$HOME_DIR/download" -C "$HOME_DIR" --no-same-owner "$name/luckydraw" || die "the download has no server in it"
        mv "$HOME_DIR/$name/luckydraw" "$HOME_DIR/download"
        rm -r "${HOME_DIR:?}/$name"
        BINARY=$HOME_DIR/download
    elif [ -n "$BINARY_URL" ]; then
        download "$BINARY_URL" "$BINARY_SHA256"
        BINARY=$HOME_DIR/download
    fi
}

# Installs the first binary; scripts/deploy/push brings later ones.
install_binary() {
    mkdir -p "$HOME_DIR/releases"
    [ -n "$BINARY" ] || { [ -x "$(program)" ] || say "no binary yet: --version, or scripts/deploy/push, brings one"; return; }
    chmod 755 "$BINARY"
    "$BINARY" --version >/dev/null || die "$BINARY does not run here"
    release=$(sha256sum "$BINARY" | cut -c1-12)
    [ "$(readlink "$HOME_DIR/current")" = "releases/$release" ] || : >"$CHANGED"
    mkdir -p "$HOME_DIR/releases/$release"
    install -m 755 "$BINARY" "$HOME_DIR/releases/$release/luckydraw"
    ln -sfn "releases/$release" "$HOME_DIR/current.new"
    mv -T "$HOME_DIR/current.new" "$HOME_DIR/current"
    ln -sfn "$HOME_DIR/current/luckydraw" /usr/local/bin/luckydraw
    rm -f "$HOME_DIR/download"
    say "the binary is release $release"
}

# A unit as systemd reads it now: the machine's own goes before the package's.
unit_in_force() { cat "$UNITS/$1" 2>/dev/null || cat "/usr/lib/systemd/system/$1" 2>/dev/null || :; }

start() {
    install -d -m 700 -o luckydraw -g luckydraw "$STATE_DIR"
    before=$(unit_in_force luckydraw.socket; unit_in_force luckydraw-redirect.socket)
    # A socket keeps its port until it is stopped.
    if has_systemd && [ -n "$before" ] && [ "$before" != "$(main_socket; if speaks_tls; then socket_unit 80 redirect; fi)" ]; then
        say "the address changes: stopping the server"
        systemctl stop luckydraw.service luckydraw.socket
        if [ -f "$UNITS/luckydraw-redirect.socket" ]; then systemctl disable --now --quiet luckydraw-redirect.socket; fi
    fi
    service_unit | write_file 644 "$UNITS/luckydraw.service"
    main_socket | write_file 644 "$UNITS/luckydraw.socket"
    if speaks_tls; then socket_unit 80 redirect | write_file 644 "$UNITS/luckydraw-redirect.socket"; else rm -f "$UNITS/luckydraw-redirect.socket"; fi
    if ! has_systemd; then
        say "left out: systemd is not running, so nothing was started; by hand:"
        say "  set -a; . $SETTINGS; LUCKYDRAW_ADMIN_TOKEN=\$(cat $TOKEN) setpriv --reuid=luckydraw --regid=luckydraw --clear-groups --inh-caps=+net_bind_service --ambient-caps=+net_bind_service $(program)"
        return
    fi
    systemctl daemon-reload
    # shellcheck disable=SC2046
    systemctl enable --now --quiet $(sockets)
    [ -x "$(program)" ] || return 0
    say "starting the server$(if speaks_tls; then echo ', which waits for the network first'; fi)"
    systemctl enable --quiet luckydraw.service
    if [ -e "$CHANGED" ]; then systemctl restart luckydraw.service; else systemctl start luckydraw.service; fi
    rm -f "$CHANGED"
    tries=0
    # shellcheck disable=SC1090
    until (set -a && . "$SETTINGS" && "$(program)" healthcheck --ready); do
        tries=$((tries + 1))
        [ "$tries" -lt 30 ] || { journalctl -u luckydraw -n 30 --no-pager; die "the server does not become healthy"; }
        sleep 1
    done
}

firewall_note() {
    if speaks_tls; then ports="443 and 80"; else ports=$PORT; fi
    say "open TCP port $ports in the provider's firewall, for IPv4 and again for IPv6: Lightsail keeps two lists (Networking tab of the instance)"
    if command -v ufw >/dev/null && ufw status | grep -q 'Status: active'; then
        for port in ${ports%% *} ${ports##* }; do say "and in this machine's own: ufw allow $port/tcp"; done
    fi
}

# The last lines: what to do next.
next_note() {
    [ -x "$(program)" ] && has_systemd || return 0
    if is_edge; then say "the origin's console lists this edge, and its join address leads phones here"; return; fi
    host=${DOMAIN:-$(hostname -I 2>/dev/null | cut -d' ' -f1)}
    host=${host:-localhost}
    if speaks_tls; then url=https://$host; elif [ "$PORT" = 80 ]; then url=http://$host; else url=http://$host:$PORT; fi
    say "the console: $url/lottery/admin; its token: cat $TOKEN"
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
            -h | --help) help; exit ;;
            --*) [ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value; launch.sh --help" ;;
        esac
        case "$1" in
            --version) RELEASE=$2 ;;
            --page) PAGE=$2 ;;
            --binary) BINARY=$2 ;;
            --url) BINARY_URL=$2 ;;
            --sha256) BINARY_SHA256=$2 ;;
            --domain) DOMAIN=$2 ;;
            --contact) CONTACT=$2 ;;
            --port) PORT=$2 ;;
            --edge) EDGE=$2 ;;
            --public-url) PUBLIC_URL=$2 ;;
            --print)
                PORT=${PORT:-80}
                case "$2" in
                    luckydraw.service) service_unit ;;
                    luckydraw.socket) main_socket ;;
                    luckydraw-redirect.socket) socket_unit 80 redirect ;;
                    sysctl.conf) sysctl_conf ;;
                    *) die "there is no $2" ;;
                esac
                exit
                ;;
            *) die "unknown argument $1; launch.sh --help" ;;
        esac
        shift 2
    done
}

main() {
    read_arguments "$@"
    # Nothing is changed before all of this holds.
    choose_address
    check_binary
    check_system
    install_packages
    fetch_binary
    make_user
    make_swap
    set_sysctls
    write_settings
    install_binary
    start
    firewall_note
    next_note
    say "done"
}
# One command at the end, within braces, so that a copy of this file that was cut off runs nothing.
{ main "$@"; exit; }
