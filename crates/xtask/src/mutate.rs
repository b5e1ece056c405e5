//! `cargo xtask mutate`: leaves out one check at a time, and sees whether a test notices.
//!
//! A copy of the tree below the target folder gets all mutations at once, each behind a number in the
//! environment; so there is one build, and then a run of the tests for each number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sh;
use crate::tidy::{self, Ask, Config, SOURCE, Tree, asks};
use crate::workspace::{Workspace, cargo};

/// What may be mutated, and the tests that must notice.
const SETS: [(&str, &[&str]); 1] = [("permissions", &["permissions::", "rest::sdk::"])];
/// Which call answers as if there were no question.
const CHOSEN: &str = "TERTULIA_MUTANT";
/// A run of the tests takes seconds. What then has no end was noticed, too.
const LIMIT: Duration = Duration::from_secs(300);
/// Folders that the build does not need.
const LEFT_OUT: [&str; 5] = [".git", "target", "node_modules", ".venv", "__pycache__"];
/// What the calls are wrapped in, in the copy.
const MODULE: &str = include_str!("mutant.rs.txt");

/// Runs all mutations of a set, or those with these numbers.
pub(crate) fn mutate(arguments: &[String]) -> Result<(), String> {
    let known = SETS.map(|(name, _)| name).join(", ");
    let (set, rest) = arguments.split_first().ok_or(format!("mutate takes what to mutate: {known}"))?;
    let tests = SETS.iter().find(|(name, _)| name == set).ok_or(format!("there is no `{set}`; there are {known}"))?.1;
    let workspace = Workspace::read()?;
    let config = Config::parse(&tidy::config_text(&workspace.root)?)?;
    let asks = asks(&Tree::read(&workspace.root)?, &config);
    let shown = |number: usize, ask: &Ask| format!("{number:>3}  {}:{}  {}", ask.file, ask.line, ask.call);
    if rest.iter().any(|word| word == "--list") {
        (1..).zip(&asks).for_each(|(number, ask)| println!("{}", shown(number, ask)));
        return Ok(());
    }
    let wrong = |word: &String| format!("`{word}` is not a number of `cargo xtask mutate {set} --list`");
    let number = |word: &String| word.parse().ok().filter(|n| (1..=asks.len()).contains(n)).ok_or_else(|| wrong(word));
    let chosen = rest.iter().map(number).collect::<Result<Vec<usize>, _>>()?;
    let folder = workspace.target.join("mutate");
    let bench = Bench::build(&workspace.root, &folder, &asks, tests)?;
    if let Some(failed) = bench.noticed(0)? {
        return Err(format!("the tests fail before anything is left out: {failed}"));
    }
    let (start, mut count, mut survivors) = (Instant::now(), 0, Vec::new());
    for (number, ask) in (1..).zip(&asks).filter(|(number, _)| chosen.is_empty() || chosen.contains(number)) {
        let outcome = bench.noticed(number)?;
        println!("{}\n       {}", shown(number, ask), outcome.as_deref().unwrap_or("SURVIVES"));
        count += 1;
        if outcome.is_none() {
            survivors.push(shown(number, ask));
        }
    }
    println!("\n{count} calls left out, one at a time, in {}", sh::seconds(start.elapsed()));
    match survivors.as_slice() {
        [] => Ok(()),
        some => Err(format!("{} that nothing notices:\n{}", some.len(), some.join("\n"))),
    }
}

/// The mutated copy, built.
struct Bench<'t> {
    folder: PathBuf,
    program: PathBuf,
    tests: &'t [&'t str],
}

impl<'t> Bench<'t> {
    fn build(root: &Path, folder: &Path, asks: &[Ask], tests: &'t [&'t str]) -> Result<Bench<'t>, String> {
        let tree = folder.join("tree");
        let mut files = Files::new();
        files_below(root, Path::new(""), &mut files)?;
        for file in asks.iter().map(|ask| &ask.file).collect::<BTreeSet<_>>() {
            let in_file = (1..).zip(asks).filter(|(_, ask)| ask.file == *file);
            change(&mut files, file, |text| wrapped(text, in_file))?;
        }
        change(&mut files, "lib.rs", |text| format!("{text}\n#[allow(missing_docs)]\npub mod mutant;\n"))?;
        files.insert(Path::new(SOURCE).join("mutant.rs"), MODULE.replace("CHOSEN", CHOSEN).into_bytes());
        lay_out(&tree, files)?;
        let mut command = cargo();
        command.args(["test", "--package", "tertulia-server", "--test", "all", "--no-run", "--message-format", "json"]);
        command.current_dir(&tree).env("CARGO_TARGET_DIR", folder.join("build")).stderr(Stdio::inherit());
        println!("building what may leave out one of {} calls", asks.len());
        let output = command.output().map_err(|error| format!("cargo did not start: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut messages = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let program = messages.find_map(|message| message["executable"].as_str().map(PathBuf::from));
        let program = program.filter(|_| output.status.success()).ok_or_else(|| broken(&text))?;
        Ok(Bench { folder: folder.to_owned(), program, tests })
    }

    /// The first test that fails without this call, if one does.
    fn noticed(&self, number: usize) -> Result<Option<String>, String> {
        let path = self.folder.join(format!("{number}.log"));
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let log = fs::File::create(&path).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(self.tests).env(CHOSEN, number.to_string()).stdin(Stdio::null());
        command.current_dir(self.folder.join("tree/crates/server"));
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut child = command.spawn().map_err(failed)?;
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                let text = read(&path)?;
                if !self.tests.iter().all(|filter| text.contains(&format!("test {filter}"))) {
                    return Err(format!("no test ran; {} says why", path.display()));
                }
                let fails = |line: &&str| line.starts_with("test ") && line.ends_with("FAILED");
                let name = text.lines().find(fails).unwrap_or("the tests ended otherwise than by their own word");
                return Ok((!status.success()).then(|| name.to_owned()));
            }
            if start.elapsed() > LIMIT {
                // An error means that it has just ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Some(format!("the tests had no end in {} s", LIMIT.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What the compiler says of the copy.
fn broken(messages: &str) -> String {
    let read = |line| serde_json::from_str::<Value>(line).ok();
    let told = messages.lines().filter_map(read).filter(|line| line["message"]["level"] == "error");
    let told: Vec<_> = told.filter_map(|line| line["message"]["rendered"].as_str().map(str::to_owned)).collect();
    format!("the copy does not build:\n{}", told.join("\n"))
}

/// The text with each of these calls in the hands of the module; one may stand within another.
fn wrapped<'a>(text: &str, asks: impl Iterator<Item = (usize, &'a Ask)>) -> String {
    let ends = |(number, ask): (usize, &Ask)| {
        [(ask.from, format!("crate::mutant::asked({number}, ")), (ask.until, ")".to_owned())]
    };
    let mut ends: Vec<_> = asks.flat_map(ends).collect();
    // Where one ends and the next begins, the first is closed first: `)` comes before `c`.
    ends.sort();
    let (mut whole, mut at) = (String::new(), 0);
    for (place, word) in ends {
        whole.push_str(&text[at..place]);
        whole.push_str(&word);
        at = place;
    }
    whole + &text[at..]
}

/// Paths below a root, and what is in them.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Reads a folder below the root, and all that is in it.
fn files_below(root: &Path, folder: &Path, files: &mut Files) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("reading {}: {error}", root.join(folder).display());
    for entry in fs::read_dir(root.join(folder)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(failed)?);
        if kind.is_dir() && !LEFT_OUT.iter().any(|left_out| name == *left_out) {
            files_below(root, &folder.join(name), files)?;
        } else if kind.is_file() {
            files.insert(folder.join(name), fs::read(entry.path()).map_err(failed)?);
        }
    }
    Ok(())
}

/// Changes a file of the service.
fn change(files: &mut Files, file: &str, how: impl FnOnce(&str) -> String) -> Result<(), String> {
    let text = files.get_mut(&Path::new(SOURCE).join(file)).ok_or(format!("there is no {SOURCE}{file}"))?;
    *text = how(&String::from_utf8_lossy(text)).into_bytes();
    Ok(())
}

/// Makes the folder hold these files and no others. What is the same stays, with its time: only what has changed
/// since an earlier run is built again.
fn lay_out(folder: &Path, files: Files) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut before = Files::new();
    files_below(folder, Path::new(""), &mut before)?;
    for gone in before.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(folder.join(gone)).map_err(|error| failed(gone, error))?;
    }
    for (path, bytes) in files.into_iter().filter(|(path, bytes)| before.get(path) != Some(bytes)) {
        let whole = folder.join(&path);
        let made = whole.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&whole, bytes));
        made.map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_to_hold_what_it_should_and_the_rest_is_untouched() {
        let folder = std::env::temp_dir().join(format!("xtask-mutate-{}", std::process::id()));
        let files = |texts: &[(&str, &str)]| -> Files {
            texts.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect()
        };
        lay_out(&folder, files(&[("a/same", "1"), ("a/gone", "2"), ("other", "3")])).unwrap();
        let time = |name: &str| fs::metadata(folder.join(name)).unwrap().modified().unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for name in ["a/same", "other"] {
            fs::File::options().write(true).open(folder.join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        let wanted = files(&[("a/same", "1"), ("other", "4"), ("b/new", "5")]);
        lay_out(&folder, wanted.clone()).unwrap();
        let mut found = Files::new();
        files_below(&folder, Path::new(""), &mut found).unwrap();
        assert_eq!((found, time("a/same")), (wanted, long_ago));
        assert_ne!(time("other"), long_ago);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn calls_are_wrapped_and_the_rest_stays() {
        let text = "a(may(1, is_own(2)).await?, may(2))";
        let ask = |call: &str, until: &str| {
            let from = text.find(call).unwrap();
            let (file, call) = (String::new(), call.to_owned());
            Ask { file, line: 1, from, until: text.find(until).unwrap() + until.len(), call }
        };
        let asks = [ask("may(1", ".await"), ask("is_own(2)", "is_own(2)"), ask("may(2)", "may(2)")];
        let wrapped = wrapped(text, (3..).zip(&asks));
        let first = "crate::mutant::asked(3, may(1, crate::mutant::asked(4, is_own(2))).await)";
        assert_eq!(wrapped, format!("a({first}?, crate::mutant::asked(5, may(2)))"));
    }
}
