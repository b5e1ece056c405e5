//! `tertulia key rotate`, `evidence` and `delete`: changing a key with evidence that the old one is done with.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::facts;
use crate::running::{Output, Running, Whose, deleted, key_sid, text};

/// Create another key of the same kind, name and policy, wait until the old one is done with, and delete it.
///
/// If the server's own token endpoint signs with the old key, it signs with the new one at once, unless login.key of its
/// configuration names the old one: then this says what to change, and the old key stays. With -o json the new key is one
/// document on stdout, and everything else is said on stderr. Let your backend mint with the new key as soon as it is shown. The old one is deleted when no token of it
/// is known to live and as much time has passed as the longest token of your backend may live.
///
/// Example: tertulia key rotate SK… --credentials-file new-key.env
#[derive(Args)]
pub(super) struct Rotate {
    /// The SID of the key that is to go.
    #[arg(value_parser = key_sid)]
    sid: String,
    /// Write the new key and its secret into this file, for its owner alone, instead of showing them.
    #[arg(long, value_name = "PATH")]
    credentials_file: Option<PathBuf>,
    /// Seconds that the longest token of your backend lives.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    longest: u64,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    every: u64,
    /// Create the new key only; `tertulia key delete` retires the old one later.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    whose: Whose,
}

/// Show when a key was last used, and when it is safe to delete.
#[derive(Args)]
pub(super) struct Evidence {
    /// The key's SID.
    #[arg(value_parser = key_sid)]
    sid: String,
    #[command(flatten)]
    whose: Whose,
}

/// Delete a key, at once and with every token and connection of it.
#[derive(Args)]
pub(super) struct Delete {
    /// The key's SID.
    #[arg(value_parser = key_sid)]
    sid: String,
    /// Even if tokens of it live.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    whose: Whose,
}

/// A key of an account on a server.
struct Old<'a> {
    server: Running,
    account: String,
    sid: &'a str,
}

impl<'a> Old<'a> {
    fn find(whose: &Whose, sid: &'a str) -> anyhow::Result<Self> {
        let (server, account) = whose.find()?;
        Ok(Self { server, account, sid })
    }

    fn look(&self) -> anyhow::Result<Value> {
        self.server.call("GET", &format!("/tertulia/v1/Keys/{}/Evidence", self.sid), &[])
    }

    fn retire(&self) -> anyhow::Result<()> {
        let path = format!("/2010-04-01/Accounts/{}/Keys/{}.json", self.account, self.sid);
        self.server.call("DELETE", &path, &[])?;
        Ok(())
    }

    /// The key that takes its place.
    fn successor(&self) -> anyhow::Result<Value> {
        self.server.call("POST", &format!("/tertulia/v1/Keys/{}/Successor", self.sid), &[])
    }
}

/// Whether a token of the key is known to live.
fn is_alive(evidence: &Value) -> bool {
    evidence["has_live_tokens"] == true || evidence["connections"].as_u64().is_some_and(|count| count > 0)
}

pub(super) fn evidence(command: &Evidence) -> anyhow::Result<()> {
    let found = Old::find(&command.whose, &command.sid)?.look()?;
    command.whose.which.show(&found, || lines(&found));
    Ok(())
}

fn lines(evidence: &Value) -> String {
    let moment = |field: &str| evidence[field].as_str().unwrap_or("never");
    let signing = match (evidence["is_login_key"] == true, evidence["signs_for_token_endpoint"] == true) {
        (true, _) => "signs with it: login.key names it",
        (false, true) => "signs with it",
        (false, false) => "does not sign with it",
    };
    [
        ("last minted here", moment("last_minted")),
        ("last token came in", moment("last_used")),
        ("last called REST", moment("last_called")),
        ("connections", &evidence["connections"].to_string()),
        ("token endpoint", signing),
        ("latest expiry", moment("latest_expiry")),
        ("safe to delete at", moment("safe_to_delete_at")),
    ]
    .map(|(what, value)| format!("{what:<21}{value}\n"))
    .concat()
}

pub(super) fn delete(command: &Delete) -> anyhow::Result<()> {
    let old = Old::find(&command.whose, &command.sid)?;
    let found = old.look()?;
    if found["is_login_key"] == true && !command.force {
        bail!(
            "login.key of the server's configuration names {}: change it and restart the server first. --force deletes the \
             key all the same, and the token endpoint mints nothing until then",
            command.sid
        );
    }
    if is_alive(&found) && !command.force {
        let moment = text(&found, "safe_to_delete_at");
        bail!(
            "tokens of {} live; it is safe to delete at {moment}. --force ends them, and their connections, now",
            command.sid
        );
    }
    old.retire()?;
    command.whose.which.show(&deleted(&command.sid), || format!("{} is deleted\n", command.sid));
    Ok(())
}

pub(super) fn rotate(command: &Rotate) -> anyhow::Result<()> {
    // One document is the whole of stdout: what is said on the way goes elsewhere.
    let say = match command.whose.which.output {
        Output::Json => facts::remark,
        Output::Text => facts::print,
    };
    let old = Old::find(&command.whose, &command.sid)?;
    let made = old.successor()?;
    let new = text(&made, "sid");
    let pairs = [("TWILIO_API_KEY", new), ("TWILIO_API_SECRET", text(&made, "secret"))];
    command.whose.which.hand_over(&made, &pairs, command.credentials_file.as_deref())?;
    if made["signs_for_token_endpoint"] == true {
        say(&format!("the token endpoint signs with {new} from now on\n"));
    }
    let retire = format!("tertulia key delete {}", command.sid);
    let configured = (made["replaced_is_login_key"] == true).then(|| {
        format!(
            "login.key of the server's configuration names {}, and the token endpoint signs with that until it is changed: \
             set login.key = \"{new}\" in the file of --config (or TERTULIA__LOGIN__KEY={new}), restart the server, every \
             node of it, and retire the old key with `{retire}` (rotating it again would make another key)",
            command.sid
        )
    });
    match configured {
        Some(what) if command.no_wait => say(&format!("{new} is there; {what}\n")),
        // Whoever asked for all of it, in a script perhaps, has not got it.
        Some(what) => bail!("{new} is there, but the old key was not deleted: {what}"),
        None if command.no_wait => say(&format!("{new} is there; retire the old one with `{retire}`\n")),
        None => {
            say(&format!("{new} is there; let your backend use it now\n"));
            wait(&old, Duration::from_secs(command.longest), Duration::from_secs(command.every.max(1)), say)?;
            old.retire()?;
            say(&format!("{} is deleted\n", command.sid));
        }
    }
    Ok(())
}

/// Until the key is done with.
fn wait(old: &Old<'_>, longest: Duration, every: Duration, say: fn(&str)) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the backend's tokens live in real time, however long this waits")]
    let switched = Instant::now();
    let mut said = String::new();
    loop {
        let found = old.look()?;
        let is_needed = is_alive(&found);
        if !is_needed && switched.elapsed() >= longest {
            return Ok(());
        }
        let (count, moment) = (&found["connections"], text(&found, "safe_to_delete_at"));
        let line = match is_needed {
            true => format!("{} is still needed: {count} connections, safe to delete at {moment}\n", old.sid),
            // Once, and not with the seconds that are left: it is said again only when it has changed.
            false => format!(
                "no token of {} is known to live; it stays until {} s have passed, as long as one of your backend may live\n",
                old.sid,
                longest.as_secs()
            ),
        };
        if line != said {
            say(&line);
            said = line;
        }
        sleep(every);
    }
}
