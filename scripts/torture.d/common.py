"""The server under torture, its clients, and the ledger of what it acknowledged."""

import atexit
import base64
import collections
import contextlib
import copy
import http.client
import itertools
import json
import os
import pathlib
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
ADMIN_TOKEN = secrets.token_urlsafe(32)
TIMEOUT_S = 30  # for one step
API = "/api/luckydraw"


class BrokenPromise(Exception):
    """The server broke a promise."""


class Unavailable(Exception):
    """The promise cannot be tried on this machine."""


def check(holds, promise):
    if not holds:
        raise BrokenPromise(promise)


def build():
    subprocess.run(["cargo", "build", "--profile", "dist", "--features", "edges", "--quiet", "--bin", "luckydraw"], cwd=REPOSITORY, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "dist" / "luckydraw"


def require(command, package):
    """Ends the promise when the command is missing; names the Debian package that has it."""
    if subprocess.run(["which", command], stdout=subprocess.DEVNULL).returncode:
        raise Unavailable(f"{command} is missing: apt install {package}")


def require_tracing():
    require("strace", "strace")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL).returncode:
        raise Unavailable("this machine forbids ptrace")


def spread(count, last):
    """`count` numbers from 1 to `last`, evenly spaced."""
    return [1 + index * last // count for index in range(count)]


def require_root():
    if os.geteuid():
        raise Unavailable("needs root")


@contextlib.contextmanager
def scratch_folder():
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        yield pathlib.Path(folder)


# ---------------------------------------------------------------------------------------------------------------- the server


RUNNING = set()  # servers that nobody has killed yet


@atexit.register
def kill_servers():
    """Leaves no server behind, however the torture ends."""
    for server in list(RUNNING):
        server.kill()


def end_on_signals():
    """Ends in order at a signal: what is open is closed, and servers are killed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


class Server:
    """The server's process on one data folder; `prefix` is a command that runs it, such as strace."""

    def __init__(self, binary, folder, data=None, prefix=(), host="127.0.0.1"):
        self.binary, self.folder, self.prefix, self.host = binary, folder, list(prefix), host
        self.data = data or folder / "data"
        self.port = 0
        self.process = None
        self.log = folder / "server.log"

    def start(self, may_die=False, **settings):
        """Starts the server and waits for its address. Returns whether it lives; it may die early only if `may_die`."""
        environment = {
            **os.environ,
            "LUCKYDRAW_BIND": f"{self.host}:0",
            "LUCKYDRAW_DATA_DIR": str(self.data),
            "LUCKYDRAW_ADMIN_TOKEN": ADMIN_TOKEN,
            **settings,
        }
        RUNNING.add(self)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [*self.prefix, self.binary], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=self.folder
            )
        deadline = time.monotonic() + TIMEOUT_S
        address = re.compile(r"listening on http://" + re.escape(self.host) + r":(\d+)\s")
        while not (found := address.search(self.log.read_text(errors="replace"))):
            if self.process.poll() is not None:
                check(may_die, f"the server starts; it ended with {self.process.returncode}: {self.tail()}")
                return False
            check(time.monotonic() < deadline, "the server prints its address")
            time.sleep(0.002)
        self.port = int(found[1])
        return True

    def tail(self):
        return self.log.read_text(errors="replace")[-1500:]

    def pid(self):
        """The server's own process: the child of strace, if that runs it; other prefixes replace themselves."""
        if self.prefix[:1] != ["strace"]:
            return self.process.pid
        return int(pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def kill(self):
        """Kills the server and waits until it is gone, also where strace is its parent."""
        RUNNING.discard(self)
        if self.process is None:
            return
        own = None
        with contextlib.suppress(OSError, IndexError):
            own = self.pid()
            os.kill(own, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        deadline = time.monotonic() + TIMEOUT_S
        while own and pathlib.Path(f"/proc/{own}").exists() and time.monotonic() < deadline:
            time.sleep(0.002)

    def stop(self):
        """Stops the server cleanly."""
        os.kill(self.pid(), signal.SIGTERM)
        status = self.process.wait(TIMEOUT_S)
        check(status == 0, f"the server stops cleanly; it ended with {status}")

    def is_alive(self):
        return self.process.poll() is None


class Lost(Exception):
    """The server did not answer."""


class Client:
    """One keep-alive connection. Raises Lost when the server is gone before its answer is whole."""

    def __init__(self, server, timeout_s=TIMEOUT_S):
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=timeout_s)

    def request(self, method, path, body=None, token=ADMIN_TOKEN):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        status, answer = self.send(method, API + path, body, headers)
        try:
            return status, json.loads(answer)
        except ValueError as error:
            self.connection.close()
            raise Lost(str(error)) from error

    def send(self, method, path, body=None, headers=None):
        """The status and the bytes of an answer to any request."""
        try:
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Lost(str(error)) from error

    def get(self, path):
        """The data of a successful GET."""
        status, answer = self.request("GET", path)
        check(status == 200, f"GET {path}: {status} {answer}")
        return answer["data"]

    def close(self):
        self.connection.close()


class Socket:
    """A phone's WebSocket, read by a thread. Keeps the announcements that it received."""

    def __init__(self, server, event, token=None):
        self.announced = {}  # draw_id -> winners
        self.closed = threading.Event()
        self.frames = 0
        self.stream = open_websocket(server, f"{API}/ws/{event}" + (f"?token={token}" if token else ""))
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError, ValueError, struct.error):
            while (frame := read_frame(self.stream)) is not None:
                self.frames += 1
                if frame.get("type") == "winner_announced":
                    self.announced[frame["draw_id"]] = frame["winners"]
        self.closed.set()

    def close(self):
        self.stream.close()
        self.thread.join(TIMEOUT_S)


def open_websocket(server, path, receive_buffer=None):
    """A connected socket after the handshake; raises Lost when there is none."""
    stream = socket.socket()
    stream.settimeout(TIMEOUT_S)
    try:
        if receive_buffer:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        stream.connect((server.host, server.port))
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {server.host}:{server.port}", "Upgrade: websocket", "Connection: Upgrade"]
        stream.sendall("\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.recv(1)
            if not byte:
                raise Lost("closed within the handshake")
            head += byte
        check(head.startswith(b"HTTP/1.1 101 "), f"the server accepts a socket: {head[:80]}")
    except OSError as error:
        stream.close()
        raise Lost(str(error)) from error
    return stream


def read_exactly(stream, size):
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def read_frame(stream, one=False):
    """The next text message as JSON; pings are answered; None at a close frame, and with `one` also after a ping."""
    while True:
        first, second = read_exactly(stream, 2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(read_exactly(stream, 2 if size == 126 else 8), "big")
        payload = read_exactly(stream, size)
        match first & 0x0F:
            case 0x1:
                return json.loads(payload)
            case 0x8:
                return None
            case 0x9:
                stream.sendall(bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload)
                if one:
                    return None


# ---------------------------------------------------------------------------------------------------------------- the ledger


class Ledger:
    """Everything that the server acknowledged, of one event. What was in flight is not in it."""

    def __init__(self, event):
        self.event = event
        self.phones = {}  # request_id -> (number, token)
        self.barred = set()  # numbers that may not win
        self.prizes = set()  # prize_ids
        self.started = set()  # draw_ids
        self.winners = {}  # draw_id -> winners, as revealed or announced
        self.announced = set()  # draw_ids
        self.details = set()  # numbers with their details handed in

    def facts(self):
        return sum(map(len, (self.phones, self.barred, self.prizes, self.started, self.winners, self.announced, self.details)))

    def copy(self):
        return copy.deepcopy(self)

    def compare(self, client, also_tokens=5):
        """Checks that the server still knows every fact, and that nothing changed."""
        admin = f"/admin/{self.event}"
        people = {row["draw_number"]: row for row in client.get(f"{admin}/participants")["participants"]}
        for number, _ in self.phones.values():
            check(number in people, f"number {number} was acknowledged and is lost")
        check(len({number for number, _ in self.phones.values()}) == len(self.phones), "no number is given twice")
        for number in self.barred:
            check(people[number].get("eligible") is False, f"number {number} was barred and may win again")
        rows = collections.defaultdict(list)
        for row in client.get(f"{admin}/draws")["draws"]:
            rows[row["draw_id"]].append((row["draw_number"], row["status"]))
        for draw, winners in self.winners.items():
            check([number for number, _ in rows[draw]] == winners, f"draw {draw} had winners {winners}; the history has {rows[draw]}")
        for draw in self.announced:
            check(all(status == "announced" for _, status in rows[draw]), f"draw {draw} was announced; the history has {rows[draw]}")
        drawn = [number for row in rows.values() for number, _ in row]
        check(len(set(drawn)) == len(drawn), "nobody wins twice")
        prizes = {prize["prize_id"] for prize in client.get(f"{admin}/prizes")["prizes"]}
        check(self.prizes <= prizes, f"prizes {self.prizes - prizes} were acknowledged and are lost")
        details = {row["draw_number"] for row in client.get(f"{admin}/winners")["winners"]}
        check(self.details <= details, f"the details of {self.details - details} were acknowledged and are lost")
        for request_id, given in itertools.islice(reversed(self.phones.items()), also_tokens):
            status, answer = client.request("POST", "/register", {"event_id": self.event, "request_id": request_id}, None)
            check(status == 201, f"a phone may ask again for its number: {status} {answer}")
            check((answer["data"]["draw_number"], answer["data"]["session_token"]) == given, f"number {given[0]} and its token stay the same")


class Load:
    """A host and some phones that use one event at once, until the server is gone or `stop` is set."""

    PHONES = 4

    def __init__(self, server, ledger):
        self.server, self.ledger = server, ledger
        self.lock = threading.Lock()  # of the ledger, so that it can be copied
        self.stop = threading.Event()
        self.broken = []
        self.unavailable = 0  # answers of 503

    def create_event(self):
        status, answer = Client(self.server).request("POST", "/admin/events", {"event_id": self.ledger.event, "title": "Torture", "prizes": []})
        if status == 503:
            raise Lost("the journal takes nothing")
        check(status in (201, 409), f"an event is created: {status} {answer}")

    def run(self):
        """Starts all workers. `join` ends them and raises what broke."""
        work = [self._host, self._clerk, self._listen, *[self._register] * self.PHONES]
        self.threads = [threading.Thread(target=self._guard, args=(each,), daemon=True) for each in work]
        for thread in self.threads:
            thread.start()

    def join(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(TIMEOUT_S)
        if self.broken:
            raise self.broken[0]

    def _guard(self, work):
        try:
            work()
        except Lost:
            pass
        except Exception as error:  # reported by join, of whatever kind it is
            self.broken.append(error if isinstance(error, BrokenPromise) else BrokenPromise(repr(error)))

    def _command(self, client, method, path, body, token=ADMIN_TOKEN):
        """The data of a command; None when it is refused or the disk does not take it."""
        status, answer = client.request(method, path, body, token)
        check("INVALID_REQUEST" not in str(answer.get("detail")), f"{method} {path} is well-formed: {answer}")
        if status == 503:
            self.unavailable += 1
            time.sleep(0.01)
        return answer["data"] if status in (200, 201) else None

    def _register(self):
        client = Client(self.server)
        while not self.stop.is_set():
            request_id = secrets.token_hex(16)
            if data := self._command(client, "POST", "/register", {"event_id": self.ledger.event, "request_id": request_id}, None):
                with self.lock:
                    self.ledger.phones[request_id] = (data["draw_number"], data["session_token"])

    def _host(self):
        """Draws one prize after the other, and takes up a draw that a kill interrupted."""
        client, admin = Client(self.server), f"/admin/{self.ledger.event}"
        prize = {"prize_name": "Bicycle", "prize_rank": 1, "draw_mode": "slot", "winner_count": 1}
        while not self.stop.is_set():
            self._command(client, "POST", f"{admin}/draw/standby", prize)
            if started := self._command(client, "POST", f"{admin}/draw/start-animation", prize):
                with self.lock:
                    self.ledger.started.add(started["draw_id"])
            if shown := self._command(client, "POST", f"{admin}/draw/reveal", {}):
                with self.lock:
                    known = self.ledger.winners.setdefault(shown["draw_id"], shown["winners"])
                check(known == shown["winners"], f"draw {shown['draw_id']} keeps its winners")
            if done := self._command(client, "POST", f"{admin}/draw/complete", {}):
                with self.lock:
                    self.ledger.winners.setdefault(done["draw_id"], done["winners"])
                    self.ledger.announced.add(done["draw_id"])

    def _clerk(self):
        """Bars participants, adds prizes and hands in winners' details."""
        client, admin = Client(self.server), f"/admin/{self.ledger.event}"
        while not self.stop.is_set():
            with self.lock:
                phones = dict(list(self.ledger.phones.values())[-50:])
                open_details = [
                    (draw, winners[0]) for draw, winners in self.ledger.winners.items()
                    if draw in self.ledger.announced and winners[0] in phones and winners[0] not in self.ledger.details
                ]
                won = {number for winners in self.ledger.winners.values() for number in winners}
            if open_details:
                draw, number = open_details[0]
                form = {"event_id": self.ledger.event, "draw_id": draw, "name": "A Winner", "phone": "010-0000-0000", "consent": True}
                if self._command(client, "POST", "/winner-info", form, phones[number]) is not None:
                    with self.lock:
                        self.ledger.details.add(number)
            free = [number for number in phones if number not in won and number not in self.ledger.barred]
            if free and self._command(client, "PATCH", f"{admin}/participants/{free[0]}", {"eligible": False}):
                with self.lock:
                    self.ledger.barred.add(free[0])
            if len(self.ledger.prizes) < 400:
                if data := self._command(client, "POST", f"{admin}/prizes", {"prize_name": f"Mug {secrets.token_hex(8)}", "prize_rank": 2, "quantity": 1}):
                    with self.lock:
                        self.ledger.prizes.add(data["prize_id"])
            time.sleep(0.005)

    def _listen(self):
        """A phone's socket: an announced winner is as good as an acknowledged one."""
        listener = Socket(self.server, self.ledger.event)
        try:
            while not (self.stop.is_set() or listener.closed.wait(0.01)):
                self._record(listener)
        finally:
            listener.close()
            self._record(listener)

    def _record(self, listener):
        with self.lock:
            for draw, winners in list(listener.announced.items()):
                known = self.ledger.winners.setdefault(draw, winners)
                self.ledger.announced.add(draw)
                check(known == winners, f"draw {draw} is announced with the winners that were revealed")


def load_until(server, ledger, is_over, limit_s=TIMEOUT_S):
    """Starts a server that may die at any time, and loads it until it has, `is_over` holds or the time is up."""
    if not server.start(may_die=True):
        return
    load = Load(server, ledger)
    with contextlib.suppress(Lost):
        load.create_event()
        load.run()
        deadline = time.monotonic() + limit_s
        while server.is_alive() and time.monotonic() < deadline and not is_over():
            time.sleep(0.005)
        load.join()


def compare_after_restart(server, ledger):
    """Starts the server again, without what broke it, and compares; returns the number of facts."""
    server.prefix = []
    try:
        server.start()
        if ledger.facts():
            ledger.compare(Client(server))
        server.stop()
    finally:
        server.kill()
    return ledger.facts()
