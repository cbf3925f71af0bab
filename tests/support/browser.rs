//! Chromium without JavaScript, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>).

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::letterbox::free_port;
use crate::{DEADLINE, Web, wait_until};

/// The key of an element in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    web: Web,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a browser with a profile of its own and JavaScript switched off.
    ///
    /// # Errors
    /// Chromium or its driver is missing or does not start.
    pub fn without_javascript() -> Result<Self> {
        let profile = tempfile::Builder::new()
            .prefix("letterbox-browser-")
            .tempdir()?;
        let port = free_port()?;
        let driver = Command::new("chromedriver")
            .args([&format!("--port={port}"), "--silent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver (Debian's package chromium-driver)")?;
        let mut browser = Self {
            driver,
            web: Web::new(&format!("http://127.0.0.1:{port}")),
            session: String::new(),
            profile,
        };
        wait_until("chromedriver to answer", DEADLINE, || {
            Ok(browser.web.get("/status").is_ok())
        })?;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,1400",
            &format!("--user-data-dir={}", browser.profile.path().display()),
        ];
        let options = json!({
            "args": arguments,
            "prefs": { "profile.managed_default_content_settings.javascript": 2 },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
        }}});
        let answer = browser.call("POST", "/session", &wanted)?;
        let session = answer["sessionId"].as_str().context("no session")?;
        browser.session = format!("/session/{session}");
        Ok(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let place = format!("{}{path}", self.session);
        let kind = [("content-type", "application/json")];
        let answer = self.web.send(method, &place, &kind, body.as_bytes())?;
        let mut value = answer.json()?["value"].take();
        ensure!(answer.status == 200, "{method} {path}: {value}");
        Ok(value.take())
    }

    fn element(&self, css: &str) -> Result<String> {
        let query = json!({ "using": "css selector", "value": css });
        let found = self.call("POST", "/element", &query)?;
        Ok(found[ELEMENT]
            .as_str()
            .with_context(|| format!("no element {css}"))?
            .to_owned())
    }

    /// Opens an address.
    ///
    /// # Errors
    /// The page did not load.
    pub fn go(&self, address: &str) -> Result<()> {
        self.call("POST", "/url", &json!({ "url": address }))
            .map(|_| ())
    }

    /// The address of the page on screen.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn address(&self) -> Result<String> {
        Ok(self
            .call("GET", "/url", &Value::Null)?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// The title of the page on screen.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn title(&self) -> Result<String> {
        Ok(self
            .call("GET", "/title", &Value::Null)?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// The text of an element as a person sees it.
    ///
    /// # Errors
    /// There is no such element.
    pub fn text(&self, css: &str) -> Result<String> {
        let path = format!("/element/{}/text", self.element(css)?);
        Ok(self
            .call("GET", &path, &Value::Null)?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// What a field holds.
    ///
    /// # Errors
    /// There is no such field.
    pub fn value(&self, css: &str) -> Result<String> {
        let path = format!("/element/{}/property/value", self.element(css)?);
        let value = self.call("GET", &path, &Value::Null)?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Types into a field, in place of what is in it.
    ///
    /// # Errors
    /// There is no such field.
    pub fn fill(&self, css: &str, words: &str) -> Result<()> {
        let path = format!("/element/{}", self.element(css)?);
        self.call("POST", &format!("{path}/clear"), &json!({}))?;
        let typed = json!({ "text": words });
        self.call("POST", &format!("{path}/value"), &typed)
            .map(|_| ())
    }

    /// Clicks, and waits for the page that follows.
    ///
    /// # Errors
    /// There is nothing to click on.
    pub fn click(&self, css: &str) -> Result<()> {
        let path = format!("/element/{}/click", self.element(css)?);
        self.call("POST", &path, &json!({})).map(|_| ())
    }

    /// How many elements fit.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn count(&self, css: &str) -> Result<usize> {
        let query = json!({ "using": "css selector", "value": css });
        Ok(self
            .call("POST", "/elements", &query)?
            .as_array()
            .map_or(0, Vec::len))
    }

    /// Writes a picture of the window.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn picture(&self, path: &Path) -> Result<()> {
        let picture = self.call("GET", "/screenshot", &Value::Null)?;
        let text = picture.as_str().context("no picture")?;
        Ok(std::fs::write(
            path,
            data_encoding::BASE64.decode(text.as_bytes())?,
        )?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; its driver is our own child.
        if !self.session.is_empty() {
            let _ = self.call("DELETE", "", &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
