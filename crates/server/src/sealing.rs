//! The keys that seal secrets, over all nouns: do they open what is stored, and changing them while serving.
//!
//! To change the key, a new one is put above the old ones, everything is sealed anew with it, and then the old
//! ones go. All the while the old ones still open what they sealed. Nothing here shows a key or a secret.

use std::sync::Arc;

use serde::Serialize;
use tertulia_protocol::Code;
use tertulia_store::seal::{SealError, read_key_file};

use crate::platform::sealed::{Reseal, SealedColumn, TryKeys};
use crate::platform::{AccountNumber, Call, Error, Outcome, Reply, Route};
use crate::{App, accounts, keys, routes};

/// The routes.
pub const ROUTES: &[Route] = routes![
    Operator Post "/SealRotation" CreateSealRotation => rotate;
];

/// Every sealed column there is.
pub const COLUMNS: [&SealedColumn; 3] =
    [&accounts::queries::AUTH_TOKENS, &accounts::queries::SECONDARY_AUTH_TOKENS, &keys::queries::SECRETS];

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
            let question = TryKeys { column, sealer: Arc::clone(&self.sealer) };
            if let Err(cause) = self.ask(&self.nobody(), question).await? {
                return Ok(Err(cause));
            }
        }
        Ok(Ok(()))
    }

    /// Seals everything anew that another key than the present one has sealed, batch by batch, until a whole
    /// round finds nothing: what was being written when the key changed is found by the next one.
    pub(crate) async fn reseal(&self) -> Outcome<u64> {
        let mut all = 0;
        loop {
            let mut round = 0;
            for column in COLUMNS {
                round += self.reseal_column(column).await?;
            }
            if round == 0 {
                return Ok(all);
            }
            all += round;
        }
    }

    async fn reseal_column(&self, column: &'static SealedColumn) -> Outcome<u64> {
        let mut count = 0;
        let mut next = Some((AccountNumber(i64::MIN), String::new()));
        while let Some(behind) = next {
            let step = Reseal { column, behind, sealer: Arc::clone(&self.sealer) };
            let done = self.perform(&self.nobody(), step).await?;
            count += done.count;
            next = done.next;
        }
        Ok(count)
    }
}
