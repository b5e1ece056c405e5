//! Suites: folders below `tests/` with a `suite.json`, each with a runner of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::counts::{self, Counts};
use super::needs::Tool;
use super::{Machine, Part, Verdict, judge};
use crate::{sh, web};

const LIMIT: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Node,
    Python,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Binary,
    Web,
    Chromium,
    Postgres,
}

#[derive(Debug)]
pub(crate) struct Suite {
    pub name: String,
    pub about: String,
    pub folder: PathBuf,
    kind: Kind,
    command: Vec<String>,
    install: Option<Vec<String>>,
    pub needs: Vec<Need>,
    limit: Duration,
}

/// Every suite of the tree, by name.
pub(crate) fn discover(root: &Path) -> Result<Vec<Suite>, String> {
    let mut suites = Vec::new();
    let Ok(folders) = std::fs::read_dir(root.join("tests")) else {
        return Ok(suites);
    };
    for folder in folders.flatten().map(|entry| entry.path()) {
        let file = folder.join("suite.json");
        if file.is_file() {
            let told = |error| format!("{}: {error}", file.display());
            let text = std::fs::read_to_string(&file).map_err(|error| told(error.to_string()))?;
            suites.push(parse(&text, folder.clone()).map_err(told)?);
        }
    }
    suites.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(suites)
}

const KEYS: [&str; 7] = ["name", "about", "kind", "command", "install", "needs", "timeout_seconds"];

fn parse(text: &str, folder: PathBuf) -> Result<Suite, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let keys = value.as_object().ok_or("must be an object")?.keys();
    if let Some(unknown) = keys.into_iter().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("knows no key \"{unknown}\"; there are {}", KEYS.join(", ")));
    }
    let kind = match value["kind"].as_str() {
        Some("node") => Kind::Node,
        Some("python") => Kind::Python,
        _ => return Err("\"kind\" is \"node\" or \"python\"".into()),
    };
    let name = value["name"].as_str().ok_or("needs a \"name\"")?.to_owned();
    let command = words(&value["command"], "command")?;
    let install = words(&value["install"], "install")?;
    let needs = words(&value["needs"], "needs")?.unwrap_or_default();
    let seconds = value["timeout_seconds"].as_u64();
    Ok(Suite {
        about: value["about"].as_str().unwrap_or(&name).to_owned(),
        name,
        folder,
        kind,
        command: command.unwrap_or_else(|| default_command(kind)),
        install,
        needs: needs.iter().map(|word| need(word)).collect::<Result<_, _>>()?,
        limit: seconds.map_or(LIMIT, Duration::from_secs),
    })
}

fn words(value: &Value, key: &str) -> Result<Option<Vec<String>>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let list = value.as_array().ok_or(format!("\"{key}\" is a list of words"))?;
    let word = |word: &Value| word.as_str().map(str::to_owned).ok_or(format!("\"{key}\" holds words"));
    list.iter().map(word).collect::<Result<_, _>>().map(Some)
}

fn need(word: &str) -> Result<Need, String> {
    match word {
        "binary" => Ok(Need::Binary),
        "web" => Ok(Need::Web),
        "chromium" => Ok(Need::Chromium),
        "postgres" => Ok(Need::Postgres),
        other => Err(format!("\"needs\" knows binary, web, chromium, postgres; not \"{other}\"")),
    }
}

fn default_command(kind: Kind) -> Vec<String> {
    let words: &[&str] = match kind {
        Kind::Node => &["node", "--test", "--test-reporter=spec"],
        Kind::Python => &["python", "-m", "unittest"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Suite {
    pub(crate) fn part(self) -> Part {
        Part { name: self.name.clone(), about: self.about.clone(), run: Box::new(move |machine| self.run(machine)) }
    }

    fn run(&self, machine: &Machine) -> Verdict {
        if let Err(reason) = self.tools(machine) {
            return Verdict::Skipped(reason);
        }
        let prepared = self.environment(machine).and_then(|environment| self.install().map(|()| environment));
        match prepared {
            Ok(environment) => self.test(&environment),
            Err(error) => Verdict::failed(Counts::default(), error),
        }
    }

    /// Provides the tools of this machine; without one the suite is skipped.
    fn tools(&self, machine: &Machine) -> Result<(), String> {
        let own = match self.kind {
            Kind::Node => Tool::Node,
            Kind::Python => Tool::Python,
        };
        let needed = self.needs.iter().filter_map(|need| match need {
            Need::Binary => None,
            Need::Web => Some(Tool::Node),
            Need::Chromium => Some(Tool::Chromium),
            Need::Postgres => Some(Tool::Postgres),
        });
        needed.chain([own]).try_for_each(|tool| machine.tools.provide(tool).map(drop))
    }

    /// Builds and starts what the suite needs; gives what its environment holds then.
    fn environment(&self, machine: &Machine) -> Result<Vec<(&'static str, OsString)>, String> {
        let mut environment: Vec<(&'static str, OsString)> = Vec::new();
        for need in &self.needs {
            match need {
                Need::Web => {}
                Need::Binary => environment.push(("TERTULIA_BIN", machine.binary(self.wants_web())?.into())),
                Need::Chromium => environment.push(("CHROMIUM", machine.tools.provide(Tool::Chromium)?.into())),
                Need::Postgres => {
                    let database = machine.postgres()?.database(&self.name)?;
                    environment.push(("TERTULIA_TEST_POSTGRES", database.into()));
                    environment.push(("POSTGRES_BIN", machine.tools.provide(Tool::Postgres)?.into()));
                }
            }
        }
        Ok(environment)
    }

    fn wants_web(&self) -> bool {
        self.needs.contains(&Need::Web)
    }

    /// Installs into the suite's own ignored folder, when what it asks for has changed.
    fn install(&self) -> Result<(), String> {
        match (&self.install, self.kind) {
            (Some(words), _) if words.is_empty() => Ok(()),
            (Some(words), _) => sh::twice(|| self.command(words)),
            (None, Kind::Node) => web::npm_install(&self.folder),
            (None, Kind::Python) => pip_install(&self.folder),
        }
    }

    fn test(&self, environment: &[(&'static str, OsString)]) -> Verdict {
        let mut command = self.command(&self.command);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let outcome = match sh::watch(&mut command, true, self.limit) {
            Ok(outcome) => outcome,
            Err(error) => return Verdict::failed(Counts::default(), error),
        };
        judge(&outcome, counts::read(&outcome.lines))
    }

    /// A command in the suite's folder, where its installed programs come first.
    fn command(&self, words: &[String]) -> Command {
        let programs = match self.kind {
            Kind::Node => self.folder.join("node_modules/.bin"),
            Kind::Python => self.folder.join(".venv/bin"),
        };
        // Command looks a bare name up in *our* PATH, so name the installed one whole.
        let own = programs.join(&words[0]);
        let program = if own.is_file() { own } else { PathBuf::from(&words[0]) };
        let mut command = Command::new(program);
        command.args(&words[1..]).current_dir(&self.folder).env("PATH", sh::path_with(&programs));
        command
    }
}

/// A `.venv` with what `requirements.txt` asks for; its text is kept beside it as the stamp.
fn pip_install(folder: &Path) -> Result<(), String> {
    let venv = folder.join(".venv");
    let asked = std::fs::read_to_string(folder.join("requirements.txt")).unwrap_or_default();
    let stamp = venv.join("requirements.installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == asked) {
        return Ok(());
    }
    sh::run(Command::new("python3").args(["-m", "venv", "--clear", ".venv"]).current_dir(folder))?;
    if !asked.is_empty() {
        sh::twice(|| {
            let mut command = Command::new(venv.join("bin/python"));
            command.args(["-m", "pip", "install", "--quiet", "-r", "requirements.txt"]);
            command.current_dir(folder);
            command
        })?;
    }
    std::fs::write(&stamp, asked).map_err(|error| format!("writing {}: {error}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_suite_is_read() {
        let text = r#"{"name": "sdk", "kind": "node", "command": ["node", "--test", "."],
            "needs": ["binary", "postgres"], "timeout_seconds": 60, "install": []}"#;
        let suite = parse(text, "tests/sdk".into()).unwrap();
        assert_eq!((suite.name.as_str(), suite.kind), ("sdk", Kind::Node));
        assert_eq!(suite.needs, [Need::Binary, Need::Postgres]);
        assert_eq!((suite.limit.as_secs(), suite.install), (60, Some(Vec::new())));
    }

    #[test]
    fn defaults_fill_the_rest() {
        let suite = parse(r#"{"name": "py", "kind": "python"}"#, "tests/py".into()).unwrap();
        assert_eq!(suite.command, ["python", "-m", "unittest"]);
        assert_eq!((suite.needs.len(), suite.limit, suite.install), (0, LIMIT, None));
    }

    #[test]
    fn mistakes_are_told_by_name() {
        let error = |text: &str| parse(text, "x".into()).unwrap_err();
        assert!(error(r#"{"name": "a", "kind": "ruby"}"#).contains("kind"));
        assert!(error(r#"{"name": "a", "kind": "node", "need": []}"#).contains("\"need\""));
        assert!(error(r#"{"name": "a", "kind": "node", "needs": ["nats"]}"#).contains("nats"));
        assert!(error(r#"{"name": "a", "kind": "node", "command": "x"}"#).contains("command"));
    }
}
