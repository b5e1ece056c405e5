//! The log line of a request, which is a contract (docs/operations.md).
//!
//! One line a request, at `info` for what was answered or refused, at `error` for status 500 and above.
//! Fields: `operation` (the contract's name), `method`, `status`, `duration_us`,
//! `account`, `request_id`, `source` (`rest` or `sdk`). Never a token, a body, a name or an identity.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::Account;

/// What the line says.
pub struct Line<'a> {
    /// The contract's name for the operation, or `none`.
    pub operation: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// Microseconds from the request to its answer.
    pub duration_us: i64,
    /// The account, once it is known.
    pub account: Option<Sid<Account>>,
    /// The id that the answer carries too.
    pub request_id: &'a str,
    /// `rest` or `sdk`.
    pub source: &'a str,
}

impl Line<'_> {
    /// Writes the line.
    pub fn write(&self) {
        let account = self.account.map(|account| account.to_string()).unwrap_or_default();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "request",
                    operation = self.operation,
                    method = self.method,
                    status = self.status,
                    duration_us = self.duration_us,
                    account,
                    request_id = self.request_id,
                    source = self.source,
                    "answered"
                )
            };
        }
        if self.status >= 500 { line!(error) } else { line!(info) }
    }
}
