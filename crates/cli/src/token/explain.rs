//! `tertulia token explain`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use tertulia_token::{Directory, Given, KeyGiven, issuer_of};

use super::check::{ClockArgs, KeyArgs};
use super::{Output, TokenArg, print, print_json, remark, without_line_end};

/// Say what is wrong with a token, and what to change
///
/// Takes any text: a good or a bad token, a token of another kind, or what somebody took for one.
/// All checks are shown, not only the first that fails. The secret is optional; without it the
/// signature cannot be checked.
#[derive(Args)]
#[command(after_help = "Example:
  tertulia token explain \"$TOKEN\"
  TWILIO_API_SECRET=… tertulia token explain \"$TOKEN\"
  curl -s https://app.example/token | tertulia token explain")]
pub(crate) struct Explain {
    #[command(flatten)]
    token: TokenArg,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

pub(super) fn run(command: Explain, output: Output) -> Result<ExitCode> {
    if command.token.reads_stdin() && command.key.secret.reads_stdin() {
        bail!("token and secret cannot both come from standard input; give the token as an argument");
    }
    let world = command.key.world()?;
    let region = command.clock.region(world.as_ref());
    let piped = command.token.reads_stdin();
    let raw = command.token.raw()?;
    let token = if piped { without_line_end(&raw) } else { &raw };
    let issuer = issuer_of(token).unwrap_or_default();

    let known = world.as_ref().and_then(|world| world.find_key(&issuer, &region));
    let secret = if world.is_none() { command.key.secret.find()? } else { None };
    let key = match (&known, &secret, &world) {
        (Some(key), _, _) => KeyGiven::Known(key),
        (None, Some(secret), _) => KeyGiven::SecretOnly(secret),
        (None, None, Some(_)) => KeyGiven::Unknown,
        (None, None, None) => KeyGiven::NotLookedUp,
    };
    let given = Given {
        rules: command.clock.rules(&region),
        key,
        directory: world.as_ref().map(|world| world as &dyn Directory),
    };
    let explanation = tertulia_token::explain(token, &given);
    match output {
        Output::Text => print(explanation.to_string().trim_end())?,
        Output::Json => print_json(&explanation.to_json())?,
    }
    if let (Some(key_sid), Some(_)) = (&command.key.key_sid, &secret)
        && *key_sid != issuer
    {
        remark("note: the secret given here is that of another key than the one the token names in iss");
    }
    let refused = explanation.refusal.is_some();
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
