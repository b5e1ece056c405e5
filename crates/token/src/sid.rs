//! The shape of SIDs: a two-letter prefix and 32 hexadecimal digits.
//!
//! Only the shape; whether a SID exists is the caller's knowledge. Text that is no SID is never
//! repeated in a message: people put secrets into the wrong argument, and messages end in logs.

/// Whether `text` is `prefix` followed by 32 hexadecimal digits, in either letter case.
///
/// ```
/// assert!(tertulia_token::sid::is_sid("IS0123456789abcdef0123456789ABCDEF", "IS"));
/// assert!(!tertulia_token::sid::is_sid("is0123456789abcdef0123456789abcdef", "IS"));
/// ```
#[must_use]
pub fn is_sid(text: &str, prefix: &str) -> bool {
    text.len() == 34 && text.starts_with(prefix) && text.bytes().skip(2).all(|b| b.is_ascii_hexdigit())
}

/// The SID with its digits in lower case, or nothing when `text` is no SID of that prefix.
#[must_use]
pub fn lower(text: &str, prefix: &str) -> Option<String> {
    is_sid(text, prefix).then(|| {
        let mut sid = text.to_owned();
        sid[2..].make_ascii_lowercase();
        sid
    })
}

/// Whether `text` is a SID of that prefix in the one spelling that tokens use: lower case.
pub(crate) fn is_exact(text: &str, prefix: &str) -> bool {
    text.len() == 34 && text.starts_with(prefix) && text.bytes().skip(2).all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Says what `text` is, without repeating it unless it is a SID.
pub(crate) fn describe(text: &str) -> String {
    let kind = text.get(..2).and_then(kind_of_prefix);
    if let (Some(kind), true) = (kind, text.len() == 34) {
        let upper = text[2..].bytes().any(|b| b.is_ascii_uppercase());
        if text.bytes().skip(2).all(|b| b.is_ascii_hexdigit()) {
            let note = if upper { ", in upper case" } else { "" };
            return format!("{text} ({kind}{note})");
        }
    }
    if text.is_empty() {
        return "an empty text".to_owned();
    }
    if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return "32 hexadecimal digits without a prefix (an auth token?)".to_owned();
    }
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    if trimmed.len() != text.len() && trimmed.get(..2).and_then(kind_of_prefix).is_some() {
        return "a SID with white space or quotes around it".to_owned();
    }
    format!("a text of {} characters that is no SID", text.chars().count())
}

/// What SIDs with this prefix name, with its article.
fn kind_of_prefix(prefix: &str) -> Option<&'static str> {
    Some(match prefix {
        "AC" => "an Account SID",
        "AP" => "an Application SID",
        "CH" => "a Conversation SID",
        "CR" => "a Credential SID",
        "IS" => "a Service SID",
        "MB" => "a Participant SID",
        "MG" => "a Messaging Service SID",
        "RL" => "a Role SID",
        "SK" => "an API Key SID",
        "US" => "a User SID",
        "WK" => "a Worker SID",
        "WS" => "a Workspace SID",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_sid_is_not_repeated() {
        let secret = "Abcdefghijklmnopqrstuvwxyz012345";
        assert!(!describe(secret).contains(secret));
        let padded = " SKfa4efa4efa4efa4efa4efa4efa4e0001\n";
        assert!(describe(padded).contains("white space"));
    }

    #[test]
    fn sids_are_read_in_either_case_and_written_lower() {
        let upper = "ACFA4EFA4EFA4EFA4EFA4EFA4EFA4E0001";
        assert_eq!(lower(upper, "AC").as_deref(), Some("ACfa4efa4efa4efa4efa4efa4efa4e0001"));
        assert!(!is_exact(upper, "AC"));
        assert_eq!(lower(upper, "SK"), None);
    }
}
