"""The disk as a power cut would leave it: a clone of an ext4 image under load, mounted, replayed and compared.

The journal lives in an ext4 image, which lies on XFS. A reflink copies the image in an instant, without what the kernel has not yet
written to it. Everything acknowledged before the copy began must be in it. The copy stands for a disk that keeps what it was sent; a
disk that lies about its flushes is not tried.
"""

import contextlib
import fcntl
import os
import random
import subprocess
import time

from common import Client, Ledger, Load, Server, check, require, require_root, scratch_folder

ROUNDS = 200
EVENT_ROUNDS = 25
FICLONE = 0x40049409
IMAGE_MIB = 192


def run(binary, rounds):
    require_root()
    require("mkfs.xfs", "xfsprogs")
    facts = 0
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        pool = folder / "pool"
        make_image(folder / "pool.img", 2048, ["mkfs.xfs", "-q", "-m", "reflink=1"])
        stack.enter_context(mounted(folder / "pool.img", pool))
        disk, cut = pool / "disk.img", pool / "cut.img"
        make_image(disk, IMAGE_MIB, ["mkfs.ext4", "-q"])
        stack.enter_context(mounted(disk, folder / "disk"))
        server = Server(binary, folder, data=folder / "disk" / "data")
        try:
            server.start()
            for index in range(rounds):
                if index % EVENT_ROUNDS == 0:
                    ledger = Ledger(f"power-{index // EVENT_ROUNDS}")
                    Load(server, ledger).create_event()
                load = Load(server, ledger)
                load.run()
                time.sleep(random.uniform(0.02, 0.3))
                with load.lock:
                    acknowledged = ledger.copy()
                clone(disk, cut)
                load.join()
                check(server.is_alive(), "the server lives under load")
                compare(binary, folder, cut, acknowledged)
                facts += acknowledged.facts()
            server.stop()
        finally:
            server.kill()
    return f"{rounds} power cuts, {facts} acknowledged facts compared, 0 lost or changed"


def compare(binary, folder, cut, acknowledged):
    with scratch_folder() as own, mounted(cut, folder / "cut"):
        server = Server(binary, own, data=folder / "cut" / "data")
        try:
            server.start()
            acknowledged.compare(Client(server))
            server.stop()
        finally:
            server.kill()


def make_image(path, mib, make):
    with open(path, "wb") as image:
        image.truncate(mib << 20)
    subprocess.run([*make, str(path)], check=True, stdout=subprocess.DEVNULL)


def clone(source, target):
    """Copies a file by reference: the copy is of one instant."""
    with open(source, "rb") as old, open(target, "wb") as new:
        fcntl.ioctl(new, FICLONE, old.fileno())


@contextlib.contextmanager
def mounted(image, folder):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
