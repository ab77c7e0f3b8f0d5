"""Broadcasts are exact: none lost, doubled or out of order, on a network that loses packets, for phones that come and go, through a restart.

Server and phones live in network namespaces of their own, each of which drops three of a hundred packets that come in. Of the phones,
three of ten drop their connection again and again and come back with `since`; in the middle the server is killed and starts again. Each
phone compares the number of every frame with the one before. A standby is the broadcast.
"""

import base64
import contextlib
import random
import re
import secrets
import selectors
import socket
import subprocess
import threading
import time

from common import API, Client, Ledger, Load, Server, Unavailable, check, require, require_root, scratch_folder
from peers import Network

ROUNDS = 1000  # broadcasts
PHONES = 1000
PHONES_SHORT = 100  # with fewer rounds
COMING_AND_GOING = 0.3
LOSS = 0.03
PER_S = 20
LEAVES_PER_S = 0.4  # of one phone that comes and goes
CATCH_UP_MAX_S = 120
# A killed server's reset may be one of the lost packets, so a phone ends a connection on which nothing comes, as the pages do.
ANSWER_MAX_S = 10
SILENCE_MAX_S = 32
SEQ = re.compile(rb'"seq":(\d+),"epoch":"([0-9a-f]+)"')


def run(binary, rounds):
    require_root()
    for command, package in (("ip", "iproute2"), ("nsenter", "util-linux"), ("iptables", "iptables")):
        require(command, package)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        network = stack.enter_context(Network())
        lose_packets(network)
        server = Server(binary, folder, prefix=["nsenter", f"--net={network.path('server')}"], host=network.SERVER)
        stack.callback(server.kill)
        server.start()
        with network.entered("phones"):
            Load(server, Ledger("broadcasts")).create_event()
            host = Host(server)
            crowd = stack.enter_context(Crowd(server, PHONES if rounds >= ROUNDS else PHONES_SHORT))
            crowd.wait_for(host.last_seq())
            for number in range(rounds):
                if number == rounds // 2:
                    server.kill()
                    server.start(LUCKYDRAW_BIND=f"{server.host}:{server.port}")
                    host = Host(server)
                host.broadcast()
            crowd.wait_for(host.last_seq())
    came_back = sum(phone.came_back for phone in crowd.phones)
    delivered = sum(phone.delivered for phone in crowd.phones)
    lost, doubled, reordered = (sum(getattr(phone, fault) for phone in crowd.phones) for fault in ("lost", "doubled", "reordered"))
    figure = f"{delivered:,} deliveries to {len(crowd.phones)} phones, {came_back:,} reconnects, one restart, {LOSS:.0%} of packets dropped each way"
    check(lost == doubled == reordered == 0, f"{figure}: {lost} lost, {doubled} doubled, {reordered} reordered")
    check(delivered >= len(crowd.phones) * rounds, f"{figure}: fewer than were sent")
    return f"{figure}: 0 lost, 0 doubled, 0 reordered"


def lose_packets(network):
    for place in ("server", "phones"):
        rule = ["-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", str(LOSS), "-j", "DROP"]
        command = ["ip", "netns", "exec", network.name(place), "iptables", *rule]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise Unavailable(f"iptables cannot drop packets here: {result.stderr.strip()}")


class Host:
    """Sends broadcasts, at most so many per second."""

    def __init__(self, server):
        self.client = Client(server)
        self.command("POST", "/register", {"event_id": "broadcasts", "request_id": "the-host-s-own-number"})
        self.next_at = time.monotonic()

    def command(self, method, path, body=None):
        status, answer = self.client.request(method, path, body)
        check(status in (200, 201), f"{path} is accepted: {status} {answer}")
        return answer["data"]

    def broadcast(self):
        time.sleep(max(0, self.next_at - time.monotonic()))
        self.next_at = max(self.next_at + 1 / PER_S, time.monotonic())
        prize = {"prize_name": secrets.token_hex(8), "prize_rank": 1, "draw_mode": "slot", "winner_count": 1}
        self.command("POST", "/admin/broadcasts/draw/standby", prize)

    def last_seq(self):
        return self.command("GET", "/state?event_id=broadcasts")["state_sync"]["seq"]


class Phone:
    """A phone's socket, which never blocks, and what it has received."""

    def __init__(self, server, comes_and_goes):
        self.server, self.comes_and_goes = server, comes_and_goes
        self.last = self.epoch = self.stream = None
        self.delivered = self.lost = self.doubled = self.reordered = self.came_back = 0
        self.retry_at = 0.0

    def connect(self):
        self.unread, self.is_open, self.heard_at = b"", False, time.monotonic()
        self.stream = socket.socket()
        self.stream.setblocking(False)
        self.stream.connect_ex((self.server.host, self.server.port))

    def shake_hands(self):
        since = f"?since={self.last}&epoch={self.epoch}" if self.last is not None else ""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        head = f"GET {API}/ws/broadcasts{since} HTTP/1.1\r\nHost: {self.server.host}:{self.server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.stream.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())

    def is_silent(self, now):
        return now - self.heard_at > (SILENCE_MAX_S if self.is_open else ANSWER_MAX_S)

    def leave(self):
        if self.stream:
            self.stream.close()
            self.stream, self.came_back = None, self.came_back + 1
            self.retry_at = time.monotonic() + random.random() / 2

    def read(self):
        """Takes what has arrived; raises OSError when the connection is over."""
        data = self.stream.recv(1 << 16)
        if not data:
            raise OSError("closed")
        self.heard_at = time.monotonic()
        self.unread += data
        if not self.is_open:
            head, end, rest = self.unread.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                raise OSError("refused")
            self.is_open, self.unread = True, rest
        while len(self.unread) >= 2:
            first, size, start = self.unread[0] & 0x0F, self.unread[1] & 0x7F, 2
            if size >= 126:
                start = 4 if size == 126 else 10
                size = int.from_bytes(self.unread[2:start], "big")
            if len(self.unread) < start + size:
                return
            payload, self.unread = self.unread[start : start + size], self.unread[start + size :]
            if first == 0x1:
                self.take(payload)
            elif first == 0x9:
                self.stream.sendall(bytes([0x8A, 0x80 | size]) + bytes(4) + payload)
            elif first == 0x8:
                raise OSError("closed")

    def take(self, text):
        """Compares a numbered frame with the one before. A `state_sync` covers all up to its number, and brings none."""
        found = SEQ.search(text)
        if not found:
            return
        seq, epoch = int(found[1]), found[2].decode()
        if text.startswith(b'{"type":"state_sync"'):
            if self.last is not None and seq > self.last:
                self.lost += seq - self.last
            self.last, self.epoch = max(seq, self.last or 0), epoch
            return
        if seq == self.last + 1 and epoch == self.epoch:
            self.delivered, self.last = self.delivered + 1, seq
        elif seq <= self.last:
            self.doubled += 1
        else:
            # Counted where it is: what is missing in between may come late, and is then out of order.
            self.reordered += 1


class Crowd:
    """All phones, served by one thread."""

    def __init__(self, server, count):
        self.phones = [Phone(server, comes_and_goes=index < count * COMING_AND_GOING) for index in range(count)]
        self.is_over = False
        self.broken = None
        self.thread = threading.Thread(target=self._guard, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()

    def wait_for(self, seq):
        """Waits until every phone has this frame."""
        deadline = time.monotonic() + CATCH_UP_MAX_S
        while late := sum((phone.last if phone.last is not None else -1) < seq for phone in self.phones):
            check(self.broken is None and time.monotonic() < deadline, f"{late} phones do not catch up with frame {seq}: {self.broken}")
            time.sleep(0.05)

    def _guard(self):
        try:
            self._serve()
        except Exception as error:  # reported by wait_for, of whatever kind it is
            self.broken = repr(error)

    def _serve(self):
        with selectors.EpollSelector() as selector:
            checked_at = 0.0
            while not self.is_over:
                for key, events in selector.select(0.02):
                    phone = key.data
                    try:
                        if events & selectors.EVENT_WRITE:
                            phone.shake_hands()
                            selector.modify(phone.stream, selectors.EVENT_READ, phone)
                        else:
                            phone.read()
                    except OSError:
                        selector.unregister(phone.stream)
                        phone.leave()
                now = time.monotonic()
                if now - checked_at > 0.05:
                    self._come_and_go(selector, now, now - checked_at if checked_at else 0)
                    checked_at = now
            for phone in self.phones:
                if phone.stream:
                    phone.stream.close()

    def _come_and_go(self, selector, now, passed_s):
        for phone in self.phones:
            if phone.stream is None and now >= phone.retry_at:
                phone.connect()
                selector.register(phone.stream, selectors.EVENT_WRITE, phone)
            elif phone.stream and (phone.is_silent(now) or (phone.comes_and_goes and phone.is_open and random.random() < LEAVES_PER_S * passed_s)):
                selector.unregister(phone.stream)
                phone.leave()
