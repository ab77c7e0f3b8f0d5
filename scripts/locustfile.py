"""Phones of an event, for Locust.

    pip install locust websocket-client
    locust -f scripts/locustfile.py --headless -u 300 -r 30 -t 2m --host http://127.0.0.1:8000 --event-id demo

Each user is a phone: it registers, opens a socket, and sometimes requests its number and its wins.
--host takes the forms of drawload's: http, https, ws or wss, with or without a path, or just
address:port. Draws are made by the host, in the console or with drawload.

Locust counts requests. Frames are counted here as requests of the type WS: every numbered frame
that is skipped, duplicated or out of order is a failure, so that a run that loses messages does not
look like a good one. For verdicts, latencies from the planned time and proof of every frame, use
drawload.
"""

import json
import secrets
import time
from urllib.parse import urlsplit

import gevent
import websocket
from locust import HttpUser, between, events, task

PREFIX = "/api/luckydraw"
PING_EVERY_S = 30
RETRY_AFTER_S = 0.5


@events.init_command_line_parser.add_listener
def add_arguments(parser):
    parser.add_argument("--event-id", default="demo", env_var="LUCKYDRAW_EVENT_ID", help="The event to use; it must exist")


def split_host(host):
    """Base URLs of calls and sockets, from any form of --host."""
    parts = urlsplit(host if "://" in host else f"http://{host}")
    secure = "s" if parts.scheme in ("https", "wss") else ""
    return f"http{secure}://{parts.netloc}", f"ws{secure}://{parts.netloc}"


class Phone(HttpUser):
    """A phone."""

    wait_time = between(2, 10)

    def __init__(self, environment):
        self.http_base, self.socket_base = split_host(environment.host or "http://127.0.0.1:8000")
        self.host = self.http_base
        super().__init__(environment)
        self.event_id = environment.parsed_options.event_id
        self.number = None
        self.token = None
        self.socket = None
        self.listener = None
        self.epoch = None
        self.seq = None

    def on_start(self):
        self.register()
        self.listener = gevent.spawn(self.listen)

    def on_stop(self):
        if self.listener:
            self.listener.kill()
        if self.socket:
            self.socket.close()

    def register(self):
        """Registers until it has a number; the request_id gives a retry the same one."""
        body = {"event_id": self.event_id, "request_id": secrets.token_hex(20)}
        while self.number is None:
            with self.client.post(f"{PREFIX}/register", json=body, name="register", catch_response=True) as answer:
                data = read(answer)
                if data is not None:
                    self.number, self.token = data.get("draw_number"), data.get("session_token")
                    if not self.number or not self.token:
                        answer.failure("registered without a number or a token")
            if self.number is None:
                gevent.sleep(RETRY_AFTER_S)

    @task(1)
    def my_number(self):
        headers = {"Authorization": f"Bearer {self.token}"}
        path = f"{PREFIX}/my-number?event_id={self.event_id}"
        with self.client.get(path, headers=headers, name="my-number", catch_response=True) as answer:
            data = read(answer)
            if data is not None and data.get("draw_number") != self.number:
                answer.failure(f"number {self.number} got number {data.get('draw_number')}")

    @task(3)
    def check_winner(self):
        path = f"{PREFIX}/check-winner?event_id={self.event_id}&draw_number={self.number}"
        with self.client.get(path, name="check-winner", catch_response=True) as answer:
            data = read(answer)
            if data is not None and not isinstance(data.get("won"), bool):
                answer.failure("has no field `won`")

    def listen(self):
        """Holds a socket to the end, and reconnects when it drops."""
        while True:
            known = f"&since={self.seq}&epoch={self.epoch}" if self.epoch else ""
            url = f"{self.socket_base}{PREFIX}/ws/{self.event_id}?token={self.token}{known}"
            started_at = time.perf_counter()
            try:
                self.socket = websocket.create_connection(url, timeout=PING_EVERY_S, enable_multithread=True)
            except Exception as error:  # any error is a failure of this handshake and no reason to stop
                self.fire("connect", started_at, error)
                gevent.sleep(RETRY_AFTER_S)
                continue
            self.fire("connect", started_at)
            try:
                self.receive()
            except Exception as error:
                self.fire("cut off", time.perf_counter(), error)
            gevent.sleep(RETRY_AFTER_S)

    def receive(self):
        pinged = None
        while True:
            try:
                text = self.socket.recv()
            except websocket.WebSocketTimeoutException:
                # No frame in time: request one pong, then give up.
                if pinged is not None:
                    raise
                pinged = time.perf_counter()
                self.socket.send('{"type":"ping"}')
                continue
            if not text:
                raise ConnectionError("the server closed the socket")
            frame = json.loads(text)
            if frame.get("type") == "pong" and pinged is not None:
                self.fire("ping", pinged)
                pinged = None
            else:
                self.check(frame)

    def check(self, frame):
        """Checks that numbered frames come once and in order; a state sync sets the start, and excuses no missed frame."""
        seq = frame.get("seq")
        if seq is None:
            return
        kind = frame.get("type")
        if kind == "state_sync":
            if self.epoch == frame.get("epoch") and seq != self.seq:
                self.fire("frame", time.perf_counter(), ValueError(f"state_sync at seq {seq} after seq {self.seq}"))
            self.seq, self.epoch = seq, frame.get("epoch")
            return
        wrong = None if seq == self.seq + 1 else ValueError(f"{kind} is seq {seq} after seq {self.seq}")
        self.fire("frame", time.perf_counter(), wrong)
        self.seq = max(seq, self.seq)

    def fire(self, name, started_at, error=None):
        """Reports a WebSocket event to Locust."""
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=(time.perf_counter() - started_at) * 1000,
            response_length=0,
            exception=error,
            context={},
        )


def read(answer):
    """Returns the data of a success; marks everything else as a failure."""
    try:
        body = answer.json()
    except ValueError:
        answer.failure(f"{answer.status_code} and no JSON")
        return None
    if not answer.ok or body.get("success") is not True:
        answer.failure(f"{answer.status_code} {(body.get('detail') or {}).get('code', '')}")
        return None
    return body.get("data") or {}
