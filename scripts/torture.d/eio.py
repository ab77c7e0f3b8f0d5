"""A write or fsync fails: nothing acknowledged that is not kept, and after a failed fsync the server ends by itself."""

import time

from common import TIMEOUT_S, Client, Ledger, Load, Lost, Server, check, require_tracing, scratch_folder, spread

ROUNDS = 60
SYNC = "fdatasync,fsync"
EIO_EXIT_MAX_S = 1.0


def run(binary, rounds):
    require_tracing()
    slowest_s = 0.0
    facts = ended = 0
    for index, point in enumerate(spread(rounds, max(rounds, ROUNDS))):
        call = (SYNC, "pwrite64")[index % 2]
        with scratch_folder() as folder:
            log = folder / "calls"
            inject = [f"--inject={call}:error=EIO:when={point}+"]
            strace = ["strace", "-f", "-qqq", "-ttt", "-e", f"trace={call},exit_group", "-o", str(log), *inject]
            server = Server(binary, folder, prefix=strace)
            ledger = Ledger("eio")
            try:
                if server.start(may_die=True):
                    load = Load(server, ledger)
                    try:
                        load.create_event()
                        load.run()
                        deadline = time.monotonic() + TIMEOUT_S / 2
                        while server.is_alive() and time.monotonic() < deadline and not log.read_text(errors="replace").count("INJECTED") > 20:
                            time.sleep(0.01)
                        load.join()
                    except Lost:
                        pass
                time.sleep(0.05)
                if call == SYNC and (failed_at := first_failure(log)):
                    deadline = time.monotonic() + EIO_EXIT_MAX_S * 5
                    while server.is_alive() and time.monotonic() < deadline:
                        time.sleep(0.01)
                    check(not server.is_alive(), f"the server ends after failed sync {point}")
                    slowest_s = max(slowest_s, last_call(log) - failed_at)
                    ended += 1
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
    check(ended > 0, "a failed sync is reached")
    # A short run, on a machine busy with other tests, only reports the time.
    check(rounds < ROUNDS or slowest_s <= EIO_EXIT_MAX_S, f"the server ends within {EIO_EXIT_MAX_S} s of a failed sync; it took {slowest_s:.2f} s")
    return f"{rounds} points, {facts} acknowledged facts, 0 lost; ended at most {slowest_s * 1000:.0f} ms after a failed fsync, {ended} times"


def calls(log):
    for line in log.read_text(errors="replace").splitlines():
        fields = line.split(maxsplit=2)
        if len(fields) == 3 and fields[1].replace(".", "").isdigit():
            yield float(fields[1]), fields[2]


def first_failure(log):
    return next((at for at, call in calls(log) if "(INJECTED)" in call), None)


def last_call(log):
    return max(at for at, _ in calls(log))
