//! Every statement of this crate, with the function it stands in: read from `.sqlx` and `src`, so that
//! the test of rights misses none.

use std::path::{Path, PathBuf};

/// A statement and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// The statement.
    pub(crate) sql: String,
    /// How many `$1`, `$2`, … it has.
    pub(crate) parameters: usize,
    /// `file::function` of each place that it stands in.
    places: Vec<String>,
}

/// Where the statements of each database role stand: a folder, a file or one function.
const DELIVER: &[&str] = &[
    "registrar",
    "deliveries",
    "last_look",
    "bounces",
    "chunks",
    "mails",
    "fan_out",
    "recovery",
    "reassertion",
    "timeline",
    "sweeps",
    "purge",
    "workers",
    "restore",
    "barrier_acts::record",
    "rate_grants",
    "outbox",
    "catalogue",
    "issue_changes::hold",
    "issue_upkeep",
    "issue_balance",
    "issue_progress::equation",
    "issue_retention",
    "issues::to_send",
    "issues::contents",
    "spools::advance_marks",
    "dead_letters::unseen",
    "migrate::belongs_to",
    "ledger_reader",
    "ledger_checkpoints",
    "mail_after_stop::note",
    "mail_after_stop::forget",
];
const OPERATOR: &[&str] = &[
    "operator_desk",
    "request_inbox",
    "spools::list",
    "restore::is_open",
    "restore::obstacles",
    "barrier_acts::ask",
    "barrier_acts::recorded",
    "barrier_acts::overridden_until",
    "catalogue",
    "issues::approve",
    "issues::as_sent",
    "issues::contents",
    "issue_progress",
    "issue_changes::pause",
    "issue_changes::resume",
    "issue_changes::cancel",
    "issue_changes::retry_failed",
    "issue_changes::doubts",
    "issue_changes::decide_doubts",
    "issue_changes::done",
    "dead_letters::list",
    "dead_letters::seen",
    "migrate::belongs_to",
    "mail_after_stop::audit",
    "ledger_reader::body_id",
    "ledger_reader::head",
    "ledger_reader::rows_after",
    "ledger_reader::of_event",
    "ledger_reader::first_repeated",
    "ledger_reader::first_past_head",
    "ledger_checkpoints::checkpoints_after",
    "ledger_checkpoints::checkpoint_over",
];
const WEB: &[&str] = &[
    "request_inbox::ship",
    "catalogue",
    "spools::register",
    "spools::beat",
    "migrate::belongs_to",
];
/// Those of the role that takes unsubscribes, besides.
const UNSUBSCRIBE: &[&str] = &["resumption"];
/// Those of the tables' owner and of everybody.
const NOBODY: &[&str] = &[
    "migrate::migrate",
    "migrate::make_roles",
    "connect",
    "primary",
];

impl Statement {
    /// Whether this database role runs it.
    pub(crate) fn is_of(&self, role: &str) -> bool {
        let places = match role {
            "letterbox_deliver" => DELIVER,
            "letterbox_operator" => OPERATOR,
            "letterbox_unsubscribe" if self.stands_in(UNSUBSCRIBE) => return true,
            _ => WEB,
        };
        self.stands_in(places)
    }

    /// Whether it stands in one of these: a folder, a file or one function.
    pub(crate) fn stands_in(&self, places: &[&str]) -> bool {
        self.places.iter().any(|own| {
            places.iter().any(|place| {
                own.strip_prefix(place)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
            })
        })
    }
}

/// All of them but those that only set up a transaction.
pub(crate) fn all() -> Vec<Statement> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    collect(&root.join("src"), &mut sources);
    let sources: Vec<(String, String)> = sources
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root.join("src")).unwrap();
            let text = std::fs::read_to_string(path).unwrap();
            let name = name.with_extension("").display().to_string();
            (name, text.replace("\\\"", "\"").replace("\\\\", "\\"))
        })
        .collect();
    let mut statements = Vec::new();
    for file in std::fs::read_dir(root.join(".sqlx")).unwrap() {
        let json = std::fs::read(file.unwrap().path()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let sql = json["query"].as_str().unwrap().to_owned();
        if sql.starts_with("SET ") {
            continue;
        }
        let parameters = json["describe"]["parameters"]["Left"].as_array();
        let places = sources
            .iter()
            .flat_map(|(name, text)| functions_with(text, &sql, name))
            .collect();
        let statement = Statement {
            sql,
            parameters: parameters.map_or(0, Vec::len),
            places,
        };
        assert!(
            [DELIVER, OPERATOR, WEB, UNSUBSCRIBE, NOBODY]
                .iter()
                .any(|places| statement.stands_in(places)),
            "whose is this? {statement:#?}"
        );
        statements.push(statement);
    }
    assert!(statements.len() > 100);
    statements
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else {
            sources.push(path);
        }
    }
}

/// `file::function` for each time that the statement stands in this text.
fn functions_with(text: &str, sql: &str, file: &str) -> Vec<String> {
    text.match_indices(&format!("\"{sql}\""))
        .map(|(at, _)| {
            let before = &text[..at];
            let name = before
                .rfind("fn ")
                .map(|start| &before[start + 3..])
                .and_then(|rest| rest.split(['(', '<']).next())
                .unwrap_or_default();
            format!("{file}::{name}")
        })
        .collect()
}
