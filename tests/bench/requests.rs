//! What the load sends: sign-ups and confirmations as a browser's form sends them, and one-click
//! unsubscribes as a mail program does. Links are made from the key folder by the format alone, with no code of Letterbox.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use support::RoleProcess;

/// The newsletter of the example files.
const NEWSLETTER: &str = "council-news";

const FORM: &str = "application/x-www-form-urlencoded";

/// Sign-ups of one address after another; clones of it would repeat them.
pub(crate) struct SignUps {
    notice: String,
    host: String,
    /// Keeps the addresses of several loads apart.
    load: usize,
    next: u64,
    body: Vec<u8>,
}

impl SignUps {
    /// For this role's newsletter, under the notice that its page shows.
    pub(crate) fn at(role: &RoleProcess, load: usize) -> Result<Self> {
        let page = role.web().get(&format!("/newsletters/{NEWSLETTER}"))?;
        ensure!(page.status == 200, "{}: {}", page.status, page.body);
        let notice = page
            .body
            .split('"')
            .find(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .context("no notice on the page")?;
        Ok(Self {
            notice: notice.to_owned(),
            host: format!("127.0.0.1:{}", role.port()),
            load,
            next: 0,
            body: Vec::new(),
        })
    }

    pub(crate) fn write_next(&mut self, request: &mut Vec<u8>) {
        self.next += 1;
        self.body.clear();
        // Writing to memory cannot fail.
        let _ = write!(
            self.body,
            "email=resident.{}.{}%40post.example.org&newsletter={NEWSLETTER}&notice={}&language=en",
            self.load, self.next, self.notice
        );
        write_post(request, &self.host, "/subscriptions", &self.body);
    }
}

/// Unsubscribes of one subscription after another.
pub(crate) struct Unsubscribes {
    key: LinkKey,
    host: String,
    next: u128,
}

impl Unsubscribes {
    /// With the link key in the folder of keys that the role was given.
    pub(crate) fn at(role: &RoleProcess, keys: &Path) -> Result<Self> {
        Ok(Self {
            key: LinkKey::read(keys, "leave")?,
            host: format!("127.0.0.1:{}", role.port()),
            next: 0,
        })
    }

    pub(crate) fn write_next(&mut self, request: &mut Vec<u8>) {
        self.next += 1;
        let token = self.key.link(UNSUBSCRIBE, &self.next.to_be_bytes(), 1);
        let place = format!("/u/{token}?n={NEWSLETTER}");
        write_post(request, &self.host, &place, b"List-Unsubscribe=One-Click");
    }
}

/// The button behind one confirm link after another.
pub(crate) struct Confirms {
    key: LinkKey,
    host: String,
    boxes: std::vec::IntoIter<Vec<u8>>,
    expiry: u32,
}

impl Confirms {
    /// Of these sign-ups, with the link key in the folder of keys that the role was given; `expiry` in
    /// minutes since 1970.
    pub(crate) fn at(
        role: &RoleProcess,
        keys: &Path,
        boxes: Vec<Vec<u8>>,
        expiry: u32,
    ) -> Result<Self> {
        Ok(Self {
            key: LinkKey::read(keys, "join")?,
            host: format!("127.0.0.1:{}", role.port()),
            boxes: boxes.into_iter(),
            expiry,
        })
    }

    pub(crate) fn write_next(&mut self, request: &mut Vec<u8>) {
        if let Some(sign_up) = self.boxes.next() {
            let token = self.key.link(CONFIRM, &sign_up, self.expiry);
            let place = format!("/confirm/{token}?n={NEWSLETTER}");
            write_post(request, &self.host, &place, b"button=confirm");
        }
    }
}

const UNSUBSCRIBE: u8 = 1;
const CONFIRM: u8 = 3;

/// Makes links by the format alone.
struct LinkKey([u8; 32]);

impl LinkKey {
    const KID: u16 = 1;

    fn read(keys: &Path, class: &str) -> Result<Self> {
        let name = format!("link-{class}-{}.key", Self::KID);
        let hexadecimal = fs::read_to_string(keys.join(name))?;
        let key = HEXLOWER.decode(hexadecimal.trim().as_bytes())?;
        match key.try_into() {
            Ok(key) => Ok(Self(key)),
            Err(_) => bail!("a link key has 32 bytes"),
        }
    }

    /// `FORMATS.md`, Link tokens: version, purpose, kid, subject, aux, and 16 bytes of HMAC-SHA-256.
    fn link(&self, purpose: u8, subject: &[u8], aux: u32) -> String {
        let mut bytes = vec![1, purpose];
        bytes.extend(Self::KID.to_be_bytes());
        bytes.extend(subject);
        bytes.extend(aux.to_be_bytes());
        let mut tag =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        tag.update(b"letterbox/link/v1\0");
        tag.update(&bytes);
        bytes.extend(&tag.finalize().into_bytes()[..16]);
        BASE64URL_NOPAD.encode(&bytes)
    }
}

fn write_post(request: &mut Vec<u8>, host: &str, place: &str, body: &[u8]) {
    // Writing to memory cannot fail.
    let _ = write!(
        request,
        "POST {place} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    request.extend_from_slice(body);
}
