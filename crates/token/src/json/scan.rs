//! The one pass over a JSON text: grammar, bounds, repeated names.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{DEPTH_MAX, Fault, Kind, MEMBERS_MAX, Node, same, unescape};

/// Checks the whole text and lists its values in order.
pub(super) fn scan(text: &str) -> Result<Vec<Node>, Fault> {
    // Positions are kept in 32 bits; callers bound the text far below this.
    if text.len() > u32::MAX as usize / 2 {
        return Err(fault(0, "a text too long to read"));
    }
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0, nodes: Vec::with_capacity(32) };
    scanner.space();
    scanner.value(0)?;
    scanner.space();
    if scanner.at != text.len() {
        return Err(scanner.here("something after the end of the JSON value"));
    }
    Ok(scanner.nodes)
}

/// Up to so many names are compared pair by pair, which is quickest for what tokens usually have.
const FEW_MEMBERS: usize = 16;

fn fault(at: usize, what: &'static str) -> Fault {
    Fault { at, what: what.into() }
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    nodes: Vec<Node>,
}

impl Scanner<'_> {
    fn here(&self, what: &'static str) -> Fault {
        fault(self.at, what)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        // `scan` has bounded the text, and there are fewer nodes than bytes.
        let [start, end] = [start, end].map(|n| n as u32);
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { kind, start, end, next });
    }

    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Kind::True),
            Some(b'f') => self.word("false", Kind::False),
            Some(b'n') => self.word("null", Kind::Null),
            Some(_) => Err(self.here("a character that begins no JSON value")),
            None => Err(self.here("an end where a value should be")),
        }
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.here("a word that is neither true, false nor null"));
        }
        self.push(kind, self.at, self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    /// Begins an array or an object: its node, and the position after the bracket.
    fn open(&mut self, kind: Kind, depth: usize) -> Result<usize, Fault> {
        if depth >= DEPTH_MAX {
            return Err(self.here("arrays or objects nested too deep"));
        }
        let node = self.nodes.len();
        self.push(kind, self.at, self.at);
        self.at += 1;
        self.space();
        Ok(node)
    }

    /// Ends it, after its closing bracket.
    fn close(&mut self, node: usize) {
        self.at += 1;
        let next = self.nodes.len() as u32;
        self.nodes[node].end = self.at as u32;
        self.nodes[node].next = next;
    }

    /// After an item: true when another follows, false when `end` does.
    fn another(&mut self, end: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == end => Ok(false),
            Some(_) => Err(self.here("a character where a comma or the end should be")),
            None => Err(self.here("an end before everything was closed")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Fault> {
        let node = self.open(Kind::Array, depth)?;
        if self.peek() != Some(b']') {
            loop {
                self.value(depth + 1)?;
                if !self.another(b']')? {
                    break;
                }
            }
        }
        self.close(node);
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Fault> {
        let node = self.open(Kind::Object, depth)?;
        if self.peek() != Some(b'}') {
            let mut members = 0;
            loop {
                members += 1;
                if members > MEMBERS_MAX {
                    return Err(self.here("too many members in one object"));
                }
                self.member(depth)?;
                if !self.another(b'}')? {
                    break;
                }
            }
            self.refuse_repeated(node + 1, members)?;
        }
        self.close(node);
        Ok(())
    }

    fn member(&mut self, depth: usize) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.here("something other than a quoted member name"));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.here("no colon after a member name"));
        }
        self.at += 1;
        self.space();
        self.value(depth + 1)
    }

    /// Looks for a name that stands twice in the object whose first member is the node `first`.
    fn refuse_repeated(&self, first: usize, members: usize) -> Result<(), Fault> {
        let plain = |name: usize| self.nodes[name].kind == Kind::Text;
        let repeated = if members <= FEW_MEMBERS && self.names(first).all(plain) {
            let earlier = |name| self.names(first).take_while(move |earlier| *earlier < name);
            let mut names = self.names(first);
            names.find(|&name| earlier(name).any(|earlier| same(self.slice(earlier), self.slice(name))))
        } else {
            let mut seen = BTreeSet::new();
            self.names(first).find(|&name| !seen.insert(self.name(name)))
        };
        let Some(name) = repeated else {
            return Ok(());
        };
        let shown: String = self.slice(name).chars().take(40).collect();
        Err(Fault {
            at: self.nodes[name].start as usize,
            what: format!("the member name {shown:?} for the second time").into(),
        })
    }

    /// The nodes that are the names of an object, which is still the last thing read.
    fn names(&self, first: usize) -> impl Iterator<Item = usize> {
        let after = |name: &usize| Some(self.nodes[name + 1].next as usize);
        std::iter::successors(Some(first), move |name| after(name).filter(|next| *next < self.nodes.len()))
    }

    fn name(&self, node: usize) -> Cow<'_, str> {
        match self.nodes[node].kind {
            Kind::EscapedText => Cow::Owned(unescape(self.slice(node))),
            _ => Cow::Borrowed(self.slice(node)),
        }
    }

    fn slice(&self, node: usize) -> &str {
        let node = self.nodes[node];
        &self.text[node.start as usize..node.end as usize]
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let start = self.at;
        let mut kind = Kind::Text;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            if self.at == self.bytes.len() {
                return Err(self.here("an end inside a text"));
            }
            match self.bytes[self.at] {
                b'"' => break,
                b'\\' => {
                    kind = Kind::EscapedText;
                    self.escape()?;
                }
                _ => return Err(self.here("a raw control character in a text")),
            }
        }
        self.push(kind, start, self.at);
        self.at += 1;
        Ok(())
    }

    /// One escape, from its backslash on.
    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => Err(self.here("an escape that JSON does not have")),
        }
    }

    /// `\uXXXX`, or two of them for a character beyond the first plane.
    fn unicode_escape(&mut self) -> Result<(), Fault> {
        let lone = "half of a surrogate pair";
        match self.unit(self.at)? {
            0xdc00..=0xdfff => Err(self.here(lone)),
            0xd800..=0xdbff => match self.unit(self.at + 6) {
                Ok(0xdc00..=0xdfff) => {
                    self.at += 12;
                    Ok(())
                }
                _ => Err(self.here(lone)),
            },
            _ => {
                self.at += 6;
                Ok(())
            }
        }
    }

    fn unit(&self, at: usize) -> Result<u32, Fault> {
        let wrong = || fault(at, "a \\u escape without four hexadecimal digits");
        let escape = self.bytes.get(at..at + 6).ok_or_else(wrong)?;
        if &escape[..2] != b"\\u" {
            return Err(wrong());
        }
        escape[2..].iter().try_fold(0, |code, &byte| {
            let digit = char::from(byte).to_digit(16).ok_or_else(wrong)?;
            Ok(code * 16 + digit)
        })
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.here("a minus sign without a number")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        // `01` and `0x1f` end here with something left over, which the caller refuses.
        self.push(Kind::Number, start, self.at);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.here("a number without digits where they belong"));
        }
        Ok(())
    }
}

/// How many bytes at the beginning need no attention inside a text: neither quote, backslash nor
/// control character. Most of a token is such text, so it looks at eight bytes at a time.
fn plain_prefix(bytes: &[u8]) -> usize {
    let mut count = 0;
    for chunk in bytes.chunks_exact(8) {
        let eight = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        if special(eight) != 0 {
            break;
        }
        count += 8;
    }
    let rest = &bytes[count..];
    let special = rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
    count + special.unwrap_or(rest.len())
}

/// Not zero exactly when one of the eight bytes is special.
fn special(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    // Borrows from the top bit of each byte that is less than `n`.
    let less = |bytes: u64, n: u64| bytes.wrapping_sub(ONES * n) & !bytes & (ONES * 0x80);
    less(eight, 0x20) | less(eight ^ (ONES * u64::from(b'"')), 1) | less(eight ^ (ONES * u64::from(b'\\')), 1)
}
