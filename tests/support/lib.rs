//! What the stories need: a running Letterbox, and the world around it (a website's visitor, a
//! mailbox, a mail relay, a browser), none of it sharing code with the rooms under test.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `letterbox` | a `letterbox up` of its own, on a free port and in a folder of its own |
//! | `database` | its private PostgreSQL: looked into, stopped, started |
//! | `roles`, `roles_set_up`, `role_process` | an installation of separate roles, each process killed and started by itself |
//! | `front` | what stands before the web roles |
//! | `postgres_node`, `postgres_standby` | its PostgreSQL, with a login for each role, and one that follows it |
//! | `broker_node`, `broker_settings`, `vhost` | a RabbitMQ node: stopped, killed, wiped; its queues looked at and spoilt |
//! | `server_user` | who such a server runs as |
//! | `crowd` | many residents at once |
//! | `spool_files` | reads spools, forges envelopes |
//! | `fault_proxy` | a line that is cut, refused, half-open, or leads elsewhere |
//! | `moved_clock` | the time of day, moved under a running program |
//! | `issue_files` | the files of an issue |
//! | `binary` | where the program under test is, built once |
//! | `web` | an HTTP client that follows nothing and keeps nothing, and one that sends any bytes |
//! | `form` | reads the forms and texts of a page |
//! | `mailbox` | caught mail, read by two parsers that share no code |
//! | `resident` | what a person does: sign up, confirm, leave |
//! | `smtp_sink` | a mail relay that answers as told and writes down every byte |
//! | `bad_sink`, `bad_connection`, `sink_script` | a relay that misbehaves where a script says so |
//! | `sink_ledger`, `ledger_check` | what it writes down, against what the database says |
//! | `effect` | how soon an unsubscribe took effect, and whether mail went out too late |
//! | `field` | the town, workers and a bad relay: what every story about sending begins with |
//! | `town` | many residents who have confirmed, made once and copied |
//! | `browser` | Chromium without JavaScript, by WebDriver |
//! | `scan` | searches files for addresses in every disguise |
//! | `wait` | waiting for a condition, with a deadline |
//! | `seed` | random numbers that a failing test can repeat |
//!
//! A walk: a story starts [`Letterbox::start`], lets a [`Resident`] sign up, waits in
//! [`Letterbox::mailbox`] for the confirmation, follows its link and looks at what changed. When the
//! handle is dropped the program gets `SIGTERM`, and its folder goes.

mod bad_connection;
mod bad_sink;
mod binary;
mod broker_node;
mod broker_settings;
mod browser;
mod crowd;
mod database;
mod effect;
mod fault_proxy;
mod field;
mod form;
mod front;
mod issue_files;
mod ledger_check;
mod letterbox;
mod mailbox;
mod moved_clock;
mod postgres_node;
mod postgres_standby;
mod resident;
mod role_process;
mod roles;
mod roles_set_up;
mod scan;
mod seed;
mod server_user;
mod sink_ledger;
mod sink_script;
mod smtp_sink;
mod spool_files;
mod town;
mod vhost;
mod wait;
mod web;

pub use bad_sink::BadSink;
pub use binary::{letterbox_binary, repository};
pub use broker_node::{BrokerNode, Vhost};
pub use browser::Browser;
pub use crowd::{
    addresses, all_join, all_sign_up, confirm_all, confirm_links, leave, leave_by_page, notice_of,
    sign_up_by_json, undo,
};
pub use effect::Effect;
pub use fault_proxy::{FaultProxy, Line};
pub use field::{Field, FieldPlan};
pub use form::{Form, forms, text_of};
pub use ledger_check::{LedgerCheck, Tally, stops};
pub use letterbox::{Ended, Letterbox};
pub use mailbox::{Mail, Mailbox, SecondReading, read_by_python};
pub use moved_clock::MovedClock;
pub use postgres_node::PostgresNode;
pub use resident::{
    Resident, Site, confirm_link, sign_up_form, token_of, unsubscribe_link, url_path,
};
pub use role_process::RoleProcess;
pub use roles::{Roles, RolesPlan};
pub use scan::{Finding, Scan, plant_every_disguise};
pub use seed::{Seed, count};
pub use sink_ledger::{Entry, Link, copies_of};
pub use sink_script::{Fault, Moment, script_of};
pub use smtp_sink::{Rule, SmtpSink, Transcript};
pub use spool_files::{Cbor, accepted, envelopes, forged, spool_id};
pub use town::Town;
pub use vhost::Message;
pub use wait::{DEADLINE, now, wait_for, wait_until};
pub use web::{Answer, Web, raw_exchange, urlencoded};
