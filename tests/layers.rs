//! The rules of the house, from `cargo metadata` and the files themselves: who may import whom, which
//! walls nothing crosses, and how a room looks. `crates/README.md` explains them.

#![cfg(test)] // all of it is test code, and linted as such

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::repository;

/// Who imports whom, by layers from the bottom; the same table stands in `crates/README.md`.
const IMPORTS: &str = "
    domain:
    address-seal: domain
    address-open: address-seal domain
    link-token: domain
    ledger: domain
    issue-text: domain
    page-frame: domain
    store: domain ledger
    queue: domain
    spool: domain
    mail: domain issue-text
    service-runtime: domain
    shipper: domain queue service-runtime spool store
    intake: address-seal domain link-token page-frame service-runtime shipper spool
    unsubscribe: domain link-token page-frame service-runtime shipper spool
    delivery: address-open address-seal domain issue-text ledger link-token mail queue
        service-runtime spool store
    letterbox: address-open address-seal delivery domain intake issue-text ledger link-token mail
        page-frame queue service-runtime shipper spool store unsubscribe
    end-to-end:
";

/// What a room must not reach, not even through others.
const WALLS: &str = "
    domain: axum hmac lapin rustls sqlx tokio
    ledger: axum lapin rustls sqlx tokio
    store: address-open address-seal lapin link-token
    queue: address-open address-seal link-token sqlx
    spool: lapin sqlx
    mail: address-open lapin sqlx
    intake: address-open delivery letterbox mail smtp-proto unsubscribe
    unsubscribe: address-open address-seal delivery intake letterbox mail smtp-proto
";

/// Who uses a library of the outside world by itself.
const OWNERS: &str = "
    sqlx: store
    lapin: queue
    smtp-proto: mail
    tokio-rustls: mail
    css-inline: mail
    comrak: issue-text
    ammonia: issue-text
    minicbor: spool
    hyper: service-runtime
    clap: letterbox
    postgresql_embedded: letterbox
    anyhow: end-to-end letterbox
";

/// A table as above: names before a colon, and what follows each until the next.
fn table(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut rows = BTreeMap::new();
    let mut row = String::new();
    for word in text.split_whitespace() {
        if let Some(name) = word.strip_suffix(':') {
            name.clone_into(&mut row);
            rows.insert(row.clone(), BTreeSet::new());
        } else {
            rows.get_mut(&row).unwrap().insert(word.to_owned());
        }
    }
    rows
}

fn metadata() -> Value {
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        // Other systems' dependencies need not have been fetched.
        .args(["--filter-platform", host])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Packages by name, our own ones only.
fn rooms(metadata: &Value) -> BTreeMap<String, Value> {
    let members = metadata["workspace_members"].as_array().unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .map(|package| {
            (
                package["name"].as_str().unwrap().to_owned(),
                package.clone(),
            )
        })
        .collect()
}

/// Names of a package's dependencies that are no dev-dependencies.
fn dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Everything that a package's own code is linked with.
fn closure(metadata: &Value, room: &str) -> BTreeSet<String> {
    let name_of = |id: &Value| {
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages
            .iter()
            .find(|package| package["id"] == *id)
            .unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let start = &rooms(metadata)[room]["id"];
    let mut waiting = vec![start];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.as_str().unwrap()) {
            continue;
        }
        for dependency in nodes[id.as_str().unwrap()]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                waiting.push(&dependency["pkg"]);
            }
        }
    }
    seen.iter()
        .map(|id| name_of(&Value::from(*id)))
        .filter(|name| name != room)
        .collect()
}

#[test]
fn each_room_imports_what_the_table_says() {
    let rooms = rooms(&metadata());
    let names: BTreeSet<String> = rooms.keys().cloned().collect();
    let actual: BTreeMap<String, BTreeSet<String>> = rooms
        .iter()
        .map(|(name, package)| (name.clone(), &dependencies(package) & &names))
        .collect();
    assert_eq!(
        actual,
        table(IMPORTS),
        "left: the manifests, right: the table in this file"
    );
}

#[test]
fn the_table_in_the_readme_is_the_table_in_force() {
    let readme = fs::read_to_string(repository().join("crates/README.md")).unwrap();
    let section = readme.split("## Who imports whom").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let written: BTreeMap<String, BTreeSet<String>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| {
                cell.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            });
            let room = cells.next().unwrap().remove(0);
            (room, cells.next().unwrap().into_iter().collect())
        })
        .collect();
    assert_eq!(
        written,
        table(IMPORTS),
        "left: crates/README.md, right: the table in this file"
    );
}

#[test]
fn every_file_that_the_walks_name_is_there() {
    let readme = fs::read_to_string(repository().join("crates/README.md")).unwrap();
    let mut room = String::new();
    let mut named = 0;
    for word in readme.split('`').skip(1).step_by(2) {
        if Path::new(word).extension().is_none_or(|end| end != "rs")
            || word.starts_with("tests/")
            || word == "lib.rs"
        {
            continue;
        }
        // `intake/sign_up.rs` names a room; after it `checks.rs` is in the same one.
        let file = if let Some((first, rest)) = word.split_once('/')
            && repository().join("crates").join(first).is_dir()
        {
            first.clone_into(&mut room);
            rest
        } else {
            word
        };
        let folder = repository().join("crates").join(&room).join("src");
        let found = files_below(&folder).iter().any(|path| path.ends_with(file));
        assert!(found, "no {file} in {room}");
        named += 1;
    }
    assert!(named > 30, "only {named} files are named");
}

#[test]
fn nothing_crosses_a_wall() {
    let metadata = metadata();
    for (room, forbidden) in table(WALLS) {
        let reached = closure(&metadata, &room);
        assert!(
            !reached.is_empty(),
            "{room} reaches nothing: is the walk broken?"
        );
        let through: Vec<_> = reached.intersection(&forbidden).collect();
        assert!(through.is_empty(), "{room} reaches {through:?}");
    }
    // The walk does find what is there.
    assert!(closure(&metadata, "delivery").contains("smtp-proto"));
}

#[test]
fn each_library_of_the_outside_world_has_its_room() {
    let rooms = rooms(&metadata());
    for (library, owners) in table(OWNERS) {
        let users: BTreeSet<String> = rooms
            .iter()
            .filter(|(_, package)| dependencies(package).contains(&library))
            .map(|(name, _)| name.clone())
            .collect();
        assert_eq!(users, owners, "users of {library}");
    }
}

#[test]
fn every_manifest_has_the_licence_and_the_lints_of_the_house() {
    for (name, package) in rooms(&metadata()) {
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
        let manifest = fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} has lints of its own"
        );
    }
}

#[test]
fn the_top_level_is_tidy() {
    let allowed = [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "crates",
        "deploy",
        "migrations",
        "tests",
    ];
    let made_by_running = ["target", "letterbox-data"];
    let found: BTreeSet<String> = fs::read_dir(repository())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !made_by_running.contains(&name.as_str()))
        .collect();
    assert_eq!(found, allowed.map(str::to_owned).into());
}

/// Every Rust file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every Rust file of ours with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = files_below(&repository().join("crates"));
    files.extend(files_below(&repository().join("tests")));
    assert!(files.len() > 50, "only {} files", files.len());
    let with_text = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    files.into_iter().map(with_text).collect()
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(_, text)| text.lines().count() > 400)
        .map(|(path, text)| format!("{} has {} lines", path.display(), text.lines().count()))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn sql_stands_only_in_store() {
    let store = repository().join("crates/store");
    let macros = ["query", "query_as", "query_scalar"].map(|name| format!("{name}!("));
    for (path, text) in sources() {
        if !path.starts_with(&store) {
            assert!(
                !macros.iter().any(|name| text.contains(name)),
                "SQL in {}",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_left_to_do() {
    let words = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    for (path, text) in sources() {
        for word in &words {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
    }
}

#[test]
fn every_room_has_a_map_of_its_files() {
    for (name, package) in rooms(&metadata()) {
        for target in package["targets"].as_array().unwrap() {
            let kind = target["kind"][0].as_str().unwrap();
            if !matches!(kind, "lib" | "bin") {
                continue;
            }
            let path = target["src_path"].as_str().unwrap();
            let text = fs::read_to_string(path).unwrap();
            let map: String = text
                .lines()
                .filter(|line| line.starts_with("//!"))
                .collect();
            assert!(map.contains("//! | file |"), "{path} has no map");
            let lines: Vec<&str> = text.lines().collect();
            for (index, line) in lines.iter().enumerate() {
                if index > 0 && lines[index - 1] == "#[cfg(test)]" {
                    continue;
                }
                let module = line.trim_start_matches("pub ").strip_prefix("mod ");
                if let Some(module) = module.and_then(|rest| rest.strip_suffix(';')) {
                    let listed = map.contains(&format!("`{module}"));
                    assert!(listed, "{name}: {module} is missing in the map of {path}");
                }
            }
        }
    }
}
