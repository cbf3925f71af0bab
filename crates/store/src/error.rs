//! What can go wrong with the database, by what the caller can do about it.

/// A failed call of this crate.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is not reached, starting, stopping, full or too slow: try again later, with
    /// growing pauses. Whether a commit under way took effect is not known.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Another transaction was in the way (deadlock, serialisation, lock timeout) and this one was
    /// rolled back: do the whole thing again.
    #[error("another transaction was in the way")]
    Conflict(#[source] sqlx::Error),
    /// The database is older than the one that was seen: it was restored. Nothing is applied to it before
    /// the ledger says so, which a worker sees to by itself.
    #[error("the database went back in time, and the ledger does not say so yet")]
    WentBack,
    /// The database refused what was asked: a value is none of its type, or a rule of its tables does
    /// not hold. Trying again gives the same.
    #[error("the database refused it by a rule of its tables")]
    Refused(#[source] sqlx::Error),
    /// A row that no code of ours writes, by table: somebody edited it, or a newer version wrote it.
    #[error("a row of {0} cannot be read")]
    Inconsistent(&'static str),
    /// The tables could not be brought up to date.
    #[error("the tables could not be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The database belongs to an installation of another body.
    #[error(
        "the database belongs to another installation: body {found} where {expected} was expected"
    )]
    OtherBody {
        /// The body that the keys are for.
        expected: domain::BodyId,
        /// The body in the database.
        found: domain::BodyId,
    },
    /// The database has no tables yet: they are made by `letterbox migrate`.
    #[error("the database has no tables yet: run `letterbox migrate` on it")]
    NotMigrated(#[source] Option<sqlx::Error>),
    /// The cluster has not the roles that rights are granted to, and this user may not make them.
    #[error(
        "the database server has not Letterbox's roles yet: run deploy/postgres/roles.sql on it as a superuser, then this again"
    )]
    RolesMissing,
    /// The database does not let this user in, or is not there under this name.
    #[error(
        "the database does not let us in: check the user, its password, the database's name and pg_hba.conf"
    )]
    NotAdmitted(#[source] sqlx::Error),
    /// The database user may not do this.
    #[error(
        "the database user may not do this: grant it its letterbox_… role (deploy/postgres/README.md)"
    )]
    Forbidden(#[source] sqlx::Error),
    /// A statement and the tables do not fit together, or a library failed: a fault of this program
    /// or a half-done upgrade.
    #[error(
        "the database and this program do not fit together: after an upgrade, run `letterbox migrate`"
    )]
    Unexpected(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same call can succeed later without anybody doing anything here.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Conflict(_) | Self::WentBack
        )
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default().into_owned();
                match code.as_bytes() {
                    // serialization_failure, deadlock_detected, lock_not_available
                    b"40001" | b"40P01" | b"55P03" => Self::Conflict(error),
                    // connection exceptions, insufficient resources, operator intervention
                    // (57014 is also our own statement_timeout), system errors, read-only after a
                    // failover, idle-in-transaction timeout
                    [b'0', b'8', ..] | [b'5', b'3' | b'7' | b'8', ..] | b"25006" | b"25P03" => {
                        Self::Unavailable(error)
                    }
                    // data exception, integrity constraint violation, program limit exceeded (a value
                    // too long for an index, say), raise_exception: one value is at fault, and must
                    // not hold up those beside it
                    [b'2', b'2' | b'3', ..] | [b'5', b'4', ..] | b"P0001" => Self::Refused(error),
                    // invalid_authorization_specification and invalid_password, invalid_catalog_name
                    [b'2', b'8', ..] | b"3D000" => Self::NotAdmitted(error),
                    // insufficient_privilege
                    b"42501" => Self::Forbidden(error),
                    _ => Self::Unexpected(error),
                }
            }
            _ => Self::Unexpected(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Executor, PgPool};

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn what_the_caller_can_do_follows_from_the_code(pool: PgPool) {
        let error =
            async |sql: &'static str| StoreError::from(pool.execute(sql).await.unwrap_err());
        for value_at_fault in [
            "SELECT 1 / 0",
            "SELECT chr(0)",
            "SELECT '2026-13-01'::timestamptz",
            "INSERT INTO ledger_head (one, seq) VALUES (true, 1)",
            "UPDATE ledger_head SET seq = NULL",
            "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$",
        ] {
            let refused = error(value_at_fault).await;
            assert!(
                matches!(refused, StoreError::Refused(_)),
                "{value_at_fault}: {refused:?}"
            );
        }
        for ours in ["SELECT nothing", "SELEC 1"] {
            assert!(
                matches!(error(ours).await, StoreError::Unexpected(_)),
                "{ours}"
            );
        }
        let late = error("SET statement_timeout = 1; SELECT pg_sleep(1)").await;
        assert!(late.is_temporary(), "{late:?}");
    }
}
