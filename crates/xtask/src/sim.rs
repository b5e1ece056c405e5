//! `cargo xtask sim`: the realtime gateway under simulation; one seed with its trace, or many.

use crate::sh;
use crate::workspace::cargo;

pub(crate) fn sim(arguments: &[String]) -> Result<(), String> {
    if arguments.is_empty() {
        return Err("sim takes a seed, or `--seeds N`".to_owned());
    }
    sh::run(cargo().args(["run", "--quiet", "--package", "tertulia-sim", "--"]).args(arguments))
}
