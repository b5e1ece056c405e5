use serde_json::json;

use super::*;

fn policy(rules: &str) -> Policy {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        rules: Vec<Rule>,
    }
    let file: File = toml::from_str(rules).unwrap();
    Policy { rules: file.rules, ttl_seconds: 14_400, ttl_seconds_max: 20_000 }
}

fn login(source: &str, subject: &str, facts: Value) -> Login {
    Login { source: source.to_owned(), subject: subject.to_owned(), facts }
}

const RULES: &str = r#"
[[rules]]
name = "blocked"
when = { subject = ["mallory", "eve-*"] }
deny = "is not wanted"

[[rules]]
name = "staff"
when = { source = "company", groups = "staff", email = "*@example.com", email_verified = true }
identity = "staff:{email:lower}"
role = "service admin"
ttl_seconds = 3600
grants = { video_room = "", voice_incoming = true }

[[rules]]
name = "tenants"
when = { "tenant.level" = [1, 2], tenant = "*" }
service = "{tenant.service}"

[[rules]]
name = "devices"
when = { source = "devices", model = "*" }
identity = "{model}/{subject}"
ttl_seconds = 86400
"#;

#[test]
fn the_first_rule_whose_conditions_all_hold_decides() {
    let policy = policy(RULES);
    let staff = json!({"groups": ["a", "staff"], "email": "Ana@example.com", "email_verified": true});
    let decision = policy.decide(&login("company", "7", staff.clone())).unwrap();
    assert_eq!(
        (decision.rule.as_str(), decision.identity.as_str(), decision.role.as_deref(), decision.ttl_seconds),
        ("staff", "staff:ana@example.com", Some("service admin"), 3600)
    );
    assert_eq!((decision.grants.video_room.as_deref(), decision.grants.voice_incoming), (Some(""), true));
    let denied = policy.decide(&login("company", "eve-7", staff.clone())).unwrap_err();
    assert_eq!(denied, Denial::Rule { rule: "blocked".to_owned(), reason: "is not wanted".to_owned() });
    let device = policy.decide(&login("devices", "a/b", json!({"model": "m1"}))).unwrap();
    assert_eq!((device.identity.as_str(), device.service, device.ttl_seconds), ("m1/a~2Fb", None, 20_000));
    for (name, facts) in [
        ("another source", json!({"model": "m1"})),
        ("an empty text", json!({"groups": "staff", "email": "@example.org", "email_verified": true})),
        ("a flag as a text", json!({"groups": ["staff"], "email": "a@example.com", "email_verified": "true"})),
        ("a part of a word", json!({"groups": ["staffing"], "email": "a@example.com", "email_verified": true})),
        ("no facts", Value::Null),
        ("facts that are none", json!("staff")),
    ] {
        assert_eq!(policy.decide(&login("company", "7", facts)), Err(Denial::NoRule), "{name}");
    }
}

#[test]
fn conditions_compare_texts_numbers_flags_and_what_is_in_lists() {
    for (wanted, fact, holds) in [
        (r#""a""#, json!("a"), true),
        (r#""a""#, json!("A"), false),
        (r#""a""#, json!(["b", "a"]), true),
        (r#"["a", "b"]"#, json!("b"), true),
        (r#"["a", "b"]"#, json!(["c"]), false),
        (r#""*""#, json!(""), false),
        (r#""*""#, json!("x"), true),
        (r#""*x""#, json!("ax"), true),
        (r#""x*""#, json!("ax"), false),
        ("1", json!(1), true),
        // Apps and providers write ids as they like.
        ("1", json!("1"), true),
        (r#""1""#, json!(1), true),
        (r#""1""#, json!([1]), true),
        (r#""1*""#, json!(17), true),
        (r#""*""#, json!(0), true),
        ("1", json!("01"), false),
        (r#""1""#, json!(1.0), false),
        ("true", json!(true), true),
        ("true", json!(1), false),
        (r#""a""#, json!({"a": 1}), false),
        (r#""a""#, json!(null), false),
    ] {
        let policy = policy(&format!("[[rules]]\nname = \"r\"\nwhen = {{ fact = {wanted} }}"));
        let decided = policy.decide(&login("s", "a", json!({"fact": fact}))).is_ok();
        assert_eq!(decided, holds, "{wanted} and {fact}");
    }
}

#[test]
fn facts_are_found_by_whole_names_before_they_are_found_inside() {
    let login = login("s", "x", json!({"a.b": 1, "a": {"b": 2, "c.d": {"e": 3}}, "subject": "other", "source": 9}));
    for (name, value) in [
        ("a.b", json!(1)),
        ("a.c.d.e", json!(3)),
        ("a.c", Value::Null),
        ("subject", json!("x")),
        ("source", json!("s")),
        ("b", Value::Null),
    ] {
        assert_eq!(login.fact(name).unwrap_or_default(), value, "{name}");
    }
}

#[test]
fn without_rules_everybody_comes_in_as_their_subject() {
    let decision = policy("").decide(&login("s", "ana@example.com", Value::Null)).unwrap();
    assert_eq!((decision.rule.as_str(), decision.identity.as_str()), (DEFAULT_RULE, "ana@example.com"));
    assert_eq!((decision.ttl_seconds, decision.service, decision.role), (14_400, None, None));
}

#[test]
fn a_rule_that_cannot_be_carried_out_refuses_and_no_other_is_tried() {
    let rules = "[[rules]]\nname = \"mail\"\nidentity = \"{email}\"\n[[rules]]\nname = \"all\"";
    let denial = policy(rules).decide(&login("s", "a", json!({"email": ["x"]}))).unwrap_err();
    assert_eq!(denial.rule(), Some("mail"));
    assert!(denial.to_string().contains("no fact \"email\""), "{denial}");
}

#[test]
fn the_steps_say_why() {
    let steps = policy(RULES).steps(&login("devices", "d", json!({"model": "m", "tenant": {"level": 3}})));
    let text = |step: &Step| step.fails.as_ref().map_or_else(|| "-".to_owned(), Unmet::to_string);
    let told: Vec<_> = steps.iter().map(|step| (step.rule.as_str(), text(step))).collect();
    let expected = [
        ("blocked", "subject must be \"mallory\" or \"eve-*\", and is \"d\""),
        ("staff", "email must be \"*@example.com\", and the login has no such fact"),
        ("tenants", "tenant must be \"*\", and is {\"level\":3}"),
        ("devices", "-"),
    ];
    assert_eq!(told, expected.map(|(rule, text)| (rule, text.to_owned())));
}

#[test]
fn examples_are_compared_in_what_they_name() {
    let policy = policy(RULES);
    let example = |text: &str| toml::from_str::<Example>(text).unwrap().differences(&policy);
    let device = "login = { source = \"devices\", subject = \"d\", facts = { model = \"m\" } }\n";
    let nobody = "login = { source = \"x\", subject = \"y\" }\n";
    for (given, says) in [
        (format!("{device}gives = {{ identity = \"m/d\", role = \"\" }}"), ""),
        (format!("{device}gives = {{ identity = \"d\", ttl_seconds = 1 }}"), "identity should be \"d\""),
        (format!("{device}refused_by = \"no rule\""), "should be refused"),
        (format!("{nobody}refused_by = \"no rule\""), ""),
        (format!("{nobody}refused_by = \"blocked\""), "is by no rule"),
        (format!("{nobody}gives = {{}}"), "is refused by no rule"),
        (nobody.to_owned(), "neither"),
        (format!("{nobody}refused_by = \"no rule\"\ngives = {{}}"), "both"),
    ] {
        let differences = example(&given).join("; ");
        assert!(
            if says.is_empty() { differences.is_empty() } else { differences.contains(says) },
            "{given}: {differences}"
        );
    }
}

#[test]
fn unknown_words_are_refused() {
    for text in ["colour = 1", "when = { a = 1.5 }", "grants = { all = true }", "identity = \"{\""] {
        assert!(toml::from_str::<Rule>(&format!("name = \"r\"\n{text}")).is_err(), "{text}");
    }
}

#[test]
fn a_session_is_never_called_as_all_of_somebody_are() {
    let session = |sid: Value| login("site", "7", json!({"sid": sid})).session();
    assert_eq!(session(json!("4711")).as_deref(), Some("site:4711"));
    for none in [json!(":7"), json!(""), json!("x".repeat(251))] {
        assert_eq!(session(none.clone()), None, "{none}");
    }
}

#[test]
fn a_whole_number_names_a_session_and_a_subject_as_its_digits_do() {
    let session = |sid: Value| login("site", "7", json!({"sid": sid})).session();
    assert_eq!(session(json!(4711)).as_deref(), Some("site:4711"));
    assert_eq!(session(json!(4711)), session(json!("4711")));
    assert_eq!(session(json!(u64::MAX)).as_deref(), Some("site:18446744073709551615"));
    for nameless in [json!(1.5), json!(1e30), json!(true), json!(null), json!(""), json!(["4711"])] {
        assert_eq!(session(nameless.clone()), None, "{nameless}");
    }
    let written: Login = toml::from_str("source = \"site\"\nsubject = 7").unwrap();
    assert_eq!(written.subject, "7");
    assert!(toml::from_str::<Login>("source = \"site\"\nsubject = 7.5").is_err());
}

#[test]
fn dots_lead_inside_and_names_may_have_dots_themselves() {
    let facts = json!({
        "https://example.com/roles": ["admin"],
        "https://example.com/claims": {"team.name": "blue", "level": 2},
        "user": {"profile": {"email": "ana@example.com"}, "a.b": {"c": true}},
        "user.name": "ana",
    });
    let login = login("company", "7", facts);
    for (name, value) in [
        ("https://example.com/roles", json!(["admin"])),
        ("https://example.com/claims.level", json!(2)),
        ("https://example.com/claims.team.name", json!("blue")),
        ("user.profile.email", json!("ana@example.com")),
        ("user.a.b.c", json!(true)),
        ("user.name", json!("ana")),
    ] {
        assert_eq!(login.fact(name), Some(value), "{name}");
    }
    for name in ["user.profile.phone", "https://example.com", "user.", ".user", "user..profile"] {
        assert_eq!(login.fact(name), None, "{name}");
    }
    let rules = r#"
        [[rules]]
        name = "admins"
        identity = "{https://example.com/claims.team.name}-{user.profile.email:lower}"
        [rules.when]
        "https://example.com/roles" = "admin"
        user.a."b.c" = true
        user.profile.email = "*@example.com"
    "#;
    assert_eq!(policy(rules).decide(&login).unwrap().identity, "blue-ana@example.com");
}

#[test]
fn a_condition_that_compares_nothing_is_refused_by_its_name() {
    for (when, says) in [
        ("user.level = 1.5", "\"user.level\" must be a text"),
        ("user = { born = 2000-01-01 }", "\"user.born\" must be a text"),
        ("groups = [\"a\", 1.5]", "\"groups\" must be a text"),
        ("user.a = 1\n\"user.a\" = 2", "\"user.a\" stands there twice"),
    ] {
        let text = format!("name = \"r\"\n[when]\n{when}");
        let said = toml::from_str::<Rule>(&text).unwrap_err().to_string();
        assert!(said.contains(says), "{when}: {said}");
    }
}
