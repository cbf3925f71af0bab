//! PostgreSQL: the only room with SQL. Each caller gets one small struct for its need, and nobody a
//! pool; all statements are checked against the tables when this crate is built.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `connect` | the way there, its time limits, migrations |
//! | `error` | what can go wrong, by what to do about it |
//! | `columns` | from and to the types of columns |
//!
//! The checked statements are kept in `.sqlx`, so that a build needs no database; after a change of
//! a statement or of a migration run `crates/store/prepare`.

mod columns;
mod connect;
mod error;

pub use connect::{ConnectSettings, Database, Host, MIGRATOR};
pub use error::StoreError;
