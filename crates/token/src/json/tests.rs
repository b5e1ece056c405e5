use super::*;

fn read(text: &str) -> Result<Doc, Fault> {
    Doc::read(text.as_bytes().to_vec())
}

#[test]
fn reads_what_serde_json_reads() {
    for text in [
        "null",
        " [1, -2.5e3, true, false, null, {}] ",
        r#"{"a":{"b":[{"c":"d"}]},"e":"\u00e9\ud83d\ude00\n\/"}"#,
        r#"{"":0}"#,
    ] {
        let expected: serde_json::Value = serde_json::from_str(text).expect(text);
        assert_eq!(read(text).expect(text).root().to_serde(), expected);
    }
}

#[test]
fn refuses_what_is_not_json() {
    for text in [
        "",
        " ",
        "{",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "0x1",
        "-",
        "NaN",
        "Infinity",
        "tru",
        "nullx",
        "{}{}",
        "{}\0",
        "\u{feff}{}",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"a\nb\"",
        "\"",
        "/**/{}",
    ] {
        assert!(read(text).is_err(), "{text:?} was read");
    }
    assert!(Doc::read(b"\"\xff\"".to_vec()).is_err());
    assert!(Doc::read(b"\"\xc0\xaf\"".to_vec()).is_err());
}

#[test]
fn refuses_repeated_names_however_they_are_written() {
    assert!(read(r#"{"a":1,"b":2,"a":3}"#).is_err());
    assert!(read(r#"{"a":1,"\u0061":3}"#).is_err());
    assert!(read(r#"{"\u0061":1,"a":3}"#).is_err());
    assert!(read(r#"{"\u0061":1,"\u0061":3}"#).is_err());
    assert!(read(r#"{"x":{"a":1},"a":2,"A":3}"#).is_ok());
    // The same with many members, where they are not compared pair by pair.
    let many: String = (0..100).map(|i| format!("\"m{i}\":{{\"m{i}\":0}},")).collect();
    assert!(read(&format!("{{{many}\"m\":0}}")).is_ok());
    let fault = read(&format!("{{{many}\"m7\":0}}")).expect_err("m7 stands there twice");
    assert_eq!((fault.at, &*fault.what), (many.len() + 2, "the member name \"m7\" for the second time"));
    assert!(read(&format!("{{{many}\"\\u006d7\":0}}")).is_err());
}

#[test]
fn has_bounds() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(read(&nested(DEPTH_MAX)).is_ok());
    assert!(read(&nested(DEPTH_MAX + 1)).is_err());
    assert!(read(&"[".repeat(100_000)).is_err());
    let members = |n: usize| {
        let list: Vec<_> = (0..n).map(|i| format!("\"m{i}\":{i}")).collect();
        format!("{{{}}}", list.join(","))
    };
    assert!(read(&members(MEMBERS_MAX)).is_ok());
    assert!(read(&members(MEMBERS_MAX + 1)).is_err());
}

#[test]
fn what_is_written_is_read_back() {
    for text in ["", "plain", "\"\\\u{0}\u{1f}\n\r\t\u{7f}", "é😀\u{2028}"] {
        let mut out = String::new();
        push_text(&mut out, text);
        assert_eq!(read(&out).expect("own JSON").root().text().as_deref(), Some(text));
    }
}

#[test]
fn numbers_beyond_every_type_become_text() {
    let doc = read("[1e400, 18446744073709551616]").expect("valid JSON");
    assert_eq!(doc.root().to_serde()[0], "1e400");
}
