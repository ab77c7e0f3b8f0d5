"""The parsers' own fuzz tests (src/fuzz.rs), each for so many seconds."""

import os
import re
import subprocess

from common import REPOSITORY, check

BUDGET_S = 600
BUILD_MAX_S = 1800
# As many as the table of SECURITY.md promises.
PARSERS = 7


def run(budget, seed):
    budget = budget or BUDGET_S
    listed = cargo("--list", timeout=BUILD_MAX_S)
    tests = re.findall(r"^(\S*fuzzed\S*): test$", listed.stdout, re.M)
    check(len(tests) == PARSERS, f"each of {PARSERS} parsers has a fuzz test, and not {len(tests)}: {listed.stderr[-2000:]}")
    total = 0
    for test in tests:
        output = cargo("--exact", test, "--nocapture", timeout=budget * 2 + 300, LUCKYDRAW_FUZZ_S=str(budget), LUCKYDRAW_FUZZ_SEED=str(seed))
        check(output.returncode == 0, f"{test}: {(output.stdout + output.stderr)[-3000:]}")
        total += sum(map(int, re.findall(r": (\d+) inputs", output.stdout)))
    return f"{len(tests)} parsers, {budget} s each with seed {seed}: {total:,} inputs, 0 panics"


def cargo(*arguments, timeout, **environment):
    command = ["cargo", "test", "--quiet", "--lib", "--", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout)
