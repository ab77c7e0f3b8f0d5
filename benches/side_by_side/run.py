#!/usr/bin/env python3
"""Measures the server beside the floor, and prints one Markdown table.

    benches/side_by_side/run.py                       everything, five rounds: some twenty minutes
    benches/side_by_side/run.py --rounds 3 --only fan,register
    benches/side_by_side/run.py --peer 'bun=bun app.js {port}'

The floor (floor.c) is the cheapest server that plain system calls allow, so what it costs is what the kernel costs. A peer is any other
server that speaks the floor's language: sockets at /ws, POST /trigger broadcasts its body, POST /register answers {"number":N}. Every
executable in target/side_by_side/peers (or $BENCH_PEERS) is one, started with its port as argument; peers/setup puts some there, and none
is needed. Each run starts a fresh process over a fresh data folder, the server on one core and the client on another. Rounds are
interleaved, every system once and then again, and ratios are taken within a round: what another process does to the machine meets both.
CPU is the process's own time, never the clock on the wall. Memory is Rss of smaps_rollup. Traffic stays on 127.0.0.1, and every run is
bounded.

Memory groups and CPU shares want cgroups that may be written, and TLS wants the openssl program for a certificate; what cannot be had is
left out and named. --first-come has the kernel run server and client before anything else of the machine (SCHED_FIFO), for a busy one.
"""

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import re
import resource
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
BUILT = REPOSITORY / "target" / "side_by_side"
TLS_CLIENT = pathlib.Path(__file__).resolve().parent / "tlsfan.py"
SERVER_CORES, CLIENT_CORE = {0}, 1
RUN_S = 180  # no run lasts longer
PORTS = itertools.count(28_200)
FIRST_COME = None  # the priority of server and client before all else, if they have one

EVENT = "bench"
FLOOR_FRAME = '{"type":"draw_standby","prize_name":"%s","seq":{SEQ},"epoch":"0123456789abcdef"}'
STANDBY = '{"prize_name":"{SEQ} %s","prize_rank":1,"draw_mode":"slot","winner_count":1}'
# The longest name and image path that a prize may have, in letters of four bytes: the largest frame a standby makes.
LARGE = '{"prize_name":"{SEQ} %s","prize_image":"/%s","prize_rank":1,"draw_mode":"slot","winner_count":1}' % ("🎁" * 190, "🎁" * 490)


# ------------------------------------------------------------------------------------------------------------------- systems


class System:
    """A server program: how it is started, and how the client drives it."""

    def __init__(self, name, command):
        self.name, self.command = name, command

    def environment(self, port, folder):
        return {}

    def arguments(self, port):
        return [part.format(port=port) for part in shlex.split(self.command)]

    def socket_options(self):
        return ["--path", "/ws"]

    def fan_options(self):
        return ["-d", FLOOR_FRAME % ("x" * 200)]

    def large_fan_options(self):
        return ["-d", FLOOR_FRAME % "x", "--pad", "2900"]

    def register_options(self):
        return ["-d", '{"event_id":"bench","request_id":"bench-request-{N}-0123456789"}']


class Luckydraw(System):
    """Our server in open mode; a standby is its broadcast, and its longest answers are what a draw's frames are."""

    def __init__(self, binary, **settings):
        super().__init__("luckydraw", shlex.quote(str(binary)))
        self.settings = settings

    def environment(self, port, folder):
        settings = dict(BIND=f"127.0.0.1:{port}", DATA_DIR=folder, OPEN=1, DEFAULT_EVENT=EVENT, LOG="warn", **dict(WORKERS=1, STAGES=1) | self.settings)
        return {f"LUCKYDRAW_{name}": str(value) for name, value in settings.items()}

    def socket_options(self):
        return ["--path", f"/api/luckydraw/ws/{EVENT}"]

    def fan_options(self):
        return ["--trigger", f"/api/luckydraw/admin/{EVENT}/draw/standby", "--seq-key", '"prize_name":"', "-d", STANDBY % ("x" * 120)]

    def large_fan_options(self):
        return [*self.fan_options()[:-1], LARGE]

    def register_options(self):
        return ["--rpath", "/api/luckydraw/register", "--id-key", '"draw_number":', *super().register_options()]


class Cage:
    """A group of processes with a bound on their memory or CPU, by cgroups of either version."""

    def __init__(self, memory_mib=None, cpu_share=None):
        self.bounds_cpu = cpu_share is not None
        root, name = pathlib.Path("/sys/fs/cgroup"), f"luckydraw-bench-{os.getpid()}"
        one = (root / "cgroup.controllers").exists()
        self.folders = []
        if memory_mib:
            limit = "memory.max" if one else "memory.limit_in_bytes"
            self._make(root / name if one else root / "memory" / name, {limit: memory_mib << 20})
        if cpu_share:
            files = {"cpu.max": f"{int(cpu_share * 100_000)} 100000"} if one else {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": int(cpu_share * 100_000)}
            self._make(root / name if one else root / "cpu" / name, files)

    def _make(self, folder, files):
        folder.mkdir(exist_ok=True)
        self.folders.append(folder)
        for file, value in files.items():
            (folder / file).write_text(str(value))

    def enter(self):
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak_mib(self):
        for folder, file in itertools.product(self.folders, ("memory.peak", "memory.max_usage_in_bytes")):
            if (folder / file).exists():
                return int((folder / file).read_text()) / 2**20
        return None

    def close(self):
        for folder in self.folders:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.05)


class Running:
    """A started system. Leaving the context ends it."""

    def __init__(self, system, folder, cage=None, cores=SERVER_CORES):
        self.system, self.folder, self.cage, self.cores, self.port = system, folder, cage, cores, next(PORTS)

    def __enter__(self):
        def prepare():
            os.sched_setaffinity(0, self.cores)
            if self.cage:
                self.cage.enter()
            if not (self.cage and self.cage.bounds_cpu):
                go_first()

        environment = {**os.environ, **self.system.environment(self.port, self.folder)}
        began = time.monotonic()
        with open(pathlib.Path(self.folder) / "output", "w") as output:
            self.process = subprocess.Popen(self.system.arguments(self.port), env=environment, stdout=output, stderr=output, preexec_fn=prepare)
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                break
            if self.process.poll() is not None or time.monotonic() - began > 20:
                self.__exit__()
                raise RuntimeError(f"{self.system.name} did not start: " + (pathlib.Path(self.folder) / "output").read_text()[-500:])
            time.sleep(0.005)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def rss_kib(self):
        rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Rss:"))

    def client(self, mode, *options, meanwhile=lambda: None):
        """Runs the client to its end and gives what it measured. Calls `meanwhile` over and over."""
        command = [BUILT / "wsfan", mode, "-P", str(self.port), "-p", str(self.process.pid), "-c", str(CLIENT_CORE), *map(str, options)]
        return self.watched(command, meanwhile)

    def tls_client(self, *options):
        return self.watched([sys.executable, TLS_CLIENT, "--pid", str(self.process.pid), "--core", str(CLIENT_CORE), *map(str, options)], lambda: None)

    def watched(self, command, meanwhile):
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=go_first) as client:
            while client.poll() is None:
                meanwhile()
                time.sleep(0.05)
                if time.monotonic() - began > RUN_S:
                    client.kill()
            printed, complaint = client.communicate()
        if client.returncode:
            raise RuntimeError(f"{self.system.name}: {complaint[-500:]}")
        print(complaint, end="", file=sys.stderr, flush=True)
        return {**json.loads(printed), "alive": self.process.poll() is None}


def go_first():
    """In a child: nothing but its like comes before it. A bound on CPU keeps no account of such a process, so it is not for those."""
    if FIRST_COME:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIRST_COME))


@contextlib.contextmanager
def started(system, cage=None, cores=SERVER_CORES):
    with tempfile.TemporaryDirectory() as folder, Running(system, folder, cage, cores) as running:
        time.sleep(0.3)
        yield running


# ------------------------------------------------------------------------------------------------------------------ the table


class Table:
    """Figures by row and system, one a round; and what went wrong, which is told and not counted."""

    def __init__(self):
        self.rows, self.round, self.left_out = {}, 0, []

    def note(self, row, system, value, unit):
        self.rows.setdefault((row, unit), {}).setdefault(system, {})[self.round] = value

    @contextlib.contextmanager
    def forgiving(self, what):
        try:
            yield
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.left_out.append(f"round {self.round}, {what}: {error}")

    def markdown(self):
        lines = ["| figure | system | median | from – to | ratio to the first of the row |", "|---|---|--:|--:|--:|"]
        for (row, unit), systems in self.rows.items():
            for system, by_round in systems.items():
                values = by_round.values()
                lines.append(f"| {row} | {system} | {shown(statistics.median(values))} {unit} | {shown(min(values))} – {shown(max(values))} | {self.ratio(systems, system)} |")
        return "\n".join(lines)

    @staticmethod
    def ratio(systems, system):
        first, base = next(iter(systems.items()))
        ratios = [value / base[number] for number, value in systems[system].items() if base.get(number)]
        if system == first or not ratios:
            return ""
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


# --------------------------------------------------------------------------------------------------------------- measurements


def measure_fan(table, systems, sockets, broadcasts):
    for system in systems:
        with table.forgiving(f"fan to {sockets:,}"), started(system) as running:
            seen = running.client("fan", "-n", sockets, "-b", broadcasts, "-g", 20, *system.socket_options(), *system.fan_options())
            whole(system, seen, sockets)
            table.note(f"{sockets:,} sockets: server CPU a delivered frame", system.name, seen["cpu_us_per_frame"], "µs")
            table.note(f"{sockets:,} sockets: the last one has it", system.name, seen["last_ms_p50"], "ms")
            table.note(f"{sockets:,} sockets: memory a socket", system.name, seen["rss_per_socket"], "B")


def whole(system, seen, sockets):
    """A figure of a run that lost something is no figure."""
    if not (seen["alive"] and seen["open"] + seen["stalled"] == sockets and seen["delivered"] == seen["expected"]):
        raise RuntimeError(f"{system.name} lost sockets or frames: {seen}")


def measure_register(table, systems, requests, new_connections):
    how = "a connection each" if new_connections else "keep-alive"
    table.note(f"register, 64 at once, {how}: p99", "the disk's fsync", fsync_p99_ms(), "ms")
    for system in systems:
        with table.forgiving(f"register, {how}"), started(system) as running:
            more = ["--newconn"] if new_connections else []
            seen = running.client("http", "-k", 64, "-R", requests, *more, *system.register_options())
            if seen["answered"] != requests or seen["bad"] or seen["twice"]:
                raise RuntimeError(f"{system.name} did not answer everybody: {seen}")
            table.note(f"register, 64 at once, {how}: CPU a request", system.name, seen["cpu_us_per_request"], "µs")
            table.note(f"register, 64 at once, {how}: p99", system.name, seen["ms_p99"], "ms")


def fsync_p99_ms(writes=300):
    """What the disk itself takes to keep 4 KB, where the data folders lie."""
    times = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(writes):
            file.write(os.urandom(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)[int(0.99 * writes)]


def measure_rush(table, systems, sockets):
    for system in systems:
        with started(system) as running:
            seen = running.client("hold", "-n", sockets, "-w", sockets, "-T", 1, *system.socket_options())
        if seen["open"] != sockets or seen["dropped"]:
            raise RuntimeError(f"{system.name} lost sockets: {seen}")
        table.note(f"{sockets:,} connects at one instant: handshake p99", system.name, seen["handshake_ms_p99"], "ms")
        table.note(f"{sockets:,} connects at one instant: CPU a handshake", system.name, seen["cpu_us_per_handshake"], "µs")


class Pinned:
    """What the kernel holds of the server's sockets while some of their peers never read, as `ss` tells."""

    def __init__(self, port, sockets, stalled):
        self.port, self.sockets, self.stalled = port, sockets, stalled
        self.most = 0  # bytes of one socket, whatever it has queued or set aside
        self.stuck_at = self.gone_at = None

    def look(self):
        lines = subprocess.run(["ss", "-tanmOH", f"sport = :{self.port}"], capture_output=True, text=True).stdout.splitlines()
        held = [sum(int(n) for n in re.findall(r"\b[rfw](\d+)", line.split("skmem:")[1])) for line in lines if "skmem:" in line and "LISTEN" not in line]
        now, self.most = time.monotonic(), max([self.most, *held])
        if self.stuck_at is None and sum(bytes_held > 16 << 10 for bytes_held in held) >= self.stalled:
            self.stuck_at = now
        # The trigger's connection comes on top of those that read.
        if self.stuck_at and self.gone_at is None and len(held) <= self.sockets - self.stalled + 1:
            self.gone_at = now


def measure_stalled(table, systems, broadcasts):
    """The peers that never read must not be felt by the others, nor by the kernel for long. With them the run goes on until they are gone."""
    for stalled_pct, system in itertools.product((0, 10), systems):
        row = f"300 sockets, {stalled_pct} % never read, {broadcasts:,} frames of 2.8 KB"
        with started(system) as running:
            options = ["-n", 300, "-b", broadcasts, "-g", 10 if stalled_pct else 1, "--stall-pct", stalled_pct, *system.socket_options(), *system.large_fan_options()]
            pinned = Pinned(running.port, 300, 300 * stalled_pct // 100)
            seen = running.client("fan", *options, meanwhile=pinned.look if stalled_pct else lambda: None)
        whole(system, seen, 300)
        table.note(f"{row}: p99", system.name, seen["p99_ms_p50"], "ms")
        if stalled_pct:
            if pinned.gone_at is None:
                raise RuntimeError(f"{system.name}: the peers that never read were still there at the end")
            table.note(f"{row}: the kernel holds of one, at most", system.name, pinned.most / 1024, "KiB")
            table.note(f"{row}: from stuck to gone", system.name, pinned.gone_at - pinned.stuck_at, "s")


def measure_two_cores(table, systems, sockets):
    """How long the last one waits when the server has both cores; the client shares one of them."""
    for system in systems:
        with started(system, cores={0, 1}) as running:
            seen = running.client("fan", "-n", sockets, "-b", 20, "-g", 50, *system.socket_options(), *system.fan_options())
        whole(system, seen, sockets)
        table.note(f"{sockets:,} sockets, two cores and two threads: the last one has it", system.name, seen["last_ms_p50"], "ms")


def measure_allocators(table, binaries):
    """What a socket costs the process with mimalloc and with the system's allocator."""
    for name, binary in binaries.items():
        if not binary.exists():
            raise OSError(f"there is no {binary}; scripts/bench builds it")
        system = Luckydraw(binary)
        with started(system) as running:
            seen = running.client("fan", "-n", 19_900, "-b", 2, *system.socket_options(), *system.fan_options())
        whole(system, seen, 19_900)
        table.note("19,900 sockets, an allocator each: memory a socket", name, seen["rss_per_socket"], "B")
        table.note("19,900 sockets, an allocator each: memory with an event running", name, seen["rss_after"] / 2**20, "MiB")


def measure_tls(table, binary):
    """The same sockets in the clear and by TLS: what sealing adds to a frame, and what a connection's keys weigh."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        for sockets, (name, is_sealed) in itertools.product((3_000, 5_000), (("luckydraw in the clear", False), ("luckydraw by TLS", True))):
            clear = next(PORTS)
            system = Luckydraw(binary, TLS_CERT=certificate, TLS_KEY=f"{folder}/key.pem", PLAIN_BIND=f"127.0.0.1:{clear}")
            with started(system) as running:
                where = ["--port", running.port, "--certificate", certificate] if is_sealed else ["--port", clear]
                seen = running.tls_client(*where, "--trigger-port", clear, "--sockets", sockets, "--broadcasts", 20 if sockets == 3_000 else 2)
            if seen["delivered"] != seen["expected"]:
                raise RuntimeError(f"{name} lost frames: {seen}")
            if sockets == 3_000:
                table.note("3,000 sockets, TLS: server CPU a delivered frame", name, seen["cpu_us_per_frame"], "µs")
                table.note("3,000 sockets, TLS: CPU a handshake", name, seen["cpu_us_per_handshake"], "µs")
            else:
                table.note("5,000 sockets, TLS: memory a socket", name, seen["rss_per_socket"], "B")


def make_certificate(folder):
    """A certificate for localhost on a P-256 key, good for two days."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    return f"{folder}/cert.pem"


def measure_caged(table, ours):
    with caged(memory_mib=64) as cage, started(ours, cage) as running:
        seen = running.client("fan", "-n", 19_900, "-b", 10, *ours.socket_options(), *ours.fan_options())
        whole(ours, seen, 19_900)
        table.note("19,900 sockets in a 64 MiB memory group: its peak", ours.name, cage.peak_mib(), "MiB")


def measure_tables(table, floor, binary):
    """More sockets than one table of open files may hold here: each thread of a server, and each process of the client, has its own. Few broadcasts,
    since what lasts beyond twenty seconds is a measure of heartbeats too, which the floor has none of."""
    if not binary.exists():
        raise OSError(f"there is no {binary}; scripts/bench builds it")
    for sockets in (50_000, 100_000):
        tables = -(-sockets // 18_000)
        row = f"{sockets:,} sockets over {tables} tables of files in a 512 MiB memory group"
        for system in (System("floor", f"{floor} -t {tables}"), Luckydraw(binary, STAGES=tables)):
            with table.forgiving(f"tables, {sockets:,}"), caged(memory_mib=512) as cage, started(system, cage) as running:
                options = ["-n", sockets, "-t", tables, "--src", 8, "-b", 5, *system.socket_options(), *system.fan_options()]
                seen = running.client("fan", *options)
                whole(system, seen, sockets)
                table.note(f"{row}: server CPU a delivered frame", system.name, seen["cpu_us_per_frame"], "µs")
                table.note(f"{row}: the last one has it", system.name, seen["last_ms_p50"], "ms")
                table.note(f"{row}: memory a socket", system.name, seen["rss_per_socket"], "B")
                table.note(f"{row}: the group's peak", system.name, cage.peak_mib(), "MiB")


def measure_tenth(table, systems):
    for system in systems:
        with caged(cpu_share=0.1) as cage, started(system, cage) as running:
            seen = running.client("fan", "-n", 3_000, "-b", 10, "-g", 2_000, *system.socket_options(), *system.fan_options())
        whole(system, seen, 3_000)
        table.note("3,000 sockets on a tenth of one core: all connected", system.name, seen["connect_ms"], "ms")
        table.note("3,000 sockets on a tenth of one core: the last one has it", system.name, seen["last_ms_p50"], "ms")


@contextlib.contextmanager
def caged(**bounds):
    cage = Cage(**bounds)
    try:
        yield cage
    finally:
        cage.close()


def measure_start(table, binary, participants):
    """An empty server's memory; then the start over a journal of many, and the memory after it."""
    with started(Luckydraw(binary)) as running:
        time.sleep(2)
        table.note("empty server: memory", running.system.name, running.rss_kib() / 1024, "MiB")
    ours = Luckydraw(binary, PARTICIPANTS_MAX=participants)
    with tempfile.TemporaryDirectory() as folder:
        with Running(ours, folder) as running:
            seen = running.client("http", "-k", 64, "-R", participants, *ours.register_options())
            if seen["bad"]:
                raise RuntimeError(f"not everybody was registered: {seen}")
        began = time.monotonic()
        with Running(ours, folder) as running:
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{running.port}/readyz", timeout=5).read()
                    break
                time.sleep(0.005)
            table.note(f"journal of {participants:,}: start", ours.name, time.monotonic() - began, "s")
            time.sleep(3)
            table.note(f"journal of {participants:,}: memory", ours.name, running.rss_kib() / 1024, "MiB")


# ----------------------------------------------------------------------------------------------------------------------- main


def installed_peers():
    folder = pathlib.Path(os.environ.get("BENCH_PEERS", BUILT / "peers"))
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [System(file.name, f"{shlex.quote(str(file))} {{port}}") for file in files if file.is_file() and os.access(file, os.X_OK)]


def machine():
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    commit = subprocess.run(["git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return f"{model}, {os.cpu_count()} threads, Linux {os.uname().release}, commit {commit}"


def main():
    global FIRST_COME, PORTS
    kinds = ["fan", "register", "rush", "stalled", "two_cores", "caged", "tenth", "start", "allocators", "tls", "tables"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="five, and two with --quick")
    parser.add_argument("--quick", action="store_true", help="two rounds, 300 and 3,000 sockets for fan, no tenth, allocators, tls and tables: a look, no proof")
    parser.add_argument("--only", help="of " + ", ".join(kinds))
    parser.add_argument("--sockets", help="for fan: 300,3000,19900")
    parser.add_argument("--binary", type=pathlib.Path, default=REPOSITORY / "target/release/luckydraw")
    parser.add_argument("--system-binary", type=pathlib.Path, default=BUILT / "luckydraw-system", help="built without mimalloc, for allocators")
    parser.add_argument("--tables-binary", type=pathlib.Path, default=BUILT / "luckydraw-tables", help="built with the feature file-tables, for tables")
    parser.add_argument("--first-come", type=int, metavar="PRIORITY", help="of server and client before all else (SCHED_FIFO), as 10")
    parser.add_argument("--first-port", type=int, default=28_200, help="of those used, one a run")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another server; {port} in it is its port")
    asked = parser.parse_args()
    rounds = asked.rounds or (2 if asked.quick else 5)
    sockets = asked.sockets or ("300,3000" if asked.quick else "300,3000,19900")
    chosen = asked.only.split(",") if asked.only else [kind for kind in kinds if not (asked.quick and kind in ("tenth", "allocators", "tls", "tables"))]
    FIRST_COME, PORTS = asked.first_come, itertools.count(asked.first_port)

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ours = Luckydraw(asked.binary)
    peers = [*installed_peers(), *(System(*peer.split("=", 1)) for peer in asked.peer)]
    floor = f"{shlex.quote(str(BUILT / 'floor'))} -p {{port}}"
    systems = [System("floor", floor), ours, *peers]
    two_threads = [System("floor", f"{floor} -t 2"), Luckydraw(asked.binary, WORKERS=2, STAGES=2)]
    tasks = {
        "fan": lambda table: [measure_fan(table, systems, int(n), 40 if int(n) < 10_000 else 15) for n in sockets.split(",")],
        "register": lambda table: [measure_register(table, systems, 20_000, False), measure_register(table, systems, 10_000, True)],
        "rush": lambda table: measure_rush(table, systems[:2], 10_000),
        "stalled": lambda table: measure_stalled(table, [ours], 1_500),
        "two_cores": lambda table: measure_two_cores(table, two_threads, 10_000),
        "caged": lambda table: measure_caged(table, ours),
        "tenth": lambda table: measure_tenth(table, systems[:2]),
        "start": lambda table: measure_start(table, asked.binary, 100_000),
        "allocators": lambda table: measure_allocators(table, {"mimalloc": asked.binary, "the system's": asked.system_binary}),
        "tls": lambda table: measure_tls(table, asked.binary),
        "tables": lambda table: measure_tables(table, floor, asked.tables_binary),
    }
    table = Table()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Whoever stops it gets what there is.
    with contextlib.suppress(KeyboardInterrupt):
        for number, name in itertools.product(range(1, rounds + 1), chosen):
            print(f"round {number}: {name}", file=sys.stderr, flush=True)
            table.round = number
            with table.forgiving(name):
                tasks[name](table)
    table.note("binary", ours.name, asked.binary.stat().st_size / 2**20, "MiB")
    how = ", server and client before all else" if FIRST_COME else ""
    print(f"{machine()}; {table.round} rounds{how}.\n\n{table.markdown()}")
    for reason in table.left_out:
        print(f"\nNot whole, so not counted: {reason}")


if __name__ == "__main__":
    main()
