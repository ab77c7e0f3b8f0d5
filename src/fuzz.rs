//! Mutation fuzzing of the parsers that read what strangers send: random changes of examples, from
//! a seed that is printed.
//!
//! A parser's test hands [`run`] a function from bytes to a short outcome. An input with an outcome
//! that no earlier one had becomes an example too, which leads the search inwards without an
//! instrumented build. Examples are files of `tests/corpus/PARSER/`; an input that makes a parser
//! panic is written there, and every later run begins with it. `LUCKYDRAW_FUZZ_S` lets each parser
//! run for so many seconds instead of its usual rounds (`scripts/audit`), `LUCKYDRAW_FUZZ_SEED`
//! repeats a run.

use crate::base::sha256;
use data_encoding::HEXLOWER;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Examples in memory, at most.
const EXAMPLES_MAX: usize = 2_000;
/// Bytes of an input, at most.
const INPUT_BYTES_MAX: usize = 96 << 10;
/// Bytes that mean something to some parser.
const TELLING: &[u8] = b"\0\x01\x7f\x80\x81\x88\xc0\xed\xfe\xff \t\r\n\"'\\/{}[]:;,.-+0159eE%&=<>#";
/// Numbers at the edges of types.
const NUMBERS: [&str; 9] =
    ["0", "-1", "1e999", "255", "65536", "2147483648", "4294967296", "9007199254740993", "18446744073709551616"];

/// Fuzzes a parser for so many rounds.
pub fn run(parser: &str, rounds: u32, parse: impl FnMut(&[u8]) -> String) {
    fuzz(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(parser), rounds, parse);
}

fn fuzz(folder: &Path, rounds: u32, mut parse: impl FnMut(&[u8]) -> String) {
    let parser = folder.file_name().unwrap().to_string_lossy();
    let mut examples = examples(folder);
    assert!(!examples.is_empty(), "{} has no example", folder.display());
    let seconds = number_in("LUCKYDRAW_FUZZ_S");
    let mut random = Random(number_in("LUCKYDRAW_FUZZ_SEED").unwrap_or_else(|| std::process::id().into()));
    println!("{parser}: LUCKYDRAW_FUZZ_SEED={}", random.0);
    let (began, mut outcomes, mut inputs) = (Instant::now(), HashSet::new(), 0_u64);
    let mut try_one = |input: &[u8]| match catch_unwind(AssertUnwindSafe(|| parse(input))) {
        Ok(outcome) => outcomes.insert(outcome.chars().take(400).collect::<String>()),
        Err(panic) => {
            let name = format!("panic-{}", &HEXLOWER.encode(&sha256(input))[..16]);
            std::fs::write(folder.join(&name), input).expect("the corpus can be written");
            eprintln!("{parser}: the input is kept as {}", folder.join(name).display());
            resume_unwind(panic)
        }
    };
    for example in &examples {
        try_one(example);
    }
    while seconds.map_or(inputs < rounds.into(), |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        let input = mutated(&examples, &mut random);
        if try_one(&input) && examples.len() < EXAMPLES_MAX {
            examples.push(input);
        }
        inputs += 1;
    }
    println!("{parser}: {inputs} inputs, {} examples, no panic", examples.len());
}

/// The files of a folder, in order of their names.
fn examples(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number: {text}")))
}

/// An example after one to eight random changes.
fn mutated(examples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = random.of(examples).clone();
    for _ in 0..=random.below(8) {
        change(&mut input, examples, random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// One random change.
fn change(input: &mut Vec<u8>, examples: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + 1 + random.below(16)).min(input.len());
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = *random.of(TELLING),
        2 => input.insert(at, *random.of(TELLING)),
        3 => drop(input.drain(at.min(end)..end)),
        4 => input.truncate(at),
        // Repeats a part, up to many times.
        5 if at < end => {
            let part = input[at..end].repeat(1 << random.below(8));
            input.splice(at..at, part).for_each(drop);
        }
        // Takes a part of another example.
        6 => {
            let other = random.of(examples);
            let from = random.below(other.len() + 1);
            let until = from + random.below(other.len() + 1 - from);
            input.splice(at..at, other[from..until].iter().copied()).for_each(drop);
        }
        7 => input.splice(at..at, random.of(&NUMBERS).bytes()).for_each(drop),
        // Replaces a number.
        _ => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let Some(from) = input[at.min(input.len())..].iter().position(is_digit).map(|found| at + found) else { return };
            let length = input[from..].iter().take_while(|byte| is_digit(byte)).count();
            input.splice(from..from + length, random.of(&NUMBERS).bytes()).for_each(drop);
        }
    }
}

/// A source of choices that repeats itself from the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}

#[test]
fn an_input_that_makes_a_parser_panic_is_found_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("example"), "()").unwrap();
    let deepest = |input: &[u8]| {
        let (mut depth, mut deepest) = (0_u32, 0);
        for byte in input {
            depth = if *byte == b'(' { depth + 1 } else { depth.saturating_sub(u32::from(*byte == b')')) };
            deepest = deepest.max(depth);
        }
        assert!(deepest < 1_000, "too deep");
        deepest.to_string()
    };
    let found = catch_unwind(|| fuzz(folder.path(), 200_000, deepest));
    assert!(found.is_err(), "one round reaches 128 at most, so that depth is reached step by step");
    let kept = examples(folder.path());
    assert!(kept.len() == 2 && kept.iter().any(|input| input.len() >= 1_000), "the input is there to be tried again");
}
