#!/usr/bin/env python3
"""Holds many sockets of one server, over TLS or in the clear, fires broadcasts, and prints one JSON object.

    tlsfan.py --port 8443 --trigger-port 8000 --pid 1234 --sockets 3000 --broadcasts 20 --certificate cert.pem

With --burst it begins all handshakes at once instead, and reports how many ended and how long the last one took.

wsfan.c has no TLS. This client's own cost does not matter, since only the server's CPU time and
memory are reported. Without --certificate it does the same in the clear, for comparison. Every
frame is decrypted and searched.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import resource
import select
import socket
import ssl
import time

TIMEOUT_S = 30
FIRST_SEQ = 1_000_000
STANDBY = '{"prize_name":"%d %s","prize_rank":1,"draw_mode":"slot","winner_count":1}'
UPGRADE = (
    "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def cpu_s(pid):
    """CPU time of another process, read from its clock as clock_getcpuclockid(3) names it."""
    return time.clock_gettime((~pid << 3) | 2)


def rss_bytes(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Rss:"))


def open_socket(options, context):
    sock = socket.create_connection(("127.0.0.1", options.port), TIMEOUT_S)
    if context:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    sock.sendall((UPGRADE % options.path).encode())
    answer = sock.recv(4096)
    if b" 101 " not in answer:
        raise SystemExit(f"refused: {answer[:200]!r}")
    sock.setblocking(False)
    return sock


def read_available(sock):
    """Everything that has arrived, decrypted."""
    received = b""
    while True:
        try:
            chunk = sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return received
        if not chunk:
            raise SystemExit("the server closed a socket")
        received += chunk


def broadcast(options, poller, sockets, seq):
    """Fires one broadcast and waits until every socket has it. Returns the number of sockets that have."""
    trigger = http.client.HTTPConnection("127.0.0.1", options.trigger_port, timeout=TIMEOUT_S)
    trigger.request("POST", options.trigger, STANDBY % (seq, "x" * 120), {"Content-Type": "application/json"})
    answer = trigger.getresponse()
    if answer.status >= 300:
        raise SystemExit(f"the trigger was refused: {answer.read()[:300]!r}")
    expected, delivered, deadline = b'"prize_name":"%d ' % seq, 0, time.monotonic() + TIMEOUT_S
    while delivered < len(sockets) and time.monotonic() < deadline:
        delivered += sum(expected in read_available(sockets[fd]) for fd, _ in poller.poll(1))
    trigger.close()
    return delivered


def measure(options, context):
    # The first connections pay for what the server sets up once.
    for sock in [open_socket(options, context) for _ in range(20)]:
        sock.close()
    time.sleep(2)
    empty, began_s = rss_bytes(options.pid), cpu_s(options.pid)
    sockets = {sock.fileno(): sock for sock in (open_socket(options, context) for _ in range(options.sockets))}
    handshakes_s = cpu_s(options.pid) - began_s
    time.sleep(3)
    idle = rss_bytes(options.pid)
    poller = select.epoll()
    for fd in sockets:
        poller.register(fd, select.EPOLLIN)
    broadcast(options, poller, sockets, FIRST_SEQ)
    began_s = cpu_s(options.pid)
    delivered = sum(broadcast(options, poller, sockets, FIRST_SEQ + 1 + count) for count in range(options.broadcasts))
    frames_s = cpu_s(options.pid) - began_s
    return {
        "open": len(sockets),
        "expected": options.broadcasts * len(sockets),
        "delivered": delivered,
        "cpu_us_per_handshake": handshakes_s * 1e6 / options.sockets,
        "cpu_us_per_frame": frames_s * 1e6 / max(delivered, 1),
        "rss_per_socket": (idle - empty) / options.sockets,
    }


def burst(options, context):
    """Begins every handshake at once. An answer to the upgrade ends one; a closed connection is lost, and is not tried again."""
    began, poller, waiting, took, lost = time.monotonic(), select.epoll(), {}, [], 0
    for _ in range(options.sockets):
        bare = socket.create_connection(("127.0.0.1", options.port), TIMEOUT_S)
        bare.setblocking(False)
        sock = context.wrap_socket(bare, server_hostname="localhost", do_handshake_on_connect=False) if context else bare
        if context:
            # The hello leaves now; making all of them takes this client seconds.
            with contextlib.suppress(ssl.SSLWantReadError):
                sock.do_handshake()
        waiting[sock.fileno()] = (sock, False)
        poller.register(sock.fileno(), select.EPOLLOUT)
    ended = []
    while waiting and time.monotonic() < began + TIMEOUT_S:
        for fd, _ in poller.poll(1):
            sock, is_asked = waiting[fd]
            try:
                if context and not is_asked:
                    sock.do_handshake()
                if not is_asked:
                    sock.send((UPGRADE % options.path).encode())
                    waiting[fd] = (sock, True)
                    poller.modify(fd, select.EPOLLIN)
                elif b" 101 " in sock.recv(4096):
                    took.append(time.monotonic() - began)
                    poller.unregister(fd)
                    ended.append(waiting.pop(fd))
                else:
                    raise OSError("closed")
            except (ssl.SSLWantReadError, BlockingIOError):
                poller.modify(fd, select.EPOLLIN)
            except ssl.SSLWantWriteError:
                poller.modify(fd, select.EPOLLOUT)
            except OSError:
                lost += 1
                poller.unregister(fd)
                waiting.pop(fd)[0].close()
    return {
        "open": len(took),
        "lost": lost,
        "unanswered": len(waiting),
        "seconds_to_p50": sorted(took)[len(took) // 2] if took else None,
        "seconds_to_last": max(took, default=None),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("port", "trigger-port", "pid", "sockets", "broadcasts"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--path", default="/api/luckydraw/ws/bench")
    parser.add_argument("--trigger", default="/api/luckydraw/admin/bench/draw/standby")
    parser.add_argument("--certificate", help="the server's; without it the sockets are plain")
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--burst", action="store_true", help="begin all handshakes at once, and send no broadcast")
    options = parser.parse_args()

    os.sched_setaffinity(0, {options.core})
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    context = ssl.create_default_context(cafile=options.certificate) if options.certificate else None
    print(json.dumps((burst if options.burst else measure)(options, context)))


if __name__ == "__main__":
    main()
