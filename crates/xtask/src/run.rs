//! `cargo xtask run`: the development server, with its pages where Node is there to build them.

use std::process::Command;

use crate::workspace::{Workspace, cargo};
use crate::{sh, web};

pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = Workspace::read()?.root;
    pages(&root);
    let mut command = cargo();
    command.args(["run", "--release", "--package", "tertulia", "--", "dev"]).args(arguments);
    become_it(&mut command)
}

/// The server starts without its pages too, and then says how to build them.
fn pages(root: &std::path::Path) {
    if !web::exists(root) {
        return;
    }
    if sh::find(&["npm"]).is_none() {
        return println!("Node is not there, so the demo page is not built; the server says how.");
    }
    if let Err(error) = web::build_if_older(root) {
        println!("The demo page could not be built ({error}); the server starts without it.");
    }
}

/// Takes the program's place, so that Ctrl-C and signals reach it and nothing between.
#[cfg(unix)]
fn become_it(command: &mut Command) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(format!("cargo did not start: {error}"))
}

#[cfg(not(unix))]
fn become_it(command: &mut Command) -> Result<(), String> {
    sh::run(command)
}
