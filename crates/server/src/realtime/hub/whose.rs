//! Whose connections are meant by something that is for many.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::User;

use crate::platform::AccountNumber;

/// Whose connections are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One user's.
    User(Sid<User>),
    /// Those of all users of an account.
    Account(AccountNumber),
    /// All.
    Everybody,
}

impl Whose {
    pub(super) fn includes(self, account: Option<AccountNumber>) -> bool {
        match self {
            Self::Account(wanted) => account == Some(wanted),
            Self::User(_) | Self::Everybody => true,
        }
    }
}
