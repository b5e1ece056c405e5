//! Statements and their parameters, the same for both engines.
//!
//! A statement is a `static`, one text for both engines or a pair of texts. Placeholders are
//! `$1…$n`. Nothing is ever pasted into a text: what varies is a parameter.

use std::borrow::Cow;

/// One statement: one text for both engines, or one for each.
///
/// Put it into a `static` rather than a `const`: the store remembers by its address how a text
/// reads on SQLite.
#[derive(Debug)]
pub struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Sql {
    /// A statement both engines understand.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }

    /// A statement that truly differs. Both texts take the same parameters and give the same
    /// columns.
    #[must_use]
    pub const fn pair(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }

    /// The first words of the statement, for messages.
    pub(crate) fn head(&self) -> String {
        let words = self.sqlite.split_whitespace().take(8);
        words.collect::<Vec<_>>().join(" ")
    }
}

/// One parameter of a statement.
#[derive(Clone, Debug)]
pub enum P<'a> {
    /// `NULL`, of whatever type is wanted.
    Null,
    /// A `BIGINT`: numbers, times in microseconds, booleans as 0 and 1.
    Int(i64),
    /// A `TEXT`.
    Text(Cow<'a, str>),
    /// A `BYTEA` or `BLOB`.
    Bytes(Cow<'a, [u8]>),
    /// A list of texts: on SQLite a JSON array for `json_each`, on PostgreSQL `text[]` for `ANY`.
    Texts(&'a [&'a str]),
    /// A list of numbers: on SQLite a JSON array for `json_each`, on PostgreSQL `bigint[]`.
    Ints(&'a [i64]),
}

impl From<i64> for P<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for P<'_> {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u32> for P<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for P<'_> {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl<'a> From<&'a str> for P<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for P<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a> From<&'a String> for P<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a [u8]> for P<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(value))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for P<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(Cow::Borrowed(value))
    }
}

impl From<Vec<u8>> for P<'_> {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(value))
    }
}

impl<'a> From<&'a Vec<u8>> for P<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Bytes(Cow::Borrowed(value))
    }
}

impl<'a, T: Into<P<'a>>> From<Option<T>> for P<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The text as SQLite must read it: `?n` for `$n`.
///
/// SQLite takes `$2` for a *name* and numbers names by first appearance; `?2` is a number on both
/// sides. Quoted texts, quoted names and comments are left alone.
pub(crate) fn numbered(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\'', '"', '-', '/']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = opaque_length(rest);
        if length > 0 {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let digit_follows = rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if rest.starts_with('$') && digit_follows {
            out.push('?');
        } else {
            out.push_str(&rest[..1]);
        }
        rest = &rest[1..];
    }
    out.push_str(rest);
    out
}

/// How long the quoted text, quoted name or comment is that begins here; 0 if none does.
fn opaque_length(text: &str) -> usize {
    let through = |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    match text.as_bytes() {
        [b'\'', ..] => through(1, "'"),
        [b'"', ..] => through(1, "\""),
        [b'-', b'-', ..] => through(2, "\n"),
        [b'/', b'*', ..] => through(2, "*/"),
        _ => 0,
    }
}

/// A JSON array of texts, for `json_each`.
pub(crate) fn json_texts(texts: &[&str]) -> String {
    let mut out = String::with_capacity(2 + texts.iter().map(|t| t.len() + 3).sum::<usize>());
    out.push('[');
    for (n, text) in texts.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        push_json_text(&mut out, text);
    }
    out.push(']');
    out
}

fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => {
                use std::fmt::Write as _;
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A JSON array of numbers, for `json_each`.
pub(crate) fn json_ints(ints: &[i64]) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("[");
    for (n, int) in ints.iter().enumerate() {
        // Writing into a String cannot fail.
        let _ = write!(out, "{}{int}", if n > 0 { "," } else { "" });
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_numbers() {
        assert_eq!(numbered("SELECT $2, $1, $12 WHERE a = $2"), "SELECT ?2, ?1, ?12 WHERE a = ?2");
    }

    #[test]
    fn quoted_texts_names_and_comments_are_left_alone() {
        let text = "SELECT '$1', \"$2\", 'it''s $3' -- $4\n, $5 /* $6 */, a->>'$.x', 1-$7, 6/$8";
        let want = "SELECT '$1', \"$2\", 'it''s $3' -- $4\n, ?5 /* $6 */, a->>'$.x', 1-?7, 6/?8";
        assert_eq!(numbered(text), want);
        assert_eq!(numbered("SELECT 'é$1', $1"), "SELECT 'é$1', ?1");
    }

    #[test]
    fn an_unfinished_quote_ends_with_the_text() {
        assert_eq!(numbered("SELECT '$1"), "SELECT '$1");
    }

    #[test]
    fn lists_become_json() {
        assert_eq!(json_texts(&["a\"b", "\\", "\n", "é", ""]), r#"["a\"b","\\","\u000a","é",""]"#);
        assert_eq!(json_ints(&[1, -2]), "[1,-2]");
        assert_eq!(json_ints(&[]), "[]");
        assert_eq!(json_texts(&[]), "[]");
    }
}
