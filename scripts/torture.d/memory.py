#!/usr/bin/env python3
"""Every call that needs no token, at the connection limit, unread, in a memory group of 400 MB, beside honest phones.

    scripts/torture.d/memory.py --binary target/release/luckydraw            one minute per call
    scripts/torture.d/memory.py --binary PATH --seconds 5 --connections 200  a short try

One event of 20,000 participants, 50 prizes and 200 draws makes every answer large. For each call, clients open connections
up to the limit, ask, and never read; each that is closed is opened again. Meanwhile ten honest phones register and ask for their number on
connections of their own. The promise: the server lives, its group stays below the limit, and the honest p99 is at most twice the quiet
one. Needs root and memory control groups; it stops only the server that it started.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import resource
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from common import Unavailable, check

API, EVENT, TOKEN = "/api/luckydraw", "torture", secrets.token_urlsafe(32)
GROUPS = pathlib.Path("/sys/fs/cgroup")
IS_V2 = (GROUPS / "cgroup.controllers").exists()
GROUP = (GROUPS if IS_V2 else GROUPS / "memory") / "luckydraw-torture-memory"
LIMIT_BYTES = 400 << 20
TIMEOUT_S = 30
ROUNDS = 60  # seconds per call
RECEIVE_BUFFER = 4096  # so that the client's kernel takes as little as it may
PHONES = 10
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def ask(method, path, body=b"", headers="", length=None):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body) if length is None else length}\r\n{headers}\r\n"
    return head.encode() + body


def calls(epoch):
    """Name of each hostile call, and its bytes for the n-th connection."""
    event = f"event_id={EVENT}"
    return {
        "proof": lambda n: ask("GET", f"{API}/proof?{event}"),
        "results": lambda n: ask("GET", f"{API}/results?{event}"),
        "state": lambda n: ask("GET", f"{API}/state?{event}&since={n % 200}&epoch={epoch}"),
        "state, pipelined": lambda n: ask("GET", f"{API}/state?{event}") * 50,
        "pages": lambda n: ask("GET", "/lottery") * 50,
        "openapi": lambda n: ask("GET", "/openapi.json") * 50,
        "join": lambda n: ask("GET", f"{API}/join?{event}") * 50,
        "slow body": lambda n: ask("POST", f"{API}/register", b"{" + b" " * (60 << 10), "Content-Type: application/json\r\n", 64 << 10),
        "half a head": lambda n: ask("GET", "/health", headers="X-Long: " + "x" * (15 << 10))[:-4],
        "socket": lambda n: ask("GET", f"{API}/ws/{EVENT}?since={n % 200}&epoch={epoch}", headers=UPGRADE),
        "socket, half a message": lambda n: ask("GET", f"{API}/ws/{EVENT}", headers=UPGRADE) + b"\x81\xfe\x3f\xff" + bytes(4 + 16_000),
    }


class Server:
    def __init__(self, options, folder):
        GROUP.mkdir(exist_ok=True)
        limits = [("memory.max", LIMIT_BYTES), ("memory.swap.max", 0)] if IS_V2 else [("memory.limit_in_bytes", LIMIT_BYTES)]
        for name, limit in limits:
            with contextlib.suppress(OSError):
                (GROUP / name).write_text(str(limit))
        environment = {
            **os.environ, "LUCKYDRAW_BIND": "127.0.0.1:0", "LUCKYDRAW_ADMIN_TOKEN": TOKEN, "LUCKYDRAW_DATA_DIR": str(folder / "data"),
        }
        if options.connections:
            environment["LUCKYDRAW_CONNECTIONS_MAX"] = str(options.connections)
        log = folder / "log"
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [options.binary.resolve()], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, env=environment,
                preexec_fn=lambda: (GROUP / "cgroup.procs").write_text(str(os.getpid())),
            )
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)\s", log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server does not start: {log.read_text(errors='replace')[-800:]}")
            time.sleep(0.01)
        self.port, self.log = int(found[1]), log
        limits = re.findall(r"connections_max\D{0,8}(\d+)", log.read_text(errors="replace"))
        self.connections = options.connections or int(limits[-1] if limits else 1_000)

    def memory(self):
        """Bytes that the group holds, its sockets' included."""
        if IS_V2:
            return int((GROUP / "memory.current").read_text())
        return sum(int((GROUP / f"memory.{kind}usage_in_bytes").read_text()) for kind in ("", "kmem.tcp."))

    def killed(self):
        """Processes of the group that the kernel has killed for their memory."""
        found = re.search(r"oom_kill (\d+)", (GROUP / ("memory.events" if IS_V2 else "memory.oom_control")).read_text())
        return int(found[1]) if found else 0

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(OSError):
            GROUP.rmdir()


class Caller:
    """A connection that is used and read as a client ought to; `request` returns status and data."""

    def __init__(self, port):
        self.port, self.stream = port, None

    def request(self, method, path, body=None, token=None):
        text = b"" if body is None else json.dumps(body).encode()
        headers = "Content-Type: application/json\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
        for attempt in range(2):
            try:
                if self.stream is None:
                    self.stream = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S).makefile("rwb")
                self.stream.write(ask(method, API + path, text, headers))
                self.stream.flush()
                status = int(self.stream.readline().split()[1])
                length = 0
                while (line := self.stream.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                return status, json.loads(self.stream.read(length) or b"null")
            except (OSError, IndexError, ValueError):
                self.stream = None
                if attempt:
                    return 0, None


class Honest:
    """Phones that hold their connections, each asking for a number or for its own, ten times per second."""

    def __init__(self, port):
        self.port, self.stop, self.times, self.failures = port, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self._run, args=(index,), daemon=True) for index in range(PHONES)]
        for thread in self.threads:
            thread.start()

    def _run(self, index):
        caller, body = Caller(self.port), {"event_id": EVENT, "request_id": f"honest-phone-{index}-{secrets.token_hex(8)}"}
        while not self.stop.wait(0.1):
            began = time.monotonic()
            status, _ = caller.request("POST", "/register", body)
            self.times.append(time.monotonic() - began)
            self.failures += status != 201

    def take(self):
        taken, self.times = sorted(self.times), []
        failures, self.failures = self.failures, 0
        return taken[int(len(taken) * 0.99)] * 1000 if taken else float("inf"), failures, len(taken)


def fill(port, participants, draws):
    """The largest event: long names, many draws with many winners."""
    admin = Caller(port)
    long = "🎁" * 190
    event = {"event_id": EVENT, "title": "Torture", "participants_max": participants + 1_000, "prizes": []}
    status, answer = admin.request("POST", "/admin/events", event, TOKEN)
    if status != 201:
        sys.exit(f"the event is not created: {status} {answer}")
    workers = [threading.Thread(target=register, args=(port, participants // 8)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for rank in range(min(50, draws)):
        prize = {"prize_name": f"{rank} {long}"[:190], "prize_rank": 1, "count": 1}
        admin.request("POST", f"/admin/{EVENT}/prizes", prize, TOKEN)
    for draw in range(draws):
        spec = {"prize_name": f"{draw} {long}"[:190], "prize_rank": 1, "draw_mode": "slot", "winner_count": 10}
        for step in ("draw/start-animation", "draw/reveal", "draw/complete"):
            admin.request("POST", f"/admin/{EVENT}/{step}", spec if step.endswith("animation") else {}, TOKEN)
    return admin.request("GET", f"/state?event_id={EVENT}")[1]["data"]["epoch"]


def register(port, count):
    caller = Caller(port)
    for _ in range(count):
        caller.request("POST", "/register", {"event_id": EVENT, "request_id": secrets.token_hex(16)})


def attack(server, message, connections, seconds):
    """Keeps `connections` unread connections open for so long. Returns the most at once, all, and the group's peak in bytes."""
    poller, sent, most, opened, peak = selectors.DefaultSelector(), {}, 0, 0, 0
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline and server.process.poll() is None:
            for _ in range(min(200, connections - len(sent))):
                stream = socket.socket()
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                stream.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    stream.connect(("127.0.0.1", server.port))
                sent[stream] = message(opened)
                opened += 1
                poller.register(stream, selectors.EVENT_WRITE)
            for key, events in poller.select(0.05):
                stream = key.fileobj
                try:
                    if events & selectors.EVENT_WRITE:
                        sent[stream] = sent[stream][stream.send(sent[stream]):]
                        if not sent[stream]:
                            # Whatever the server sends stays unread.
                            poller.unregister(stream)
                except BlockingIOError:
                    pass
                except OSError:
                    with contextlib.suppress(KeyError):
                        poller.unregister(stream)
                    sent.pop(stream)
                    stream.close()
            gone = [stream for stream, rest in sent.items() if not rest and is_gone(stream)]
            for stream in gone:
                sent.pop(stream)
                stream.close()
            most, peak = max(most, len(sent)), max(peak, server.memory())
    finally:
        for stream in sent:
            stream.close()
    return most, opened, peak


def is_gone(stream):
    """Has the server closed or reset it? TCP_INFO's first byte is the state: 1 is established."""
    return stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01"


def try_calls(options):
    """Tries every call. Prints a line for each, and returns the names of those that broke the promise, and the highest peak in bytes."""
    if os.geteuid() or not GROUP.parent.exists():
        raise Unavailable("needs root and a memory control group")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    broken, highest = [], 0
    with tempfile.TemporaryDirectory(prefix="torture-memory-") as folder:
        server = Server(options, pathlib.Path(folder))
        try:
            epoch = fill(server.port, options.participants, options.draws)
            honest = Honest(server.port)
            time.sleep(min(options.seconds, 10))
            quiet = honest.take()[0]
            print(f"quiet: {server.connections} connections allowed, p99 {quiet:.1f} ms, {server.memory() >> 20} MiB", flush=True)
            # The honest phones keep their places.
            hostile = max(1, server.connections - PHONES - 20)
            for name, message in calls(epoch).items():
                if options.only and name not in options.only.split(","):
                    continue
                most, opened, peak = attack(server, message, hostile, options.seconds)
                p99, failures, answered = honest.take()
                highest = max(highest, peak)
                lives = server.process.poll() is None and server.killed() == 0
                kept = lives and peak < LIMIT_BYTES and p99 <= 2 * max(quiet, 1) and failures == 0
                if not kept:
                    broken.append(name)
                print(
                    f"{name:24} {'kept' if kept else 'BROKEN':6} {most} open, {opened} opened; peak {peak >> 20} MiB; honest p99 "
                    f"{p99:.1f} ms, {failures} of {answered} failed{'' if lives else '; the server is gone'}", flush=True,
                )
                if not lives:
                    break
                time.sleep(min(options.seconds, 5))
                honest.take()
            honest.stop.set()
        finally:
            server.stop()
    return broken, highest


def run(binary, rounds):
    """Every call for `rounds` seconds."""
    options = argparse.Namespace(binary=binary, seconds=rounds, connections=None, participants=20_000, draws=200, only=None)
    broken, highest = try_calls(options)
    check(not broken, f"no call exhausts memory or slows honest phones down; broken by: {', '.join(broken)}")
    return f"no call without a token took the group above {highest >> 20} MiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=ROUNDS, help="per call")
    parser.add_argument("--connections", type=int, help="instead of the server's own limit")
    parser.add_argument("--participants", type=int, default=20_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", help="calls, separated by commas")
    broken, _ = try_calls(parser.parse_args())
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
