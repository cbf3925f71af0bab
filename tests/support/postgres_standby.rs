//! A standby of a story's PostgreSQL: it follows by streaming, over a line that a story may break, and
//! takes over when it is told to.

use anyhow::{Result, ensure};

use crate::postgres_node::PASSWORD;
use crate::{DEADLINE, PostgresNode, wait_until};

impl PostgresNode {
    /// A standby of this server, streaming from this port of loopback, a proxy's or the server's own.
    ///
    /// # Errors
    /// It cannot be made, or does not come to stream.
    pub fn standby_over(&self, port: u16, settings: &[&str]) -> Result<Self> {
        let standby = Self::folder_for(settings)?;
        let from = port.to_string();
        standby
            .run(
                "pg_basebackup",
                &["-h", "127.0.0.1", "-p", &from, "-U", "postgres", "-R"],
                |command| {
                    command
                        .args(["-X", "stream", "-c", "fast", "--no-sync", "-D"])
                        .arg(standby.data())
                        .env("PGPASSWORD", PASSWORD);
                },
            )?
            .ok()?;
        standby.resume()?;
        wait_until("the standby to stream", DEADLINE, || {
            let streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            Ok(self.sql("postgres", streams)? == "1")
        })?;
        Ok(standby)
    }

    /// Lets a standby take over, on a timeline of its own, and waits until it may be written to.
    ///
    /// # Errors
    /// It is none, or does not.
    pub fn promote(&self) -> Result<()> {
        let promoted = self.sql("postgres", "SELECT pg_promote(true, 60)")?;
        ensure!(promoted == "t", "it was not promoted: {promoted}");
        Ok(())
    }
}
