"""Plants small faults, one at a time, and counts those that the unit tests catch.

The rules and the sockets are compiled alone, in a copy of their modules under target/audit, so that one fault costs seconds and not
minutes; each verdict is printed to stderr. A fault that does not compile does not count. The sample is random, from the seed; survivors are listed in target/audit/survivors.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import time

from common import REPOSITORY, check

BUDGET = 60
CAUGHT_MIN = 0.9
BASELINE_MAX_S = 1200
FOLDER = REPOSITORY / "target" / "audit"

# A crate of some modules, the files to plant faults in, the tests that have to catch them, and the share of the budget.
LIVE = ["base", "draw", "live", "tls", "wire"]
AREAS = [
    ("draw", ["draw"], ["draw/**/*.rs"], ["--lib", "draw::"], 0.5),
    ("roster", LIVE, ["live/roster.rs", "live/claim_table.rs"], ["--test", "roster_stress"], 0.25),
    ("event loop", LIVE, ["live/reactor/*.rs", "live/outbox.rs", "live/subscribers.rs"], ["--lib", "live::"], 0.25),
]
# Files of tests alone.
FOR_TESTS = {"sample.rs", "testing.rs", "faults.rs", "autobahn.rs"}

OPERATORS = [
    (r" == ", " != "), (r" != ", " == "), (r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > "),
    (r" && ", " || "), (r" \|\| ", " && "), (r" \+ ", " - "), (r" - ", " + "), (r" \+= ", " -= "), (r" -= ", " += "),
    (r"\btrue\b", "false"), (r"\bfalse\b", "true"), (r"\bif !", "if "), (r"\bif (?!let|!)", "if !"),
    (r"\.is_some\(\)", ".is_none()"), (r"\.is_none\(\)", ".is_some()"), (r"\.min\(", ".max("), (r"\.max\(", ".min("),
    (r"\b1\b", "2"), (r"\b0\b", "1"),
]
# Whole statements that are left out: calls and assignments without a value.
STATEMENT = re.compile(r"^\s+(self|peer|event|subscribers)[\w.]*(\([^;]*\)|\s[+-]?=\s[^;]*);$")
# Lines whose faults change no behaviour that a test can see.
LEFT_OUT = re.compile(r"^\s*(//|#|use |pub use |mod |pub mod |(pub |pub\(crate\) )?const |debug_assert|assert|tracing::|fn |pub fn |pub\(|impl|where|\})|expect\(|with_capacity|#\[")


def run(budget, seed):
    budget, chance = budget or BUDGET, random.Random(seed)
    lines, caught_all, viable_all, survivors = [], 0, 0, []
    for name, modules, patterns, tests, share in AREAS:
        crate = copy_modules("draw" if modules == ["draw"] else "live", modules)
        mutants = [mutant for pattern in patterns for path in sorted((crate / "src").glob(pattern)) for mutant in mutants_of(path)]
        chance.shuffle(mutants)
        baseline_s = baseline(crate, tests)
        caught = viable = 0
        for path, number, before, after in mutants:
            if viable >= max(1, round(budget * share)):
                break
            verdict = try_mutant(crate, tests, path, number, after, baseline_s)
            if verdict == "unviable":
                continue
            viable += 1
            caught += verdict == "caught"
            print(f"{verdict:8} {path.relative_to(crate / 'src')}:{number + 1}: {before.strip()}  ->  {after.strip()}", file=sys.stderr, flush=True)
            if verdict == "survived":
                survivors.append(f"{path.relative_to(crate / 'src')}:{number + 1}: {before.strip()}  ->  {after.strip()}")
        caught_all, viable_all = caught_all + caught, viable_all + viable
        lines.append(f"{name} {caught} of {viable}")
    (FOLDER / "survivors").write_text("\n".join(survivors) + "\n")
    figure = f"caught {caught_all} of {viable_all} with seed {seed} ({', '.join(lines)})"
    check(caught_all >= CAUGHT_MIN * viable_all, f"{figure}; survived: " + "; ".join(survivors))
    return figure


def copy_modules(name, modules):
    """A crate with these modules and the dependencies of the whole. It shares the target folder, so that those are compiled once."""
    crate = FOLDER / name
    shutil.rmtree(crate, ignore_errors=True)
    (crate / "src").mkdir(parents=True)
    kept = ("[package]", "[dependencies]", "[dev-dependencies]")
    sections = re.split(r"(?m)^(?=\[)", (REPOSITORY / "Cargo.toml").read_text())
    manifest = "".join(section for section in sections if section.startswith(kept))
    manifest = re.sub(r"(?m)^(build|default-run|mimalloc|libmimalloc-sys) = .*\n", "", manifest)
    manifest = manifest.replace('name = "luckydraw"', f'name = "audit-{name}"')
    (crate / "Cargo.toml").write_text(manifest + "\n[lib]\npath = \"src/lib.rs\"\n[workspace]\n")
    shutil.copy(REPOSITORY / "Cargo.lock", crate)
    for module in modules:
        shutil.copytree(REPOSITORY / "src" / module, crate / "src" / module)
    (crate / "tests").mkdir()
    stress = (REPOSITORY / "tests" / "roster_stress.rs").read_text()
    (crate / "tests" / "roster_stress.rs").write_text(stress.replace("luckydraw::", f"audit_{name}::"))
    shutil.copy(REPOSITORY / "src" / "fuzz.rs", crate / "src")
    fuzz = "#[cfg(test)]\nmod fuzz;\n" if "base" in modules else "#[cfg(test)]\nmod fuzz {\n    pub fn run(_: &str, _: u32, _: impl FnMut(&[u8]) -> String) {}\n}\n"
    (crate / "src" / "lib.rs").write_text("".join(f"pub mod {module};\n" for module in modules) + fuzz)
    return crate


def mutants_of(path):
    """Each fault: the file, the line's index, the line, and the line with the fault."""
    if path.name in FOR_TESTS:
        return
    code = path.read_text().split("#[cfg(test)]")[0].splitlines()
    for number, line in enumerate(code):
        if LEFT_OUT.search(line):
            continue
        bare = line.split("//")[0]
        if STATEMENT.match(line):
            yield path, number, line, ""
        for pattern, replacement in OPERATORS:
            for match in re.finditer(pattern, bare):
                if bare[: match.start()].count('"') % 2 == 0:
                    yield path, number, line, line[: match.start()] + replacement + line[match.end() :]


def cargo_test(crate, tests, timeout):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(REPOSITORY / "target")}
    arguments = ["--quiet", "--offline", *tests]
    build = subprocess.run(["cargo", "test", *arguments, "--no-run"], cwd=crate, env=environment, capture_output=True, text=True, timeout=BASELINE_MAX_S)
    if build.returncode:
        return "unviable", build.stderr
    try:
        skipped = ["--", "--skip", "fuzzed", "--skip", "autobahn"]
        result = subprocess.run(["cargo", "test", *arguments, *skipped], cwd=crate, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return "caught", "hangs"
    return ("survived" if result.returncode == 0 else "caught"), result.stdout


def baseline(crate, tests):
    verdict, output = cargo_test(crate, tests, BASELINE_MAX_S)
    check(verdict == "survived", f"the tests pass without a fault: {output[-2000:]}")
    # Measured once everything is compiled, or a fault that hangs would be waited for by the hour.
    began_at = time.monotonic()
    cargo_test(crate, tests, BASELINE_MAX_S)
    return time.monotonic() - began_at


def try_mutant(crate, tests, path, number, after, baseline_s):
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    lines[number] = after + "\n"
    path.write_text("".join(lines))
    try:
        return cargo_test(crate, tests, 30 + 5 * baseline_s)[0]
    finally:
        path.write_text(text)
