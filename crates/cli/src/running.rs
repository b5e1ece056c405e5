//! A server that runs already: finding it, proving oneself to it, calling it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tertulia_server::http::{ACCOUNT_HEADER, OPERATOR};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, TcpConnector};

use crate::facts::{self, Facts, write_whole};
use crate::secure::{Secure, Trust, is_disbelief};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which server is meant.
#[derive(Args)]
pub(crate) struct Which {
    /// The data folder of the server. [default: TERTULIA_URL with TWILIO_ACCOUNT_SID and
    /// TWILIO_AUTH_TOKEN (or TWILIO_API_KEY and TWILIO_API_SECRET) if set, else tertulia-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A PEM file with the authorities that vouch for a server at an `https` TERTULIA_URL. [default: TERTULIA_CA_FILE,
    /// else those of the operating system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The form of the output.
    #[arg(short = 'o', long = "output", value_enum, default_value = "text")]
    pub(crate) output: Output,
}

/// Which server, and which account there.
#[derive(Args)]
pub(crate) struct Whose {
    /// The account's SID; not needed when there is only one, or for an account's own credentials.
    #[arg(long, value_name = "SID", value_parser = account_sid)]
    account: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
}

impl Whose {
    /// The server, and the account.
    pub(crate) fn find(&self) -> anyhow::Result<(Running, String)> {
        let mut server = self.which.operator()?;
        let account = server.choose_account(self.account.as_deref())?;
        Ok((server, account))
    }
}

/// The form of the output.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For scripts: what the server answered.
    Json,
}

impl Output {
    /// Prints what the server answered, or the text for people.
    pub(crate) fn show(self, answer: &Value, text: impl FnOnce() -> String) {
        facts::print(&match self {
            Self::Json => format!("{answer:#}\n"),
            Self::Text => text(),
        });
    }
}

/// A server with credentials for it.
pub(crate) struct Running {
    url: String,
    credentials: Credentials,
    /// Whom the operator acts for.
    account: Option<String>,
    agent: ureq::Agent,
    /// With TLS: whose certificate is believed.
    trust: Option<Trust>,
}

/// What one proves oneself with.
struct Credentials {
    user: String,
    secret: String,
    /// The `run.json` they came from, if it was not the environment.
    file: Option<PathBuf>,
}

impl Credentials {
    /// Of an account, or else of an API key, by the variables that people already use.
    fn from_environment() -> Option<Self> {
        let pairs = [("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"), ("TWILIO_API_KEY", "TWILIO_API_SECRET")];
        pairs.into_iter().find_map(|(user, secret)| Some(Self { user: set(user)?, secret: set(secret)?, file: None }))
    }

    /// Where they came from.
    fn source(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None if self.user.starts_with("AC") => "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN".to_owned(),
            None => "TWILIO_API_KEY and TWILIO_API_SECRET".to_owned(),
        }
    }

    /// What to think of when no server answers.
    fn when_silent(&self) -> String {
        match &self.file {
            Some(file) => format!(
                "{} names it, and stays behind when a server is killed: `tertulia serve` or `tertulia dev` starts it \
                 again",
                file.display()
            ),
            None => "TERTULIA_URL names it".to_owned(),
        }
    }
}

/// The folder that is meant when none is named.
const FOLDER: &str = "tertulia-data";

impl Which {
    /// Finds a dev server, with the credentials of its account.
    pub(crate) fn find(&self) -> anyhow::Result<Running> {
        let Some(facts) = self.facts()? else { return self.by_environment() };
        let Some(dev) = facts.dev else {
            bail!("{} is not in dev mode: only `tertulia dev` has a clock to move and faults to ask for", facts.url)
        };
        let credentials = self.credentials(&dev.account_sid, dev.auth_token);
        Running::new(facts.url, credentials, facts.certificate.map(Trust::Exactly))
    }

    /// Finds a server, as whoever runs it; by the environment, with an account's credentials.
    pub(crate) fn operator(&self) -> anyhow::Result<Running> {
        match self.facts()? {
            Some(facts) => {
                let credentials = self.credentials(OPERATOR, facts.operator);
                Running::new(facts.url, credentials, facts.certificate.map(Trust::Exactly))
            }
            None => self.by_environment(),
        }
    }

    fn credentials(&self, user: &str, secret: String) -> Credentials {
        Credentials { user: user.to_owned(), secret, file: Some(Facts::file(self.folder())) }
    }

    fn by_environment(&self) -> anyhow::Result<Running> {
        let url = set("TERTULIA_URL").context("TERTULIA_URL is not set")?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("TERTULIA_URL is {url}; it has to look like https://chat.example.com");
        }
        let credentials = Credentials::from_environment().context(
            "TERTULIA_URL names a server, but there are no credentials for it: set TWILIO_ACCOUNT_SID and \
             TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET; on the server's own machine, --data names \
             its folder instead",
        )?;
        let named = self.ca.clone().or_else(|| set("TERTULIA_CA_FILE").map(PathBuf::from));
        let is_secure = url.starts_with("https://");
        let trust = is_secure.then(|| Trust::authorities(named.as_deref())).transpose()?;
        Running::new(url, credentials, trust)
    }

    /// The file that the server has its seal keys from, if it is not the environment.
    pub(crate) fn seal_key_file(&self) -> anyhow::Result<Option<PathBuf>> {
        Ok(self.facts()?.and_then(|facts| facts.seal_key_file))
    }

    fn folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new(FOLDER))
    }

    fn facts(&self) -> anyhow::Result<Option<Facts>> {
        if self.data.is_none() && set("TERTULIA_URL").is_some() {
            Ok(None)
        } else {
            Facts::read(self.folder()).map(Some)
        }
    }

    /// Prints what the server answered, or the text for people.
    pub(crate) fn show(&self, answer: &Value, text: impl FnOnce() -> String) {
        self.output.show(answer, text);
    }

    /// Hands over what is shown once: on stdout, or as lines in a file for its owner alone; then JSON on stdout has null in
    /// its place.
    pub(crate) fn hand_over(&self, answer: &Value, pairs: &[(&str, &str)], file: Option<&Path>) -> anyhow::Result<()> {
        let lines = facts::lines("", pairs);
        let Some(file) = file else {
            self.show(answer, || lines);
            return Ok(());
        };
        write_whole(file, &lines)?;
        if self.output == Output::Json {
            let mut shown = answer.clone();
            for field in shown.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
                // It is in the file and nowhere else.
                if is_secret(field, pairs) {
                    *field = Value::Null;
                }
            }
            facts::print(&format!("{shown:#}\n"));
        }
        Ok(())
    }
}

/// Whether it is what only the lines may show.
fn is_secret(field: &Value, pairs: &[(&str, &str)]) -> bool {
    pairs.iter().any(|(name, value)| (name.ends_with("_SECRET") || name.ends_with("_TOKEN")) && *field == *value)
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Running {
    fn new(url: String, credentials: Credentials, trust: Option<Trust>) -> anyhow::Result<Self> {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        // Credentials go to the server and to nobody in between.
        let config = config.proxy(None).build();
        let agent = match &trust {
            None => config.into(),
            Some(trust) => {
                let connector = TcpConnector::default().chain(Secure::new(trust)?);
                ureq::Agent::with_parts(config, connector, DefaultResolver::default())
            }
        };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, credentials, account: None, agent, trust })
    }

    /// Whether this is whoever runs the server, and not an account.
    pub(crate) fn is_operator(&self) -> bool {
        self.credentials.user == OPERATOR
    }

    /// The account that a command is about: the one that is named, or the only one there is. From now on the
    /// operator acts for it.
    pub(crate) fn choose_account(&mut self, named: Option<&str>) -> anyhow::Result<String> {
        let sid = match named {
            Some(sid) => sid.to_owned(),
            None if self.is_operator() => {
                let page = self.call("GET", "/tertulia/v1/Accounts?PageSize=2", &[])?;
                match page["accounts"].as_array().map(Vec::as_slice) {
                    Some([only]) => text(only, "sid").to_owned(),
                    Some([]) => bail!("there is no account yet; `tertulia account create NAME` makes one"),
                    _ => bail!("there are several accounts; say which with --account (`tertulia account list`)"),
                }
            }
            None => text(&self.call("GET", "/v1/Configuration", &[])?, "account_sid").to_owned(),
        };
        self.account = Some(sid.clone());
        Ok(sid)
    }

    /// Calls an operation of Tertulia's own that is there in dev mode only.
    pub(crate) fn dev(&self, method: &str, path: &str, form: &[(&str, String)]) -> anyhow::Result<Value> {
        match self.send(method, &format!("/tertulia/v1{path}"), form)? {
            (404, _) if path.matches('/').count() == 1 => {
                bail!("{} is not in dev mode: only `tertulia dev` has a clock to move and faults to ask for", self.url)
            }
            answer => self.good(path, answer),
        }
    }

    /// Calls any operation.
    pub(crate) fn call(&self, method: &str, path: &str, form: &[(&str, String)]) -> anyhow::Result<Value> {
        self.good(path, self.send(method, path, form)?)
    }

    /// Calls an operation that may ask whether it is meant so: the inner error is the question.
    pub(crate) fn call_or_ask(&self, path: &str, form: &[(&str, String)]) -> anyhow::Result<Result<Value, String>> {
        match self.send("POST", path, form)? {
            (409, body) => Ok(Err(text(&body, "message").to_owned())),
            answer => self.good(path, answer).map(Ok),
        }
    }

    /// Every row of a list, page by page.
    pub(crate) fn list(&self, path: &str, key: &str) -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let mut page = self.call("GET", &path, &[])?;
            rows.extend(page[key].as_array_mut().map(std::mem::take).unwrap_or_default());
            let url = page["next_page_uri"].as_str().or_else(|| page["meta"]["next_page_url"].as_str());
            // Only the path: whatever host the server thinks it has, it was reached under another.
            next = url.map(path_of);
        }
        Ok(rows)
    }

    fn good(&self, path: &str, (status, body): (u16, Value)) -> anyhow::Result<Value> {
        match status {
            200..=299 => Ok(body),
            401 if body["message"] == "Authenticate" => {
                bail!("{} refuses the credentials in {}", self.url, self.credentials.source())
            }
            404 if text(&body, "message").starts_with("The requested resource") => Err(self.missing(path)),
            _ => Err(anyhow!("{}", body["message"].as_str().unwrap_or("the server gave no reason"))),
        }
    }

    /// What is not there, and where to look for what is.
    fn missing(&self, path: &str) -> anyhow::Error {
        let account = self.account.as_deref().unwrap_or(&self.credentials.user);
        let (kind, sid) = path
            .trim_end_matches(".json")
            .trim_end_matches("/Evidence")
            .trim_end_matches("/Successor")
            .rsplit_once('/')
            .unwrap_or_default();
        match kind.rsplit('/').next().unwrap_or_default() {
            "Revocations" => {
                anyhow!("{account} has no revocation {sid}; `tertulia revocation list` shows what is in force")
            }
            "Keys" => anyhow!("{account} has no API key {sid}; `tertulia key list` shows those it has"),
            "Services" => anyhow!("{account} has no chat service {sid}; `tertulia service list` shows those it has"),
            "Accounts" => anyhow!("there is no account {sid}; `tertulia account list` shows those there are"),
            "Owners" => {
                let identity = sid.split('?').next().unwrap_or_default();
                anyhow!("nobody owns the identity {identity}; `tertulia owner list` shows which are owned")
            }
            "ApiTokens" => anyhow!("{account} has no API token {sid}; `tertulia api-token list` shows those it has"),
            "Faults" => anyhow!("there is no fault {sid}; `tertulia fault list` shows those there are"),
            "Tokens" => {
                anyhow!("{account} has no such entry; `tertulia audit list --event token.refused` shows those it has")
            }
            "AuthTokens" => {
                anyhow!("{account} has no secondary auth token; `tertulia account auth-token secondary` makes one")
            }
            _ => anyhow!("there is no account {account}; `tertulia account list` shows those there are"),
        }
    }

    fn unanswered(&self, cause: &ureq::Error) -> anyhow::Error {
        match &self.trust {
            Some(trust) if is_disbelief(cause) => anyhow!("{} is not believed: {}", self.url, trust.advice()),
            _ => anyhow!("{} does not answer ({cause}); {}", self.url, self.credentials.when_silent()),
        }
    }

    fn send(&self, method: &str, path: &str, form: &[(&str, String)]) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.url);
        let credentials =
            format!("Basic {}", STANDARD.encode(format!("{}:{}", self.credentials.user, self.credentials.secret)));
        let account = self.account.as_deref().filter(|_| self.is_operator());
        let headers = [("Authorization", Some(credentials.as_str())), (ACCOUNT_HEADER, account)];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let sent = match method {
            "POST" => {
                let pairs = form.iter().map(|(name, value)| (*name, value.as_str()));
                let call = headers.fold(self.agent.post(&url), |call, (name, value)| call.header(name, value));
                call.send_form(pairs)
            }
            "DELETE" => headers.fold(self.agent.delete(&url), |call, (name, value)| call.header(name, value)).call(),
            _ => headers.fold(self.agent.get(&url), |call, (name, value)| call.header(name, value)).call(),
        };
        let mut answer = sent.map_err(|cause| self.unanswered(&cause))?;
        let text = answer.body_mut().read_to_string()?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::Null) };
        Ok((answer.status().as_u16(), body))
    }
}

/// Reads an account's SID.
pub(crate) fn account_sid(text: &str) -> Result<String, String> {
    sid(text, "AC", "an account's SID")
}

/// Reads an API key's SID.
pub(crate) fn key_sid(text: &str) -> Result<String, String> {
    sid(text, "SK", "an API key's SID")
}

/// Reads a chat service's SID.
pub(crate) fn service_sid(text: &str) -> Result<String, String> {
    sid(text, "IS", "a chat service's SID")
}

/// Only what looks like a SID becomes a part of a path.
fn sid(text: &str, prefix: &str, what: &str) -> Result<String, String> {
    let digits = text.split_at_checked(2).filter(|(two, _)| two.eq_ignore_ascii_case(prefix)).map(|(_, rest)| rest);
    match digits {
        Some(digits) if digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("{what} is {prefix} and 32 hexadecimal digits")),
    }
}

/// The path and query of a URL; a path stays as it is.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or_else(String::new, |at| rest[at..].to_owned())
}

/// A field that is a text.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// What is printed as JSON of something that is no more: the server answers nothing then.
pub(crate) fn deleted(what: &str) -> Value {
    json!({ "deleted": what })
}

/// The fields of one thing, a line each; a list is written as JSON.
pub(crate) fn fields(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs = pairs.filter(|(name, _)| !matches!(name.as_str(), "url" | "uri" | "links" | "subresource_uris"));
    pairs.fold(String::new(), |mut lines, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(lines, "{name:<26}{value}");
        lines
    })
}
