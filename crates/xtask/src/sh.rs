//! Running other programs: announced, streamed, timed, never left behind.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a finished program's children may still hold its output open.
const LINGER: Duration = Duration::from_secs(2);

/// What a watched program did.
pub(crate) struct Outcome {
    pub success: bool,
    /// What it printed, without colours.
    pub lines: Vec<String>,
    pub timed_out: bool,
}

/// Runs a program on this terminal; an error says which one failed and how.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| not_started(command, &error))?;
    succeeded(command, status)
}

/// Networks hiccup: an install is tried once more.
pub(crate) fn twice(command: impl Fn() -> Command) -> Result<(), String> {
    run(&mut command()).or_else(|error| {
        println!("{error}; once more");
        run(&mut command())
    })
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<(), String> {
    match status.success() {
        true => Ok(()),
        false => Err(format!("`{}` failed ({status})", shown(command))),
    }
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` did not start: {error}", shown(command))
}

/// The output of a program that is only asked something; `None` when it fails.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

/// Runs a program, passes its lines on as they come, keeps them, and ends it after `limit`.
/// Its standard error is kept too when `both`.
pub(crate) fn watch(command: &mut Command, both: bool, limit: Duration) -> Result<Outcome, String> {
    println!("$ {}", shown(command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if both {
        command.stderr(Stdio::piped());
    }
    let mut child = command.spawn().map_err(|error| not_started(command, &error))?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        pass_on(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        pass_on(stderr, sender.clone());
    }
    drop(sender);
    follow(&mut child, &receiver, limit)
}

fn follow(child: &mut Child, lines: &mpsc::Receiver<String>, limit: Duration) -> Result<Outcome, String> {
    let start = Instant::now();
    let mut kept = Vec::new();
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let mut timed_out = false;
    loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => {
                println!("{line}");
                kept.push(plain(&line));
                continue;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) if ended.is_some() => break,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none() {
            let status = child.try_wait().map_err(|error| format!("waiting: {error}"))?;
            ended = status.map(|status| (status, Instant::now()));
        }
        if ended.is_some_and(|(_, at)| at.elapsed() > LINGER) {
            break;
        }
        if ended.is_none() && !timed_out && start.elapsed() > limit {
            timed_out = true;
            println!("xtask: no end after {} s; ending it", limit.as_secs());
            end(child);
        }
    }
    let success = !timed_out && ended.is_some_and(|(status, _)| status.success());
    Ok(Outcome { success, lines: kept, timed_out })
}

fn pass_on(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if to.send(line).is_err() {
                break;
            }
        }
    });
}

/// Ends a program and what it started, by their own ids.
fn end(child: &mut Child) {
    let table = ask(Command::new("ps").args(["-eo", "pid=,ppid="])).unwrap_or_default();
    let _gone_already = child.kill();
    for pid in descendants(&table, child.id()) {
        let _gone_already = ask(Command::new("kill").args(["-KILL", &pid.to_string()]));
    }
}

fn descendants(table: &str, root: u32) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = table
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = pairs.iter().filter(|(pid, ppid)| *ppid == parent && *pid != parent);
        found.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// A line without terminal colours.
pub(crate) fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {},
            Some('(') => drop(chars.next()),
            _ => {}
        }
    }
    text
}

fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}

/// The first of `names` that stands in a folder of PATH.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
    })
}

/// PATH with `folder` in front.
pub(crate) fn path_with(folder: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

/// Whether we are in a continuous integration run, where nothing may be skipped.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

pub(crate) fn on_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// `12.3 s`, or minutes once there are some.
pub(crate) fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..100 => format!("{:.1} s", took.as_secs_f64()),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        assert_eq!(plain("test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 3 passed"), "test result: ok. 3 passed");
    }

    #[test]
    fn descendants_are_found_over_generations() {
        assert_eq!(descendants("1 0\n10 1\n11 10\n12 11\n20 1\n", 10), [11, 12]);
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(1240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_watched_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let outcome = watch(&mut command, true, Duration::from_secs(20)).unwrap();
        assert!(!outcome.success && !outcome.timed_out);
        let mut lines = outcome.lines;
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_program_without_end_is_ended_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & sleep 60"]);
        let outcome = watch(&mut command, false, Duration::from_millis(100)).unwrap();
        assert!(outcome.timed_out && !outcome.success);
    }
}
