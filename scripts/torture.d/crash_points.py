"""SIGKILL at the N-th write or sync of a thread, for each N: from the making of the journal to a busy event."""

import time

from common import TIMEOUT_S, Client, Ledger, Load, Lost, Server, check, require_tracing, scratch_folder, spread

ROUNDS = 200


def run(binary, rounds):
    require_tracing()
    facts = reached = 0
    for point in spread(rounds, max(rounds, ROUNDS)):
        with scratch_folder() as folder:
            calls = "pwrite64,fdatasync,fsync"
            inject = [f"--trace={calls}", f"--inject={calls}:signal=SIGKILL:when={point}"]
            server = Server(binary, folder, prefix=["strace", "-f", "-qqq", "-o", "/dev/null", *inject])
            ledger = Ledger("crash")
            try:
                if server.start(may_die=True):
                    load = Load(server, ledger)
                    try:
                        load.create_event()
                        load.run()
                        deadline = time.monotonic() + TIMEOUT_S
                        while server.is_alive() and time.monotonic() < deadline:
                            time.sleep(0.005)
                        load.join()
                    except Lost:
                        pass
                check(not server.is_alive(), f"write {point} is reached")
                reached += 1
            finally:
                server.kill()
            server.prefix = []
            try:
                server.start()
                if ledger.facts():
                    ledger.compare(Client(server))
                facts += ledger.facts()
                server.stop()
            finally:
                server.kill()
    return f"{rounds} crash points from 1 to {max(rounds, ROUNDS)}, {facts} acknowledged facts, 0 lost or changed"
