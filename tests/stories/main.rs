//! Stories: what people do with Letterbox and what goes wrong meanwhile, told against the real program.
//!
//! | file | the story |
//! | --- | --- |
//! | `the_main_job` | sign up, confirm, receive an issue, unsubscribe |
//! | `in_a_browser_without_javascript` | the same in Chromium, with undo |
//! | `website_and_operator` | a form on the website of the council; notices and newsletters that change |
//! | `through_a_relay` | the same over SMTP, with refusals |
//! | `one_click` | unsubscribe requests as mail providers send them |
//! | `scanners_change_nothing` | links that are opened by everybody but the resident |
//! | `bad_input` | every field of every endpoint, wrong in every way |
//! | `addresses` | the corpus of addresses, by form and by JSON |
//! | `settings_errors` | wrong settings end with one line and exit code 2 |
//! | `issue_refusals` | issues that are not sent |
//! | `second_start` | stop and start again; two at once |
//! | `killed_at_random` | `kill -9` at any moment |
//! | `killed_while_sending` | `kill -9` with mails on the wire |
//! | `database_stopped` | PostgreSQL away while people come and go |
//! | `spool_full`, `torn_spool` | the disk says no, or lies |
//! | `canary` | no address anywhere it must not be |
#![cfg(test)] // all of it is test code, and linted as such

mod addresses;
mod bad_input;
mod canary;
mod database_stopped;
mod in_a_browser_without_javascript;
mod issue_refusals;
mod killed_at_random;
mod killed_while_sending;
mod one_click;
mod scanners_change_nothing;
mod second_start;
mod settings_errors;
mod spool_full;
mod the_main_job;
mod through_a_relay;
mod torn_spool;
mod website_and_operator;
