//! A fresh root: an overlay of this machine's files with a network of its own, of which nothing is
//! left.
//!
//! systemd's part is played by a short program that holds it to what matters here: a socket keeps
//! its port until it is stopped, and the server gets the sockets that its unit names.

use std::fs;
use std::process::{Command, Output};

/// Plays `systemctl`: sockets by their units, and the server with them.
const SYSTEMCTL: &str = r#"#!/usr/bin/python3
import glob, os, signal, socket, sys, time
UNITS, STATE = ['/etc/systemd/system', '/usr/lib/systemd/system'], '/run/played'
os.makedirs(STATE, exist_ok=True)
verb, now = sys.argv[1], '--now' in sys.argv
names = [word for word in sys.argv[2:] if not word.startswith('-')]
def lines(unit, key):
    path = next(f'{folder}/{unit}' for folder in UNITS if os.path.exists(f'{folder}/{unit}'))
    return [line.split('=', 1)[1].strip() for line in open(path) if line.startswith(key + '=')]
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
    os.execve(lines(unit, 'ExecStart')[0], ['luckydraw'], environment)
for name in names:
    if verb in ('stop', 'restart') or (verb == 'disable' and now):
        stop(name)
    if verb in ('start', 'restart') or (verb == 'enable' and now):
        start(name)
"#;

/// Prepares the root, with the files of the folder in `/run`, and runs the last argument there.
const PREPARE: &str = r#"
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
cp -r "$2/." run/
mv run/systemctl usr/local/bin/systemctl
cp "$3" run/luckydraw
mkdir run/scripts run/.github
cp -r "$4/scripts/deploy" run/scripts/
cp "$4/.github/CHANGELOG.md" run/.github/
chmod 755 usr/local/bin/* run/luckydraw
ip link set lo up
exec chroot . /bin/sh -c "PATH=/usr/local/bin:\$PATH; $5"
"#;

/// Runs a shell script in a fresh root, which has these files, the binary under test and
/// `scripts/deploy` in `/run`; `None` where this machine gives no namespaces or overlays.
pub fn run(script: &str, files: &[(&str, &str)]) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path().join("files");
    fs::create_dir(&given).unwrap();
    for (name, text) in files.iter().chain(&[("systemctl", SYSTEMCTL)]) {
        fs::write(given.join(name), text).unwrap();
    }
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let output = Command::new("timeout")
        .args(["300", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", PREPARE, "sh"])
        .args([root.as_os_str(), given.as_os_str()])
        .args([env!("CARGO_BIN_EXE_luckydraw"), env!("CARGO_MANIFEST_DIR"), script])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && output.stdout.is_empty() && (errors.contains("unshare") || errors.contains("mount")) {
        eprintln!("not tried: {errors}");
        return None;
    }
    Some(output)
}
