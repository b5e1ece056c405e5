//! The mutation loop: seeds, altered by a printed seed's chance, for a fixed time, on any toolchain.
//!
//! `smoke [target…] [--seconds N] [--together N] [--seed N] [--input FILE] [--list]`: seconds of each target, or of all
//! together. It knows nothing of coverage: it is what runs where cargo-fuzz cannot, and in every `cargo xtask test`. The last line says
//! how many targets held.

#![expect(clippy::disallowed_methods, reason = "the loop runs for a time by the clock, and draws a seed from it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tertulia_fuzz::{TARGETS, Target};

/// No input is longer; the longest of the wire is 256 KiB, and short ones find more per second.
const BYTES_MAX: usize = 16 * 1024;
/// A target that takes longer over one input hangs, as far as we are concerned.
const STUCK: Duration = Duration::from_secs(20);

struct Wish {
    targets: Vec<Target>,
    time: Duration,
    seed: u64,
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    match wish(std::env::args().skip(1).collect()) {
        Ok(Some(wish)) => smoke(&wish),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("smoke: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wish(arguments: Vec<String>) -> Result<Option<Wish>, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut wish = Wish {
        targets: Vec::new(),
        time: Duration::from_secs(5),
        seed: since.as_nanos() as u64 & 0xffff_ffff,
        input: None,
    };
    let mut together = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match argument.as_str() {
            "--list" => {
                TARGETS.iter().for_each(|(name, _)| println!("{name}"));
                return Ok(None);
            }
            "--seconds" => wish.time = Duration::from_secs(number(value()?)?),
            "--together" => together = Some(Duration::from_secs(number(value()?)?)),
            "--seed" => wish.seed = number(value()?)?,
            "--input" => wish.input = Some(value()?.into()),
            name => wish.targets.push(target(name)?),
        }
    }
    if wish.targets.is_empty() {
        wish.targets = TARGETS.to_vec();
    }
    if let Some(time) = together {
        wish.time = time / wish.targets.len() as u32;
    }
    Ok(Some(wish))
}

fn target(name: &str) -> Result<Target, String> {
    let known = TARGETS.iter().find(|(known, _)| *known == name).copied();
    known.ok_or(format!("there is no target {name}; --list names them"))
}

fn smoke(wish: &Wish) -> ExitCode {
    if let Some(input) = &wish.input {
        return replay(&wish.targets, input);
    }
    std::panic::set_hook(Box::new(|_| {}));
    let failed = wish.targets.iter().filter(|target| !holds(target, wish)).count();
    println!("{} passed, {failed} failed", wish.targets.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one input as it is, panic and all.
fn replay(targets: &[Target], input: &Path) -> ExitCode {
    let Ok(data) = std::fs::read(input) else {
        eprintln!("smoke: {} cannot be read", input.display());
        return ExitCode::FAILURE;
    };
    for (name, run) in targets {
        println!("{name}: {} bytes", data.len());
        run(&data);
    }
    ExitCode::SUCCESS
}

fn holds((name, run): &Target, wish: &Wish) -> bool {
    let seeds = seeds(name);
    println!("{name}: {} seeds, {:.0?}, --seed {}", seeds.len(), wish.time, wish.seed);
    let count = Arc::new(AtomicU64::new(0));
    watch(name, wish.seed, &count);
    let start = Instant::now();
    let mut chance = Chance::new(wish.seed);
    let mut next = seeds.clone().into_iter();
    let mut held = true;
    while held && (start.elapsed() < wish.time || count.load(Ordering::Relaxed) < seeds.len() as u64) {
        let data = next.next().unwrap_or_else(|| mutated(&seeds, &mut chance));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&data))) {
            tell(name, &data, &panic);
            held = false;
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    println!("{name}: {} inputs", count.load(Ordering::Relaxed));
    count.store(u64::MAX, Ordering::Relaxed);
    held
}

/// Ends the process when one input takes too long; the seed leads to it again.
fn watch(name: &'static str, seed: u64, count: &Arc<AtomicU64>) {
    let count = Arc::clone(count);
    std::thread::spawn(move || {
        loop {
            let before = count.load(Ordering::Relaxed);
            std::thread::sleep(STUCK);
            match count.load(Ordering::Relaxed) {
                u64::MAX => return,
                after if after == before => {
                    println!("{name}: input {after} of --seed {seed} does not end");
                    std::process::exit(1);
                }
                _ => {}
            }
        }
    });
}

fn tell(name: &str, data: &[u8], panic: &(dyn std::any::Any + Send)) {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    let folder = home().join("artifacts").join(name);
    let file = folder.join(format!("smoke-{:016x}", hash(data)));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, data));
    println!("{name}: FAILED: {message}");
    match kept {
        Ok(()) => println!("{name}: see it again: cargo xtask fuzz {name} --input {}", file.display()),
        Err(error) => println!("{name}: the input could not be kept ({error}): {data:?}"),
    }
}

/// The folder `fuzz/`.
fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The seeds of a target in the order of their names, the empty input first.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(home().join("seeds").join(name)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let files = paths.iter().filter_map(|path| std::fs::read(path).ok());
    std::iter::once(Vec::new()).chain(files).collect()
}

fn hash(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// xorshift64*: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 24] = [
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\0",
    b"\r\n",
    b"\xff\xfe",
    b"-1",
    b"0",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b"9223372036854775807",
    b".",
    b",\"a\":1",
    b":",
    b"=",
    b"\xf0\x9f\x98\x80",
    b"{\"a\":",
    b" ",
];

fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut data = chance.pick(seeds).clone();
    for _ in 0..=chance.below(6) {
        mutate(&mut data, seeds, chance);
    }
    data.truncate(BYTES_MAX);
    data
}

fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(data.len() + 1);
    let end = (at + 1 + chance.below(16)).min(data.len());
    match chance.below(9) {
        0 if at < data.len() => data[at] ^= 1 << chance.below(8),
        1 if at < data.len() => data[at] = chance.next() as u8,
        2 => drop(data.drain(at.min(end)..end)),
        3 => data.truncate(at),
        4 => insert(data, at, PIECES[chance.below(PIECES.len())]),
        5 => replace_number(data, at, chance),
        6 => {
            let other = chance.pick(seeds);
            let from = chance.below(other.len() + 1);
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        7 => {
            let again = data[at.min(end)..end].to_vec();
            let times = 1 + chance.below(200);
            insert(data, at, &again.repeat(times));
        }
        _ => {
            let byte = *chance.pick(b"{}[]\"\\.,:-0aA \n\x7f\x80\xc3");
            insert(data, at, &[byte]);
        }
    }
}

fn insert(data: &mut Vec<u8>, at: usize, piece: &[u8]) {
    data.splice(at..at, piece.iter().copied());
}

/// Lengths and times are numbers: the next one after `at` becomes another.
fn replace_number(data: &mut Vec<u8>, at: usize, chance: &mut Chance) {
    let Some(start) = data[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else { return };
    let digits = data[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = match chance.below(4) {
        0 => chance.below(300) as u64,
        1 => 1 << chance.below(64),
        2 => u64::MAX - chance.below(2) as u64,
        _ => {
            let old = std::str::from_utf8(&data[start..start + digits]).ok().and_then(|text| text.parse::<u64>().ok());
            old.unwrap_or(0).wrapping_add(chance.below(5) as u64).wrapping_sub(2)
        }
    };
    data.splice(start..start + digits, number.to_string().into_bytes());
}
