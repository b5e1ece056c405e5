//! HTTP Basic: an account SID with its auth token, or an API key SID with its secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use tertulia_protocol::{Code, Sid};

use crate::App;
use crate::accounts::commands::Credentials;
use crate::keys::Kind;
use crate::platform::{Caller, Error, Outcome, Source, Who};

/// Longer headers are no credentials of ours.
const HEADER_BYTES_MAX: usize = 1024;

/// The caller whom an `Authorization` header proves. Whatever is wrong with it, the answer is the same:
/// nobody learns which half was wrong, or whether the account exists.
pub(super) async fn authenticate(app: &App, header: Option<&[u8]>, hooks: bool) -> Outcome<Caller> {
    let refused = || Error::refused(Code::NotAuthenticated, "Authenticate");
    let (credentials, secret) = header.and_then(read).ok_or_else(refused)?;
    let stored = app.find_credentials(credentials).await?.ok_or_else(refused)?;
    // Every stored secret is compared, so that a match takes no less time than a miss.
    let mut matches = subtle::Choice::from(0);
    for expected in stored.open(&app.sealer)? {
        matches |= expected.expose().ct_eq(secret.as_bytes());
    }
    if !bool::from(matches) || stored.is_suspended {
        return Err(refused());
    }
    if !stored.is_active() {
        return Err(Error::refused(Code::AccountNotActive, "The account is not active"));
    }
    if stored.key.as_ref().is_some_and(|key| key.kind == Kind::Restricted) {
        // What its policy allows comes with IAM keys; until then it allows nothing.
        return Err(refused());
    }
    Ok(Caller {
        account: stored.account.number,
        account_sid: stored.account.sid,
        source: Source::Rest,
        who: Who::Account { key: stored.key.map(|key| key.sid) },
        hooks,
        address: None,
    })
}

fn read(header: &[u8]) -> Option<(Credentials, String)> {
    let header = std::str::from_utf8(header).ok().filter(|header| header.len() <= HEADER_BYTES_MAX)?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, secret) = decoded.split_once(':')?;
    let credentials = match (Sid::parse(user), Sid::parse(user)) {
        (Ok(account), _) => Credentials::Account(account),
        (_, Ok(key)) => Credentials::Key(key),
        _ => return None,
    };
    Some((credentials, secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn both_pairs_are_read_and_nonsense_is_not() {
        let hex = "0".repeat(32);
        assert!(matches!(read(header(&format!("AC{hex}:x")).as_bytes()), Some((Credentials::Account(_), _))));
        assert!(
            matches!(read(header(&format!("sk{hex}:a:b")).as_bytes()), Some((Credentials::Key(_), s)) if s == "a:b")
        );
        for nonsense in ["Basic", "Basic !", "Bearer x", &header("AC1:x"), &header("no colon")] {
            assert!(read(nonsense.as_bytes()).is_none(), "{nonsense}");
        }
    }
}
