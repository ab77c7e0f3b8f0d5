"""Dead, silent, slow and reset peers: gone in time, their files closed, honest phones unharmed.

Server, honest phones and bad peers live in network namespaces of their own. A dead peer's route back leads nowhere, so the server gets
no more acknowledgement from it; a silent one's kernel answers, its program does not.
"""

import contextlib
import ctypes
import os
import pathlib
import secrets
import selectors
import socket
import statistics
import struct
import subprocess
import threading
import time

from common import API, Client, Ledger, Load, Server, check, open_websocket, read_frame, require, require_root, scratch_folder

ROUNDS = 1
PEERS = 50
PHONES = 50
# Kind, frames are sent meanwhile, and the most seconds until the server has closed all of that kind.
KINDS = [("reset", False, 5), ("slow", True, 15), ("dead", True, 15), ("dead", False, 50), ("silent", False, 50)]
FRAMES_PER_S = 50
FACTOR_MAX = 2  # the honest p99 with bad peers, by the one without
LEAST_MS = 5  # a quiet p99 below this is the scheduler's
CLONE_NEWNET = 0x40000000
LARGE_NAME = "🎁" * 190  # the longest, in letters of four bytes


def run(binary, rounds):
    require_root()
    require("ip", "iproute2")
    require("nsenter", "util-linux")
    results = []
    for _ in range(rounds):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(scratch_folder())
            network = stack.enter_context(Network())
            server = Server(binary, folder, prefix=["nsenter", f"--net={network.path('server')}"], host=network.SERVER)
            stack.callback(server.kill)
            server.start()
            with network.entered("phones"):
                Load(server, Ledger("peers")).create_event()
                honest = stack.enter_context(Phones(server, PHONES))
                honest.broadcast(100)
                quiet = honest.take_latencies()
                for kind, is_busy, limit_s in KINDS:
                    took_s = until_gone(server, network, honest, kind, is_busy, limit_s)
                    name = f"{kind}, {'busy' if is_busy else 'idle'}"
                    check(took_s is not None, f"{PEERS} peers ({name}) are gone within {limit_s} s; {open_files(server)} files are open")
                    results.append(f"{name} {took_s:.1f} s")
                loaded = honest.take_latencies()
            check(honest.lost == 0, f"honest phones stay; {honest.lost} were lost")
            figure = f"p99 of honest phones {p99(quiet):.1f} ms without them, {p99(loaded):.1f} ms with them"
            check(p99(loaded) <= FACTOR_MAX * max(p99(quiet), LEAST_MS), f"{figure}: at most {FACTOR_MAX} times")
            results.append(figure)
    return "; ".join(results)


def until_gone(server, network, honest, kind, is_busy, limit_s):
    """Opens peers of a kind; returns the seconds until the server has closed their files, or None."""
    before = open_files(server)
    with network.entered("peers"):
        peers = [open_websocket(server, f"{API}/ws/peers", receive_buffer=4096 if kind == "slow" else None) for _ in range(PEERS)]
    check(open_files(server) >= before + PEERS, "the peers are connected")
    with network.cut() if kind == "dead" else contextlib.nullcontext():
        if kind == "reset":
            for peer in peers:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
        began_at = time.monotonic()
        while (took_s := time.monotonic() - began_at) < limit_s and open_files(server) > before:
            if is_busy:
                honest.broadcast(FRAMES_PER_S // 5)
            else:
                time.sleep(0.1)
        is_gone = open_files(server) <= before
    for peer in peers:
        peer.close()
    return took_s if is_gone else None


def open_files(server):
    return len(os.listdir(f"/proc/{server.pid()}/fd"))


def p99(latencies_ms):
    return statistics.quantiles(latencies_ms, n=100)[98]


class Phones:
    """Honest phones: one thread reads them all, answers pings and times every frame."""

    def __init__(self, server, count):
        self.host = Client(server)
        # A standby needs somebody who can win.
        self.host.request("POST", "/register", {"event_id": "peers"}, None)
        self.sent_at = {}  # name of a frame -> time
        self.latencies_ms = []
        self.lost = 0
        self.is_over = False
        self.selector = selectors.DefaultSelector()
        for _ in range(count):
            self.selector.register(open_websocket(server, f"{API}/ws/peers"), selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()

    def broadcast(self, frames):
        """Sends frames through the host's standby, at the pace of FRAMES_PER_S."""
        for _ in range(frames):
            name = f"{secrets.token_hex(4)} {LARGE_NAME}"
            prize = {"prize_name": name, "prize_rank": 1, "draw_mode": "slot", "winner_count": 1}
            self.sent_at[name] = time.monotonic()
            status, answer = self.host.request("POST", "/admin/peers/draw/standby", prize)
            check(status == 200, f"the host's standby is accepted: {status} {answer}")
            time.sleep(1 / FRAMES_PER_S)

    def take_latencies(self):
        time.sleep(0.5)
        taken, self.latencies_ms = self.latencies_ms, []
        return taken

    def _read(self):
        while not self.is_over:
            for key, _ in self.selector.select(0.1):
                try:
                    frame = read_frame(key.fileobj, one=True)
                except OSError:
                    frame = None
                    self.lost += 1
                    self.selector.unregister(key.fileobj)
                if frame and frame.get("prize_name") in self.sent_at:
                    self.latencies_ms.append((time.monotonic() - self.sent_at[frame["prize_name"]]) * 1000)


class Network:
    """Three namespaces on one bridge: the server's, the honest phones' and the bad peers'."""

    SERVER = "10.77.0.1"
    PLACES = {"server": SERVER, "phones": "10.77.0.2", "peers": "10.77.0.3"}

    def __init__(self):
        self.tag = f"torture{os.getpid()}"

    def name(self, place):
        return f"{self.tag}-{place}"

    def path(self, place):
        return f"/run/netns/{self.name(place)}"

    def _ip(self, *arguments, within=None):
        subprocess.run(["ip", *(["-n", self.name(within)] if within else []), *arguments], check=True)

    def __enter__(self):
        try:
            self._ip("netns", "add", self.tag)
            subprocess.run(["ip", "-n", self.tag, "link", "add", "bridge", "type", "bridge"], check=True)
            subprocess.run(["ip", "-n", self.tag, "link", "set", "bridge", "up"], check=True)
            for place, address in self.PLACES.items():
                self._ip("netns", "add", self.name(place))
                self._ip("link", "add", "eth0", "type", "veth", "peer", "name", place, "netns", self.tag, within=place)
                self._ip("address", "add", f"{address}/24", "dev", "eth0", within=place)
                self._ip("link", "set", "eth0", "up", within=place)
                self._ip("link", "set", "lo", "up", within=place)
                subprocess.run(["ip", "-n", self.tag, "link", "set", place, "master", "bridge", "up"], check=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in [*map(self.name, self.PLACES), self.tag]:
            if pathlib.Path("/run/netns", name).exists():
                subprocess.run(["ip", "netns", "delete", name], check=False)

    @contextlib.contextmanager
    def entered(self, place):
        """Moves this thread, and threads that it starts, into a namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as back, open(self.path(place)) as there:
            check(libc.setns(there.fileno(), CLONE_NEWNET) == 0, "the namespace can be entered")
            try:
                yield
            finally:
                libc.setns(back.fileno(), CLONE_NEWNET)

    @contextlib.contextmanager
    def cut(self):
        """Takes away the bad peers' way back to the server."""
        self._ip("route", "add", "blackhole", f"{self.SERVER}/32", within="peers")
        try:
            yield
        finally:
            self._ip("route", "delete", "blackhole", f"{self.SERVER}/32", within="peers")
