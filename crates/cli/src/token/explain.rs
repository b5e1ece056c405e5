//! `tertulia token explain`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tertulia_token::{Directory, Given, KeyGiven, issuer_of};

use super::check::{ClockArgs, KeyArgs, one_from_stdin};
use super::{Output, TokenArg, print, print_json};

/// Say what is wrong with a token, and what to change
///
/// Takes any text: a good or a bad token, a token of another kind, what somebody took for one, or a text that
/// contains one, such as a header line, a curl command or the answer of a token endpoint. All checks are shown, not
/// only the first that fails. The secret is optional; without it the signature cannot be checked. With the same
/// arguments `verify` gives the same verdict.
#[derive(Args)]
#[command(after_help = "Example:
  tertulia token explain --token-file token.txt
  tertulia token explain                       paste the token, then Ctrl-D
  curl -s https://app.example/token | tertulia token explain -
  export TWILIO_API_SECRET=…                   checks the signature, too")]
pub(crate) struct Explain {
    #[command(flatten)]
    token: TokenArg,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    clock: ClockArgs,
}

pub(super) fn run(command: Explain, output: Output) -> Result<ExitCode> {
    one_from_stdin(&command.token, &command.key)?;
    let world = command.key.world()?;
    let region = command.clock.region(world.as_ref());
    let token = command.token.read()?;
    let known = world.as_ref().and_then(|world| world.find_key(&issuer_of(&token).unwrap_or_default(), &region));
    let part = command.key.part()?;
    let key = match (&known, &world) {
        (Some(key), _) => KeyGiven::Known(key),
        (None, Some(_)) => KeyGiven::Unknown,
        (None, None) => KeyGiven::Partly(&part),
    };
    let directory = world.as_ref().map(|world| world as &dyn Directory);
    let given = Given { rules: command.clock.rules(&region), key, directory, revoked: None };
    let explanation = tertulia_token::explain(&token, &given);
    match output {
        Output::Text => print(explanation.to_string().trim_end())?,
        Output::Json => print_json(&explanation.to_json())?,
    }
    let refused = explanation.refusal.is_some();
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
