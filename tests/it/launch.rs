//! The launch script, run again and again in a fresh root: an overlay of this machine's files with
//! a network of its own, of which nothing is left.
//!
//! systemd's part is played by a short program that holds it to what matters here: a socket keeps
//! its port until it is stopped, and the server gets the sockets that its unit names.

use std::fs;
use std::process::Command;

/// Plays `systemctl`: sockets by their units, and the server with them.
const SYSTEMCTL: &str = r#"#!/usr/bin/python3
import glob, os, signal, socket, sys, time
UNITS, STATE = '/etc/systemd/system', '/run/played'
os.makedirs(STATE, exist_ok=True)
verb, now = sys.argv[1], '--now' in sys.argv
names = [word for word in sys.argv[2:] if not word.startswith('-')]
def lines(unit, key):
    return [line.split('=', 1)[1].strip() for line in open(f'{UNITS}/{unit}') if line.startswith(key + '=')]
def is_running(pid):
    try:
        return open(f'/proc/{pid}/stat').read().split()[2] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False
def stop(unit):
    path = f'{STATE}/{unit}'
    if not os.path.exists(path):
        return
    if unit.endswith('.service'):
        pid = int(open(path).read())
        os.kill(pid, signal.SIGTERM)
        while is_running(pid):
            time.sleep(0.02)
    os.remove(path)
def start(unit):
    path = f'{STATE}/{unit}'
    if os.path.exists(path):
        return
    if unit.endswith('.socket'):
        port = lines(unit, 'ListenStream')[0].rsplit(':', 1)[1]
        open(path, 'w').write(f"{port} {lines(unit, 'FileDescriptorName')[0]}")
        return
    sockets = lines(unit, 'Sockets')[0].split()
    for each in sockets:
        start(each)
    held, fdnames = [], []
    for each in sockets:
        port, name = open(f'{STATE}/{each}').read().split()
        listener = socket.socket(socket.AF_INET6)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(('::', int(port)))
        listener.listen(64)
        held.append(os.dup(listener.fileno()))
        fdnames.append(name)
    environment = {'PATH': os.environ['PATH'], 'CREDENTIALS_DIRECTORY': '/etc/luckydraw'}
    for line in open('/etc/luckydraw/luckydraw.env'):
        if '=' in line and not line.startswith('#'):
            key, value = line.rstrip('\n').split('=', 1)
            environment[key] = value
    pid = os.fork()
    if pid:
        open(path, 'w').write(str(pid))
        return
    os.setsid()
    high = [os.dup2(fd, 100 + index) for index, fd in enumerate(held)]
    for index, fd in enumerate(high):
        os.dup2(fd, 3 + index, inheritable=True)
    log = os.open('/run/played/log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1), os.dup2(log, 2)
    environment |= {'LISTEN_FDS': str(len(held)), 'LISTEN_FDNAMES': ':'.join(fdnames), 'LISTEN_PID': str(os.getpid())}
    os.execve('/opt/luckydraw/current/luckydraw', ['luckydraw'], environment)
for name in names:
    if verb in ('stop', 'restart') or (verb == 'disable' and now):
        stop(name)
    if verb in ('start', 'restart') or (verb == 'enable' and now):
        start(name)
"#;

/// Prepares the root, then runs the launch script with each line of `runs`, and prints the state
/// after each.
const IN_A_FRESH_ROOT: &str = r#"
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount --bind /dev dev
mount -t proc proc proc
mount -t tmpfs tmpfs run
rm -rf etc/luckydraw opt/luckydraw var/lib/luckydraw
mkdir -p run/systemd/system usr/local/bin etc/systemd/system
# The memory and the settings of the kernel are the machine's own.
for each in sysctl swapon mkswap fallocate journalctl timedatectl; do printf '#!/bin/sh\n' >usr/local/bin/$each; done
cp "$2/systemctl" usr/local/bin/systemctl
cp "$3" run/luckydraw
cp "$4" run/launch.sh
cp "$2/runs" run/runs
chmod 755 usr/local/bin/* run/luckydraw
ip link set lo up
exec chroot . /bin/sh -c '
    PATH=/usr/local/bin:$PATH
    while read -r arguments; do
        # The operator adds a line of his own after the first run.
        [ ! -f /etc/luckydraw/luckydraw.env ] || grep -q PII_DAYS /etc/luckydraw/luckydraw.env || echo LUCKYDRAW_PII_DAYS=7 >>/etc/luckydraw/luckydraw.env
        before=$(cat /etc/luckydraw/* /etc/systemd/system/luckydraw* /run/played/luckydraw* 2>/dev/null | cksum)
        status=0
        sh /run/launch.sh --binary /run/luckydraw $arguments </dev/null >/run/output 2>&1 || status=$?
        after=$(cat /etc/luckydraw/* /etc/systemd/system/luckydraw* /run/played/luckydraw* 2>/dev/null | cksum)
        [ "$before" = "$after" ] && changed=same || changed=changed
        sockets=$(for each in /run/played/*.socket; do printf "%s," "$(cat "$each")"; done)
        bind=$(sed -n s/^LUCKYDRAW_BIND=//p /etc/luckydraw/luckydraw.env)
        token=$(cksum </etc/luckydraw/admin-token)
        own=$(grep -c PII_DAYS=7 /etc/luckydraw/luckydraw.env)
        health=$(set -a; . /etc/luckydraw/luckydraw.env; /run/luckydraw healthcheck --ready >/dev/null 2>&1 && echo healthy)
        echo "$status|$changed|$sockets|$bind|$token|$own|$health|$(tail -n 3 /run/output | tr "\n" " ")"
    done </run/runs
    systemctl stop luckydraw.service
'
"#;

/// One invocation's outcome.
#[derive(Debug)]
struct Run {
    arguments: String,
    succeeded: bool,
    changed: bool,
    sockets: String,
    bind: String,
    token: String,
    keeps_own_line: bool,
    is_healthy: bool,
    output: String,
}

/// Runs the launch script with each of these arguments in one fresh root; `None` where this machine
/// gives no namespaces or overlays.
fn launch(arguments: &[&str]) -> Option<Vec<Run>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("systemctl"), SYSTEMCTL).unwrap();
    fs::write(folder.path().join("runs"), arguments.join("\n") + "\n").unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy/launch.sh");
    let output = Command::new("timeout")
        .args(["300", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", IN_A_FRESH_ROOT, "sh"])
        .args([root.as_os_str(), folder.path().as_os_str()])
        .args([env!("CARGO_BIN_EXE_luckydraw"), script])
        .output()
        .unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() && text.is_empty() && (errors.contains("unshare") || errors.contains("mount")) {
        eprintln!("not tried: {errors}");
        return None;
    }
    let runs: Vec<Run> = text.lines().zip(arguments).map(|(line, arguments)| Run::read(arguments, line)).collect();
    assert_eq!(runs.len(), arguments.len(), "{text}{errors}");
    Some(runs)
}

impl Run {
    fn read(arguments: &str, line: &str) -> Self {
        let mut parts = line.splitn(8, '|').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_else(|| panic!("eight parts: {line}"));
        Self {
            arguments: arguments.to_owned(),
            succeeded: next() == "0",
            changed: next() == "changed",
            sockets: next(),
            bind: next(),
            token: next(),
            keeps_own_line: next() == "1",
            is_healthy: next() == "healthy",
            output: next(),
        }
    }
}

#[test]
fn a_machine_is_launched_with_any_address_after_any_other() {
    const PLAIN: &str = "--port 8080";
    const TLS: &str = "--domain draw.example --contact ops@draw.example";
    const PROXIED: &str = "--port 81 --domain draw.example";
    // Each of the four comes after each of the four.
    let order = ["", "", PLAIN, "", TLS, "", PROXIED, PLAIN, PLAIN, TLS, PLAIN, PROXIED, TLS, TLS, PROXIED, PROXIED, ""];
    let Some(runs) = launch(&order) else { return };
    let (mut expected, token) = (("80 http,", "[::]:80"), runs[0].token.clone());
    for (index, run) in runs.iter().enumerate() {
        expected = match run.arguments.as_str() {
            PLAIN => ("8080 http,", "[::]:8080"),
            TLS => ("80 redirect,443 https,", "[::]:443"),
            PROXIED => ("81 http,", "[::]:81"),
            _ => expected,
        };
        assert!(run.succeeded && run.is_healthy, "run {index}: {run:#?}");
        assert_eq!((run.sockets.as_str(), run.bind.as_str()), expected, "run {index}: {run:#?}");
        assert!(run.keeps_own_line == (index > 0) && run.token == token, "run {index} keeps what is not its own: {run:#?}");
        let is_same = index > 1 && (run.arguments.is_empty() || run.arguments == order[index - 1]);
        assert_eq!(run.changed, !is_same, "run {index} changes only what differs: {run:#?}");
    }
}

#[test]
fn a_launch_that_cannot_be_right_changes_nothing() {
    let wrong = [
        ("--port", "needs a value"),
        ("--port 99999", "no port"),
        ("--port 80x", "no port"),
        ("--domain draw.example", "--contact"),
        ("--contact ops@draw.example", "--domain"),
        ("--domain draw.example --contact ops@draw.example --port 80", "leave out --port"),
        ("--domain draw/example --port 80", "no host name"),
        ("--domain draw.example --contact ops", "no mail address"),
        ("--url http://127.0.0.1/luckydraw", "not both"),
        ("--binary /nowhere", "no file"),
        ("--ports 80", "unknown argument"),
    ];
    let arguments: Vec<&str> = std::iter::once("").chain(wrong.iter().map(|(arguments, _)| *arguments)).collect();
    let Some(runs) = launch(&arguments) else { return };
    for (run, (_, why)) in runs[1..].iter().zip(wrong) {
        assert!(!run.succeeded && run.output.contains(why), "{why}: {run:#?}");
        // The operator's line came before the first of them.
        assert!(!run.changed && run.is_healthy, "{run:#?}");
    }
}
