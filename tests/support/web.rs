//! An HTTP client that follows no redirect, keeps no cookie and takes every status, and one that sends
//! whatever bytes it is given.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

const TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names in small letters, and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, with anything that is not UTF-8 replaced.
    pub body: String,
}

impl Answer {
    /// The first header with this name, in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {}", self.body))
    }
}

/// The client.
#[derive(Debug, Clone)]
pub struct Web {
    agent: ureq::Agent,
    base: String,
}

impl Web {
    /// A client for this server; `base` is like `http://127.0.0.1:8080`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            // A kept connection may be closed by the server at any moment, which is nobody's fault.
            .max_idle_connections(0)
            .timeout_global(Some(TIMEOUT))
            .build();
        Self {
            agent: config.into(),
            base: base.to_owned(),
        }
    }

    /// Sends one request. `place` is a path, or a whole address on the same server.
    ///
    /// # Errors
    /// No answer came.
    pub fn send(
        &self,
        method: &str,
        place: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let address = if place.starts_with("http") {
            place.to_owned()
        } else {
            format!("{}{place}", self.base)
        };
        let mut request = ureq::http::Request::builder().method(method).uri(&address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match (method, body.is_empty()) {
            ("GET" | "HEAD" | "OPTIONS", true) => self.agent.run(request.body(())?),
            _ => self.agent.run(request.body(body)?),
        };
        let mut answer = sent.with_context(|| format!("{method} {address}"))?;
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes)?;
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer
                .headers()
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.as_str().to_owned(), value)
                })
                .collect(),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn get(&self, place: &str) -> Result<Answer> {
        self.send("GET", place, &[], b"")
    }

    /// POST of an HTML form.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn post_form(&self, place: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", place, &kind, urlencoded(fields).as_bytes())
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn post_json(&self, place: &str, value: &serde_json::Value) -> Result<Answer> {
        let kind = [
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        self.send("POST", place, &kind, value.to_string().as_bytes())
    }
}

/// Fields as a browser sends them.
#[must_use]
pub fn urlencoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// Sends these bytes to a server on this machine and reads until it closes; the request should say
/// `Connection: close`.
///
/// # Errors
/// No connection, or neither data nor an end for half a minute.
pub fn raw_exchange(port: u16, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    // A server may close while we still write: what it said before counts.
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error).context("reading the answer"),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
