"""A full disk: 503, reads and sockets go on, nothing acknowledged is lost, and it recovers without help."""

import contextlib
import os
import subprocess
import time

from common import TIMEOUT_S, Client, Ledger, Load, Lost, Server, Socket, check, require_root, scratch_folder

ROUNDS = 10


def run(binary, rounds):
    require_root()
    refused = facts = 0
    with scratch_folder() as folder, small_disk(folder / "disk"):
        server = Server(binary, folder, data=folder / "disk" / "data")
        ledger = Ledger("full")
        ballast = folder / "disk" / "ballast"
        try:
            server.start()
            Load(server, ledger).create_event()
            listener = Socket(server, ledger.event)
            for _ in range(rounds):
                use(server, ledger)
                fill(ballast)
                refused += expect_refusals(server, ledger)
                check(Client(server).request("GET", f"/results?event_id={ledger.event}")[0] == 200, "reads go on")
                check(not listener.closed.is_set(), "sockets stay open")
                os.unlink(ballast)
                expect_recovery(server, ledger)
                ledger.compare(Client(server))
            listener.close()
            server.kill()
            server.start()
            ledger.compare(Client(server), also_tokens=1000)
            facts = ledger.facts()
            server.stop()
        finally:
            server.kill()
    return f"{rounds} times full, {refused} commands refused with 503, {facts} acknowledged facts, 0 lost; recovered by itself each time"


def use(server, ledger):
    """Loads the server while there is space."""
    load = Load(server, ledger)
    load.run()
    time.sleep(0.3)
    load.join()


def expect_refusals(server, ledger):
    """Loads the server until it refuses for want of space; returns the number of refusals."""
    load = Load(server, ledger)
    load.run()
    deadline = time.monotonic() + TIMEOUT_S
    while load.unavailable < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    load.join()
    check(load.unavailable >= 20, f"a full disk is answered by 503; {ledger.facts()} facts were acknowledged")
    check(server.is_alive(), "the server lives on a full disk")
    return load.unavailable


def expect_recovery(server, ledger):
    client = Client(server)
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        with contextlib.suppress(Lost):
            status, _ = client.request("POST", "/register", {"event_id": ledger.event}, None)
            if status == 201:
                return
        check(time.monotonic() < deadline, "the server recovers when there is space")
        time.sleep(0.05)


def fill(path):
    """Takes all the space that is left."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as ballast:
        for block in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while ballast.write(bytes(block)):
                    pass


@contextlib.contextmanager
def small_disk(folder):
    os.makedirs(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
