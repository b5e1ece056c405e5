//! A very small reader of Rust text: it tells code, strings and comments apart, and which lines
//! are tests. It knows no grammar; the rules need none.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Code,
    Text,
    Comment,
}

/// A stretch of one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub line: usize,
    pub kind: Kind,
    pub text: String,
}

/// Cuts Rust source into pieces; none spans a line break, and quotes belong to no piece.
pub(crate) fn pieces(source: &str) -> Vec<Piece> {
    let mut reader = Reader { chars: source.chars().collect(), at: 0, line: 1, now: String::new(), pieces: Vec::new() };
    reader.read();
    reader.pieces
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
    now: String,
    pieces: Vec<Piece>,
}

impl Reader {
    fn read(&mut self) {
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(0),
                ('\'', _) => self.quote(),
                ('r', Some('"' | '#')) if !self.in_word() => self.raw_string(1),
                ('b', Some('r')) if !self.in_word() && matches!(self.peek(2), Some('"' | '#')) => {
                    self.raw_string(2);
                }
                _ => self.take(Kind::Code),
            }
        }
        self.flush(Kind::Code);
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn in_word(&self) -> bool {
        self.now.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    /// Moves one character on; a line break ends the piece.
    fn take(&mut self, kind: Kind) {
        let c = self.chars[self.at];
        self.at += 1;
        if c == '\n' {
            self.flush(kind);
            self.line += 1;
        } else {
            self.now.push(c);
        }
    }

    fn flush(&mut self, kind: Kind) {
        if !self.now.is_empty() {
            let text = std::mem::take(&mut self.now);
            let line = self.line;
            self.pieces.push(Piece { line, kind, text });
        }
    }

    fn line_comment(&mut self) {
        self.flush(Kind::Code);
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.take(Kind::Comment);
        }
        self.flush(Kind::Comment);
    }

    fn block_comment(&mut self) {
        self.flush(Kind::Code);
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.take(Kind::Comment);
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.take(Kind::Comment);
                }
                _ => {}
            }
            if self.at < self.chars.len() {
                self.take(Kind::Comment);
            }
            if depth == 0 {
                break;
            }
        }
        self.flush(Kind::Comment);
    }

    /// `"…"`, or the inside of a raw string that `hashes` close.
    fn string(&mut self, hashes: usize) {
        self.flush(Kind::Code);
        self.at += 1;
        while let Some(c) = self.peek(0) {
            if c == '"' && self.closes(hashes) {
                break;
            }
            if c == '\\' && hashes == 0 {
                self.take(Kind::Text);
            }
            if self.at < self.chars.len() {
                self.take(Kind::Text);
            }
        }
        self.flush(Kind::Text);
        self.at += 1 + hashes;
    }

    fn closes(&self, hashes: usize) -> bool {
        (1..=hashes).all(|n| self.peek(n) == Some('#'))
    }

    fn raw_string(&mut self, prefix: usize) {
        let hashes = self.chars[self.at + prefix..].iter().take_while(|&&c| c == '#').count();
        if self.peek(prefix + hashes) != Some('"') {
            return self.take(Kind::Code); // a raw identifier, r#type
        }
        self.flush(Kind::Code);
        self.at += prefix + hashes;
        if hashes > 0 {
            return self.string(hashes);
        }
        self.at += 1;
        while self.peek(0).is_some_and(|c| c != '"') {
            self.take(Kind::Text);
        }
        self.flush(Kind::Text);
        self.at += 1;
    }

    /// A character literal, or the apostrophe of a lifetime.
    fn quote(&mut self) {
        let length = match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => self.chars[self.at + 3..].iter().position(|&c| c == '\'').map_or(1, |end| end + 4),
            (Some(_), Some('\'')) => 3,
            _ => 1,
        };
        if length == 1 {
            return self.take(Kind::Code);
        }
        self.at += length;
        self.now.push(' ');
    }
}

/// The first line that belongs to an inline `#[cfg(test)] mod … {`, if there is one: by habit it
/// stands last in its file.
pub(crate) fn tests_start(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && is_inline_module(pair[1]))
        .map_or(usize::MAX, |index| index + 1)
}

fn is_inline_module(line: &str) -> bool {
    line.starts_with("mod ") && line.ends_with('{')
}

/// The words of an identifier: `ChannelSid`, `channel_sid` and `CHANNEL_SID` give channel and sid.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
        lower_before = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(usize, Kind, String)> {
        pieces(source).into_iter().map(|p| (p.line, p.kind, p.text)).collect()
    }

    #[test]
    fn code_text_and_comments_are_told_apart() {
        let got = kinds("let a = \"x // y\"; // why\nb('\"', '\\'', 'c');");
        assert_eq!(got[0], (1, Kind::Code, "let a = ".into()));
        assert_eq!(got[1], (1, Kind::Text, "x // y".into()));
        assert_eq!(got[2], (1, Kind::Code, "; ".into()));
        assert_eq!(got[3], (1, Kind::Comment, "// why".into()));
        assert_eq!(got[4], (2, Kind::Code, "b( ,  ,  );".into()));
    }

    #[test]
    fn raw_strings_and_nested_comments_end_where_they_should() {
        let got = kinds("r#\"a \" b\"# /* x /* y */ z */ r#type r\"\\\" br\"q\"");
        let texts: Vec<_> = got.iter().map(|(_, k, t)| (*k, t.as_str())).collect();
        assert_eq!(texts[0], (Kind::Text, "a \" b"));
        assert_eq!(texts[2], (Kind::Comment, "/* x /* y */ z */"));
        assert_eq!(texts[3], (Kind::Code, " r#type "));
        assert_eq!(texts[4], (Kind::Text, "\\"));
        assert_eq!(texts[6], (Kind::Text, "q"));
    }

    #[test]
    fn a_string_over_lines_keeps_its_line_numbers() {
        let got = kinds("f(\"SELECT\n FROM t\");");
        assert_eq!(got[1], (1, Kind::Text, "SELECT".into()));
        assert_eq!(got[2], (2, Kind::Text, " FROM t".into()));
    }

    #[test]
    fn lifetimes_are_not_characters() {
        assert_eq!(kinds("fn f<'a>(x: &'a str)")[0].2, "fn f<'a>(x: &'a str)");
    }

    #[test]
    fn identifiers_fall_into_words() {
        assert_eq!(words("ChannelSid"), ["channel", "sid"]);
        assert_eq!(words("last_consumed_index"), ["last", "consumed", "index"]);
        assert_eq!(words("MEMBER"), ["member"]);
    }

    #[test]
    fn inline_tests_are_found_and_modules_elsewhere_are_not() {
        assert_eq!(tests_start("fn a() {}\n#[cfg(test)]\nmod tests {\n}"), 2);
        assert_eq!(tests_start("#[cfg(test)]\nmod tests;\nfn a() {}"), usize::MAX);
    }
}
