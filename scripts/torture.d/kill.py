"""SIGKILL at a random instant under load: nothing acknowledged is lost or changed."""

import random
import time

from common import Client, Ledger, Load, Server, check, scratch_folder

ROUNDS = 1000
EVENT_ROUNDS = 40  # kills per event, so that comparing stays quick


def run(binary, rounds):
    with scratch_folder() as folder:
        server = Server(binary, folder)
        ledgers = []
        try:
            server.start()
            for index in range(rounds):
                if index % EVENT_ROUNDS == 0:
                    ledgers.append(Ledger(f"kill-{index // EVENT_ROUNDS}"))
                    Load(server, ledgers[-1]).create_event()
                load = Load(server, ledgers[-1])
                load.run()
                time.sleep(random.uniform(0.01, 0.25))
                check(server.is_alive(), f"the server lives under load: {server.tail()}")
                server.kill()
                load.join()
                server.start()
                ledgers[-1].compare(Client(server))
            for ledger in ledgers:
                ledger.compare(Client(server), also_tokens=100)
            server.stop()
        finally:
            server.kill()
    facts = sum(ledger.facts() for ledger in ledgers)
    check(facts > rounds, f"the load is acknowledged: {facts} facts in {rounds} rounds")
    return f"{rounds} kills, {facts} acknowledged facts, 0 lost or changed"
