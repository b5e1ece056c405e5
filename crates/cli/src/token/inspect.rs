//! `tertulia token inspect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tertulia_token::decode_unchecked;

use super::{Output, TokenArg, print, print_json, remark};

/// Show what a token contains, without checking anything
///
/// Anybody can make a token that looks like this one; only `verify` tells whether it is good.
#[derive(Args)]
#[command(after_help = "Example:
  tertulia token inspect --token-file token.txt
  tertulia token mint … | tertulia token inspect -")]
pub(crate) struct Inspect {
    #[command(flatten)]
    token: TokenArg,
}

pub(super) fn run(command: Inspect, output: Output) -> Result<ExitCode> {
    let token = command.token.read()?;
    let (header, payload) = match decode_unchecked(&token) {
        Ok(parts) => parts,
        Err(refusal) => {
            remark(format_args!("this cannot be decoded: found {}; expected {}", refusal.found, refusal.expected));
            remark("`tertulia token explain` says more");
            if output == Output::Json {
                print_json(&json!({
                    "checked": false, "header": null, "payload": null,
                    "found": refusal.found, "expected": refusal.expected,
                }))?;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    remark(
        "NOT CHECKED: neither the signature nor anything else. Do not believe a word of it; use `tertulia token verify`.",
    );
    match output {
        Output::Text => {
            print(format_args!("header (not checked)\n{header:#}\n\npayload (not checked)\n{payload:#}"))?;
        }
        Output::Json => print_json(&json!({ "checked": false, "header": header, "payload": payload }))?,
    }
    Ok(ExitCode::SUCCESS)
}
