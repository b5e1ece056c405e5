//! `tertulia policy`: rules tried out without a server.

use std::path::PathBuf;
use std::process::{Command, Output};

use testkit::{TempDir, temp_dir};

const RULES: &str = r#"
[[login.sources]]
name = "site"
kind = "app"
url = "http://127.0.0.1:3000/me"

[[login.rules]]
name = "staff"
when = { groups = "staff" }
identity = "staff:{subject}"
role = "service admin"

[[login.rules]]
name = "guests"
when = { guest = true }
deny = "guests do not chat"
"#;

fn file(folder: &TempDir, examples: &str) -> PathBuf {
    let file = folder.path().join("tertulia.toml");
    std::fs::write(&file, format!("{RULES}\n{examples}")).unwrap();
    file
}

fn policy(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tertulia"));
    let Output { status, stdout, stderr } = command.arg("policy").args(args).env_clear().output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn examples_beside_the_rules_are_compared() {
    let folder = temp_dir();
    let good = r#"
[[login.examples]]
login = { source = "site", subject = "a b", facts = { groups = ["staff"] } }
gives = { rule = "staff", identity = "staff:a~20b" }
[[login.examples]]
login = { source = "site", subject = "g", facts = { guest = true } }
refused_by = "guests"
"#;
    let path = file(&folder, good);
    let (code, out, _) = policy(&["test", path.to_str().unwrap()]);
    assert_eq!((code, out.lines().last()), (0, Some("2 passed, 0 failed")), "{out}");
    let path = file(&folder, &good.replace("staff:a~20b", "a b"));
    let (code, out, _) = policy(&["test", path.to_str().unwrap()]);
    assert_eq!((code, out.lines().last()), (1, Some("1 passed, 1 failed")), "{out}");
    assert!(out.contains("identity should be \"a b\", and is \"staff:a~20b\""), "{out}");
    let path = file(&folder, "");
    let (code, _, err) = policy(&["test", path.to_str().unwrap()]);
    assert!(code != 0 && err.contains("no [[login.examples]]"), "{err}");
}

#[test]
fn one_login_is_explained() {
    let folder = temp_dir();
    let path = file(&folder, "");
    let path = path.to_str().unwrap();
    let staff = ["explain", path, "--source", "site", "--subject", "7", "--facts", "{\"groups\": [\"staff\"]}"];
    let (code, out, _) = policy(&staff);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("rule staff: every condition holds") && out.contains("identity      staff:7"), "{out}");
    let (code, out, _) = policy(&["explain", path, "--source", "site", "--subject", "7", "-o", "json"]);
    assert_eq!(code, 1, "{out}");
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((value["refused_by"].as_str(), value["steps"].as_array().unwrap().len()), (Some("no rule"), 2));
    let (code, _, err) = policy(&["explain", path, "--source", "other", "--subject", "7"]);
    assert!(code == 2 && err.contains("there is no source \"other\""), "{err}");
}

#[test]
fn a_configuration_that_would_let_the_wrong_ones_in_is_refused() {
    let folder = temp_dir();
    for (source, says) in [
        ("name = \"x\"\nkind = \"oidc\"\nissuer = \"https://a.example\"\naudience = []", "audience"),
        (
            "name = \"x\"\nkind = \"oidc\"\nissuer = \"https://a.example\"\naudience = [\"a\"]\nalgorithms = [\"HS256\"]",
            "HS256",
        ),
        (
            "name = \"x\"\nkind = \"oidc\"\nissuer = \"a.example\"\naudience = [\"a\"]",
            "issuer is \"a.example\"; it must be an absolute URL",
        ),
        ("name = \"x\"\nkind = \"proxy\"\nheader = \"X-User\"\naddresses = []", "addresses"),
        (
            "name = \"x\"\nkind = \"proxy\"\nheader = \"X User\"\naddresses = [\"127.0.0.1\"]",
            "not the name of a header",
        ),
        (
            "name = \"x\"\nkind = \"app\"\nurl = \"file:///etc/passwd\"",
            "url is \"file:///etc/passwd\"; it must be an absolute URL",
        ),
        ("name = \"x\"\nkind = \"app\"\nurl = \"http://a.example\"\nretries = 3", "retries"),
        ("name = \"site\"\nkind = \"api-token\"", "another source is called already"),
        ("name = \"x\"\nkind = \"ldap\"", "ldap"),
    ] {
        let path = file(&folder, &format!("[[login.sources]]\n{source}\n"));
        let (code, _, err) = policy(&["test", path.to_str().unwrap()]);
        assert!(code == 2 && err.contains(says), "{source}: {err}");
    }
    let path = file(&folder, "[[login.rules]]\nname = \"r\"\nwhen = { source = \"sight\" }\n");
    let (_, _, err) = policy(&["test", path.to_str().unwrap()]);
    assert!(err.contains("names the source \"sight\""), "{err}");
}

#[test]
fn the_policy_in_the_documentation_holds() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tokens.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    for (name, last) in [("oidc.toml", "2 passed, 0 failed"), ("claims.toml", "1 passed, 0 failed")] {
        let begin = format!("<!-- example: {name} -->\n```toml\n");
        let example = docs.split(&begin).nth(1).unwrap().split("```").next().unwrap();
        let folder = temp_dir();
        let path = folder.path().join("tertulia.toml");
        std::fs::write(&path, example).unwrap();
        let (code, out, err) = policy(&["test", path.to_str().unwrap()]);
        assert_eq!((code, out.lines().last()), (0, Some(last)), "{out}{err}");
    }
}

/// What `config.default.toml` shows in comments can be used as it stands there.
#[test]
fn what_the_default_configuration_shows_of_logins_can_be_used() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.default.toml");
    let shown: String = std::fs::read_to_string(docs)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let folder = temp_dir();
    let path = folder.path().join("tertulia.toml");
    std::fs::write(&path, shown).unwrap();
    let (code, out, err) = policy(&["test", path.to_str().unwrap()]);
    assert_eq!((code, out.lines().last()), (0, Some("2 passed, 0 failed")), "{out}{err}");
}
