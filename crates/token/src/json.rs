//! A strict, bounded reader of JSON, and the few lines that write it.
//!
//! Everything is checked in one pass before anything is built: the grammar of RFC 8259 to the
//! letter, no member name twice in one object (compared after unescaping), no lone surrogates, a
//! bound on depth and on members. It must never recurse deeper than [`DEPTH_MAX`], and never
//! guess what a sender may have meant.

use std::borrow::Cow;

mod scan;

/// Arrays and objects may be nested this deep.
pub(crate) const DEPTH_MAX: usize = 32;
/// One object may have this many members; it also bounds the search for repeated names.
pub(crate) const MEMBERS_MAX: usize = 256;

/// Why a text is not taken as JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: Cow<'static, str>,
}

/// What a node of the document is. `EscapedText` needs unescaping to be read, `Text` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    Text,
    EscapedText,
    Array,
    Object,
}

impl Kind {
    /// The kind with its article, for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::True => "true",
            Kind::False => "false",
            Kind::Number => "a number",
            Kind::Text | Kind::EscapedText => "a text",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }
}

/// One value: where its text stands (for texts without the quotes), and which node follows it.
#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    start: u32,
    end: u32,
    next: u32,
}

/// A document that passed: its text, and its values in the order they stand there. In an object
/// each member is two nodes, name and value.
#[derive(Debug, Clone)]
pub(crate) struct Doc {
    text: String,
    nodes: Vec<Node>,
}

impl Doc {
    /// Reads a whole document.
    pub(crate) fn read(bytes: Vec<u8>) -> Result<Doc, Fault> {
        let text = String::from_utf8(bytes)
            .map_err(|error| Fault { at: error.utf8_error().valid_up_to(), what: "bytes that are not UTF-8".into() })?;
        let nodes = scan::scan(&text)?;
        Ok(Doc { text, nodes })
    }

    /// The value the document consists of.
    pub(crate) fn root(&self) -> Value<'_> {
        Value { doc: self, at: 0 }
    }
}

/// A value inside a document.
#[derive(Clone, Copy)]
pub(crate) struct Value<'d> {
    doc: &'d Doc,
    at: usize,
}

impl<'d> Value<'d> {
    fn node(self) -> Node {
        self.doc.nodes[self.at]
    }

    fn slice(self) -> &'d str {
        let node = self.node();
        &self.doc.text[node.start as usize..node.end as usize]
    }

    pub(crate) fn kind(self) -> Kind {
        self.node().kind
    }

    /// The member of an object, if this is one and has it.
    pub(crate) fn get(self, name: &str) -> Option<Value<'d>> {
        self.members().find(|(key, _)| key.is_text(name)).map(|(_, value)| value)
    }

    /// The members of an object in order; of anything else, none.
    pub(crate) fn members(self) -> impl Iterator<Item = (Value<'d>, Value<'d>)> {
        let object = self.kind() == Kind::Object;
        let end = if object { self.node().next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let doc = self.doc;
            let (key, value) = (Value { doc, at }, Value { doc, at: at + 1 });
            at = value.node().next as usize;
            Some((key, value))
        })
    }

    /// The text, unescaped, if this is one.
    pub(crate) fn text(self) -> Option<Cow<'d, str>> {
        match self.kind() {
            Kind::Text => Some(Cow::Borrowed(self.slice())),
            Kind::EscapedText => Some(Cow::Owned(unescape(self.slice()))),
            _ => None,
        }
    }

    /// Whether this is exactly that text.
    pub(crate) fn is_text(self, wanted: &str) -> bool {
        match self.kind() {
            Kind::Text => same(self.slice(), wanted),
            Kind::EscapedText => unescape(self.slice()) == wanted,
            _ => false,
        }
    }

    /// The number as it is written, if this is one.
    pub(crate) fn number(self) -> Option<&'d str> {
        (self.kind() == Kind::Number).then(|| self.slice())
    }

    /// The same value for `serde_json`. A number that fits none of its types becomes its text.
    pub(crate) fn to_serde(self) -> serde_json::Value {
        match self.kind() {
            Kind::Array => self.items().map(Value::to_serde).collect(),
            Kind::Object => self
                .members()
                .map(|(key, value)| (key.text().unwrap_or_default(), value.to_serde()))
                .map(|(key, value)| (key.into_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Kind::Text | Kind::EscapedText => self.text().unwrap_or_default().into(),
            _ => serde_json::from_str(self.slice()).unwrap_or_else(|_| self.slice().into()),
        }
    }

    /// The items of an array in order.
    pub(crate) fn items(self) -> impl Iterator<Item = Value<'d>> {
        let end = self.node().next as usize;
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let item = (at < end).then_some(Value { doc: self.doc, at })?;
            at = item.node().next as usize;
            Some(item)
        })
    }
}

/// Equality that looks at the last byte first: member names are short and often of one length, and
/// a call for three bytes costs more than the comparison.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.as_bytes().last() == b.as_bytes().last() && a == b
}

/// Undoes the escapes of a text that the scanner has let through.
fn unescape(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (char, length) = unescape_one(&rest[at + 1..]);
        out.push(char);
        rest = &rest[at + 1 + length..];
    }
    out.push_str(rest);
    out
}

/// One escape, after its backslash: the character and how many bytes spell it.
fn unescape_one(rest: &str) -> (char, usize) {
    let simple = match rest.as_bytes()[0] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(rest),
        other => char::from(other),
    };
    (simple, 1)
}

fn unescape_unicode(rest: &str) -> (char, usize) {
    let unit = |from: usize| u32::from_str_radix(&rest[from..from + 4], 16).unwrap_or(0xfffd);
    let first = unit(1);
    if !(0xd800..0xdc00).contains(&first) {
        return (char::from_u32(first).unwrap_or('\u{fffd}'), 5);
    }
    let code = 0x10000 + ((first - 0xd800) << 10) + (unit(7) - 0xdc00);
    (char::from_u32(code).unwrap_or('\u{fffd}'), 11)
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[from..at]);
        push_escape(out, byte);
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

fn push_escape(out: &mut String, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        other => {
            let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
            out.push_str("\\u00");
            out.push(digit(other >> 4));
            out.push(digit(other & 15));
        }
    }
}

#[cfg(test)]
mod tests;
