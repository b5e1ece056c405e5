//! `tertulia clock`: the time of a dev server's account, to be looked at and moved.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::running::Which;

/// Look at or move the clock of a dev server, so that tokens and timers run out when you want it.
///
/// What is due by the new time happens at once, on live connections too.
///
/// Example: tertulia clock --advance 4h
#[derive(Args)]
pub(crate) struct Clock {
    /// Set it to a moment, such as 2030-01-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Move it by seconds or by a number with s, m, h or d; a minus moves it back.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    advance: Option<String>,
    /// Let it stand still.
    #[arg(long, conflicts_with = "thaw")]
    freeze: bool,
    /// Let it go on from where it stands.
    #[arg(long)]
    thaw: bool,
    /// Back to the real time, before anything else that is given.
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    which: Which,
}

pub(crate) fn run(command: &Clock) -> anyhow::Result<ExitCode> {
    let mut form = Vec::new();
    if command.reset {
        form.push(("Reset", "true".to_owned()));
    }
    if let Some(at) = &command.at {
        form.push(("At", at.clone()));
    }
    if let Some(advance) = &command.advance {
        form.push(("Advance", seconds(advance)?.to_string()));
    }
    if command.freeze || command.thaw {
        form.push(("Freeze", command.freeze.to_string()));
    }
    let method = if form.is_empty() { "GET" } else { "POST" };
    let answer = command.which.find()?.dev(method, "/Clock", &form)?;
    command.which.show(&answer, || {
        let now = answer["now"].as_str().unwrap_or_default();
        // A clock that stands still falls behind while one looks.
        let ahead = answer["ahead_seconds"].as_f64().unwrap_or_default().round();
        let stands = if answer["is_frozen"] == true { ", standing still" } else { "" };
        match ahead {
            0.0 => format!("{now}{stands}\n"),
            _ => format!("{now}, {} s {} the real time{stands}\n", ahead.abs(), side(ahead)),
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn side(ahead: f64) -> &'static str {
    if ahead < 0.0 { "behind" } else { "ahead of" }
}

fn seconds(text: &str) -> anyhow::Result<f64> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let unit = match unit {
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => 1.0,
    };
    let number: f64 = number.parse().with_context(|| format!("{text} is no time; write 90, 90s, 5m, 4h or 1d"))?;
    if !number.is_finite() {
        bail!("{text} is no time; write 90, 90s, 5m, 4h or 1d");
    }
    Ok(number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, expected) in [("90", 90.0), ("1.5s", 1.5), ("5m", 300.0), ("-4h", -14_400.0), ("1d", 86_400.0)] {
            assert!((seconds(text).unwrap() - expected).abs() < 1e-9, "{text}");
        }
        for text in ["soon", "", "h", "inf", "5 m"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
