"""Unsafe code is in named files only. The lint `unsafe_code` refuses it wherever no reason is given."""

import re

from common import REPOSITORY, check

# Files with unsafe code. Each place has a reason and a SAFETY comment, which lints require.
ALLOWED = {
    "allocator.rs",
    "bin/drawload/client/mod.rs",
    "live/zeroed.rs",
    "ops/doctor/machine.rs",
    "ops/supervisor.rs",
}


def run(_budget, _seed):
    found = {}
    for path in sorted((REPOSITORY / "src").rglob("*.rs")):
        code = path.read_text().split("#[cfg(test)]\nmod tests")[0]
        places = sum(bool(re.search(r"\bunsafe\b(?!_)", line.split("//")[0].split('"')[0])) for line in code.splitlines())
        if places:
            found[str(path.relative_to(REPOSITORY / "src"))] = places
    check(set(found) == ALLOWED, f"unsafe code is in {sorted(found)}, named are {sorted(ALLOWED)}")
    return f"{sum(found.values())} places in {len(found)} files: {', '.join(found)}"
