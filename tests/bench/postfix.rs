//! What sending is compared with: Postfix's relay that takes everything and its client, and what a core
//! signs with RSA by OpenSSL.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Connections of either client.
const CONNECTIONS: usize = 10;
/// Bytes of a message.
const SIZE: usize = 10 * 1024;

/// `smtp-sink`: takes every message and keeps none.
#[derive(Debug)]
pub(crate) struct Sink {
    port: u16,
    process: Child,
}

impl Sink {
    pub(crate) fn start() -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let process = Command::new("smtp-sink")
            .args(["-u", "nobody", &format!("127.0.0.1:{port}"), "256"])
            .stdin(Stdio::null())
            .spawn()
            .context("smtp-sink (of the package postfix)")?;
        let sink = Self { port, process };
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < until, "smtp-sink does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(sink)
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `smtp-source -d -s 10`: so many messages of 10 KiB, and their number in a second.
    pub(crate) fn source(&self, messages: usize) -> Result<f64> {
        let began = Instant::now();
        let status = Command::new("smtp-source")
            .args(["-d", "-s", &CONNECTIONS.to_string()])
            .args(["-l", &SIZE.to_string(), "-m", &messages.to_string()])
            .arg(format!("127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("smtp-source")?;
        ensure!(status.success(), "smtp-source: {status}");
        let messages = u32::try_from(messages)?;
        Ok(f64::from(messages) / began.elapsed().as_secs_f64())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `openssl speed` signs with RSA-2048 on one core in a second.
pub(crate) fn signatures_a_second() -> Result<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-seconds", "3", "rsa2048"])
        .stdin(Stdio::null())
        .output()
        .context("openssl")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said
        .lines()
        .find(|line| line.starts_with("rsa 2048 bits"))
        .with_context(|| format!("openssl told no rate: {said}"))?;
    let rate = line.split_whitespace().rev().nth(1).context("no rate")?;
    Ok(rate.parse()?)
}
