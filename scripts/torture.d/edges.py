"""An origin, three edges and NATS, each in a network namespace of its own: phones on edges lose, double and reorder nothing, whatever is
killed or cut off, and nothing of a winner is known on an edge, or travels to one, before its announcement.

Edges, NATS and the origin are killed one after another, and each link is cut for some seconds, while draws go on. Phones of a dead edge
come back at another one with `since`. A tap hears everything that NATS carries, and one edge's memory is searched, between each reveal and
its announcement. At last the origin's CPU per frame is measured with few phones and with nine times as many.
"""

import contextlib
import json
import os
import pathlib
import random
import re
import resource
import secrets
import socket
import subprocess
import threading
import time

from broadcasts import Crowd, Phone
from common import ADMIN_TOKEN, API, REPOSITORY, Client, Lost, Server, Unavailable, check, open_websocket, read_frame, require, require_root, scratch_folder
from peers import Network

ROUNDS = 100  # draws
PHONES = 3000
PHONES_SHORT = 60  # with fewer draws
EDGES = 3
CUT_S = 10
CUT_SHORT_S = 4  # still longer than the silence after which an edge counts its origin as gone
RECOVERY_MAX_S = 60
MEASURED_PHONES = (1000, 9000)
MEASURED_FRAMES = 100
FRAMES_PER_S = 20
RATIO_MAX = 1.1
EVENT = "broadcasts"  # the event of broadcasts.Phone
NATS_PORT = 4222


def run(binary, rounds):
    require_root()
    for command, package in (("ip", "iproute2"), ("nsenter", "util-linux"), ("iptables", "iptables"), ("nats-server", "nats-server")):
        require(command, package)
    if subprocess.run([binary, "edge", "--help"], capture_output=True).returncode:
        raise Unavailable("this server was built without edges: --features edges")
    is_whole = rounds >= ROUNDS
    # One file per phone.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with contextlib.ExitStack() as stack:
        hall = Hall(stack, binary)
        figure = draw_through_trouble(hall, rounds, PHONES if is_whole else PHONES_SHORT, CUT_S if is_whole else CUT_SHORT_S)
        return f"{figure}; {measure(hall)}" if is_whole else figure


# ----------------------------------------------------------------------------------------------------------------- the boxes


class BoxNetwork(Network):
    """A namespace per box, and one of the phones."""

    def __init__(self, names):
        super().__init__()
        self.PLACES = {name: f"10.91.0.{index}" for index, name in enumerate(names, 1)}

    def prefix_of(self, name):
        """The command that runs another one in a namespace."""
        return ["nsenter", f"--net={self.path(name)}"]

    @contextlib.contextmanager
    def cut_between(self, one, other):
        """Drops every packet between two boxes."""
        ends = [(one, self.PLACES[other]), (other, self.PLACES[one])]
        for place, peer in ends:
            self._iptables(place, "-I", peer)
        try:
            yield
        finally:
            for place, peer in ends:
                self._iptables(place, "-D", peer)

    def _iptables(self, place, action, peer):
        command = [*self.prefix_of(place), "iptables", action, "INPUT", "-s", peer, "-j", "DROP"]
        if (result := subprocess.run(command, capture_output=True, text=True)).returncode:
            raise Unavailable(f"iptables cannot drop packets here: {result.stderr.strip()}")


class Nats:
    """The server that ships its configuration with this program, with a third edge and a tap."""

    def __init__(self, network, folder):
        self.network, self.folder, self.process = network, folder, None
        text = (REPOSITORY / "scripts" / "deploy" / "nats.conf").read_text()
        third = re.search(r"    \{\n      user: edge2,.*?\n    \}\n", text, re.DOTALL)[0].replace("edge2", "edge3").replace("EDGE2", "EDGE3")
        tap = '    { user: tap, password: "tap" }\n'
        mark = "    # One more per edge"
        check(mark in text, "nats.conf says where users go")
        (folder / "nats.conf").write_text(text.replace(mark, third + tap + mark))

    def start(self):
        passwords = {f"NATS_{user.upper()}_PASSWORD": f"secret-{user}" for user in ("origin", "edge1", "edge2", "edge3")}
        command = [*self.network.prefix_of("nats"), "nats-server", "-c", self.folder / "nats.conf", "-p", str(NATS_PORT)]
        with open(self.folder / "nats.log", "ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **passwords}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Tap:
    """Hears everything that NATS carries, by its own protocol."""

    def __init__(self, network):
        self.heard, self.lock = bytearray(), threading.Lock()
        with network.entered("nats"):
            self.stream = socket.create_connection(("127.0.0.1", NATS_PORT), timeout=10)
        self.stream.settimeout(None)
        sign_in = {"verbose": False, "pedantic": False, "headers": True, "user": "tap", "pass": "tap", "lang": "torture", "version": "0"}
        self.stream.sendall(f"CONNECT {json.dumps(sign_in)}\r\nSUB > 1\r\nPING\r\n".encode())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError):
            while data := self.stream.recv(1 << 16):
                with self.lock:
                    self.heard += data
                # A ping too many answers one that came in two pieces.
                if b"PING\r\n" in data:
                    self.stream.sendall(b"PONG\r\n")

    def forget(self):
        with self.lock:
            self.heard.clear()

    def has_heard(self, needle):
        with self.lock:
            return needle in self.heard

    def close(self):
        self.stream.close()


class Box(Server):
    """An origin or an edge in its namespace."""

    def __init__(self, binary, folder, network, name):
        folder.mkdir()
        super().__init__(binary, folder, prefix=network.prefix_of(name), host=network.PLACES[name])
        self.name = name
        self.settings = {"LUCKYDRAW_NATS_URL": f"nats://{network.PLACES['nats']}:{NATS_PORT}"}
        credentials = folder / "credentials"
        credentials.write_text(f"{name}:secret-{name}\n")
        self.settings["LUCKYDRAW_NATS_CREDENTIALS"] = str(credentials)
        if name == "origin":
            # A search of memory takes its time.
            self.settings["LUCKYDRAW_ANNOUNCE_AFTER_MS"] = "120000"
        else:
            self.binary = folder / "edge"
            self.binary.write_text(f"#!/bin/sh\nexec {binary} edge\n")
            self.binary.chmod(0o755)

    def start(self):
        bind = {"LUCKYDRAW_BIND": f"{self.host}:{self.port}"} if self.port else {}
        super().start(**self.settings, **bind)


class Hall:
    """The origin, its edges and NATS."""

    def __init__(self, stack, binary):
        self.names = [f"edge{index}" for index in range(1, EDGES + 1)]
        folder = stack.enter_context(scratch_folder())
        self.network = stack.enter_context(BoxNetwork(["nats", "origin", *self.names, "phones"]))
        self.nats = Nats(self.network, folder)
        stack.callback(self.nats.kill)
        self.nats.start()
        self.origin = Box(binary, folder / "origin", self.network, "origin")
        self.edges = [Box(binary, folder / name, self.network, name) for name in self.names]
        for box in (self.origin, *self.edges):
            stack.callback(box.kill)
            box.start()
        event = {"event_id": EVENT, "title": "Torture", "prizes": []}
        status, answer = self.host("POST", "/admin/events", event)
        check(status == 201, f"an event is created: {status} {answer}")
        for edge in self.edges:
            self.wait_for(edge)

    def host(self, method, path, body=None):
        """A call of the host to the origin, from the phones' side."""
        with self.network.entered("phones"):
            client = Client(self.origin)
            try:
                return client.request(method, path, body)
            finally:
                client.close()

    def wait_for(self, box):
        """Waits until a box serves the event and has its origin."""
        deadline = time.monotonic() + RECOVERY_MAX_S
        while not self.is_ready(box):
            check(time.monotonic() < deadline, f"{box.name} serves the event again: {box.tail()}")
            time.sleep(0.1)

    def is_ready(self, box):
        with self.network.entered("phones"), contextlib.suppress(Lost):
            client = Client(box, timeout_s=5)
            ready = client.send("GET", "/readyz")[0] == 200 and client.request("GET", f"/state?event_id={EVENT}", token=None)[0] == 200
            client.close()
            return ready
        return False


# ---------------------------------------------------------------------------------------------------------------- the phones


class EdgePhone(Phone):
    """A phone that comes back at another edge when its own does not answer."""

    def __init__(self, edges, index):
        super().__init__(edges[index % len(edges)], comes_and_goes=False)
        self.edges = edges

    def leave(self):
        if not self.is_open:
            self.server = random.choice(self.edges)
        super().leave()


class EdgeCrowd(Crowd):
    """All phones, in their own namespace."""

    def __init__(self, network, edges, count):
        self.network = network
        self.phones = [EdgePhone(edges, index) for index in range(count)]
        self.is_over, self.broken = False, None
        self.thread = threading.Thread(target=self._guard, daemon=True)
        self.thread.start()

    def _serve(self):
        with self.network.entered("phones"):
            super()._serve()


class Registrations:
    """Phones that register at edges all the time, and the numbers that were acknowledged."""

    def __init__(self, hall):
        self.hall, self.numbers, self.is_over, self.broken = hall, {}, False, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with self.hall.network.entered("phones"):
            while not self.is_over:
                request_id = secrets.token_hex(16)
                while not self.is_over and not self._register(request_id):
                    time.sleep(0.2)

    def _register(self, request_id):
        """One attempt of a phone, which takes the same request to whichever edge answers."""
        client = Client(random.choice(self.hall.edges), timeout_s=5)
        try:
            status, answer = client.request("POST", "/register", {"event_id": EVENT, "request_id": request_id}, None)
        except (Lost, OSError):
            return False
        finally:
            client.close()
        if status == 201:
            self.numbers[request_id] = answer["data"]["draw_number"]
        return status == 201

    def stop(self):
        self.is_over = True
        self.thread.join()
        return self.numbers


# ---------------------------------------------------------------------------------------------------------------- the trouble


def draw_through_trouble(hall, rounds, count, cut_s):
    """Draws while boxes are killed and links are cut; returns the figure."""
    registrations = Registrations(hall)
    deadline = time.monotonic() + RECOVERY_MAX_S
    while len(registrations.numbers) < rounds + 5:
        check(time.monotonic() < deadline, "phones register at edges")
        time.sleep(0.05)
    troubles = trouble_of(hall, cut_s)
    every = max(1, rounds // len(troubles))
    with EdgeCrowd(hall.network, hall.edges, count) as crowd:
        crowd.wait_for(last_seq(hall))
        searched = 0
        for number in range(rounds):
            searched += draw(hall, is_searched=number % every == 0)
            if number % every == every - 1 and troubles:
                troubles.pop(0)()
        for trouble in troubles:
            trouble()
            draw(hall, is_searched=False)
        numbers = registrations.stop()
        crowd.wait_for(last_seq(hall))
        came_back = sum(phone.came_back for phone in crowd.phones)
        delivered = sum(phone.delivered for phone in crowd.phones)
        lost, doubled, reordered = (sum(getattr(phone, fault) for phone in crowd.phones) for fault in ("lost", "doubled", "reordered"))
    check_numbers(hall, numbers)
    figure = (
        f"{rounds} draws, {delivered:,} deliveries to {count:,} phones on {EDGES} edges, {came_back:,} reconnects; SIGKILL of an edge, of NATS "
        f"and of the origin, {cut_s} s cuts of {1 + EDGES} links"
    )
    check(lost == doubled == reordered == 0, f"{figure}: {lost} lost, {doubled} doubled, {reordered} reordered")
    return f"{figure}: reach 1.000, 0 lost, doubled or reordered; {len(numbers)} numbers 1..N, none lost; {searched} secrets searched for, none found early"


def trouble_of(hall, cut_s):
    """Everything that is done to the boxes, in turn."""

    def kill(box):
        def trouble():
            box.kill()
            time.sleep(0.5)
            box.start()
            for edge in hall.edges:
                hall.wait_for(edge)

        return trouble

    def cut(one, other):
        def trouble():
            with hall.network.cut_between(one, other):
                draw(hall, is_searched=False)
                time.sleep(cut_s)
            for edge in hall.edges:
                hall.wait_for(edge)

        return trouble

    pairs = [("origin", "nats"), *((name, "nats") for name in hall.names)]
    return [kill(hall.edges[0]), kill(hall.nats), kill(hall.origin), *(cut(one, other) for one, other in pairs)]


def draw(hall, is_searched):
    """One draw; with `is_searched`, NATS and an edge's memory are searched for its secret before it is announced."""
    prize = {"prize_name": secrets.token_hex(8), "prize_rank": 1, "draw_mode": "slot", "winner_count": 1}
    display = None
    if is_searched:
        with hall.network.entered("phones"):
            display = open_websocket(hall.origin, f"{API}/ws/{EVENT}?role=display&token={ADMIN_TOKEN}")
        tap = Tap(hall.network)
    command(hall, "draw/start-animation", prize)
    shown = command(hall, "draw/reveal", {})
    winners = b'"winners":[%d]' % shown["winners"][0]
    searched = 0
    if display:
        while (frame := read_frame(display)).get("type") != "winner_revealed":
            pass
        # Heartbeats travel meanwhile.
        time.sleep(1.5)
        secrets_of_draw = [frame["code"].encode(), winners, b"winner_revealed"]
        held = held_in_memory(hall.edges[-1].pid(), secrets_of_draw)
        check(not held, f"an edge's memory holds {held} before the announcement")
        for secret in secrets_of_draw:
            check(not tap.has_heard(secret), f"NATS carries {secret} before the announcement")
            searched += 1
        check(tap.has_heard(b"draw_started"), "the tap hears what is public")
    command(hall, "draw/complete", {})
    if display:
        deadline = time.monotonic() + RECOVERY_MAX_S
        while not tap.has_heard(winners):
            check(time.monotonic() < deadline, "the tap hears the announcement")
            time.sleep(0.05)
        display.close()
        tap.close()
    return searched


def command(hall, path, body):
    status, answer = hall.host("POST", f"/admin/{EVENT}/{path}", body)
    check(status in (200, 201), f"{path} is accepted: {status} {answer}")
    return answer["data"]


def held_in_memory(pid, needles):
    """The needles that the writable memory of a process holds."""
    found = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            # Some maps, such as a device's, cannot be read.
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(start)
                held = memory.read(end - start)
                found |= {needle for needle in needles if needle in held}
    return found


def last_seq(hall):
    return hall.host("GET", f"/state?event_id={EVENT}")[1]["data"]["state_sync"]["seq"]


def check_numbers(hall, numbers):
    """Checks that every acknowledged number is there, once, and that all together are 1 to N."""
    rows = hall.host("GET", f"/admin/{EVENT}/participants")[1]["data"]["participants"]
    known = sorted(row["draw_number"] for row in rows)
    check(len(set(numbers.values())) == len(numbers), "no number is given twice")
    check(set(numbers.values()) <= set(known), "no acknowledged registration is lost")
    check(known == list(range(1, len(known) + 1)), "numbers are 1 to N without a gap")


# ---------------------------------------------------------------------------------------------------------------- the origin's CPU


def measure(hall):
    """CPU per frame of the origin, of an edge and of NATS, with few phones on edges and with many."""
    costs = [cpu_per_frame(hall, count) for count in MEASURED_PHONES]
    each = (", ".join(f"{place} {us:.0f} us" for place, us in cost.items()) + f" with {count:,} phones" for cost, count in zip(costs, MEASURED_PHONES))
    ratio = costs[1]["origin"] / costs[0]["origin"]
    figure = f"CPU per frame: {'; '.join(each)}; the origin's ratio {ratio:.2f}"
    check(ratio <= RATIO_MAX, f"the origin's CPU per frame is flat in phones: {figure}")
    return figure


def cpu_per_frame(hall, count):
    """Microseconds of CPU per frame and box, beyond what the idle box takes in the same time."""
    prize = {"prize_rank": 1, "draw_mode": "slot", "winner_count": 1}
    with EdgeCrowd(hall.network, hall.edges, count) as crowd:
        crowd.wait_for(last_seq(hall))
        # Counts of connections settle.
        time.sleep(5)
        idle = cpu_us(hall, lambda: None)
        busy = cpu_us(hall, lambda: command(hall, "draw/standby", {"prize_name": secrets.token_hex(8), **prize}))
        crowd.wait_for(last_seq(hall))
    return {place: (busy[place] - idle[place]) / MEASURED_FRAMES for place in busy}


def cpu_us(hall, act):
    """The CPU time of each box in microseconds, while the host acts so many times at a steady rate."""
    places = {"origin": [hall.origin.pid()], "edge": [edge.pid() for edge in hall.edges], "NATS": [hall.nats.process.pid]}
    now = lambda: {place: sum(map(cpu_now_us, pids)) / len(pids) for place, pids in places.items()}  # noqa: E731: it is used twice
    before, began_at = now(), time.monotonic()
    for number in range(MEASURED_FRAMES):
        act()
        time.sleep(max(0, began_at + (number + 1) / FRAMES_PER_S - time.monotonic()))
    return {place: us - before[place] for place, us in now().items()}


def cpu_now_us(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1000
