//! `cargo xtask bench`: every bench target of the workspace, or those that are named.

mod versus;

use std::process::Command;

use crate::sh;
use crate::workspace::{Workspace, cargo};

pub(crate) fn bench(arguments: &[String]) -> Result<(), String> {
    if let Some(versus) = versus::Versus::parse(arguments)? {
        return versus.run();
    }
    let workspace = Workspace::read()?;
    let benches = workspace.targets("bench");
    if arguments.iter().any(|argument| argument == "--list") {
        benches.iter().for_each(|(package, bench)| println!("{bench:<16} {package}"));
        return Ok(());
    }
    if let Some(unknown) = arguments.iter().find(|name| benches.iter().all(|(_, b)| b != name)) {
        return Err(format!("there is no bench `{unknown}`; `cargo xtask bench --list` names them"));
    }
    for (package, bench) in benches {
        if arguments.is_empty() || arguments.iter().any(|name| name == bench) {
            println!("\n━━ {bench} of {package}");
            sh::run(&mut command(package, bench))?;
        }
    }
    Ok(())
}

fn command(package: &str, bench: &str) -> Command {
    let mut command = cargo();
    command.args(["bench", "--package", package, "--bench", bench]);
    command
}
