"""SIGKILL at the N-th write or sync of a thread, for each N: from the making of the journal to a busy event."""

from common import Ledger, Server, check, compare_after_restart, load_until, require_tracing, scratch_folder, spread

ROUNDS = 200


def run(binary, rounds):
    require_tracing()
    facts = 0
    for point in spread(rounds, max(rounds, ROUNDS)):
        with scratch_folder() as folder:
            calls = "pwrite64,fdatasync,fsync"
            inject = [f"--trace={calls}", f"--inject={calls}:signal=SIGKILL:when={point}"]
            server = Server(binary, folder, prefix=["strace", "-f", "-qqq", "-o", "/dev/null", *inject])
            ledger = Ledger("crash")
            try:
                load_until(server, ledger, lambda: False)
                check(not server.is_alive(), f"write {point} is reached")
            finally:
                server.kill()
            facts += compare_after_restart(server, ledger)
    return f"{rounds} crash points from 1 to {max(rounds, ROUNDS)}, {facts} acknowledged facts, 0 lost or changed"
