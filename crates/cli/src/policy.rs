//! `tertulia policy`: what a configuration's rules give to whom, without a server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tertulia_server::login::policy::{Decision, Denial, Login, NO_RULE, Step};
use tertulia_server::platform::Config;

use crate::facts;
use crate::running::Output;

/// Try out the rules of a configuration: who comes in by which login, and what they may do.
#[derive(Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare the rules with the examples that are written beside them (`[[login.examples]]`).
    ///
    /// Ends with 1 if one of them differs, or if there is none.
    ///
    /// Example: tertulia policy test tertulia.toml
    Test {
        /// The configuration file.
        file: PathBuf,
        /// The form of the output.
        #[arg(short = 'o', long = "output", value_enum, default_value = "text")]
        output: Output,
    },
    /// Say what one login would get, and why.
    ///
    /// Ends with 1 if it would be refused.
    ///
    /// Example: tertulia policy explain tertulia.toml --source site --subject 7 --facts '{"groups": ["staff"]}'
    Explain {
        /// The configuration file.
        file: PathBuf,
        /// The name of the source.
        #[arg(long)]
        source: String,
        /// The source's own name for somebody.
        #[arg(long)]
        subject: String,
        /// What else the source says: a JSON object.
        #[arg(long, default_value = "{}")]
        facts: String,
        /// The form of the output.
        #[arg(short = 'o', long = "output", value_enum, default_value = "text")]
        output: Output,
    },
}

pub(crate) fn run(command: Policy) -> anyhow::Result<ExitCode> {
    match command.command {
        Command::Test { file, output } => test(&load(&file)?, output),
        Command::Explain { file, source, subject, facts, output } => {
            let facts: Value = serde_json::from_str(&facts).context("--facts is not JSON")?;
            if !facts.is_object() {
                bail!("--facts must be a JSON object");
            }
            let config = load(&file)?;
            if !config.login.sources.iter().any(|known| known.name() == source) {
                let names: Vec<_> = config.login.sources.iter().map(|source| source.name()).collect();
                bail!("there is no source \"{source}\" in {}; there are: {}", file.display(), names.join(", "));
            }
            Ok(explain(&config, &Login { source, subject, facts }, output))
        }
    }
}

/// The file alone: what the environment of this shell says is not the file's fault.
fn load(file: &std::path::Path) -> anyhow::Result<Config> {
    Ok(Config::load(Some(file), std::iter::empty())?)
}

fn test(config: &Config, output: Output) -> anyhow::Result<ExitCode> {
    let (policy, examples) = (config.login.policy(), &config.login.examples);
    if examples.is_empty() {
        bail!("there are no [[login.examples]] to compare the rules with");
    }
    let mut failed = 0;
    let (mut text, mut rows) = (String::new(), Vec::new());
    for (number, example) in examples.iter().enumerate() {
        let differences = example.differences(&policy);
        let Login { source, subject, .. } = &example.login;
        let verdict = if differences.is_empty() { "ok" } else { "FAILED" };
        text.push_str(&format!("{verdict:<6}  {}  {source}, {subject}\n", number + 1));
        for difference in &differences {
            text.push_str(&format!("           {difference}\n"));
        }
        rows.push(json!({"source": source, "subject": subject, "differences": differences}));
        failed += usize::from(!differences.is_empty());
    }
    let passed = examples.len() - failed;
    output.show(&json!({"examples": rows, "passed": passed, "failed": failed}), || {
        format!("{text}{passed} passed, {failed} failed\n")
    });
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn explain(config: &Config, login: &Login, output: Output) -> ExitCode {
    let policy = config.login.policy();
    let (steps, outcome) = (policy.steps(login), policy.decide(login));
    if output == Output::Json {
        let steps: Vec<_> = steps.iter().map(|step| json!({"rule": step.rule, "fails": fails(step)})).collect();
        let value = match &outcome {
            Ok(decision) => json!({"steps": steps, "gives": gives(decision), "refused_by": null, "reason": null}),
            Err(denial) => {
                json!({"steps": steps, "gives": null, "refused_by": rule(denial), "reason": denial.to_string()})
            }
        };
        facts::print(&format!("{value:#}\n"));
    } else {
        let mut text = String::new();
        for step in &steps {
            let why = fails(step).unwrap_or_else(|| "every condition holds: this rule decides".to_owned());
            text.push_str(&format!("rule {}: {why}\n", step.rule));
        }
        match &outcome {
            Ok(decision) => text.push_str(&lines(decision)),
            Err(denial) => text.push_str(&format!("refused by {}: {denial}\n", rule(denial))),
        }
        facts::print(&text);
    }
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn fails(step: &Step) -> Option<String> {
    step.fails.as_ref().map(ToString::to_string)
}

fn rule(denial: &Denial) -> &str {
    denial.rule().unwrap_or(NO_RULE)
}

fn gives(decision: &Decision) -> Value {
    let Decision { rule, service, identity, role, ttl_seconds, grants } = decision;
    json!({
        "rule": rule, "service": service, "identity": identity, "role": role, "ttl_seconds": ttl_seconds,
        "grants": {
            "push_credential": grants.push_credential, "sync_service": grants.sync_service,
            "video_room": grants.video_room, "voice_incoming": grants.voice_incoming,
            "voice_application": grants.voice_application,
        },
    })
}

fn lines(decision: &Decision) -> String {
    let Decision { service, identity, role, ttl_seconds, grants, .. } = decision;
    let service = service.as_deref().unwrap_or("the account's default");
    let role = role.as_deref().unwrap_or("the user's own");
    let mut text = format!(
        "identity      {identity}\nservice       {service}\nrole          {role}\nlifetime      {ttl_seconds} s\n"
    );
    let more = [
        ("push", grants.push_credential.as_deref()),
        ("sync", grants.sync_service.as_deref()),
        ("video room", grants.video_room.as_deref()),
        ("calls in", grants.voice_incoming.then_some("allowed")),
        ("calls out", grants.voice_application.as_deref()),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            text.push_str(&format!("{name:<14}{}\n", if value.is_empty() { "any" } else { value }));
        }
    }
    text
}
