use super::*;

const CONFIG: &str = r#"{"floors": {"house": {"order": [
    {"floor": "ground", "rooms": ["stone", "sand"]},
    {"floor": "attic", "rooms": ["roof"]}]}}}"#;

const ROOT_TEXT: &str = "mod stone;\nmod sand;\nmod roof;\npub use roof::Tile;\npub struct House;\n";

fn found_by(config: &str, files: &[(&str, &str)]) -> Vec<String> {
    let mut all = BTreeMap::from([("lib.rs", ROOT_TEXT), ("stone.rs", ""), ("sand.rs", ""), ("roof.rs", "")]);
    all.extend(files.iter().copied());
    let all: Vec<(String, &str)> =
        all.into_iter().map(|(name, text)| (format!("crates/house/src/{name}"), text)).collect();
    let all: Vec<(&str, &str)> = all.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let problems = check(&Tree::of(&all), &Config::parse(config).unwrap());
    problems.into_iter().map(|p| format!("{}:{} {} | {}", p.file, p.line, p.what, p.fix)).collect()
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    found_by(CONFIG, files)
}

/// That `stone.rs` is refused for using `roof` on this line, and is told what to do.
fn assert_refused(stone: &str, line: usize) {
    let roof = "pub struct Tile;\npub mod beam { pub fn lay() {} pub struct Oak; }\n";
    let problems = found(&[("stone.rs", stone), ("roof.rs", roof)]);
    let place = format!("crates/house/src/stone.rs:{line} `stone` (floor ground) uses `roof` (floor attic)");
    assert!(!problems.is_empty(), "nothing is refused in {stone}");
    for problem in &problems {
        assert!(problem.starts_with(&place), "{problem}\nfor {stone}");
        assert!(problem.contains("move what both need down") && problem.contains("tidy.json"), "{problem}");
    }
}

#[test]
fn an_import_of_a_room_above_is_refused() {
    assert_refused("\nuse crate::roof::Tile;", 2);
    assert_refused("use crate::{\n  sand,\n  roof::beam::{self, Oak},\n};", 3);
    assert_refused("use super::roof;", 1);
    assert_refused("use crate::roof::*;", 1);
    assert_refused("use crate::roof::Tile as _;", 1);
}

#[test]
fn a_path_without_an_import_is_refused_wherever_it_stands() {
    assert_refused("fn f() {\n  if true {\n    crate::roof::beam::lay();\n  }\n}", 3);
    assert_refused("struct A {\n  tile: Option<super::roof::Tile>,\n}", 2);
    assert_refused("fn f() {\n  use crate::roof as r;\n}", 2);
    assert_refused("pub(in crate::stone) fn f<T: Into<crate::roof::Tile>>(t: T) {}", 1);
    assert_refused("impl From<crate::roof::Tile> for u8 {}", 1);
}

#[test]
fn a_re_export_is_refused_as_an_import_is() {
    assert_refused("pub use crate::roof::Tile;", 1);
    assert_refused("pub(crate) use super::roof::beam::*;", 1);
}

#[test]
fn paths_in_macros_and_attributes_are_read() {
    assert_refused("fn f() {\n  println!(\"{}\", crate::roof::beam::lay());\n}", 2);
    assert_refused("macro_rules! tile {\n  () => { $crate::roof::Tile };\n}", 2);
    assert_refused("#[derive(crate::roof::Tile)]\nstruct A;", 1);
    assert_refused("struct A {\n  #[serde(with = \"crate::roof::beam\")]\n  a: u8,\n}", 2);
}

#[test]
fn a_path_through_the_root_leads_to_where_the_thing_is() {
    assert_refused("use crate::Tile;", 1);
    let problems = found(&[("stone.rs", "use crate::House;")]);
    assert!(problems[0].contains("uses `the root` (floor the top)"), "{problems:?}");
}

#[test]
fn a_path_through_another_room_is_a_use_of_both() {
    let files = [("stone.rs", "use crate::sand::Tile;"), ("sand.rs", "pub use crate::roof::Tile;")];
    let problems = found(&files);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("sand.rs:1")) && problems.iter().any(|p| p.contains("stone.rs:1")));
}

#[test]
fn a_circle_of_one_floor_is_refused_with_every_step() {
    let problems = found(&[("stone.rs", "\nuse super::sand::A;\npub struct B;"), ("sand.rs", "use crate::stone::B;")]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let told =
        ["`sand` uses `stone` (crates/house/src/sand.rs:1)", "`stone` uses `sand` (crates/house/src/stone.rs:2)"];
    assert!(told.iter().all(|step| problems[0].contains(step)), "{problems:?}");
    assert!(problems[0].contains("floor ground") && problems[0].contains("declare the modules one room"));
}

#[test]
fn downwards_and_along_a_floor_is_allowed() {
    let files = [
        ("stone.rs", "use crate::sand::A;\nuse std::roof::Tile;\nfn f(roof: u8) { roof; x.roof(); }"),
        ("roof.rs", "use crate::{stone, sand};\npub struct Tile;\nfn f() { stone::x(); }"),
        ("sand.rs", "pub(crate) struct A;\npub(super) enum B { roof }\nfn f() { B::roof; }"),
    ];
    assert_eq!(found(&files), [""; 0]);
}

#[test]
fn tests_may_use_anything() {
    let stone = "#[cfg(test)]\nuse crate::roof::Tile;\n#[cfg(test)]\nmod tests { use crate::roof::Tile; }\n\
                 #[cfg(test)]\nmod more;";
    assert_eq!(found(&[("stone.rs", stone), ("stone/more.rs", "use crate::roof::Tile;")]), [""; 0]);
}

#[test]
fn declared_rooms_are_one_and_say_why() {
    let circle = [("stone.rs", "use crate::sand::A;"), ("sand.rs", "use crate::stone::B;")];
    let one = |reason: &str| {
        let room = format!(r#""one_room": {{"earth": {{"is": ["stone", "sand"], "reason": "{reason}"}}}}, "order""#);
        CONFIG.replace("\"order\"", &room).replace(r#"["stone", "sand"]}"#, r#"["earth"]}"#).replacen(
            r#""is": ["earth"]"#,
            r#""is": ["stone", "sand"]"#,
            1,
        )
    };
    assert_eq!(found_by(&one("an enum and its engines"), &circle), [""; 0]);
    assert!(found_by(&one(""), &circle)[0].contains("without a reason"));
}

#[test]
fn a_deeper_module_may_be_a_room_of_its_own() {
    let config = CONFIG.replace("[\"stone\"", "[\"stone\", \"roof::beam\"");
    let files = [("roof.rs", "pub mod beam;"), ("roof/beam.rs", ""), ("stone.rs", "use crate::roof::beam::Oak;")];
    assert_eq!(found_by(&config, &files), [""; 0]);
    let files = [("roof.rs", "pub mod beam;\npub struct T;"), ("roof/beam.rs", "use super::T;"), ("stone.rs", "")];
    assert!(found_by(&config, &files)[0].contains("`roof::beam` (floor ground) uses `roof` (floor attic)"));
}

#[test]
fn an_exception_holds_until_it_is_not_needed() {
    let file = "crates/house/src/stone.rs";
    let config = CONFIG.replace("\"order\"", &format!(r#""exceptions": {{"{file}": ["roof"]}}, "order""#));
    let upward = "use crate::roof::Tile;";
    assert_eq!(found_by(&config, &[("stone.rs", upward), ("roof.rs", "pub struct Tile;")]), [""; 0]);
    assert!(found_by(&config, &[])[0].contains("stone.rs may use `roof` against the order, and no longer does"));
    let elsewhere = found_by(&config, &[("stone.rs", upward), ("sand.rs", upward)]);
    assert!(elsewhere.len() == 1 && elsewhere[0].contains("sand.rs:1"), "{elsewhere:?}");
}

#[test]
fn rooms_and_floors_agree() {
    let root = format!("{ROOT_TEXT}mod cellar;");
    let problems = found(&[("lib.rs", &root), ("cellar/mod.rs", "")]);
    assert!(problems[0].starts_with("crates/house/src/cellar/mod.rs:0 the room `cellar`"), "{problems:?}");
    let config = CONFIG.replace("[\"roof\"]", "[\"roof\", \"sand\", \"gone\"]");
    let problems = found_by(&config, &[]);
    assert!(problems.iter().any(|p| p.contains("`sand` stands on two floors")), "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("`gone` has no module")), "{problems:?}");
    assert!(found_by("{}", &[])[0].contains("the crate `house` has no floors"));
}
