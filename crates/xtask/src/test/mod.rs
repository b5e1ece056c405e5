//! `cargo xtask test`: everything, in parts, each announced, timed and counted.
//!
//! A part that cannot run is named loudly; in continuous integration (`CI` set) that is a failure.
//! The last line is the sum over all runners, `N passed, N failed`, alone.

mod counts;
mod needs;
mod postgres;
mod suites;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use counts::Counts;
use needs::{Installer, Tool};
use postgres::Server;

use crate::sh::Outcome;
use crate::workspace::{Workspace, cargo};
use crate::{fuzz, sh, tidy, web};

/// A whole `cargo test`, cold builds apart, ends well before this.
const RUST_LIMIT: Duration = Duration::from_secs(1200);
const WEB_LIMIT: Duration = Duration::from_secs(300);
/// Of all fuzz targets together, so that another target costs nothing.
const FUZZ_SECONDS: u64 = 60;

pub(crate) struct Part {
    pub name: String,
    pub about: String,
    pub run: Box<dyn Fn(&Machine) -> Verdict>,
}

pub(crate) enum Verdict {
    Ran(Counts),
    Failed(Counts, String),
    Skipped(String),
}

impl Verdict {
    fn ran(counts: Counts) -> Verdict {
        match counts.failed {
            0 => Verdict::Ran(counts),
            failed => Verdict::Failed(counts, format!("{failed} failed")),
        }
    }

    /// A part that failed without saying how many counts as one.
    fn failed(mut counts: Counts, reason: String) -> Verdict {
        counts.failed = counts.failed.max(1);
        Verdict::Failed(counts, reason)
    }
}

/// What parts share: the workspace, the tools of this machine, and what has been built.
pub(crate) struct Machine {
    pub workspace: Workspace,
    pub tools: Installer,
    web: OnceCell<Result<(), String>>,
    binary: OnceCell<Result<PathBuf, String>>,
    binary_with_pages: OnceCell<Result<PathBuf, String>>,
    postgres: OnceCell<Result<Server, String>>,
}

impl Machine {
    fn new() -> Result<Machine, String> {
        Ok(Machine {
            workspace: Workspace::read()?,
            tools: Installer::default(),
            web: OnceCell::new(),
            binary: OnceCell::new(),
            binary_with_pages: OnceCell::new(),
            postgres: OnceCell::new(),
        })
    }

    /// The pages, built once; `Err` says why they could not be.
    fn web(&self) -> Result<(), String> {
        let build = || {
            self.tools.provide(Tool::Node)?;
            web::build_if_older(&self.workspace.root)
        };
        self.web.get_or_init(build).clone()
    }

    /// The server for the suites, started once.
    fn postgres(&self) -> Result<&Server, String> {
        let start = || Server::start(self.tools.provide(Tool::Postgres)?);
        self.postgres.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    /// The binary of the dev profile, built once.
    fn binary(&self, with_pages: bool) -> Result<PathBuf, String> {
        if with_pages {
            self.web()?;
        }
        let cell = if with_pages { &self.binary_with_pages } else { &self.binary };
        let build = || {
            sh::run(cargo().args(["build", "--package", "tertulia", "--bin", "tertulia"]))?;
            Ok(self.workspace.binary())
        };
        cell.get_or_init(build).clone()
    }
}

struct Report {
    name: String,
    verdict: Verdict,
    took: Duration,
}

impl Report {
    fn counts(&self) -> Counts {
        match self.verdict {
            Verdict::Ran(counts) | Verdict::Failed(counts, _) => counts,
            Verdict::Skipped(_) => Counts { failed: u64::from(sh::in_ci()), ..Counts::default() },
        }
    }
}

pub(crate) fn test(arguments: &[String]) -> Result<(), String> {
    let machine = Machine::new()?;
    let mut parts = parts(&machine)?;
    if arguments.iter().any(|argument| argument == "--list") {
        for part in &parts {
            println!("{:<16} {}", part.name, part.about);
        }
        return Ok(());
    }
    if let Some(unknown) = arguments.iter().find(|name| parts.iter().all(|p| p.name != **name)) {
        return Err(format!("there is no part `{unknown}`; `cargo xtask test --list` names them"));
    }
    parts.retain(|part| arguments.is_empty() || arguments.contains(&part.name));
    let reports: Vec<Report> = parts.iter().map(|part| run(part, &machine)).collect();
    close(&reports)
}

/// The parts in the order in which they run: what is quick to fail comes first, and the pages
/// before the Rust that embeds them, so that nothing is built twice.
fn parts(machine: &Machine) -> Result<Vec<Part>, String> {
    let part = |name: &str, about: &str, run: fn(&Machine) -> Verdict| Part {
        name: name.to_owned(),
        about: about.to_owned(),
        run: Box::new(run),
    };
    let mut parts = vec![part("tidy", "the order of the tree, as `cargo xtask check` reads it", tidy_part)];
    if web::exists(&machine.workspace.root) {
        parts.push(part("web", "the pages of web/, built with npm", web_part));
    }
    parts.push(part("rust", "cargo test --workspace, on SQLite and PostgreSQL", rust_part));
    if fuzz::exists(&machine.workspace.root) {
        parts.push(part("fuzz", "all fuzz targets for a minute, from seeds", fuzz_part));
    }
    let suites = suites::discover(&machine.workspace.root)?;
    parts.extend(suites.into_iter().map(suites::Suite::part));
    Ok(parts)
}

fn run(part: &Part, machine: &Machine) -> Report {
    println!("\n━━ {}: {}", part.name, part.about);
    let start = Instant::now();
    let verdict = (part.run)(machine);
    let took = start.elapsed();
    match &verdict {
        Verdict::Ran(_) => println!("━━ {}: done in {}", part.name, sh::seconds(took)),
        Verdict::Failed(_, why) => println!("━━ {}: FAILED: {why}", part.name),
        Verdict::Skipped(why) => println!("━━ {}: SKIPPED: {why}", part.name),
    }
    Report { name: part.name.clone(), verdict, took }
}

fn tidy_part(machine: &Machine) -> Verdict {
    match tidy::run(&machine.workspace.root) {
        Ok((passed, failed)) => Verdict::ran(Counts { passed, failed, skipped: 0 }),
        Err(error) => Verdict::failed(Counts::default(), error),
    }
}

fn web_part(machine: &Machine) -> Verdict {
    if let Err(reason) = machine.tools.provide(Tool::Node) {
        return Verdict::Skipped(format!("{reason}; the binary says how to build its pages"));
    }
    let tested = machine.web().and_then(|()| web::test(&machine.workspace.root, WEB_LIMIT));
    match tested {
        Ok(None) => Verdict::Ran(Counts::default()),
        Ok(Some(outcome)) => judge(&outcome, counts::read(&outcome.lines)),
        Err(error) => Verdict::failed(Counts::default(), error),
    }
}

/// What a runner did, held against what it says; one that ran no test has failed.
fn judge(outcome: &Outcome, counts: Counts) -> Verdict {
    match (outcome.success, counts.total()) {
        _ if outcome.timed_out => Verdict::failed(counts, "it did not end in time".into()),
        (true, 0) => Verdict::failed(counts, "it ran no test".into()),
        (true, _) => Verdict::ran(counts),
        (false, _) => Verdict::failed(counts, "its runner failed".into()),
    }
}

fn rust_part(machine: &Machine) -> Verdict {
    let postgres = match std::env::var_os("TERTULIA_TEST_POSTGRES") {
        Some(_) => Ok(PathBuf::new()),
        None => machine.tools.provide(Tool::Postgres),
    };
    if let Err(reason) = &postgres {
        println!("SKIPPED: all tests on PostgreSQL: {reason}");
    }
    let build = ["test", "--workspace", "--no-fail-fast", "--no-run"];
    if let Err(error) = sh::run(cargo().args(build)) {
        return Verdict::failed(Counts::default(), error);
    }
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if let Ok(folder) = &postgres {
        command.env("PATH", sh::path_with(folder));
    }
    let outcome = match sh::watch(&mut command, false, RUST_LIMIT) {
        Ok(outcome) => outcome,
        Err(error) => return Verdict::failed(Counts::default(), error),
    };
    let counts = counts::read_cargo(&outcome.lines);
    match (outcome.success, postgres) {
        (false, _) => Verdict::failed(counts, "cargo test failed".into()),
        (true, Err(reason)) if sh::in_ci() => Verdict::failed(counts, reason),
        (true, _) => Verdict::ran(counts),
    }
}

fn fuzz_part(machine: &Machine) -> Verdict {
    let time = ["--together".to_owned(), FUZZ_SECONDS.to_string()];
    let outcome = match fuzz::smoke(&machine.workspace, &time, Duration::from_secs(3 * FUZZ_SECONDS)) {
        Ok(outcome) => outcome,
        Err(error) => return Verdict::failed(Counts::default(), error),
    };
    judge(&outcome, counts::read(&outcome.lines))
}

/// The table, the reasons, and the closing line.
fn close(reports: &[Report]) -> Result<(), String> {
    let mut sum = Counts::default();
    let mut took = Duration::ZERO;
    println!("\n{:<20} {:>7} {:>7} {:>8} {:>13}", "part", "passed", "failed", "skipped", "time");
    for report in reports {
        let counts = report.counts();
        let note = match &report.verdict {
            Verdict::Ran(_) => "",
            Verdict::Failed(..) => "  FAILED",
            Verdict::Skipped(_) => "  SKIPPED",
        };
        line(&report.name, counts, report.took, note);
        sum += counts;
        took += report.took;
    }
    line("together", sum, took, "");
    for report in reports {
        match &report.verdict {
            Verdict::Ran(_) => {}
            Verdict::Failed(_, why) => println!("FAILED {}: {why}", report.name),
            Verdict::Skipped(why) => println!("SKIPPED {}: {why}", report.name),
        }
    }
    println!("\n{} passed, {} failed", sum.passed, sum.failed);
    match sum.failed {
        0 => Ok(()),
        _ => Err(String::new()),
    }
}

fn line(name: &str, counts: Counts, took: Duration, note: &str) {
    let Counts { passed, failed, skipped } = counts;
    let took = sh::seconds(took);
    println!("{name:<20} {passed:>7} {failed:>7} {skipped:>8} {took:>13}{note}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdict: Verdict) -> Report {
        Report { name: "part".into(), verdict, took: Duration::ZERO }
    }

    #[test]
    fn a_failure_without_a_count_counts_as_one() {
        let failed = Verdict::failed(Counts { passed: 2, failed: 0, skipped: 0 }, "why".into());
        assert_eq!(report(failed).counts(), Counts { passed: 2, failed: 1, skipped: 0 });
    }

    #[test]
    fn the_sum_decides() {
        let good = Counts { passed: 3, failed: 0, skipped: 1 };
        let bad = Counts { passed: 3, failed: 1, skipped: 0 };
        assert!(close(&[report(Verdict::ran(good))]).is_ok());
        assert!(close(&[report(Verdict::ran(good)), report(Verdict::ran(bad))]).is_err());
    }
}
