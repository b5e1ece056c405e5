//! The keys that seal secrets, over all nouns: do they open what is stored, and changing them while serving.
//!
//! To change the key, a new one is put above the old ones, everything is sealed anew with it, and then the old
//! ones go. All the while the old ones still open what they sealed. Nothing here shows a key or a secret.

use std::time::Duration;

use serde::Serialize;
use tertulia_protocol::Code;
use tertulia_store::seal::{SealError, read_key_file};

use crate::platform::sealed::{Reseal, SealedColumn, TryKeys};
use crate::platform::{AccountNumber, Call, Caller, Error, Outcome, Reply, Route};
use crate::{App, accounts, keys, routes};

/// The routes.
pub const ROUTES: &[Route] = routes![
    Operator Post "/SealRotation" CreateSealRotation => rotate;
];

/// Every sealed column there is.
pub const COLUMNS: [&SealedColumn; 3] =
    [&accounts::queries::AUTH_TOKENS, &accounts::queries::SECONDARY_AUTH_TOKENS, &keys::queries::SECRETS];

/// How often it is looked whether changes from before a new key have come to their end.
const SETTLE_EVERY: Duration = Duration::from_millis(20);

#[derive(Serialize)]
struct Rotation {
    /// The key that seals now, by its id.
    seal_key_id: String,
    /// How many secrets were sealed anew.
    resealed_count: u64,
}

/// Reads the key file again, if the keys came from one, and seals everything anew with the first key.
async fn rotate(call: Call) -> Outcome<Reply> {
    if let Some(file) = &call.app.seal_file {
        // The sentence names the file and the line, never what stands there.
        let keys = read_key_file(file).map_err(|cause| Error::refused(Code::Conflict, cause.to_string()))?;
        call.app.sealer.take_up(&keys);
    }
    let resealed_count = call.app.reseal().await?;
    let seal_key_id = call.app.sealer.id().to_string();
    tracing::info!(seal_key_id, resealed_count, "secrets were sealed anew");
    Ok(Reply::ok(&Rotation { seal_key_id, resealed_count }))
}

impl App {
    /// Whether the keys open what is stored: a server that cannot read its secrets must not start.
    pub(crate) async fn try_seal_keys(&self) -> Outcome<Result<(), SealError>> {
        for column in COLUMNS {
            let question = TryKeys { column, ring: self.sealer.ring() };
            if let Err(cause) = self.db.ask(&Caller::nobody(), question).await? {
                return Ok(Err(cause));
            }
        }
        Ok(Ok(()))
    }

    /// Seals everything anew that another key than the present one has sealed, batch by batch. It is done when
    /// nobody holds keys from before any more and a whole round after that finds nothing: a change that was on its
    /// way when the key changed may come in with the old one long after the rounds have passed its row.
    pub(crate) async fn reseal(&self) -> Outcome<u64> {
        let mut all = 0;
        loop {
            let settled = self.sealer.is_settled();
            let mut round = 0;
            for column in COLUMNS {
                round += self.reseal_column(column).await?;
            }
            if round == 0 && settled {
                return Ok(all);
            }
            all += round;
            if !settled {
                tokio::time::sleep(SETTLE_EVERY).await;
            }
        }
    }

    async fn reseal_column(&self, column: &'static SealedColumn) -> Outcome<u64> {
        let mut count = 0;
        let mut next = Some((AccountNumber(i64::MIN), String::new()));
        while let Some(behind) = next {
            // Taken for each step: whoever changes the key meanwhile would otherwise wait for this, and this for that.
            let step = Reseal { column, behind, ring: self.sealer.ring() };
            let done = self.db.perform(&Caller::nobody(), step).await?;
            count += done.count;
            next = done.next;
        }
        Ok(count)
    }
}
