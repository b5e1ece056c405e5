//! `cargo xtask bench --vs REV`: what the jobs cost a build of REV and a build of this tree, in turns.
//!
//! The jobs are those of the bench `fanout` in this tree (`crates/cli/benches/fanout/jobs.rs`); it is told which
//! binary to start. A machine that slows down meanwhile slows both, since the two take turns.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::sh;
use crate::workspace::{Workspace, cargo};

/// What is asked for on the command line.
#[derive(Debug, PartialEq)]
pub(super) struct Versus {
    revision: String,
    rounds: usize,
    seconds: f64,
}

impl Versus {
    /// Reads `--vs REV [--rounds N] [--seconds S]`; `None` when no comparison is asked for.
    pub(super) fn parse(arguments: &[String]) -> Result<Option<Versus>, String> {
        if !arguments.iter().any(|word| word == "--vs") {
            return Ok(None);
        }
        let mut versus = Versus { revision: String::new(), rounds: 5, seconds: 2.0 };
        for pair in arguments.chunks(2) {
            let [option, value] = pair else { return Err(format!("`{}` takes a value", pair[0])) };
            let wrong = || format!("`{option}` takes a number above 0, not `{value}`");
            match option.as_str() {
                "--vs" => versus.revision.clone_from(value),
                "--rounds" => versus.rounds = value.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?,
                "--seconds" => versus.seconds = value.parse().ok().filter(|n| *n > 0.0).ok_or_else(wrong)?,
                other => return Err(format!("`--vs` goes with --rounds and --seconds, not with `{other}`")),
            }
        }
        Ok(Some(versus))
    }

    pub(super) fn run(&self) -> Result<(), String> {
        let workspace = Workspace::read()?;
        let folder = workspace.target.join("bench-vs");
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let commit = commit(&workspace.root, &self.revision)?;
        let tree = folder.join("tree");
        check_out(&workspace.root, &tree, &commit)?;
        let old = build(&tree, &workspace, &folder.join("old"))?;
        let new = build(&workspace.root, &workspace, &folder.join("new"))?;
        let program = bench_program(&workspace)?;
        let mut runs = Runs::default();
        let start = Instant::now();
        for round in 0..self.rounds {
            // Whoever goes first differs from round to round.
            let mut builds = [(Side::Old, &old), (Side::New, &new)];
            builds.rotate_left(round % 2);
            for (side, binary) in builds {
                println!("round {} of {}: {}", round + 1, self.rounds, side.name());
                runs.add(side, &measure(&program, binary, self.seconds)?)?;
            }
        }
        println!("\n{} rounds in {}\n", self.rounds, sh::seconds(start.elapsed()));
        println!("{}", runs.table(&format!("{} ({})", self.revision, &commit[..9.min(commit.len())])));
        let file = folder.join("result.json");
        let text = runs.json(&self.revision, &commit).to_string();
        std::fs::write(&file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
        println!("as JSON: {}", file.display());
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Old => "old",
            Side::New => "new",
        }
    }
}

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(root);
    git
}

fn commit(root: &Path, revision: &str) -> Result<String, String> {
    let name = format!("{revision}^{{commit}}");
    let said = sh::ask(git(root).args(["rev-parse", "--verify", "--quiet", &name]));
    said.map(|text| text.trim().to_owned()).ok_or(format!("`{revision}` is no commit of this repository"))
}

/// A worktree of its own, which stays for the next time: then only what differs is built again.
fn check_out(root: &Path, tree: &Path, commit: &str) -> Result<(), String> {
    if tree.join("Cargo.toml").is_file() {
        return sh::run(git(tree).args(["checkout", "--quiet", "--force", "--detach", commit]));
    }
    // One that was deleted by hand is still registered.
    sh::run(git(root).args(["worktree", "prune"]))?;
    sh::run(git(root).args(["worktree", "add", "--quiet", "--detach"]).arg(tree).arg(commit))
}

/// The release build of a tree, copied away: both trees share the target folder, and so the dependencies.
fn build(tree: &Path, workspace: &Workspace, to: &Path) -> Result<PathBuf, String> {
    let mut command = cargo();
    command.current_dir(tree).env("CARGO_TARGET_DIR", &workspace.target);
    sh::run(command.args(["build", "--release", "--package", "tertulia"]))?;
    let name = format!("tertulia{}", std::env::consts::EXE_SUFFIX);
    let built = workspace.target.join("release").join(name);
    std::fs::copy(&built, to).map_err(|error| format!("copying {}: {error}", built.display()))?;
    Ok(to.to_owned())
}

/// The bench of this tree, built.
fn bench_program(workspace: &Workspace) -> Result<PathBuf, String> {
    let mut command = cargo();
    command.args(["bench", "--package", "tertulia", "--bench", "fanout", "--no-run", "--message-format", "json"]);
    command.current_dir(&workspace.root).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cargo did not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut benches = lines.filter(|line| line["target"]["name"] == "fanout");
    let program = benches.find_map(|line| line["executable"].as_str().map(PathBuf::from));
    program.filter(|_| output.status.success()).ok_or("the bench `fanout` did not build".to_owned())
}

/// What one run of all jobs prints.
fn measure(program: &Path, binary: &Path, seconds: f64) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("jobs").env("TERTULIA_BENCH_BINARY", binary).env("TERTULIA_BENCH_SECONDS", seconds.to_string());
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("the bench: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("the bench failed with {} ({})", binary.display(), output.status)),
    }
}

/// What every job cost, by round, in the order in which the jobs run.
#[derive(Debug, Default)]
struct Runs {
    jobs: Vec<String>,
    operations: BTreeMap<String, String>,
    old: BTreeMap<String, Vec<f64>>,
    new: BTreeMap<String, Vec<f64>>,
}

impl Runs {
    /// Adds the lines of one run.
    fn add(&mut self, side: Side, lines: &str) -> Result<(), String> {
        for line in lines.lines() {
            let read: Value =
                serde_json::from_str(line).map_err(|error| format!("the bench said `{line}`: {error}"))?;
            let (Some(job), Some(micros)) = (read["job"].as_str(), read["micros"].as_f64()) else {
                return Err(format!("the bench said `{line}`"));
            };
            if !self.jobs.iter().any(|known| known == job) {
                self.jobs.push(job.to_owned());
            }
            let operation = read["operation"].as_str().unwrap_or_default().to_owned();
            self.operations.insert(job.to_owned(), operation);
            let costs = if side == Side::Old { &mut self.old } else { &mut self.new };
            costs.entry(job.to_owned()).or_default().push(micros);
        }
        Ok(())
    }

    fn medians(&self, job: &str) -> (f64, f64) {
        let of = |costs: &BTreeMap<String, Vec<f64>>| median(costs.get(job).map_or(&[], Vec::as_slice));
        (of(&self.old), of(&self.new))
    }

    fn table(&self, old: &str) -> String {
        let mut text = format!("CPU time of the server for one operation, median; old is {old}, new is this tree\n\n");
        let _ = writeln!(
            text,
            "{:<12} {:<22} {:>10} {:>10} {:>8}   old min–max",
            "job", "operation", "old µs", "new µs", "new/old"
        );
        for job in &self.jobs {
            let ((old, new), operation) = (self.medians(job), &self.operations[job]);
            let rounds = self.old.get(job).map_or(&[][..], Vec::as_slice);
            let min = rounds.iter().copied().fold(f64::INFINITY, f64::min);
            let max = rounds.iter().copied().fold(0.0, f64::max);
            let ratio = new / old;
            let _ =
                writeln!(text, "{job:<12} {operation:<22} {old:>10.1} {new:>10.1} {ratio:>8.3}   {min:.1}–{max:.1}");
        }
        text
    }

    fn json(&self, revision: &str, commit: &str) -> Value {
        let jobs: Vec<Value> = self
            .jobs
            .iter()
            .map(|job| {
                let (old, new) = self.medians(job);
                json!({
                    "job": job, "operation": self.operations[job], "old_micros": old, "new_micros": new,
                    "ratio": new / old, "old_rounds": self.old.get(job), "new_rounds": self.new.get(job),
                })
            })
            .collect();
        json!({"old": {"revision": revision, "commit": commit}, "unit": "microseconds of server CPU", "jobs": jobs})
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.as_slice() {
        [] => f64::NAN,
        sorted if sorted.len() % 2 == 1 => sorted[sorted.len() / 2],
        sorted => f64::midpoint(sorted[sorted.len() / 2 - 1], sorted[sorted.len() / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Option<Versus>, String> {
        Versus::parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_is_read() {
        assert_eq!(parsed("fanout"), Ok(None));
        let versus = Versus { revision: "HEAD~1".to_owned(), rounds: 3, seconds: 0.5 };
        assert_eq!(parsed("--vs HEAD~1 --rounds 3 --seconds 0.5"), Ok(Some(versus)));
        assert!(parsed("--vs").unwrap_err().contains("takes a value"));
        assert!(parsed("--vs HEAD --rounds 0").unwrap_err().contains("above 0"));
        assert!(parsed("--vs HEAD fanout 1").unwrap_err().contains("`fanout`"));
    }

    #[test]
    fn medians_and_ratios_are_shown_in_the_order_of_the_jobs() {
        let mut runs = Runs::default();
        for (side, costs) in [(Side::Old, [10.0, 30.0, 11.0]), (Side::New, [12.1, 12.1, 1.0])] {
            for cost in costs {
                let line = |job: &str, cost: f64| format!(r#"{{"job":"{job}","operation":"page","micros":{cost}}}"#);
                runs.add(side, &format!("{}\n{}\n", line("z", cost), line("a", 1.0))).unwrap();
            }
        }
        assert_eq!(runs.medians("z"), (11.0, 12.1));
        let table = runs.table("HEAD");
        let lines: Vec<&str> = table.lines().skip(3).collect();
        assert!(lines[0].starts_with("z ") && lines[0].contains("1.100") && lines[1].starts_with("a "), "{table}");
        assert!(lines[0].ends_with("10.0–30.0"));
        let json = runs.json("HEAD", "abc");
        assert_eq!((json["jobs"][0]["job"].as_str(), json["jobs"][1]["ratio"].as_f64()), (Some("z"), Some(1.0)));
        assert!(runs.add(Side::Old, "not JSON").is_err());
        assert!(median(&[1.0, 2.0]).total_cmp(&1.5).is_eq());
    }
}
