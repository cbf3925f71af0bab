//! Stories: what people do with Letterbox and what goes wrong meanwhile, told against the real program.
//!
//! | file | the story |
//! | --- | --- |
//! | `the_main_job` | sign up, confirm, receive an issue, unsubscribe |
//! | `in_a_browser_without_javascript` | the same in Chromium, with undo |
//! | `website_and_operator` | a form on the website of the council; notices and newsletters that change |
//! | `through_a_relay` | the same over SMTP, with refusals |
//! | `signed_mail` | signatures and return paths, checked by others |
//! | `one_click` | unsubscribe requests as mail providers send them |
//! | `scanners_change_nothing` | links that are opened by everybody but the resident |
//! | `bad_input` | every field of every endpoint, wrong in every way |
//! | `addresses` | the corpus of addresses, by form and by JSON |
//! | `settings_errors` | wrong settings end with one line and exit code 2 |
//! | `mail_that_comes_back` | a mailbox is gone: its subscription ends, once, by the ledger |
//! | `relay_limits` | so many mails a second and a day, and for how long an issue is tried |
//! | `issue_refusals` | issues that are not sent |
//! | `issue_commands` | issues that are paused, cancelled, tried again, read |
//! | `second_start` | stop and start again; two at once |
//! | `killed_at_random` | `kill -9` at any moment |
//! | `killed_while_sending` | `kill -9` with mails on the wire |
//! | `database_stopped` | PostgreSQL away while people come and go |
//! | `spool_full`, `torn_spool` | the disk says no, or lies |
//! | `canary` | no address anywhere it must not be |
//!
//! Of separate roles, each process by itself (those that need a broker begin with `roles_` or `broker_`):
//!
//! | file | the story |
//! | --- | --- |
//! | `broker_and_database_down` | RabbitMQ stopped, killed, wiped, away for long; PostgreSQL stopped; both |
//! | `broker_blocked` | the broker takes nothing more |
//! | `broker_half_open` | the line to it swallows every byte |
//! | `broker_queue_spoilt` | queues deleted, or declared otherwise |
//! | `ledger_proved` | the ledger verified, proved by receipt, exported; what somebody changes is named |
//! | `left_while_all_is_down` | a thousand leave, the role is killed, database and broker are down |
//! | `restored` | a backup is restored: nothing is sent before what came after it is there again |
//! | `roles_main_job` | sign up, read, leave, come back, over all roles; no address in what they leave |
//! | `roles_poison` | what nobody can read lies in the queues |
//! | `roles_duplicates` | every message five times; the carrier of the outbox killed |
//! | `roles_killed_at_random` | `kill -9` of any role at any moment |
//! | `roles_two_processes` | two processes, one folder |
//! | `roles_keys_and_rights` | what each role holds, may do, and does not show |
//! | `roles_keys_rotated` | link keys change on running roles, and one is known to others |
//! | `from_embedded_to_roles` | `letterbox up` becomes separate roles, by the README's commands |
//! | `faults/` | what goes wrong while mail is sent, by the numbers of `reliability.md` 8.2 |
//! | `settled` | what these stories look at in the end |
#![cfg(test)] // all of it is test code, and linted as such

mod addresses;
mod bad_input;
mod broker_and_database_down;
mod broker_blocked;
mod broker_half_open;
mod broker_queue_spoilt;
mod canary;
mod database_stopped;
mod faults;
mod from_embedded_to_roles;
mod in_a_browser_without_javascript;
mod issue_commands;
mod issue_refusals;
mod killed_at_random;
mod killed_while_sending;
mod ledger_proved;
mod left_while_all_is_down;
mod mail_that_comes_back;
mod one_click;
mod relay_limits;
mod restored;
mod roles_duplicates;
mod roles_keys_and_rights;
mod roles_keys_rotated;
mod roles_killed_at_random;
mod roles_main_job;
mod roles_poison;
mod roles_two_processes;
mod scanners_change_nothing;
mod second_start;
mod settings_errors;
mod settled;
mod signed_mail;
mod spool_full;
mod the_main_job;
mod through_a_relay;
mod torn_spool;
mod website_and_operator;
