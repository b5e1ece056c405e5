//! `tertulia token mint`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use tertulia_token::{ChatGrant, Grant, MintError, SyncGrant, TaskRouterGrant, VideoGrant, VoiceGrant};

use super::{Output, SecretArgs, chance, now, print, print_json, remark};

/// Mint an Access Token
///
/// The token goes to standard output and nothing else, so it can be piped; advice goes to standard
/// error. Works for Twilio as well as for your own service.
#[derive(Args)]
#[command(after_help = "Example:
  export TWILIO_ACCOUNT_SID=AC… TWILIO_API_KEY=SK… TWILIO_API_SECRET=…
  tertulia token mint --identity alice --chat-service-sid IS… --ttl 14400")]
pub(crate) struct Mint {
    /// The account (AC…)
    #[arg(long, value_name = "SID", env = "TWILIO_ACCOUNT_SID")]
    account_sid: String,
    /// The API key that signs (SK…), Main or Standard
    #[arg(long, value_name = "SID", env = "TWILIO_API_KEY")]
    key_sid: String,
    #[command(flatten)]
    secret: SecretArgs,
    /// The user the token is for
    #[arg(long, value_name = "NAME")]
    identity: String,
    /// How long the token is valid, 1 to 86400
    #[arg(long, value_name = "SECONDS", default_value_t = tertulia_token::TTL_DEFAULT, allow_negative_numbers = true)]
    ttl: i64,
    /// The region of the key, for example ie1; leave it out for the home region
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Valid from this Unix time on; without it, at once
    #[arg(long, value_name = "TIME")]
    nbf: Option<i64>,
    /// Issue the token at this Unix time instead of now
    #[arg(long, value_name = "TIME")]
    now: Option<i64>,
    /// A word in the token's name (jti), before its random part, for finding it in a log
    #[arg(long, value_name = "TEXT")]
    jti_suffix: Option<String>,
    /// Mint whatever was asked for, as the official library for Node would
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    chat: Chat,
    #[command(flatten)]
    voice: Voice,
    #[command(flatten)]
    other: Other,
}

#[derive(Args)]
#[command(next_help_heading = "Chat grant")]
struct Chat {
    /// The chat service (IS…)
    #[arg(long, value_name = "SID", env = "TWILIO_CHAT_SERVICE_SID")]
    chat_service_sid: Option<String>,
    /// An endpoint; not needed today. Goes into every grant that has one
    #[arg(long, value_name = "TEXT")]
    endpoint_id: Option<String>,
    /// The role of this connection (RL…)
    #[arg(long, value_name = "SID", requires = "chat_service_sid")]
    deployment_role_sid: Option<String>,
    /// The push credential (CR…)
    #[arg(long, value_name = "SID", requires = "chat_service_sid")]
    push_credential_sid: Option<String>,
}

#[derive(Args)]
#[command(next_help_heading = "Voice grant")]
struct Voice {
    /// The application for outgoing calls (AP…)
    #[arg(long, value_name = "SID")]
    voice_outgoing_application_sid: Option<String>,
    /// Allow incoming calls
    #[arg(long)]
    voice_incoming: bool,
    /// The push credential for calls (CR…)
    #[arg(long, value_name = "SID")]
    voice_push_credential_sid: Option<String>,
    /// A parameter for the application; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    voice_param: Vec<(String, String)>,
}

#[derive(Args)]
#[command(next_help_heading = "Other grants")]
struct Other {
    /// Sync: the service (IS…, or default)
    #[arg(long, value_name = "SID")]
    sync_service_sid: Option<String>,
    /// Video: one room, or every room when no name is given
    #[arg(long, value_name = "ROOM", num_args = 0..=1, default_missing_value = "")]
    video_room: Option<String>,
    /// TaskRouter: the workspace (WS…)
    #[arg(long, value_name = "SID")]
    task_router_workspace_sid: Option<String>,
    /// TaskRouter: the worker (WK…)
    #[arg(long, value_name = "SID", requires = "task_router_workspace_sid")]
    task_router_worker_sid: Option<String>,
    /// TaskRouter: the role, for example worker
    #[arg(long, value_name = "NAME", requires = "task_router_workspace_sid")]
    task_router_role: Option<String>,
    /// Playback: the object that the live API returned, as JSON
    #[arg(long, value_name = "JSON")]
    playback_grant: Option<String>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a parameter is written NAME=VALUE".to_owned()),
    }
}

pub(super) fn run(command: Mint, output: Output) -> Result<ExitCode> {
    let secret = command.secret.get()?;
    let grants = grants(&command)?;
    let granted = !grants.is_empty();
    let mut mint =
        tertulia_token::Mint::new(&command.account_sid, &command.key_sid, &secret).identity(&command.identity);
    for grant in grants {
        mint = mint.grant(grant);
    }
    mint = mint.ttl(command.ttl);
    if let Some(region) = &command.region {
        mint = mint.region(region);
    }
    if let Some(not_before) = command.nbf {
        mint = mint.not_before(not_before);
    }
    if let Some(suffix) = &command.jti_suffix {
        mint = mint.jti_suffix(suffix);
    }
    if command.lenient {
        mint = mint.lenient();
    }
    let minted = mint.sign(now(command.now), chance()).map_err(in_the_words_of_flags)?;
    let mut advice: Vec<_> = minted.advice.iter().map(ToString::to_string).collect();
    if !granted {
        advice.push("the token grants nothing; for chat give --chat-service-sid".to_owned());
    }
    for advice in &advice {
        remark(format_args!("advice: {advice}"));
    }
    match output {
        Output::Text => print(&minted.token)?,
        Output::Json => print_json(&json!({
            "token": minted.token,
            "identity": command.identity,
            "jti": minted.jti,
            "expires_at": minted.expires_at,
            "advice": advice,
        }))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Names the flag where the library can only name the field.
fn in_the_words_of_flags(error: MintError) -> anyhow::Error {
    let flag = match &error {
        MintError::Sid { field, .. } if field.starts_with("Account SID") => "--account-sid",
        MintError::Sid { field, .. } if field.starts_with("API Key SID") => "--key-sid",
        MintError::NoIdentity | MintError::Identity(_) => "--identity",
        MintError::TtlNotPositive(_) | MintError::TtlTooLong { .. } => "--ttl",
        MintError::NotBeforeAfterExpiry { .. } => "--nbf",
        MintError::Region => "--region",
        MintError::JtiSuffixTooLong { .. } => "--jti-suffix",
        MintError::ChatWithoutService | MintError::ChatWithMessagingService => "--chat-service-sid",
        MintError::VoiceParamsWithoutApplication => "--voice-param",
        _ => return error.into(),
    };
    anyhow::Error::new(error).context(flag)
}

fn grants(command: &Mint) -> Result<Vec<Grant>> {
    let Mint { chat, voice, other, .. } = command;
    let endpoint_id = || chat.endpoint_id.clone();
    let mut grants: Vec<Grant> = Vec::new();
    if let Some(service) = &chat.chat_service_sid {
        let mut grant = ChatGrant::new(service);
        grant.endpoint_id = endpoint_id();
        grant.deployment_role_sid = chat.deployment_role_sid.clone();
        grant.push_credential_sid = chat.push_credential_sid.clone();
        grants.push(grant.into());
    }
    if let Some(service) = &other.sync_service_sid {
        let service_sid = Some(service.clone());
        grants.push(SyncGrant { service_sid, endpoint_id: endpoint_id() }.into());
    }
    if let Some(room) = &other.video_room {
        let room = Some(room.clone()).filter(|room| !room.is_empty());
        grants.push(VideoGrant { room }.into());
    }
    let grant = voice_grant(voice);
    if grant != VoiceGrant::default() {
        grants.push(VoiceGrant { endpoint_id: endpoint_id(), ..grant }.into());
    }
    if let Some(workspace) = &other.task_router_workspace_sid {
        let grant = TaskRouterGrant {
            workspace_sid: Some(workspace.clone()),
            worker_sid: other.task_router_worker_sid.clone(),
            role: other.task_router_role.clone(),
        };
        grants.push(grant.into());
    }
    if let Some(playback) = &other.playback_grant {
        grants.push(playback_grant(playback)?);
    }
    Ok(grants)
}

fn voice_grant(voice: &Voice) -> VoiceGrant {
    let params: Map<String, Value> =
        voice.voice_param.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    VoiceGrant {
        incoming: voice.voice_incoming,
        outgoing_application_sid: voice.voice_outgoing_application_sid.clone(),
        outgoing_params: Some(params).filter(|params| !params.is_empty()),
        push_credential_sid: voice.voice_push_credential_sid.clone(),
        endpoint_id: None,
    }
}

fn playback_grant(text: &str) -> Result<Grant> {
    match serde_json::from_str(text).context("--playback-grant is not JSON")? {
        Value::Object(object) => Ok(Grant::Playback(object)),
        _ => bail!("--playback-grant must be a JSON object"),
    }
}
