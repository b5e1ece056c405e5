//! Who asks, and from where.

use std::net::IpAddr;
use std::sync::Arc;

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account, Key, Role, Service, User};
use tertulia_store::P;

/// The number that rows of an account are keyed by; never shown to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountNumber(pub i64);

impl From<AccountNumber> for P<'_> {
    fn from(account: AccountNumber) -> Self {
        Self::Int(account.0)
    }
}

/// Where a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The REST API.
    Rest,
    /// An SDK's websocket.
    Sdk,
    /// The server itself: purging, seeding.
    System,
}

/// How far an account's credentials reach; `keys::may` says what each means at a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Power {
    /// The auth token and Main keys: everything.
    Everything,
    /// Standard keys: everything but accounts, keys and auth tokens.
    Product,
    /// Restricted keys: the permissions that their policy allows.
    Permissions(Arc<[String]>),
}

/// Whom a call speaks for.
#[derive(Clone, Debug)]
pub enum Who {
    /// The account itself, by its auth token or an API key; roles do not bind it.
    Account {
        /// The API key it used, if it was one.
        key: Option<Sid<Key>>,
        /// How far its credentials reach.
        power: Power,
    },
    /// Whoever runs this server, by the credential that the server wrote into its data folder. It acts for
    /// the account it names, or for none.
    Operator,
    /// A user, by an Access Token; roles decide.
    User(Arc<UserRef>),
}

/// The user behind a connection.
#[derive(Clone, Debug)]
pub struct UserRef {
    /// The chat service that the token is for.
    pub service: Sid<Service>,
    /// The user.
    pub sid: Sid<User>,
    /// The app's own name for the user.
    pub identity: String,
    /// The token's `deployment_role_sid`: the service role of this connection only.
    pub role: Option<Sid<Role>>,
}

/// Who asks, from where, and whether hooks were asked for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account's number.
    pub account: AccountNumber,
    /// The account.
    pub account_sid: Sid<Account>,
    /// Where the call came in.
    pub source: Source,
    /// Whom it speaks for.
    pub who: Who,
    /// `X-Twilio-Webhook-Enabled`; always set for SDK calls.
    pub hooks: bool,
    /// The address that it comes from, where there is one.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// The server itself, acting for an account.
    pub fn system(account: AccountNumber, account_sid: Sid<Account>) -> Self {
        let who = Who::Account { key: None, power: Power::Everything };
        Self { account, account_sid, source: Source::System, who, hooks: false, address: None }
    }

    /// Whoever has not said yet who it is: for looking up who calls, and for what belongs to no account.
    pub fn nobody() -> Self {
        Self::system(AccountNumber(0), Sid::from_number(0))
    }

    /// The user, when it is one.
    pub fn user(&self) -> Option<&UserRef> {
        match &self.who {
            Who::User(user) => Some(user),
            Who::Account { .. } | Who::Operator => None,
        }
    }

    /// The identity that authorship and creation are written under.
    pub fn author(&self) -> &str {
        self.user().map_or("system", |user| &user.identity)
    }
}
