//! Finds the token in a text that contains one, and says what stands around it.
//!
//! Only explanations use this. Verification takes the text as it is, so whatever is found here is
//! refused at the door, and the person has to send the bare token.

use std::borrow::Cow;

use crate::json::{Doc, Kind, Value};
use crate::parse;

/// Longer texts are not searched for a token.
const SEARCHED_BYTES_MAX: usize = 65_536;
/// A curl line with a quoted header with a Bearer token is four layers; nobody needs many more.
const LAYERS_MAX: usize = 8;
/// Shorter runs of characters that begin like a token are not worth to be called one.
const TOKEN_CHARS_MIN: usize = 16;

/// Something that stands around a token, or was done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    WhiteSpace,
    Quotes,
    Bearer,
    Header,
    Json,
    PythonObject,
    PythonBytes,
    Percent,
    Curl,
    Url,
    Assignment,
    LineBreak,
    Punctuation,
    OtherText,
}

impl Wrapping {
    /// What was found.
    pub(super) fn note(self) -> &'static str {
        match self {
            Wrapping::WhiteSpace => "there is white space around the token",
            Wrapping::Quotes => "there are quotes around the token",
            Wrapping::Bearer => "the token begins with \"Bearer \"",
            Wrapping::Header => "this is a whole header line with the token in it",
            Wrapping::Json => "the token is inside JSON",
            Wrapping::PythonObject => "this is <AccessToken …>, what Python prints for the object; the token is inside",
            Wrapping::PythonBytes => "this is b'…', what Python prints for bytes; the token is inside",
            Wrapping::Percent => "the token is percent-encoded",
            Wrapping::Curl => "this is a curl command with the token in it",
            Wrapping::Url => "this is an address (URL) with the token in it",
            Wrapping::Assignment => "this is a line NAME=value, as in an .env file; the token is its value",
            Wrapping::LineBreak => "there is white space or a line break inside the token",
            Wrapping::Punctuation => "there is punctuation after the token",
            Wrapping::OtherText => "there is other text around the token",
        }
    }

    /// What to change, if there is more to say than that the bare token is wanted.
    pub(super) fn advice(self) -> Option<&'static str> {
        Some(match self {
            Wrapping::Json => "take the token out of the JSON first: in JavaScript (await response.json()).token",
            Wrapping::PythonObject => "in Python, send what token.to_jwt() returns, not the object itself",
            Wrapping::PythonBytes => "in Python, turn the bytes into a text first: token.decode()",
            Wrapping::Percent => "decode the token where you read it from the address or the form",
            Wrapping::LineBreak => "join the lines; a terminal, a mail or a base64 encoder broke them",
            Wrapping::Bearer | Wrapping::Header => {
                "leave \"Bearer\" and the header's name out; the SDK wants the token alone"
            }
            _ => return None,
        })
    }
}

/// The text that may be a token, and what was taken off to reach it.
pub(super) struct Unwrapped<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) wrappings: Vec<Wrapping>,
}

/// Takes off what people leave around tokens.
pub(super) fn unwrap(text: &str) -> Unwrapped<'_> {
    let mut unwrapped = Unwrapped { text: Cow::Borrowed(text), wrappings: Vec::new() };
    if text.len() > SEARCHED_BYTES_MAX {
        return unwrapped;
    }
    for _ in 0..LAYERS_MAX {
        let Some((inner, wrapping)) = unwrap_once(&unwrapped.text) else {
            break;
        };
        unwrapped.text = Cow::Owned(inner);
        if !unwrapped.wrappings.contains(&wrapping) {
            unwrapped.wrappings.push(wrapping);
        }
    }
    unwrapped
}

fn unwrap_once(text: &str) -> Option<(String, Wrapping)> {
    if parse::split(text).is_ok() {
        return None;
    }
    let layers: [fn(&str) -> Option<(String, Wrapping)>; 10] =
        [white_space, quotes, python, json, bearer, percent, assignment, header, line_breaks, search];
    layers.iter().find_map(|layer| layer(text))
}

fn white_space(text: &str) -> Option<(String, Wrapping)> {
    // Windows tools put a byte order mark before a text.
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}' || c == '\0');
    (trimmed.len() != text.len()).then(|| (trimmed.to_owned(), Wrapping::WhiteSpace))
}

fn quotes(text: &str) -> Option<(String, Wrapping)> {
    const PAIRS: [(&str, &str); 8] = [
        ("\\\"", "\\\""),
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("“", "”"),
        ("‘", "’"),
        ("&quot;", "&quot;"),
        ("&#34;", "&#34;"),
    ];
    let inside = |(open, close): (&str, &str)| text.strip_prefix(open)?.strip_suffix(close);
    let inner = PAIRS.into_iter().find_map(inside).or_else(|| one_sided(text))?;
    Some((inner.to_owned(), Wrapping::Quotes))
}

/// A quote that was lost at one end, which happens when a line is copied.
fn one_sided(text: &str) -> Option<&str> {
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let opened = text.strip_prefix(QUOTES).filter(|rest| rest.starts_with("eyJ"));
    let closed = text.strip_suffix(QUOTES).filter(|rest| rest.starts_with("eyJ"));
    opened.or(closed)
}

fn python(text: &str) -> Option<(String, Wrapping)> {
    if let Some(rest) = text.strip_prefix("<AccessToken ") {
        return Some((rest.strip_suffix('>').unwrap_or(rest).to_owned(), Wrapping::PythonObject));
    }
    let quoted = text.strip_prefix(['b', 'B'])?;
    let inner = quoted.strip_prefix(['\'', '"'])?;
    Some((inner.strip_suffix(['\'', '"']).unwrap_or(inner).to_owned(), Wrapping::PythonBytes))
}

fn json(text: &str) -> Option<(String, Wrapping)> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    Some((token_in_json(text)?, Wrapping::Json))
}

fn bearer(text: &str) -> Option<(String, Wrapping)> {
    let (word, rest) = text.split_once(char::is_whitespace)?;
    let is_scheme = ["bearer", "token", "jwt"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
    is_scheme.then(|| (rest.trim_start().to_owned(), Wrapping::Bearer))
}

fn percent(text: &str) -> Option<(String, Wrapping)> {
    // In an address there is more than the token; the search finds it there first.
    if !text.contains("eyJ") || text.contains("://") || text.contains(char::is_whitespace) {
        return None;
    }
    let plain = percent_decoded(text)?;
    Some((plain, Wrapping::Percent))
}

/// The text with its `%XX` resolved, if there are any and UTF-8 comes out.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    (bytes.len() != text.len()).then(|| String::from_utf8(bytes).ok())?
}

/// `NAME=value`, `export NAME="value"`, `const name = 'value';`.
fn assignment(text: &str) -> Option<(String, Wrapping)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_end();
    let keywords = ["export ", "const ", "let ", "var ", "set "];
    let name = keywords.iter().find_map(|keyword| name.strip_prefix(keyword)).unwrap_or(name);
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let value = value.trim();
    // The token itself may have padding, and that is no assignment.
    let is_value = !value.is_empty() && !value.starts_with('=') && !name.starts_with("eyJ");
    let one_line = !value.contains('\n');
    (is_name && !name.is_empty() && is_value && one_line)
        .then(|| (value.trim_end_matches(';').to_owned(), Wrapping::Assignment))
}

fn header(text: &str) -> Option<(String, Wrapping)> {
    let (name, value) = text.split_once(':')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_credential = name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("x-twilio-token");
    let one_line = !value.trim().contains('\n') && !value.starts_with("//");
    (is_name && one_line && (is_credential || value.contains("eyJ")))
        .then(|| (value.trim().to_owned(), Wrapping::Header))
}

/// Joins a token that was broken into lines; what follows a whole token is other text.
fn line_breaks(text: &str) -> Option<(String, Wrapping)> {
    if !text.starts_with("eyJ") {
        return None;
    }
    let plain = text.replace("\\\n", "").replace("\\r", "").replace("\\n", "");
    let first = plain.split_whitespace().next().unwrap_or_default();
    if plain.len() == text.len() && first.len() == text.len() {
        return None;
    }
    if parse::split(first).is_ok() {
        let is_all = first.len() == plain.len();
        return Some((first.to_owned(), if is_all { Wrapping::LineBreak } else { Wrapping::OtherText }));
    }
    let joined: String = plain.split_whitespace().collect();
    let is_token = joined.bytes().all(is_token_byte);
    is_token.then_some((joined, Wrapping::LineBreak))
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b'/' | b'=')
}

/// The first run of characters that looks like a token, anywhere in the text.
fn search(text: &str) -> Option<(String, Wrapping)> {
    let (start, run) = text.match_indices("eyJ").find_map(|(start, _)| Some((start, run_at(text, start)?)))?;
    // A token that ends a sentence has a dot too many, and what follows `=` in an address has none.
    let run = run.trim_end_matches(['.', '/']);
    // A token with a wrong character in it has nothing around it.
    let is_broken = start == 0 && parse::split(run).is_err() && !text.contains(char::is_whitespace);
    if run.len() == text.len() || is_broken {
        return None;
    }
    let only_after = start == 0 && text[run.len()..].chars().all(|c| c.is_ascii_punctuation());
    let wrapping = if only_after { Wrapping::Punctuation } else { surroundings(&text[..start]) };
    Some((run.to_owned(), wrapping))
}

/// The token's characters from here on, if they are enough and begin a word.
fn run_at(text: &str, start: usize) -> Option<&str> {
    let begins = !text[..start].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        || text[..start].ends_with("%22")
        || text[..start].ends_with("%3D");
    let bytes = text.as_bytes()[start..].iter();
    let run = &text[start..start + bytes.take_while(|b| is_token_byte(**b)).count()];
    (begins && run.len() >= TOKEN_CHARS_MIN).then_some(run)
}

/// What kind of text this is, by what stands before the token.
fn surroundings(before: &str) -> Wrapping {
    let lower = before.to_ascii_lowercase();
    if lower.trim_start().starts_with("curl ") {
        Wrapping::Curl
    } else if lower.contains("authorization:") || lower.contains("x-twilio-token:") {
        Wrapping::Header
    } else if lower.contains("://") && before.ends_with('=') {
        Wrapping::Url
    } else if lower.trim_start().starts_with(['{', '[']) || lower.contains("\\\":") {
        Wrapping::Json
    } else {
        Wrapping::OtherText
    }
}

/// The token in an answer like `{"identity": …, "token": …}` or `[{"jwt": …}]`.
fn token_in_json(text: &str) -> Option<String> {
    let doc = Doc::read(text.as_bytes().to_vec()).ok()?;
    named(doc.root()).or_else(|| begins_like_one(doc.root()))
}

/// A text under one of the names that token endpoints use, the outer ones first.
fn named(value: Value<'_>) -> Option<String> {
    const NAMES: [&str; 6] = ["token", "jwt", "accessToken", "access_token", "chatToken", "twilioToken"];
    let own = NAMES.into_iter().find_map(|name| value.get(name)?.text());
    own.map(Cow::into_owned).or_else(|| inner_values(value).find_map(named))
}

fn begins_like_one(value: Value<'_>) -> Option<String> {
    let own = value.text().filter(|text| text.contains("eyJ"));
    own.map(Cow::into_owned).or_else(|| inner_values(value).find_map(begins_like_one))
}

fn inner_values(value: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let items = (value.kind() == Kind::Array).then(|| value.items());
    value.members().map(|(_, member)| member).chain(items.into_iter().flatten())
}
