#!/usr/bin/env python3
"""Lets phones arrive as the page makes them, and prints the server's CPU per phone and part as one JSON object.

    arrival.py --port 8000 --pid 1234 --phones 10000
    arrival.py --port 8443 --pid 1234 --phones 10000 --certificate cert.pem

A phone opens a connection, loads the page and each file that it names, all packed, registers on the same connection, opens its socket on
another, and asks for the results to list the prizes. The phones come in groups, each part of a group at a time, so that the parts can be told apart. This client's own cost does not
matter, since only the server's CPU time is reported.
"""

import argparse
import json
import re
import secrets
import socket
import ssl

from tlsfan import TIMEOUT_S, UPGRADE, cpu_s

GROUP = 500
PARTS = ["connection", "page", "files", "registration", "socket", "results"]
GET = "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: ko\r\n\r\n"
REGISTER = "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Connection:
    """A keep-alive connection that reads whole answers."""

    def __init__(self, options, context):
        self.stream = socket.create_connection(("127.0.0.1", options.port), TIMEOUT_S)
        if context:
            self.stream = context.wrap_socket(self.stream, server_hostname="localhost")
        self.unread = b""

    def ask(self, request, status):
        """The body of the answer, which must have this status."""
        self.stream.sendall(request.encode())
        while b"\r\n\r\n" not in self.unread:
            self.read()
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 %d " % status):
            raise SystemExit(f"{request[:60]!r} is answered by {head[:200]!r}")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        length = int(length[1]) if length else 0
        while len(self.unread) < length:
            self.read()
        body, self.unread = self.unread[:length], self.unread[length:]
        return body

    def read(self):
        received = self.stream.recv(1 << 16)
        if not received:
            raise SystemExit("the server closed a connection")
        self.unread += received


def named_files(options, context):
    """The files that the page names; once loaded, they name no other before a draw."""
    page = Connection(options, context).ask((GET % options.page).replace("Accept-Encoding", "X-Encoding"), 200).decode()
    return list(dict.fromkeys(re.findall(r'"(/lottery/files/[^"]+)"', page)))


def arrive(options, context, files, spent):
    """One group. Adds the server's CPU seconds of each part to `spent`."""
    def part(name, step):
        began_s = cpu_s(options.pid)
        result = step()
        spent[name] += cpu_s(options.pid) - began_s
        return result

    phones = part("connection", lambda: [Connection(options, context) for _ in range(min(GROUP, options.phones))])
    part("page", lambda: [phone.ask(GET % options.page, 200) for phone in phones])
    part("files", lambda: [phone.ask(GET % path, 200) for phone in phones for path in files])
    bodies = [json.dumps({"event_id": "bench", "request_id": secrets.token_hex(16)}) for _ in phones]
    part("registration", lambda: [phone.ask(REGISTER % (len(body), body), 201) for phone, body in zip(phones, bodies)])
    part("socket", lambda: [Connection(options, context).ask(UPGRADE % options.path, 101) for _ in phones])
    part("results", lambda: [phone.ask(GET % options.results, 200) for phone in phones])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("port", "pid", "phones"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--page", default="/lottery/waiting?event=bench")
    parser.add_argument("--path", default="/api/luckydraw/ws/bench")
    parser.add_argument("--results", default="/api/luckydraw/results?event_id=bench")
    parser.add_argument("--certificate", help="the server's; without it the connections are plain")
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.certificate) if options.certificate else None
    files, spent = named_files(options, context), dict.fromkeys(PARTS, 0.0)
    arrive(options, context, files, dict(spent))  # The first phones pay for what the server sets up once.
    groups = max(1, options.phones // GROUP)
    for _ in range(groups):
        arrive(options, context, files, spent)
    phones = groups * min(GROUP, options.phones)
    print(json.dumps({"phones": phones, "file_count": len(files), **{name: spent[name] * 1e6 / phones for name in PARTS}}))


if __name__ == "__main__":
    main()
