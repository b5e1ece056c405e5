//! The keys that seal secrets, over all nouns: do they open what is stored, and changing them while serving.
//!
//! To change the key, a new one is put above the old ones, everything is sealed anew with it, and then the old
//! ones go. All the while the old ones still open what they sealed. Nothing here shows a key or a secret.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tertulia_protocol::Code;
use tertulia_store::seal::{KeyId, SealError, SealKey, read_key_file};

use crate::platform::sealed::{Reseal, SealedColumn, Tried, TryKeys};
use crate::platform::{AccountNumber, Call, Caller, Change, Cx, Error, Outcome, Question, Reply, Route};
use crate::{App, OpenError, accounts, keys, routes};

/// The routes.
pub const ROUTES: &[Route] = routes![
    Operator Post "/SealRotation" CreateSealRotation => rotate;
];

/// Every sealed column there is.
pub const COLUMNS: [&SealedColumn; 3] =
    [&accounts::queries::AUTH_TOKENS, &accounts::queries::SECONDARY_AUTH_TOKENS, &keys::queries::SECRETS];

/// How often a server on a shared database makes sure that its keys still open what is stored: another server
/// may have changed the key.
const WATCH_EVERY: Duration = Duration::from_secs(30);

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
    if call.app.dev.is_none() {
        // Nothing is sealed with it any more.
        call.app.db.perform(&Caller::nobody(), ForgetDevSealKey).await?;
    }
    let seal_key_id = call.app.sealer.id().to_string();
    tracing::info!(seal_key_id, resealed_count, "secrets were sealed anew");
    Ok(Reply::ok(&Rotation { seal_key_id, resealed_count }))
}

/// The key that dev mode has left in the database.
pub async fn dev_seal_key(cx: &mut Cx<'_, '_>) -> Outcome<Option<SealKey>> {
    let Some(bits) = accounts::queries::dev_seal_key(cx.tx).await? else { return Ok(None) };
    let bits = bits.try_into().map_err(|_| Error::Broken("installation.dev_seal_key is no key".to_owned()))?;
    Ok(Some(SealKey::new(bits)))
}

struct FindDevSealKey;

impl Question for FindDevSealKey {
    type Out = Option<KeyId>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<KeyId>> {
        Ok(dev_seal_key(cx).await?.map(|key| key.id()))
    }
}

#[derive(Clone)]
struct ForgetDevSealKey;

impl Change for ForgetDevSealKey {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        accounts::queries::set_dev_seal_key(cx.tx, None).await
    }
}

impl App {
    /// Makes sure that the keys open what is stored: a server that cannot read its secrets must not serve. To be
    /// asked again after everything that another server may have done first.
    pub async fn check_seal_keys(&self) -> Result<(), OpenError> {
        match self.try_seal_keys().await?.closed {
            Some(cause) => Err(cause.into()),
            None => Ok(()),
        }
    }

    async fn try_seal_keys(&self) -> Outcome<Tried> {
        self.db.ask(&Caller::nobody(), TryKeys { columns: &COLUMNS, ring: self.sealer.ring() }).await
    }

    /// Refuses to seal with a key that stands in the database itself, beside what it seals.
    pub(crate) async fn refuse_dev_seal_key(&self) -> Result<(), OpenError> {
        let left = self.db.ask(&Caller::nobody(), FindDevSealKey).await?;
        match left.filter(|id| *id == self.sealer.id()) {
            Some(id) => Err(OpenError::DevSealKey(id)),
            None => Ok(()),
        }
    }

    /// Looks from time to time whether the keys still open what other servers have stored.
    pub(crate) async fn watch_seals(app: Arc<Self>) {
        if !app.db.store.is_shared() {
            return;
        }
        let mut draining = app.draining();
        loop {
            tokio::select! {
                _ = draining.wait_for(|draining| *draining) => return,
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
            app.look_at_seals().await;
        }
    }

    /// Gives up when nothing that is stored opens any more. A server that still opens something says what it cannot
    /// open and goes on: one server with wrong keys must not take all the others down with it.
    pub async fn look_at_seals(&self) {
        if self.cannot_open().await.is_none() {
            return;
        }
        // The key may have been changed here between taking the keys and reading what is stored, so it counts only
        // when it is found twice.
        let Some((opened, cause)) = self.cannot_open().await else { return };
        match opened {
            0 => self.give_up(cause.to_string()),
            _ => tracing::error!("{cause}"),
        }
    }

    /// A value that was sealed with an unknown key, and how many of those tried do open. A store that does not
    /// answer says nothing about keys.
    async fn cannot_open(&self) -> Option<(usize, SealError)> {
        let tried = self.try_seal_keys().await.ok()?;
        let cause = tried.closed.filter(|cause| matches!(cause, SealError::UnknownKey { .. }))?;
        Some((tried.opened, cause))
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
