//! How often REST may be called: requests of an account and of an address, and wrong credentials of an address.
//!
//! Each process counts for itself, and what it remembers is bounded.

use std::net::IpAddr;

use tertulia_protocol::Timestamp;

use super::peer::bundled;
use crate::platform::rate::Rate;
use crate::platform::{AccountNumber, Config, Error, Outcome};

/// What was counted.
pub struct Throttle {
    requests: Rate<AccountNumber>,
    from_address: Rate<IpAddr>,
    failures: Rate<IpAddr>,
}

impl Throttle {
    /// Of the configuration. Dev mode does not count wrong credentials: everybody is this machine.
    pub fn new(config: &Config, is_dev: bool) -> Self {
        let failures = if is_dev { 0 } else { config.http.failed_authentications_per_minute };
        let (limits, per_address) = (&config.limits, config.http.requests_per_address_per_second);
        Self {
            requests: Rate::per_second(limits.requests_per_second, limits.requests_burst),
            from_address: Rate::per_second(per_address, per_address.saturating_mul(2)),
            failures: Rate::per_minute(failures),
        }
    }

    /// Counts a request of an account.
    pub fn request(&self, account: AccountNumber, now: Timestamp) -> Outcome<()> {
        self.requests.take(account, now).map_err(Error::too_many)
    }

    /// Counts a request of an address, whoever it is of.
    pub fn request_from(&self, address: IpAddr, now: Timestamp) -> Outcome<()> {
        self.from_address.take(bundled(address), now).map_err(Error::too_many)
    }

    /// Refuses an address that was wrong too often, even if it is right now: else it could go on guessing.
    pub fn may_try(&self, address: IpAddr, now: Timestamp) -> Outcome<()> {
        let over = |seconds| {
            let text = format!("Too many failed authentications from this address; try again in {seconds} seconds");
            Error::busy(text, seconds)
        };
        self.failures.look(&bundled(address), now).map_err(over)
    }

    /// Counts wrong credentials of an address.
    pub fn failed(&self, address: IpAddr, now: Timestamp) {
        // Those that were on their way together may be more than there is room for; all were looked at.
        let _ = self.failures.take(bundled(address), now);
        if self.may_try(address, now).is_err() {
            tracing::warn!(%address, "too many failed authentications: this address has to wait");
        }
    }
}
