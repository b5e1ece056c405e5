//! `tertulia token verify`, and what it shares with `explain`: clock, key and world.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tertulia_token::{AccessToken, ChatAccess, Directory, Key, Known, PartOfKey, Refusal, Rules, chat, parse, verify};

use super::world::World;
use super::{Output, SecretArgs, TokenArg, now, print, print_json, remark};

/// Check a token as a service would
///
/// With --world the key is looked up there. Without it the key is the one given here: its secret
/// is needed, its SID and account are compared when they are given.
#[derive(Args)]
#[command(after_help = "Example:
  export TWILIO_API_SECRET=…
  tertulia token verify --token-file token.txt
  tertulia token mint … | tertulia token verify -
  tertulia token verify --world world.json --chat --now 1700000000 < token.txt")]
pub(crate) struct Verify {
    #[command(flatten)]
    token: TokenArg,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    clock: ClockArgs,
    /// Also check what the chat service checks: identity, chat grant, and with --world the
    /// service, role and push credential
    #[arg(long)]
    chat: bool,
}

/// The key, for `verify` and `explain`.
#[derive(Args)]
pub(super) struct KeyArgs {
    /// The API key that should have signed (SK…)
    #[arg(long, value_name = "SID", env = "TWILIO_API_KEY")]
    pub(super) key_sid: Option<String>,
    /// The account the key belongs to (AC…)
    #[arg(long, value_name = "SID", env = "TWILIO_ACCOUNT_SID")]
    pub(super) account_sid: Option<String>,
    #[command(flatten)]
    pub(super) secret: SecretArgs,
    /// JSON file with the accounts, keys, services, roles and push_credentials that exist
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
}

impl KeyArgs {
    pub(super) fn world(&self) -> Result<Option<World>> {
        self.world.as_deref().map(World::read).transpose()
    }

    /// The key of the arguments, as far as it was given. What is missing is taken to be as the token says, by
    /// `verify` and by `explain` alike.
    pub(super) fn part(&self) -> Result<PartOfKey> {
        let secret = self.secret.find()?;
        Ok(PartOfKey { sid: self.key_sid.clone(), account_sid: self.account_sid.clone(), secret })
    }
}

/// The clock and the tolerances, for `verify` and `explain`.
#[derive(Args)]
pub(super) struct ClockArgs {
    /// The Unix time to check at, instead of now
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    now: Option<i64>,
    /// By how many seconds the minting clock may be ahead (0 to 300)
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = tolerance())]
    leeway: i64,
    /// For how many seconds a token still works after exp (0 to 300)
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = tolerance())]
    grace: i64,
    /// The region of the service; without it that of the world, or us1
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
}

fn tolerance() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(0..=tertulia_token::TOLERANCE_MAX)
}

impl ClockArgs {
    pub(super) fn region(&self, world: Option<&World>) -> String {
        let world = world.and_then(|world| world.region.clone());
        self.region.clone().or(world).unwrap_or_else(|| "us1".to_owned())
    }

    pub(super) fn rules(&self, region: &str) -> Rules {
        Rules::at(now(self.now)).leeway(self.leeway).grace(self.grace).region(region.to_owned())
    }
}

pub(super) fn run(command: Verify, output: Output) -> Result<ExitCode> {
    one_from_stdin(&command.token, &command.key)?;
    let world = command.key.world()?;
    let region = command.clock.region(world.as_ref());
    let rules = command.clock.rules(&region);
    let token = command.token.read()?;
    let part = match &world {
        Some(_) => PartOfKey::default(),
        None => with_secret(&command.key)?,
    };
    let find = |issuer: &str, subject: &str| match &world {
        Some(world) => world.find_key(issuer, &region),
        None => part.assume(issuer, subject, &rules),
    };
    let (token, access) = match check(&token, find, &rules, command.chat, world.as_ref()) {
        Ok(checked) => checked,
        Err(refusal) => return refused(&refusal, output),
    };
    accepted(&token, access.as_ref(), &rules, output)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn one_from_stdin(token: &TokenArg, key: &KeyArgs) -> Result<()> {
    if token.reads_stdin() && key.secret.reads_stdin() {
        bail!("token and secret cannot both come from standard input; name a file with --token-file");
    }
    Ok(())
}

type Checked = (AccessToken, Option<Value>);

fn check(
    token: &str,
    find: impl Fn(&str, &str) -> Option<Key>,
    rules: &Rules,
    for_chat: bool,
    world: Option<&World>,
) -> Result<Checked, Refusal> {
    // Without a world nobody knows what exists; the shape of the grant is checked all the same.
    const ANYTHING: Known = Known { service: true, role: true, push_credential: true };
    let unverified = parse(token)?;
    let key = find(unverified.issuer(), unverified.subject());
    let token = verify(unverified, key.as_ref(), rules)?;
    let directory = world.map_or(&ANYTHING as &dyn Directory, |world| world as &dyn Directory);
    let access = if for_chat { Some(access_json(&chat(&token, directory)?, world.is_some())) } else { None };
    Ok((token, access))
}

/// The key of the arguments, whose secret is needed to verify.
fn with_secret(args: &KeyArgs) -> Result<PartOfKey> {
    let part = args.part()?;
    let secret = part.secret.as_ref().context(
        "no API Key Secret to check with: set TWILIO_API_SECRET, name a file with --secret-file, or a world with --world",
    )?;
    if let Some(fault) = secret.fault() {
        remark(format_args!("note: {fault}"));
    }
    Ok(part)
}

fn accepted(token: &AccessToken, access: Option<&Value>, rules: &Rules, output: Output) -> Result<()> {
    let left = rules.dies_at(token).saturating_sub(rules.now());
    match output {
        Output::Text => {
            remark(format_args!("valid for another {left} s"));
            print(format_args!("{:#}", token.payload()))?;
            access.map_or(Ok(()), |access| print(format_args!("chat access\n{access:#}")))
        }
        Output::Json => print_json(&json!({
            "valid": true,
            "valid_for_seconds": left,
            "header": token.header(),
            "payload": token.payload(),
            "chat": access,
        })),
    }
}

fn refused(refusal: &Refusal, output: Output) -> Result<ExitCode> {
    remark(refusal);
    match output {
        Output::Text => {
            remark("`tertulia token explain` shows all checks and says what to change; it takes the same arguments")
        }
        Output::Json => print_json(&json!({
            "valid": false,
            "code": refusal.code,
            "message": refusal.name(),
            "check": refusal.check.name(),
            "found": refusal.found,
            "expected": refusal.expected,
        }))?,
    }
    Ok(ExitCode::FAILURE)
}

fn access_json(access: &ChatAccess, looked_up: bool) -> Value {
    json!({
        "identity": access.identity,
        "service_sid": access.service_sid,
        "deployment_role_sid": access.deployment_role_sid,
        "push_credential_sid": access.push_credential_sid,
        "looked_up": looked_up,
    })
}
