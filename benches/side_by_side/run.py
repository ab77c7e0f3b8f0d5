#!/usr/bin/env python3
"""Measures the server beside the floor and prints one Markdown table.

    benches/side_by_side/run.py                       everything, five rounds: some twenty minutes
    benches/side_by_side/run.py --rounds 3 --only fan,register
    benches/side_by_side/run.py --peer 'bun=bun app.js {port}'

The floor (floor.c) is the cheapest server that plain system calls allow, so its cost is the
kernel's cost. A peer is any other server with the floor's interface: sockets at /ws, POST /trigger
broadcasts its body, POST /register answers {"number":N}. Every executable in
target/side_by_side/peers (or $BENCH_PEERS) is a peer, started with its port as argument;
peers/setup installs some, and none is needed.

Each run starts a fresh process on a fresh data folder, the server on one core and the client on
another. Rounds are interleaved: every system runs once, then again. Ratios are taken within a
round, so that a disturbance of the machine affects both sides. CPU is the process's own time, never
wall-clock time. Memory is Rss of smaps_rollup. Traffic stays on 127.0.0.1, and every run is
bounded.

Memory groups and CPU shares need writable cgroups, and TLS needs the openssl program for a
certificate; a kind that cannot run is left out and named. --first-come gives server and client
real-time priority (SCHED_FIFO), for a busy machine.
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
ARRIVAL_CLIENT = TLS_CLIENT.with_name("arrival.py")
SERVER_CORES, CLIENT_CORE = {0}, 1
RUN_MAX_S = 180
PORTS = itertools.count(28_200)
PRIORITY = None  # of server and client under SCHED_FIFO; None: the ordinary scheduler

SCATTER_MAX = 0.3  # of the median, from the lowest round to the highest

EVENT = "bench"
FLOOR_FRAME = '{"type":"draw_standby","prize_name":"%s","seq":{SEQ},"epoch":"0123456789abcdef"}'
STANDBY = '{"prize_name":"{SEQ} %s","prize_rank":1,"draw_mode":"slot","winner_count":1}'
# The longest prize name and image path, in letters of four bytes: the largest frame that a standby
# makes.
LARGE = '{"prize_name":"{SEQ} %s","prize_image":"/%s","prize_rank":1,"draw_mode":"slot","winner_count":1}' % ("🎁" * 190, "🎁" * 490)


# ------------------------------------------------------------------------------------------ systems


class System:
    """A server program: its command, and the client's options for it."""

    def __init__(self, name, command):
        self.name, self.command = name, command

    def environment(self, port, folder):
        return {}

    def arguments(self, port):
        return [part.format(port=port) for part in shlex.split(self.command)]

    def socket_options(self):
        return ["--path", "/ws"]

    def fan_options(self):
        return [*self.socket_options(), "-d", FLOOR_FRAME % ("x" * 200)]

    def large_fan_options(self):
        return [*self.socket_options(), "-d", FLOOR_FRAME % "x", "--pad", "2900"]

    def make_ready_for_fan(self, port):
        pass

    def register_options(self):
        return ["-d", '{"event_id":"bench","request_id":"bench-request-{N}-0123456789"}']


class Luckydraw(System):
    """Our server in open mode. A standby is its broadcast, and the frame of a standby is as long as the longest that a draw sends."""

    def __init__(self, binary, name="luckydraw", **settings):
        super().__init__(name, shlex.quote(str(binary)))
        self.settings = settings

    def environment(self, port, folder):
        threads = dict(WORKERS=1, SOCKET_THREADS=1)
        settings = dict(BIND=f"127.0.0.1:{port}", DATA_DIR=folder, OPEN=1, DEFAULT_EVENT=EVENT, LOG="warn") | threads | self.settings
        return {f"LUCKYDRAW_{name}": str(value) for name, value in settings.items()}

    def socket_options(self):
        return ["--path", f"/api/luckydraw/ws/{EVENT}"]

    def fan_options(self, body=STANDBY % ("x" * 120)):
        trigger = f"/api/luckydraw/admin/{EVENT}/draw/standby"
        return [*self.socket_options(), "--trigger", trigger, "--seq-key", '"prize_name":"', "-d", body]

    def large_fan_options(self):
        return self.fan_options(LARGE)

    def make_ready_for_fan(self, port):
        """A standby needs somebody who can win."""
        body = json.dumps({"event_id": EVENT}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/luckydraw/register", body, 10).close()

    def register_options(self):
        return ["--rpath", "/api/luckydraw/register", "--id-key", '"draw_number":', *super().register_options()]


class ControlGroup:
    """A cgroup, of either version, that bounds the memory or CPU of the server in it."""

    def __init__(self, memory_mib=None, cpu_share=None):
        self.bounds_cpu = cpu_share is not None
        root = pathlib.Path("/sys/fs/cgroup")
        is_v2 = (root / "cgroup.controllers").exists()
        if cpu_share:
            quota = int(cpu_share * 100_000)
            controller, limits = "cpu", {"cpu.max": f"{quota} 100000"} if is_v2 else {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": quota}
        else:
            controller, limits = "memory", {"memory.max" if is_v2 else "memory.limit_in_bytes": memory_mib << 20}
        self.folder = (root if is_v2 else root / controller) / f"luckydraw-bench-{os.getpid()}"
        self.folder.mkdir(exist_ok=True)
        for file, value in limits.items():
            (self.folder / file).write_text(str(value))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _ in range(50):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                break
            time.sleep(0.05)

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak_mib(self):
        files = [self.folder / name for name in ("memory.peak", "memory.max_usage_in_bytes")]
        return next((int(file.read_text()) / 2**20 for file in files if file.exists()), None)


class RunningServer:
    """A started system. Leaving the context stops it."""

    def __init__(self, system, folder, group=None, cores=SERVER_CORES):
        self.system, self.folder, self.group, self.cores, self.port = system, pathlib.Path(folder), group, cores, next(PORTS)

    def __enter__(self):
        def prepare():
            os.sched_setaffinity(0, self.cores)
            if self.group:
                self.group.enter()
            # A CPU bound does not account for real-time processes, so a server under one keeps the
            # ordinary scheduler.
            if not (self.group and self.group.bounds_cpu):
                set_priority()

        environment = {**os.environ, **self.system.environment(self.port, self.folder)}
        began = time.monotonic()
        with open(self.folder / "output", "w") as output:
            self.process = subprocess.Popen(self.system.arguments(self.port), env=environment, stdout=output, stderr=output, preexec_fn=prepare)
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            if self.process.poll() is not None or time.monotonic() - began > 20:
                self.__exit__()
                raise RuntimeError(f"{self.system.name} did not start: {(self.folder / 'output').read_text()[-500:]}")
            time.sleep(0.005)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def rss_mib(self):
        rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Rss:")) / 1024

    def run_client(self, mode, *options, observe=lambda: None):
        """Runs wsfan to its end and returns its figures. Calls `observe` repeatedly meanwhile."""
        return self._run([BUILT / "wsfan", mode, "-P", self.port, "-p", self.process.pid, "-c", CLIENT_CORE, *options], observe)

    def run_tls_client(self, *options):
        return self._run([sys.executable, TLS_CLIENT, "--pid", self.process.pid, "--core", CLIENT_CORE, *options], lambda: None)

    def run_arrival_client(self, *options):
        return self._run(["taskset", "-c", CLIENT_CORE, sys.executable, ARRIVAL_CLIENT, "--pid", self.process.pid, *options], lambda: None)

    def _run(self, command, observe):
        began = time.monotonic()
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=set_priority) as client:
            while client.poll() is None:
                observe()
                time.sleep(0.05)
                if time.monotonic() - began > RUN_MAX_S:
                    client.kill()
            printed, complaint = client.communicate()
        if client.returncode:
            raise RuntimeError(f"{self.system.name}: {complaint[-500:]}")
        print(complaint, end="", file=sys.stderr, flush=True)
        return {**json.loads(printed), "alive": self.process.poll() is None}


def set_priority():
    """Runs in a child process before its program starts."""
    if PRIORITY:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))


@contextlib.contextmanager
def started(system, group=None, cores=SERVER_CORES):
    with tempfile.TemporaryDirectory() as folder, RunningServer(system, folder, group, cores) as server:
        time.sleep(0.3)
        yield server


# ---------------------------------------------------------------------------------------- the table


class Table:
    """Figures by row and system, one per round, and the failures, which are reported and not counted."""

    def __init__(self):
        self.rows, self.round, self.failures = {}, 0, []

    def add(self, row, system, value, unit):
        self.rows.setdefault((row, unit), {}).setdefault(system, {})[self.round] = value

    @contextlib.contextmanager
    def catching_failures(self, what):
        try:
            yield
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.failures.append(f"round {self.round}, {what}: {error}")

    def markdown(self):
        lines = ["| figure | system | median | from – to | ratio to the first of the row |", "|---|---|--:|--:|--:|"]
        for (row, unit), systems in self.rows.items():
            for system, by_round in systems.items():
                median, low, high = (rounded(of(by_round.values())) for of in (statistics.median, min, max))
                lines.append(f"| {row} | {system} | {median} {unit} | {low} – {high} | {self.ratio(systems, system)} |")
        return "\n".join(lines)

    @staticmethod
    def ratio(systems, system):
        first, base = next(iter(systems.items()))
        ratios = [value / base[number] for number, value in systems[system].items() if base.get(number)]
        if system == first or not ratios:
            return ""
        median, low, high = (of(ratios) for of in (statistics.median, min, max))
        # Rounds so far apart say little about their median.
        scatter = " scattered" if high - low > SCATTER_MAX * median else ""
        return f"{median:.2f} ({low:.2f} – {high:.2f}){scatter}"


def rounded(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def require_complete(system, result, sockets):
    """A run that lost a socket or a frame gives no figure."""
    if not (result["alive"] and result["open"] + result["stalled"] == sockets and result["delivered"] == result["expected"]):
        raise RuntimeError(f"{system.name} lost sockets or frames: {result}")


def fan(table, server, sockets, broadcasts, *more, large=False, observe=lambda: None):
    """Runs the fan client and requires that every frame arrives. Returns a function that adds one of its figures to the table."""
    options = server.system.large_fan_options() if large else server.system.fan_options()
    server.system.make_ready_for_fan(server.port)
    result = server.run_client("fan", "-n", sockets, "-b", broadcasts, *more, *options, observe=observe)
    require_complete(server.system, result, sockets)
    return lambda row, key, unit, scale=1: table.add(row, server.system.name, result[key] * scale, unit)


# ------------------------------------------------------------------------------------- measurements


def measure_fan(table, systems, sockets, broadcasts):
    for system in systems:
        with table.catching_failures(f"fan to {sockets:,}"), started(system) as server:
            add = fan(table, server, sockets, broadcasts, "-g", 20)
            add(f"{sockets:,} sockets: server CPU per delivered frame", "cpu_us_per_frame", "µs")
            add(f"{sockets:,} sockets: time until the last one has it", "last_ms_p50", "ms")
            add(f"{sockets:,} sockets: memory per socket", "rss_per_socket", "B")


def measure_register(table, systems, requests, new_connections):
    row = "register, 64 at once, " + ("one connection per request" if new_connections else "keep-alive")
    table.add(f"{row}: p99", "the disk's fsync", fsync_p99_ms(), "ms")
    for system in systems:
        with table.catching_failures(row), started(system) as server:
            more = ["--newconn"] if new_connections else []
            result = server.run_client("http", "-k", 64, "-R", requests, *more, *system.register_options())
            if result["answered"] != requests or result["bad"] or result["duplicates"]:
                raise RuntimeError(f"{system.name} did not answer every request: {result}")
            table.add(f"{row}: CPU per request", system.name, result["cpu_us_per_request"], "µs")
            table.add(f"{row}: p99", system.name, result["ms_p99"], "ms")


def fsync_p99_ms(writes=300):
    """p99 of writing 4 KB durably on the disk that holds the data folders."""
    times_ms = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(writes):
            file.write(os.urandom(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times_ms.append((time.perf_counter() - began) * 1e3)
    return sorted(times_ms)[int(0.99 * writes)]


def measure_rush(table, systems, sockets):
    for system in systems:
        with started(system) as server:
            result = server.run_client("hold", "-n", sockets, "-w", sockets, "-T", 1, *system.socket_options())
        if result["open"] != sockets or result["dropped"]:
            raise RuntimeError(f"{system.name} lost sockets: {result}")
        table.add(f"{sockets:,} connects at one instant: handshake p99", system.name, result["handshake_ms_p99"], "ms")
        table.add(f"{sockets:,} connects at one instant: CPU per handshake", system.name, result["cpu_us_per_handshake"], "µs")


class KernelBuffers:
    """Memory that the kernel holds for the server's sockets while some of their peers never read, as `ss` reports it."""

    def __init__(self, port, sockets, stalled):
        self.port, self.sockets, self.stalled = port, sockets, stalled
        self.bytes_max = 0  # of one socket: queued, allocated and reserved
        self.stuck_at = self.gone_at = None

    def sample(self):
        lines = subprocess.run(["ss", "-tanmOH", f"sport = :{self.port}"], capture_output=True, text=True).stdout.splitlines()
        memory = [line.split("skmem:")[1] for line in lines if "skmem:" in line and "LISTEN" not in line]
        sizes = [sum(map(int, re.findall(r"\b[rfw](\d+)", text))) for text in memory]
        now, self.bytes_max = time.monotonic(), max([self.bytes_max, *sizes])
        if self.stuck_at is None and sum(size > 16 << 10 for size in sizes) >= self.stalled:
            self.stuck_at = now
        # The trigger's connection adds one to the sockets that read.
        if self.stuck_at and self.gone_at is None and len(sizes) <= self.sockets - self.stalled + 1:
            self.gone_at = now


def measure_stalled(table, system, broadcasts):
    """Peers that never read must slow no other, and must be gone soon. With them the run lasts until they are evicted."""
    for stalled_pct, gap_ms in ((0, 1), (10, 10)):
        row = f"300 sockets, {stalled_pct} % never read, {broadcasts:,} frames of 2.8 KB"
        with started(system) as server:
            buffers = KernelBuffers(server.port, 300, 300 * stalled_pct // 100)
            observe = buffers.sample if stalled_pct else lambda: None
            add = fan(table, server, 300, broadcasts, "-g", gap_ms, "--stall-pct", stalled_pct, large=True, observe=observe)
        add(f"{row}: p99", "p99_ms_p50", "ms")
        if not stalled_pct:
            continue
        if buffers.gone_at is None:
            raise RuntimeError(f"{system.name}: the peers that never read were still connected at the end")
        table.add(f"{row}: kernel memory of one, at most", system.name, buffers.bytes_max / 1024, "KiB")
        table.add(f"{row}: from stuck to gone", system.name, buffers.gone_at - buffers.stuck_at, "s")


def measure_two_cores(table, systems, sockets):
    """Time until the last socket is served when the server has both cores; the client shares one of them."""
    for system in systems:
        with started(system, cores={0, 1}) as server:
            add = fan(table, server, sockets, 20, "-g", 50)
        add(f"{sockets:,} sockets, two cores and two threads: time until the last one has it", "last_ms_p50", "ms")


def measure_allocators(table, binaries):
    """Memory per socket with mimalloc and with the system's allocator."""
    for name, binary in binaries.items():
        if not binary.exists():
            raise OSError(f"there is no {binary}; scripts/bench builds it")
        with started(Luckydraw(binary)) as server:
            server.system.name = name
            add = fan(table, server, 19_900, 2)
        add("19,900 sockets, by allocator: memory per socket", "rss_per_socket", "B")
        add("19,900 sockets, by allocator: memory with an event running", "rss_after", "MiB", 2**-20)


def measure_tls(table, binary):
    """The same sockets in the clear and over TLS: CPU that sealing adds per frame, and memory of a connection's keys."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        for sockets, (name, is_sealed) in itertools.product((3_000, 5_000), (("luckydraw in the clear", False), ("luckydraw over TLS", True))):
            plain_port = next(PORTS)
            system = Luckydraw(binary, TLS_CERT=certificate, TLS_KEY=f"{folder}/key.pem", PLAIN_BIND=f"127.0.0.1:{plain_port}")
            with started(system) as server:
                target = ["--port", server.port, "--certificate", certificate] if is_sealed else ["--port", plain_port]
                broadcasts = 20 if sockets == 3_000 else 2
                system.make_ready_for_fan(plain_port)
                result = server.run_tls_client(*target, "--trigger-port", plain_port, "--sockets", sockets, "--broadcasts", broadcasts)
            if result["delivered"] != result["expected"]:
                raise RuntimeError(f"{name} lost frames: {result}")
            if sockets == 3_000:
                table.add("3,000 sockets, TLS: server CPU per delivered frame", name, result["cpu_us_per_frame"], "µs")
                table.add("3,000 sockets, TLS: CPU per handshake", name, result["cpu_us_per_handshake"], "µs")
            else:
                table.add("5,000 sockets, TLS: memory per socket", name, result["rss_per_socket"], "B")


def measure_tls_rush(table, binary, sockets):
    """All begin their TLS handshake at one instant; the client's own handshakes take most of the time."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        system = Luckydraw(binary, TLS_CERT=certificate, TLS_KEY=f"{folder}/key.pem", PLAIN_BIND=f"127.0.0.1:{next(PORTS)}")
        with started(system) as server:
            options = ["--port", server.port, "--certificate", certificate, "--trigger-port", 0, "--broadcasts", 0, "--burst"]
            result = server.run_tls_client(*options, "--sockets", sockets)
    row = f"{sockets:,} phones begin TLS at one instant:"
    table.add(f"{row} in", system.name, result["open"], "phones")
    table.add(f"{row} the last is in", system.name, result["seconds_to_last"] or float("inf"), "s")


def measure_arrival(table, binary, phones):
    """What a phone costs the server until it is there: connection, page, files, registration, socket."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        for is_sealed in (False, True):
            plain_port = next(PORTS)
            system = Luckydraw(binary, TLS_CERT=certificate, TLS_KEY=f"{folder}/key.pem", PLAIN_BIND=f"127.0.0.1:{plain_port}")
            with started(system) as server:
                target = ["--port", server.port, "--certificate", certificate] if is_sealed else ["--port", plain_port]
                result = server.run_arrival_client(*target, "--phones", phones)
            place = "over TLS" if is_sealed else "in the clear"
            parts = {part: result[part] for part in ("connection", "page", "files", "registration", "socket")}
            for part, us in {**parts, f"whole, with {result['file_count']} files": sum(parts.values())}.items():
                table.add(f"arrival of a phone, {part}: CPU", f"{system.name} {place}", us, "µs")


def make_certificate(folder):
    """A certificate for localhost on a P-256 key, valid for two days."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    return f"{folder}/cert.pem"


def measure_memory_limit(table, system):
    with ControlGroup(memory_mib=64) as group, started(system, group) as server:
        fan(table, server, 19_900, 10)
        table.add("19,900 sockets in a 64 MiB memory group: its peak", system.name, group.peak_mib(), "MiB")


def measure_tenth_of_core(table, systems):
    for system in systems:
        with ControlGroup(cpu_share=0.1) as group, started(system, group) as server:
            add = fan(table, server, 3_000, 10, "-g", 2_000)
        add("3,000 sockets on a tenth of one core: all connected", "connect_ms", "ms")
        add("3,000 sockets on a tenth of one core: time until the last one has it", "last_ms_p50", "ms")


def measure_start(table, binary, participants):
    """Memory of an empty server; then the start over a long journal, and the memory after it."""
    with started(Luckydraw(binary)) as server:
        time.sleep(2)
        table.add("empty server: memory", server.system.name, server.rss_mib(), "MiB")
    system = Luckydraw(binary, PARTICIPANTS_MAX=participants)
    with tempfile.TemporaryDirectory() as folder:
        with RunningServer(system, folder) as server:
            result = server.run_client("http", "-k", 64, "-R", participants, *system.register_options())
            if result["bad"]:
                raise RuntimeError(f"a registration failed: {result}")
        began = time.monotonic()
        with RunningServer(system, folder) as server:
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=5).read()
                    break
                time.sleep(0.005)
            table.add(f"journal of {participants:,}: start", system.name, time.monotonic() - began, "s")
            time.sleep(3)
            table.add(f"journal of {participants:,}: memory", system.name, server.rss_mib(), "MiB")


# --------------------------------------------------------------------------------------------- main

KINDS = ["fan", "register", "rush", "stalled", "two_cores", "caged", "tenth", "start", "allocators", "tls", "tls_rush", "arrival"]
QUICK_KINDS = [kind for kind in KINDS if kind not in ("tenth", "allocators", "tls", "tls_rush")]


def measurements(options):
    """One function of a table per kind."""
    ours, floor = Luckydraw(options.binary), f"{shlex.quote(str(BUILT / 'floor'))} -p {{port}}"
    pair = [System("floor", floor), ours]
    if options.parent:
        pair.append(Luckydraw(options.parent, name="parent"))
    peers = [System("floor on io_uring", f"{floor} -u 256"), *installed_peers(), *(System(*peer.split("=", 1)) for peer in options.peer)]
    systems = [*pair, *peers]
    two_threads = [System("floor", f"{floor} -t 2"), Luckydraw(options.binary, WORKERS=2, SOCKET_THREADS=2)]
    sockets = [int(number) for number in (options.sockets or ("300,3000" if options.quick else "300,3000,19900")).split(",")]
    return {
        "fan": lambda table: [measure_fan(table, systems, number, 40 if number < 10_000 else 15) for number in sockets],
        # A registration is the same on both floors.
        "register": lambda table: [measure_register(table, [*pair, *peers[1:]], *each) for each in ((20_000, False), (10_000, True))],
        "rush": lambda table: measure_rush(table, pair, 10_000),
        "stalled": lambda table: measure_stalled(table, ours, 1_500),
        "two_cores": lambda table: measure_two_cores(table, two_threads, 10_000),
        "caged": lambda table: measure_memory_limit(table, ours),
        "tenth": lambda table: measure_tenth_of_core(table, pair),
        "start": lambda table: measure_start(table, options.binary, 100_000),
        "allocators": lambda table: measure_allocators(table, {"mimalloc": options.binary, "the system's": options.system_binary}),
        "tls": lambda table: measure_tls(table, options.binary),
        "tls_rush": lambda table: measure_tls_rush(table, options.binary, 10_000),
        "arrival": lambda table: measure_arrival(table, options.binary, 10_000),
    }


def installed_peers():
    folder = pathlib.Path(os.environ.get("BENCH_PEERS", BUILT / "peers"))
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [System(file.name, f"{shlex.quote(str(file))} {{port}}") for file in files if file.is_file() and os.access(file, os.X_OK)]


def describe_machine():
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    commit = subprocess.run(["git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return f"{model}, {os.cpu_count()} threads, Linux {os.uname().release}, commit {commit}"


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="five, and two with --quick")
    parser.add_argument("--quick", action="store_true", help="two rounds, 300 and 3,000 sockets for fan, no tenth, allocators, tls and tls_rush: a look, no proof")
    parser.add_argument("--only", help="of " + ", ".join(KINDS))
    parser.add_argument("--sockets", help="for fan: 300,3000,19900")
    parser.add_argument("--binary", type=pathlib.Path, default=REPOSITORY / "target/dist/luckydraw")
    parser.add_argument("--parent", type=pathlib.Path, help="the server of another commit, measured in the same rounds: for fan, register, rush and tenth")
    parser.add_argument("--system-binary", type=pathlib.Path, default=BUILT / "luckydraw-system", help="built without mimalloc, for allocators")
    parser.add_argument("--first-come", type=int, metavar="PRIORITY", help="real-time priority of server and client (SCHED_FIFO), such as 10")
    parser.add_argument("--first-port", type=int, default=28_200, help="the first port; each run uses the next")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another server; {port} in it is its port")
    return parser.parse_args()


def main():
    global PRIORITY, PORTS
    options = parse_options()
    PRIORITY, PORTS = options.first_come, itertools.count(options.first_port)
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))

    rounds = options.rounds or (2 if options.quick else 5)
    kinds = options.only.split(",") if options.only else QUICK_KINDS if options.quick else KINDS
    measure, table = measurements(options), Table()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # An interrupted run still prints the figures it has.
    with contextlib.suppress(KeyboardInterrupt):
        for number, kind in itertools.product(range(1, rounds + 1), kinds):
            print(f"round {number}: {kind}", file=sys.stderr, flush=True)
            table.round = number
            with table.catching_failures(kind):
                measure[kind](table)
    table.add("binary", "luckydraw", options.binary.stat().st_size / 2**20, "MiB")
    priority = ", server and client at real-time priority" if PRIORITY else ""
    print(f"{describe_machine()}; {table.round} rounds{priority}.\n\n{table.markdown()}")
    for failure in table.failures:
        print(f"\nIncomplete, so not counted: {failure}")


if __name__ == "__main__":
    main()
