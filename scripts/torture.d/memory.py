#!/usr/bin/env python3
"""Every call that needs no token, at the connection limit, unread, in a memory group of 400 MB, beside honest phones.

    scripts/torture.d/memory.py --binary target/dist/luckydraw            one minute per call
    scripts/torture.d/memory.py --binary PATH --seconds 5 --connections 200  a short try

One event of 20,000 participants, 50 prizes and 200 draws makes every answer large. The server's own description says which calls need no
token. For each of them, clients open connections up to the limit, ask, and never read; each that is closed is opened again. Meanwhile ten
honest phones ask for their number on connections of their own. The promise: the server lives, its group stays below the limit, and once
the connections are open the honest p99 is at most twice the quiet one. Then the same as in a hall: 300 sockets that rest, 300 hostile
connections, and 128 MiB at most. Needs root and memory control groups.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import resource
import secrets
import selectors
import socket
import struct
import sys
import threading
import time
import urllib.parse
import zlib

from common import API, ADMIN_TOKEN, Client, Lost, Server, Unavailable, check, end_on_signals, open_websocket, require_root, scratch_folder

EVENT = "torture"
GROUPS = pathlib.Path("/sys/fs/cgroup")
IS_V2 = (GROUPS / "cgroup.controllers").exists()
GROUP = (GROUPS if IS_V2 else GROUPS / "memory") / f"luckydraw-torture-{os.getpid()}"
LIMIT_BYTES = 400 << 20
HALL = dict(sockets=300, hostile=300, limit_bytes=128 << 20)
CROWD = dict(sockets=0, hostile=None, limit_bytes=LIMIT_BYTES)  # None: the connection limit
ROUNDS = 60  # seconds per call
RECEIVE_BUFFER = 4096  # so that the client's kernel takes as little as it may
PIPELINED = 20  # requests of one call on one connection
PHONES = 10
IMAGE_SIDE = 1_000  # pixels of 3 random bytes
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def ask(method, path, body=b"", headers="", length=None):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body) if length is None else length}\r\n{headers}\r\n"
    return head.encode() + body


def calls(description, epoch, image, file, winner):
    """Name of each hostile call, and its bytes for the n-th connection."""
    values = {"event_id": EVENT, "event": EVENT, "draw_number": "1", "name": image}
    found = {}
    for path, item in description["paths"].items():
        # A path may have a server of its own.
        prefix = item.get("servers", description["servers"])[0]["url"].rstrip("/")
        for method, operation in item.items():
            if method not in ("get", "post") or path.startswith("/ws/") or {} not in (operation.get("security") or [{}]):
                continue
            target = prefix + path if "{version}" not in path else file
            target = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], target)
            if method == "get":
                parameters = [resolved(description, each) for each in operation.get("parameters", []) + item.get("parameters", [])]
                query = {each["name"]: values[each["name"]] for each in parameters if each["in"] == "query" and each["name"] in values}
                message = ask("GET", f"{target}?{urllib.parse.urlencode(query)}") * PIPELINED
            else:
                message = ask("POST", target, b"{" + b" " * (60 << 10), "Content-Type: application/json\r\n", 64 << 10)
            found[f"{method} {path}"] = lambda n, message=message: message
    state = f"{API}/state?event_id={EVENT}"
    # Unmasked in effect, by a mask of zeros.
    question = json.dumps({"type": "identify", "draw_number": winner}).encode()
    question = struct.pack(">BB4x", 0x81, 0x80 | len(question)) + question
    return found | {
        "state since": lambda n: ask("GET", f"{state}&since={n % 200}&epoch={epoch}"),
        "half a head": lambda n: ask("GET", "/health", headers="X-Long: " + "x" * (15 << 10))[:-4],
        "socket": lambda n: ask("GET", f"{API}/ws/{EVENT}?since={n % 200}&epoch={epoch}", headers=UPGRADE),
        "socket, unread replies": lambda n: ask("GET", f"{API}/ws/{EVENT}", headers=UPGRADE) + question * 40,
        "socket, half a message": lambda n: ask("GET", f"{API}/ws/{EVENT}", headers=UPGRADE) + b"\x81\xfe\x3f\xff" + bytes(4 + 16_000),
    }


def resolved(description, parameter):
    name = parameter.get("$ref", "").rpartition("/")[2]
    return description["components"]["parameters"][name] if name else parameter


class MemoryGroup:
    """A memory control group with a limit; `prefix` runs a command in it."""

    def __init__(self):
        if not GROUP.parent.exists():
            raise Unavailable("needs a memory control group")
        GROUP.mkdir()
        limits = [("memory.max", LIMIT_BYTES), ("memory.swap.max", 0)] if IS_V2 else [("memory.limit_in_bytes", LIMIT_BYTES)]
        for name, limit in limits:
            with contextlib.suppress(OSError):
                (GROUP / name).write_text(str(limit))
        self.prefix = ["sh", "-c", f'echo $$ > {GROUP}/cgroup.procs && exec "$@"', "sh"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The kernel lets go of a killed process in its own time.
        for _ in range(100):
            with contextlib.suppress(OSError):
                return GROUP.rmdir()
            time.sleep(0.05)

    def memory(self):
        """Bytes that the group holds, its sockets' included."""
        if IS_V2:
            return int((GROUP / "memory.current").read_text())
        return sum(int((GROUP / f"memory.{kind}usage_in_bytes").read_text()) for kind in ("", "kmem.tcp."))

    def killed(self):
        """Processes of the group that the kernel has killed for their memory."""
        found = re.search(r"oom_kill (\d+)", (GROUP / ("memory.events" if IS_V2 else "memory.oom_control")).read_text())
        return int(found[1]) if found else 0


class Honest:
    """Phones that hold their connections, each asking for its number ten times per second, in a process of their own.

    Beside the attack in one interpreter they would measure each other.
    """

    def __init__(self, server):
        self.pipe, far = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=honest_phones, args=(server, far), daemon=True)
        self.process.start()

    def take(self):
        """The p99 in ms since the last call, the failures, and the answers."""
        self.pipe.send(None)
        return self.pipe.recv()

    def stop(self):
        self.process.kill()
        self.process.join()


def honest_phones(server, pipe):
    times, failures = [], []

    def run():
        client, body = Client(server), {"event_id": EVENT, "request_id": f"honest-phone-{secrets.token_hex(16)}"}
        while True:
            time.sleep(0.1)
            began_at = time.monotonic()
            try:
                status, _ = client.request("POST", "/register", body, None)
            except Lost:
                status = 0
            times.append(time.monotonic() - began_at)
            if status != 201:
                failures.append(status)

    for _ in range(PHONES):
        threading.Thread(target=run, daemon=True).start()
    while True:
        pipe.recv()
        taken, failed = sorted(times), len(failures)
        times.clear()
        failures.clear()
        pipe.send((taken[int(len(taken) * 0.99)] * 1000 if taken else float("inf"), failed, len(taken)))


def fill(server, participants, draws):
    """The largest event: long names, many draws with many winners, an image."""
    long = "🎁" * 190

    def command(path, body, wanted=(200, 201)):
        # The server closes a connection that rests while the participants register.
        status, answer = Client(server).request("POST", path, body)
        check(status in wanted, f"POST {path}: {status} {answer}")
        return answer["data"]

    command("/admin/events", {"event_id": EVENT, "title": "Torture", "participants_max": participants + 1_000, "prizes": []})
    failed = []
    workers = [threading.Thread(target=register, args=(server, participants // 8, failed)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    check(not failed, f"every participant is registered: {failed[:1]}")
    for rank in range(min(50, draws)):
        command(f"/admin/{EVENT}/prizes", {"prize_name": f"{rank} {long}"[:190], "prize_rank": 1, "quantity": 10})
    for draw in range(draws):
        spec = {"prize_name": f"{draw} {long}"[:190], "prize_rank": 1, "draw_mode": "list", "winner_count": 10}
        for step in ("draw/start-animation", "draw/reveal", "draw/complete"):
            command(f"/admin/{EVENT}/{step}", spec if step.endswith("animation") else {})


def register(server, count, failed):
    # As phones do: each by a connection of its own, and again after a refusal by the event's rate.
    for _ in range(count):
        body, status, tries = {"event_id": EVENT, "request_id": secrets.token_hex(16)}, 429, 0
        while status == 429 and tries < 120:
            status, answer = Client(server).request("POST", "/register", body, None)
            tries += 1
            if status == 429:
                time.sleep(1)
        if status != 201:
            failed.append(f"{status} {answer}")


def png():
    """A picture that no compression makes small."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + secrets.token_bytes(3 * IMAGE_SIDE) for _ in range(IMAGE_SIDE))
    header = struct.pack(">IIBBBBB", IMAGE_SIDE, IMAGE_SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def attack(server, group, message, connections, seconds, on_open):
    """Keeps `connections` unread connections open for so long. Returns the most at once, all, and the group's peak in bytes.

    Calls `on_open` after a third of the time, when all are open and asked.
    """
    poller, sent, most, opened, peak = selectors.DefaultSelector(), {}, 0, 0, 0
    began_at = time.monotonic()
    try:
        while time.monotonic() < began_at + seconds and server.is_alive():
            if on_open and time.monotonic() > began_at + seconds / 3:
                on_open()
                on_open = None
            for _ in range(min(200, connections - len(sent))):
                stream = socket.socket()
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                stream.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    stream.connect((server.host, server.port))
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
            gone = [stream for stream in sent if is_gone(stream)]
            for stream in gone:
                with contextlib.suppress(KeyError):
                    poller.unregister(stream)
                sent.pop(stream)
                stream.close()
            most, peak = max(most, len(sent)), max(peak, group.memory())
    finally:
        for stream in sent:
            stream.close()
        poller.close()
    return most, opened, peak


def is_gone(stream):
    """Has the server closed or reset it? TCP_INFO's first byte is the state: 1 is established, 2 and 3 are on their way there."""
    return stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) not in (b"\x01", b"\x02", b"\x03")


def try_calls(options):
    """Tries every call. Prints a line for each, and returns the names of those that broke the promise, and the highest peak in bytes."""
    require_root()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    broken, highest = [], 0
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        group = stack.enter_context(MemoryGroup())
        server = Server(options.binary.resolve(), folder)
        stack.callback(server.kill)
        # In open mode one connection may register many.
        server.start(LUCKYDRAW_OPEN="1")
        fill(server, options.participants, options.draws)
        server.stop()
        server.prefix = group.prefix
        settings = {"LUCKYDRAW_CONNECTIONS_MAX": str(options.connections)} if options.connections else {}
        server.start(**settings)
        admin = Client(server)
        bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "image/png"}
        status, answer = admin.send("POST", f"{API}/admin/{EVENT}/images", png(), bearer)
        check(status == 200, f"an image is stored: {status} {answer[:200]}")
        image = pathlib.PurePath(json.loads(answer)["data"]["prize_image"]).name
        description = json.loads(admin.send("GET", "/openapi.json")[1])
        file = re.search(r'/lottery/files/[^"]+', admin.send("GET", "/lottery")[1].decode())[0]
        epoch = admin.get(f"/state?event_id={EVENT}")["epoch"]
        # Who has won most often gets the longest replies.
        draws = admin.get(f"/results?event_id={EVENT}")["draws"]
        winner = collections.Counter(seat["draw_number"] for draw in draws for seat in draw["winners"]).most_common(1)[0][0]
        admin.close()
        found = re.search(r"connections_max\D{0,8}(\d+)", server.log.read_text(errors="replace"))
        connections = options.connections or int(found[1])
        honest = Honest(server)
        stack.callback(honest.stop)
        time.sleep(min(options.seconds, 10))
        quiet = honest.take()[0]
        print(f"quiet: {connections} connections allowed, p99 {quiet:.1f} ms, {group.memory() >> 20} MiB", flush=True)
        # The honest phones keep their places.
        hostile = options.hostile or max(1, connections - PHONES - 20)
        for name, message in calls(description, epoch, image, file, winner).items():
            if options.only and name not in options.only.split(","):
                continue
            opening = []
            with contextlib.ExitStack() as phones:
                for _ in range(options.sockets):
                    phones.callback(open_websocket(server, f"{API}/ws/{EVENT}").close)
                most, opened, peak = attack(server, group, message, hostile, options.seconds, lambda: opening.append(honest.take()))
                p99, failures, answered = honest.take()
            failures += sum(failed for _, failed, _ in opening)
            highest = max(highest, peak)
            lives = server.is_alive() and group.killed() == 0
            kept = lives and peak < options.limit_bytes and p99 <= 2 * max(quiet, 1) and failures == 0
            if not kept:
                broken.append(name)
            print(
                f"{name:24} {'kept' if kept else 'BROKEN':6} {most} open, {opened} opened; peak {peak >> 20} MiB; honest p99 "
                f"{p99:.1f} ms ({opening[0][0] if opening else 0:.1f} while they open), {failures} of {answered} failed{'' if lives else '; the server is gone'}", flush=True,
            )
            if not lives:
                break
            time.sleep(min(options.seconds, 5))
            honest.take()
    return broken, highest


def run(binary, rounds):
    """Every call for `rounds` seconds."""
    peaks = []
    for seconds, place in [(rounds, CROWD), (max(2, rounds // 10), HALL)]:
        options = argparse.Namespace(binary=binary, seconds=seconds, connections=None, participants=20_000, draws=200, only=None, **place)
        broken, highest = try_calls(options)
        check(not broken, f"no call exhausts memory or slows honest phones down; broken by: {', '.join(broken)}")
        peaks.append(highest >> 20)
    return f"no call without a token took the group above {peaks[0]} MiB, and with 300 phones and 300 hostile connections above {peaks[1]} MiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=ROUNDS, help="per call")
    parser.add_argument("--connections", type=int, help="instead of the server's own limit")
    parser.add_argument("--participants", type=int, default=20_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", help="calls, separated by commas")
    parser.add_argument("--hall", action="store_true", help="300 phones and 300 hostile connections within 128 MiB")
    end_on_signals()
    options = parser.parse_args()
    vars(options).update(HALL if options.hall else CROWD)
    broken, _ = try_calls(options)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
