//! A server that runs already: finding it, proving oneself to it, calling it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::facts::{self, Facts};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which server is meant.
#[derive(Args)]
pub(crate) struct Which {
    /// The data folder of the server. [default: TERTULIA_URL with TWILIO_ACCOUNT_SID and
    /// TWILIO_AUTH_TOKEN (or TWILIO_API_KEY and TWILIO_API_SECRET) if set, else tertulia-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The form of the output.
    #[arg(short = 'o', long = "output", value_enum, default_value = "text")]
    pub(crate) output: Output,
}

/// The form of the output.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For scripts: what the server answered.
    Json,
}

/// A server with credentials for it.
pub(crate) struct Running {
    url: String,
    user: String,
    secret: String,
    agent: ureq::Agent,
}

impl Which {
    /// Finds the server.
    pub(crate) fn find(&self) -> anyhow::Result<Running> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (&self.data, set("TERTULIA_URL")) {
            (Some(data), _) => Facts::read(data).map(Running::of),
            (None, None) => Facts::read(Path::new("tertulia-data")).map(Running::of),
            (None, Some(url)) => {
                let account = set("TWILIO_ACCOUNT_SID").zip(set("TWILIO_AUTH_TOKEN"));
                let key = || set("TWILIO_API_KEY").zip(set("TWILIO_API_SECRET"));
                let (user, secret) = account.or_else(key).context(
                    "TERTULIA_URL names a server, but there are no credentials for it: set TWILIO_ACCOUNT_SID and \
                     TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET",
                )?;
                Ok(Running::new(url, user, secret))
            }
        }
    }

    /// Prints what the server answered, or the text for people.
    pub(crate) fn show(&self, answer: &Value, text: impl FnOnce() -> String) {
        facts::print(&match self.output {
            Output::Json => format!("{answer:#}\n"),
            Output::Text => text(),
        });
    }
}

impl Running {
    fn of(facts: Facts) -> Self {
        Self::new(facts.url, facts.account_sid, facts.auth_token)
    }

    fn new(url: String, user: String, secret: String) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        Self { url: url.trim_end_matches('/').to_owned(), user, secret, agent: config.into() }
    }

    /// Calls an operation of Tertulia's own that is there in dev mode only.
    pub(crate) fn dev(&self, method: &str, path: &str, form: &[(&str, String)]) -> anyhow::Result<Value> {
        let (status, body) = self.call(method, &format!("/tertulia/v1{path}"), form)?;
        match status {
            200..=299 => Ok(body),
            404 if path.matches('/').count() == 1 => {
                bail!("{} is not in dev mode: only `tertulia dev` has a clock to move and faults to ask for", self.url)
            }
            401 => bail!("{} refuses these credentials", self.url),
            _ => Err(anyhow!("{}", body["message"].as_str().unwrap_or("the server gave no reason"))),
        }
    }

    /// Calls any operation.
    pub(crate) fn any(&self, method: &str, path: &str, form: &[(&str, String)]) -> anyhow::Result<Value> {
        match self.call(method, path, form)? {
            (200..=299, body) => Ok(body),
            (_, body) => Err(anyhow!("{}", body["message"].as_str().unwrap_or("the server gave no reason"))),
        }
    }

    fn call(&self, method: &str, path: &str, form: &[(&str, String)]) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.url);
        let credentials = format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.secret)));
        let sent = match method {
            "POST" => {
                let pairs = form.iter().map(|(name, value)| (*name, value.as_str()));
                self.agent.post(&url).header("Authorization", &credentials).send_form(pairs)
            }
            "DELETE" => self.agent.delete(&url).header("Authorization", &credentials).call(),
            _ => self.agent.get(&url).header("Authorization", &credentials).call(),
        };
        let mut answer = sent.map_err(|cause| {
            anyhow!("{} does not answer ({cause}); `tertulia dev` starts a server, `tertulia env` names one", self.url)
        })?;
        let text = answer.body_mut().read_to_string()?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::Null) };
        Ok((answer.status().as_u16(), body))
    }
}
