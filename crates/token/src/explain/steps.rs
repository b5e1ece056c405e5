//! Walks through all checks, going on after a failure wherever the next check still makes sense.

use super::form::{Damage, Readable};
use super::{Given, KeyGiven, Outcome, Step};
use crate::chat;
use crate::claims::Seconds;
use crate::json::{Doc, Value};
use crate::parse::{self, show};
use crate::refusal::{Check, Refusal};
use crate::signature::{self, Received};
use crate::{sid, verify, words};

/// What the walk has found.
pub(super) struct Walked {
    pub(super) steps: Vec<Step>,
    pub(super) refusal: Option<Refusal>,
    pub(super) header: Option<Doc>,
    pub(super) payload: Option<Doc>,
    /// The signed text, in each spelling that may have been signed, and its signature.
    pub(super) signed: Option<(Vec<String>, Received)>,
    pub(super) damage: Vec<Damage>,
}

/// `token` is the text as given, `inner` the token found in it. Size and form are checked of the
/// text as given, since that is what the service gets; the rest of the token inside.
pub(super) fn walk(token: &str, inner: &str, given: &Given<'_>) -> Walked {
    let mut walk = Walk { given, steps: Vec::with_capacity(Check::ALL.len()), refusal: None };
    let size = parse::check_size(token);
    let sized = walk.take(Check::Size, size, |()| format!("{} bytes", token.len()));
    let form = parse::split(token).map(drop);
    walk.take_if(sized.is_some(), Check::Form, form, |()| "three parts".to_owned());
    // A token inside something else is explained too, and a damaged one as far as it can be read.
    let readable = Readable::of(inner);
    if readable.header.is_none() && readable.payload.is_none() {
        walk.skip_rest("there is no JWT in this text");
        return walk.done(None, None, None, readable.damage);
    }
    walk.jwt(readable)
}

struct Walk<'g> {
    given: &'g Given<'g>,
    steps: Vec<Step>,
    refusal: Option<Refusal>,
}

impl Walk<'_> {
    /// Notes how a check went; gives on what it found.
    fn take<T>(&mut self, check: Check, result: Result<T, Refusal>, found: impl FnOnce(&T) -> String) -> Option<T> {
        match result {
            Ok(value) => {
                let found = found(&value);
                self.push(check, Outcome::Passed, found, expected(check, self.given));
                Some(value)
            }
            Err(refusal) => {
                let expected = refusal.expected.clone().into_owned();
                let found = refusal.found.clone().into_owned();
                self.push(check, Outcome::Failed(refusal.code), found, expected);
                self.refusal.get_or_insert(refusal);
                None
            }
        }
    }

    fn take_if(
        &mut self,
        possible: bool,
        check: Check,
        result: Result<(), Refusal>,
        found: impl FnOnce(&()) -> String,
    ) {
        if possible {
            self.take(check, result, found);
        } else {
            self.skip(check, "an earlier check failed");
        }
    }

    fn skip(&mut self, check: Check, why: &str) {
        let expected = expected(check, self.given);
        self.push(check, Outcome::Skipped, why.to_owned(), expected);
    }

    /// Skips every check that has not been taken.
    fn skip_rest(&mut self, why: &str) {
        let taken = self.steps.len();
        for check in Check::ALL.into_iter().skip(taken) {
            self.skip(check, why);
        }
    }

    fn skip_until(&mut self, end: Check, why: &str) {
        let taken = self.steps.len();
        let checks = Check::ALL.into_iter().skip(taken);
        for check in checks.take_while(|check| *check < end) {
            self.skip(check, why);
        }
    }

    fn push(&mut self, check: Check, outcome: Outcome, found: String, expected: String) {
        self.steps.push(Step { check, outcome, found, expected });
    }

    fn done(
        mut self,
        header: Option<Doc>,
        payload: Option<Doc>,
        signed: Option<(Vec<String>, Received)>,
        damage: Vec<Damage>,
    ) -> Walked {
        if let Some(revoked) = &self.given.revoked {
            self.take(Check::Revocation, Err::<(), _>(revoked.clone()), |()| String::new());
        }
        Walked { steps: self.steps, refusal: self.refusal, header, payload, signed, damage }
    }

    fn jwt(mut self, readable: Readable) -> Walked {
        let Readable { header, payload, signature, signed, damage } = readable;
        let signature = signature.map(|bytes| Received::new(&bytes));
        let header = header.and_then(|bytes| self.object(Check::Header, parse::read_header(bytes)));
        match &header {
            Some(header) => self.header(header.root()),
            None => self.skip_until(Check::Payload, "the header cannot be read"),
        }
        let payload = payload.and_then(|bytes| self.object(Check::Payload, parse::read_payload(bytes)));
        let Some(payload) = payload else {
            self.skip_rest("the payload cannot be read");
            return self.done(header, None, None, damage);
        };
        let root = payload.root();
        let issuer = self.sid_claim(root, Check::Issuer);
        let subject = self.sid_claim(root, Check::Subject);
        self.region(header.as_ref());
        self.key(issuer.as_deref(), subject.as_deref());
        self.signature(&signed, signature.as_ref());
        self.times(root);
        self.grants(root, subject.as_deref());
        self.done(header, Some(payload), signature.map(|received| (signed, received)), damage)
    }

    fn object(&mut self, check: Check, read: Result<Doc, Refusal>) -> Option<Doc> {
        self.take(check, read, |_| "an object".to_owned())
    }

    fn region(&mut self, header: Option<&Doc>) {
        let Some(header) = header else {
            return self.skip(Check::Region, "the header cannot be read");
        };
        let region = verify::check_region(header.root(), &self.given.rules);
        let found = show(header.root().get("twr"));
        self.take(Check::Region, region, |()| found);
    }

    fn header(&mut self, header: Value<'_>) {
        let found = |name: &str| show(header.get(name));
        self.take(Check::Type, parse::check_type(header), |()| found("typ"));
        self.take(Check::Algorithm, parse::check_algorithm(header), |()| found("alg"));
        self.take(Check::ContentType, parse::check_content_type(header), |()| found("cty"));
        let extensions = parse::check_extensions(header);
        self.take(Check::Extensions, extensions, |()| "none".to_owned());
    }

    fn sid_claim(&mut self, payload: Value<'_>, check: Check) -> Option<String> {
        let result = match check {
            Check::Issuer => parse::check_issuer(payload),
            _ => parse::check_subject(payload),
        };
        self.take(check, result, |sid| sid::describe(sid))
    }

    fn key(&mut self, issuer: Option<&str>, subject: Option<&str>) {
        let (Some(issuer), Some(subject)) = (issuer, subject) else {
            return self.skip(Check::Key, "the token names no key or no account");
        };
        let key = self.given.key_for(issuer, subject);
        let result = verify::check_key(issuer, subject, key.as_ref(), &self.given.rules);
        match self.given.key {
            KeyGiven::NotLookedUp => self.skip(Check::Key, "the key was not looked up"),
            KeyGiven::Partly(part) if result.is_ok() => self.skip(Check::Key, part.compared()),
            _ => {
                self.take(Check::Key, result, |()| format!("{issuer}, which may sign for {subject}"));
            }
        }
    }

    fn signature(&mut self, signed: &[String], received: Option<&Received>) {
        let Some(received) = received else {
            return self.skip(Check::Signature, "there is none that can be read");
        };
        let Some(secret) = self.given.secret() else {
            return self.skip(Check::Signature, "without the key's secret nobody can tell");
        };
        let matches = signed.iter().any(|signed| signature::matches(Some(secret), signed.as_bytes(), received));
        let result = verify::check_signature(matches, received.length);
        self.take(Check::Signature, result, |()| "the right one".to_owned());
    }

    fn times(&mut self, payload: Value<'_>) {
        let rules = &self.given.rules;
        let now = rules.now();
        let relative = |time: i64| format!("{time}, {}", words::relative(time, now));
        let optional = |time: &Option<i64>| time.map_or("nothing".to_owned(), relative);
        self.take(Check::Expiry, verify::check_expiry(payload, rules), |exp| relative(*exp));
        self.take(Check::NotBefore, verify::check_not_before(payload, rules), optional);
        self.take(Check::IssuedAt, verify::check_issued_at(payload, rules), optional);
        // The lifetime can be judged whether or not the token has expired meanwhile.
        let time = |name: &str| payload.get(name).and_then(Seconds::read).map(|s| s.whole);
        let is_whole = payload.get("exp").and_then(Seconds::read).is_some_and(|exp| !exp.fraction);
        let Some(exp) = time("exp").filter(|_| is_whole) else {
            return self.skip(Check::Lifetime, "there is no exp to count to");
        };
        let lifetime = verify::check_lifetime(exp, time("iat"), rules);
        let from = time("iat").unwrap_or(now);
        let found = words::span(exp.saturating_sub(from));
        self.take(Check::Lifetime, lifetime, |()| found);
    }

    fn grants(&mut self, payload: Value<'_>, subject: Option<&str>) {
        let grants = verify::check_grants(payload);
        let Some(grants) = self.take(Check::Grants, grants, |grants| names(*grants)) else {
            return self.skip_rest("there are no grants to read");
        };
        let identity = verify::check_identity(grants);
        match self.take(Check::Identity, identity, |identity| format!("{identity:?}")) {
            Some(identity) => {
                let allowed = chat::check_chat_identity(&identity);
                self.take(Check::ChatIdentity, allowed, |()| format!("{identity:?}"));
            }
            None => self.skip(Check::ChatIdentity, "there is no identity"),
        }
        let grant = chat::check_chat_grant(grants);
        match self.take(Check::ChatGrant, grant, |_| "one chat grant".to_owned()) {
            Some(grant) => self.chat(grant, subject),
            None => self.skip_rest("there is no chat grant"),
        }
    }

    fn chat(&mut self, grant: Value<'_>, subject: Option<&str>) {
        let directory = self.given.directory;
        let service = chat::check_service(grant).and_then(|service| {
            if let (Some(directory), Some(account)) = (directory, subject) {
                chat::check_service_known(account, &service, directory)?;
            }
            Ok(service)
        });
        let unknown = if directory.is_none() { " (not looked up)" } else { "" };
        let service = self.take(Check::Service, service, |sid| format!("{sid}{unknown}"));
        let optional = |sid: &Option<String>| match sid {
            Some(sid) => format!("{sid}{unknown}"),
            None => "nothing".to_owned(),
        };
        let role = chat::check_optional(grant, Check::Role).and_then(|role| {
            if let (Some(directory), Some(service), Some(role)) = (directory, &service, &role) {
                chat::check_role_known(service, role, directory)?;
            }
            Ok(role)
        });
        self.take(Check::Role, role, optional);
        let credential = chat::check_optional(grant, Check::PushCredential).and_then(|sid| {
            if let (Some(directory), Some(account), Some(sid)) = (directory, subject, &sid) {
                chat::check_credential_known(account, sid, directory)?;
            }
            Ok(sid)
        });
        self.take(Check::PushCredential, credential, optional);
    }
}

/// The products that are granted.
fn names(grants: Value<'_>) -> String {
    let names: Vec<_> = grants.members().filter_map(|(name, _)| name.text()).collect();
    format!("an object with {}", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })
}

/// What a check expects, for the steps that passed or were skipped; a failed one says it itself.
fn expected(check: Check, given: &Given<'_>) -> String {
    let (leeway, grace, max_ttl) = given.rules.tolerances();
    let text = match check {
        Check::Size => return format!("at most {} bytes", parse::TOKEN_BYTES_MAX),
        Check::Form => "three parts of base64url without padding",
        Check::Header | Check::Payload => "one JSON object, without a member name twice",
        Check::Type => "\"JWT\"",
        Check::Algorithm => "\"HS256\"",
        Check::ContentType => return format!("{:?}", parse::CONTENT_TYPE),
        Check::Extensions => "no header member that changes how the token is read",
        Check::Issuer => "an API Key SID",
        Check::Subject => "an Account SID",
        Check::Region => return format!("nothing or {:?}", given.rules.region_name()),
        Check::Key => "an active key that may sign, of the active account in sub",
        Check::Signature => "HMAC-SHA256 with the secret of the key in iss",
        Check::Expiry => return format!("a time after now (grace {grace} s)"),
        Check::NotBefore | Check::IssuedAt => {
            return format!("nothing, or a time not after now (leeway {leeway} s)");
        }
        Check::Lifetime => return format!("at most {}", words::span(max_ttl)),
        Check::Grants => "an object",
        Check::Identity => "a text that is not empty",
        Check::ChatIdentity => "an identity that chat users may have",
        Check::ChatGrant => "chat or ip_messaging, not both",
        Check::Service => "a chat service of this account",
        Check::Role => "nothing, or a role of that service",
        Check::PushCredential => "nothing, or a push credential of this account",
        Check::Revocation => "no revocation",
    };
    text.to_owned()
}
