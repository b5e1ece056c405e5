//! HTTP Basic: an account SID with its auth token, an API key SID with its secret, or `operator` with the
//! credential that the server wrote into its data folder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use tertulia_protocol::{Code, Sid};

use crate::App;
use crate::accounts::commands::Credentials;
use crate::keys::Key;
use crate::platform::{Caller, Error, Outcome, Power, Source, Who};

/// The user name of whoever runs the server.
pub const OPERATOR: &str = "operator";

/// Longer headers are no credentials of ours.
const HEADER_BYTES_MAX: usize = 1024;

/// The caller whom an `Authorization` header proves. Whatever is wrong with it, the answer is the same:
/// nobody learns which half was wrong, or whether the account exists.
pub(super) async fn authenticate(app: &App, header: Option<&[u8]>, hooks: bool) -> Outcome<Caller> {
    let refused = || Error::refused(Code::NotAuthenticated, "Authenticate");
    let (name, secret) = header.and_then(read).ok_or_else(refused)?;
    let credentials = match name {
        Name::Operator => {
            let known = app.operator.as_ref().ok_or_else(refused)?;
            let matches = bool::from(known.expose().ct_eq(secret.as_bytes()));
            let caller = Caller { source: Source::Rest, who: Who::Operator, hooks, ..Caller::nobody() };
            return if matches { Ok(caller) } else { Err(refused()) };
        }
        Name::Credentials(credentials) => credentials,
    };
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
    let power = stored.key.as_ref().map_or(Power::Everything, Key::power);
    Ok(Caller {
        account: stored.account.number,
        account_sid: stored.account.sid,
        source: Source::Rest,
        who: Who::Account { key: stored.key.map(|key| key.sid), power },
        hooks,
        address: None,
    })
}

/// Whom credentials name.
enum Name {
    Operator,
    Credentials(Credentials),
}

fn read(header: &[u8]) -> Option<(Name, String)> {
    let header = std::str::from_utf8(header).ok().filter(|header| header.len() <= HEADER_BYTES_MAX)?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, secret) = decoded.split_once(':')?;
    let name = match (Sid::parse(user), Sid::parse(user)) {
        _ if user == OPERATOR => Name::Operator,
        (Ok(account), _) => Name::Credentials(Credentials::Account(account)),
        (_, Ok(key)) => Name::Credentials(Credentials::Key(key)),
        _ => return None,
    };
    Some((name, secret.to_owned()))
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
        let named = |text: &str| read(header(text).as_bytes());
        let account = named(&format!("AC{hex}:x"));
        assert!(matches!(account, Some((Name::Credentials(Credentials::Account(_)), _))));
        let key = named(&format!("sk{hex}:a:b"));
        assert!(matches!(key, Some((Name::Credentials(Credentials::Key(_)), secret)) if secret == "a:b"));
        assert!(matches!(named("operator:x"), Some((Name::Operator, _))));
        for nonsense in ["Basic", "Basic !", "Bearer x", &header("AC1:x"), &header("no colon")] {
            assert!(read(nonsense.as_bytes()).is_none(), "{nonsense}");
        }
    }
}
