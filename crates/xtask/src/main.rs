//! The developer's vocabulary: `cargo xtask check`, `test`, `run`, `ci` and a few more.
//!
//! It needs nothing but cargo, builds in seconds (its one dependency reads JSON), and knows
//! nothing of chat: it runs tools, reads what they say, and reads the text of the tree (`tidy/`).
//! It never writes outside ignored folders, and installs only what `test/needs.rs` says, where it
//! says. Read next: `help.txt`, then `tidy/mod.rs` and `test/mod.rs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]
#![expect(clippy::disallowed_methods, reason = "a tool that times other tools reads the clock")]

mod bench;
mod check;
mod dependencies;
mod fuzz;
mod mutate;
mod run;
mod sh;
mod sim;
mod test;
mod tidy;
mod web;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const HELP: &str = include_str!("help.txt");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    match dispatch(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_empty() {
                eprintln!("xtask: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Result<(), String> {
    let wants_help = rest.first().is_some_and(|word| word == "--help" || word == "-h");
    match command {
        "help" | "--help" | "-h" => help(),
        _ if wants_help && command != "run" => help(),
        "check" => check::check(rest),
        "tidy" => tidy(rest),
        "test" => test::test(rest),
        "run" => run::run(rest),
        "ci" => check::check(&[]).and_then(|()| test::test(rest)),
        "web" => web::web(&Workspace::read()?.root, rest),
        "fuzz" => fuzz::fuzz(rest),
        "sim" => sim::sim(rest),
        "mutate" => mutate::mutate(rest),
        "bench" => bench::bench(rest),
        unknown => Err(format!("there is no `{unknown}`.\n\n{HELP}")),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among commands that may fail")]
fn help() -> Result<(), String> {
    print!("{HELP}");
    Ok(())
}

fn tidy(rest: &[String]) -> Result<(), String> {
    if let Some((word, named)) = rest.split_first() {
        if word != "--floors" {
            return Err(format!("tidy takes `--floors` or nothing, not `{word}`"));
        }
        println!("{}", tidy::floors(&Workspace::read()?.root, named)?);
        return Ok(());
    }
    match tidy::run(&Workspace::read()?.root)? {
        (_, 0) => Ok(()),
        (_, broken) => Err(format!("{broken} rules broken")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_command() {
        for command in ["run", "test", "check", "ci", "tidy", "web", "fuzz", "sim", "mutate", "bench", "help"] {
            assert!(HELP.contains(&format!("\n  {command} ")), "{command} is not in help.txt");
        }
    }

    #[test]
    fn an_unknown_command_shows_the_known_ones() {
        assert!(dispatch("tset", &[]).unwrap_err().contains("cargo xtask"));
    }
}
