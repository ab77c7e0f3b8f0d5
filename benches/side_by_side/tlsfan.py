#!/usr/bin/env python3
"""Holds many sockets of one server, by TLS or in the clear, fires broadcasts, and prints one JSON object.

    tlsfan.py --port 8443 --trigger-port 8000 --pid 1234 --sockets 3000 --broadcasts 20 --certificate cert.pem

wsfan.c speaks no TLS. What this client spends does not matter, since the server's own CPU time and memory are what it tells; without
--certificate it does the same in the clear, so that the two can be set beside each other. Every frame is decrypted and looked at.
"""

import argparse
import http.client
import json
import os
import pathlib
import resource
import select
import socket
import ssl
import time

PATIENCE_S = 30
STANDBY = '{"prize_name":"%d %s","prize_rank":1,"draw_mode":"slot","winner_count":1}'
UPGRADE = (
    "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def cpu_s(pid):
    """The CPU time of another process: the kernel's number for its clock, as clock_getcpuclockid makes it."""
    return time.clock_gettime((~pid << 3) | 2)


def rss(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Rss:"))


def open_one(asked, context):
    line = socket.create_connection(("127.0.0.1", asked.port), PATIENCE_S)
    if context:
        line = context.wrap_socket(line, server_hostname="localhost")
    line.sendall((UPGRADE % asked.path).encode())
    answer = line.recv(4096)
    if b" 101 " not in answer:
        raise SystemExit(f"refused: {answer[:200]!r}")
    line.setblocking(False)
    return line


def hear(line):
    """What has come, decrypted."""
    heard = b""
    while True:
        try:
            more = line.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return heard
        if not more:
            raise SystemExit("the server hung up")
        heard += more


def broadcast(asked, queue, lines, seq):
    """Fires one and waits until everybody has it; gives how many had."""
    door = http.client.HTTPConnection("127.0.0.1", asked.trigger_port, timeout=PATIENCE_S)
    door.request("POST", asked.trigger, STANDBY % (seq, "x" * 120), {"Content-Type": "application/json"})
    answer = door.getresponse()
    if answer.status >= 300:
        raise SystemExit(f"the trigger was refused: {answer.read()[:300]!r}")
    sought, delivered, end = b'"prize_name":"%d ' % seq, 0, time.monotonic() + PATIENCE_S
    while delivered < len(lines) and time.monotonic() < end:
        delivered += sum(sought in hear(lines[number]) for number, _ in queue.poll(1))
    door.close()
    return delivered


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("port", "trigger-port", "pid", "sockets", "broadcasts"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--path", default="/api/luckydraw/ws/bench")
    parser.add_argument("--trigger", default="/api/luckydraw/admin/bench/draw/standby")
    parser.add_argument("--certificate", help="of the server; without it the sockets are plain ones")
    parser.add_argument("--core", type=int, default=1)
    asked = parser.parse_args()

    os.sched_setaffinity(0, {asked.core})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = ssl.create_default_context(cafile=asked.certificate) if asked.certificate else None

    # The first ones pay for what the server sets up once.
    for line in [open_one(asked, context) for _ in range(20)]:
        line.close()
    time.sleep(2)
    empty, began = rss(asked.pid), cpu_s(asked.pid)
    lines = {line.fileno(): line for line in (open_one(asked, context) for _ in range(asked.sockets))}
    handshakes_s = cpu_s(asked.pid) - began
    time.sleep(3)
    idle = rss(asked.pid)
    queue = select.epoll()
    for number in lines:
        queue.register(number, select.EPOLLIN)
    broadcast(asked, queue, lines, 1_000_000)
    began = cpu_s(asked.pid)
    delivered = sum(broadcast(asked, queue, lines, 1_000_001 + count) for count in range(asked.broadcasts))
    took = cpu_s(asked.pid) - began
    print(
        json.dumps(
            {
                "open": len(lines),
                "expected": asked.broadcasts * len(lines),
                "delivered": delivered,
                "cpu_us_per_handshake": handshakes_s * 1e6 / asked.sockets,
                "cpu_us_per_frame": took * 1e6 / max(delivered, 1),
                "rss_per_socket": (idle - empty) / asked.sockets,
            }
        )
    )


if __name__ == "__main__":
    main()
