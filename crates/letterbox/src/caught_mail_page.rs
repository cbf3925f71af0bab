//! `/caught-mail`: reading what a trial installation would have sent, from this machine only.

use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::Language;
use mail_parser::{Message, MessageParser};
use page_frame::Frame;
use shipper::CatalogueCopy;

/// Messages that the list shows; older ones stay files.
const LISTED: usize = 100;
/// Our messages are far smaller; whatever else lies in the folder is not read whole.
const LARGEST_MESSAGE: u64 = 1024 * 1024;

struct Page {
    folder: PathBuf,
    catalogue: CatalogueCopy,
}

/// The routes below `/caught-mail`.
pub(crate) fn router(folder: PathBuf, catalogue: CatalogueCopy) -> Router {
    Router::new()
        .route("/caught-mail", get(list))
        .route("/caught-mail/{file}", get(show))
        .route("/caught-mail/{file}/html", get(html))
        .route("/caught-mail/{file}/source", get(source))
        .with_state(Arc::new(Page { folder, catalogue }))
}

#[derive(Template)]
#[template(path = "caught_mail_list.html")]
struct ListTemplate {
    mails: Vec<Listed>,
    more: usize,
    folder: String,
}

struct Listed {
    file: String,
    subject: String,
    to: String,
    date: String,
}

#[derive(Template)]
#[template(path = "caught_mail.html")]
struct MailTemplate {
    file: String,
    subject: String,
    headers: Vec<(&'static str, String)>,
    text: Vec<Piece>,
}

/// A stretch of the text part.
enum Piece {
    Text(String),
    Link(String),
}

async fn list(State(page): State<Arc<Page>>) -> Response {
    let Ok(files) = mail::list_caught(&page.folder) else {
        return page.unreadable();
    };
    let more = files.len().saturating_sub(LISTED);
    let mut mails = Vec::new();
    for file in files.into_iter().take(LISTED) {
        let Some(bytes) = page.read(&file.name).await else {
            continue;
        };
        let Some(message) = MessageParser::default().parse(&bytes) else {
            continue;
        };
        mails.push(Listed {
            file: file.name,
            subject: subject_of(&message),
            to: addresses(message.to()),
            date: header_text(&message, "Date"),
        });
    }
    let folder = page.folder.display().to_string();
    page.frame(
        "Caught mail",
        &ListTemplate {
            mails,
            more,
            folder,
        },
    )
}

async fn show(State(page): State<Arc<Page>>, Path(file): Path<String>) -> Response {
    let Some(bytes) = page.read(&file).await else {
        return page.not_found();
    };
    let Some(message) = MessageParser::default().parse(&bytes) else {
        return page.not_found();
    };
    let named = [
        "Date",
        "Reply-To",
        "List-Id",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "Content-Language",
        "Message-ID",
    ];
    let mut headers = vec![
        ("From", addresses(message.from())),
        ("To", addresses(message.to())),
    ];
    headers.extend(
        named
            .into_iter()
            .map(|name| (name, header_text(&message, name)))
            .filter(|(_, text)| !text.is_empty()),
    );
    let text = message.body_text(0).unwrap_or_default();
    let subject = subject_of(&message);
    page.frame(
        &subject.clone(),
        &MailTemplate {
            file,
            subject,
            headers,
            text: pieces(&text),
        },
    )
}

/// The HTML part as a page of its own. It runs no script and loads nothing, whatever it says.
async fn html(State(page): State<Arc<Page>>, Path(file): Path<String>) -> Response {
    let Some(bytes) = page.read(&file).await else {
        return page.not_found();
    };
    let message = MessageParser::default().parse(&bytes);
    let Some(body) = message.as_ref().and_then(|message| message.body_html(0)) else {
        return page.not_found();
    };
    raw(
        "text/html; charset=utf-8",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
        body.into_owned().into_bytes(),
    )
}

async fn source(State(page): State<Arc<Page>>, Path(file): Path<String>) -> Response {
    match page.read(&file).await {
        Some(bytes) => raw("text/plain; charset=utf-8", "default-src 'none'", bytes),
        None => page.not_found(),
    }
}

fn raw(content_type: &'static str, policy: &'static str, body: Vec<u8>) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(policy),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (StatusCode::OK, headers, body).into_response()
}

impl Page {
    /// A message of the folder; none for any name that is not one of its files.
    async fn read(&self, file: &str) -> Option<Vec<u8>> {
        let stem = file.strip_suffix(".eml")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@.".contains(&byte);
        if stem.is_empty() || stem.starts_with('.') || !stem.bytes().all(plain) {
            return None;
        }
        let path = self.folder.join(file);
        let metadata = tokio::fs::symlink_metadata(&path).await.ok()?;
        if !metadata.is_file() || metadata.len() > LARGEST_MESSAGE {
            return None;
        }
        tokio::fs::read(path).await.ok()
    }

    fn frame(&self, title: &str, main: &impl Template) -> Response {
        let catalogue = self.catalogue.current();
        let frame = Frame {
            language: Language::En,
            title,
            catalogue: &catalogue,
            other_language: None,
            is_error: false,
        };
        frame.page(StatusCode::OK, main)
    }

    fn not_found(&self) -> Response {
        page_frame::not_found(&self.catalogue.current(), Language::En)
    }

    fn unreadable(&self) -> Response {
        tracing::error!("the folder of caught mail cannot be read");
        page_frame::unavailable(&self.catalogue.current(), Language::En, 5)
    }
}

fn subject_of(message: &Message<'_>) -> String {
    message.subject().unwrap_or("(no subject)").to_owned()
}

fn addresses(found: Option<&mail_parser::Address<'_>>) -> String {
    let Some(found) = found else {
        return String::new();
    };
    let texts: Vec<String> = found
        .iter()
        .map(|address| match (address.name(), address.address()) {
            (Some(name), Some(mailbox)) => format!("{name} <{mailbox}>"),
            (None, Some(mailbox)) => mailbox.to_owned(),
            (name, None) => name.unwrap_or_default().to_owned(),
        })
        .collect();
    texts.join(", ")
}

fn header_text(message: &Message<'_>, name: &str) -> String {
    let raw = message.header_raw(name).unwrap_or_default();
    raw.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts a text at the web addresses in it.
fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest
        .find("http://")
        .into_iter()
        .chain(rest.find("https://"))
        .min()
    {
        let tail = &rest[start..];
        let end = tail
            .find([' ', '\r', '\n', '<', '>', '"'])
            .unwrap_or(tail.len());
        // A closing bracket or full stop belongs to the sentence.
        let url = tail[..end].trim_end_matches(['.', ',', ')', ';']);
        found.push(Piece::Text(rest[..start].to_owned()));
        found.push(Piece::Link(url.to_owned()));
        rest = &tail[url.len()..];
        if url.len() < "https://x".len() {
            break;
        }
    }
    found.push(Piece::Text(rest.to_owned()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses_in_a_line_become_links() {
        let parts = pieces("Confirm (https://a.example/x?y=1&z=2). Thanks");
        let links: Vec<&str> = parts
            .iter()
            .filter_map(|piece| match piece {
                Piece::Link(url) => Some(url.as_str()),
                Piece::Text(_) => None,
            })
            .collect();
        assert_eq!(links, ["https://a.example/x?y=1&z=2"]);
        let whole: String = parts
            .iter()
            .map(|piece| match piece {
                Piece::Link(text) | Piece::Text(text) => text.as_str(),
            })
            .collect();
        assert_eq!(whole, "Confirm (https://a.example/x?y=1&z=2). Thanks");
    }

    #[tokio::test]
    async fn only_plain_files_of_the_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a@b.example.eml"), "Subject: x\r\n\r\ny").unwrap();
        std::fs::write(folder.path().join("key"), "secret").unwrap();
        std::os::unix::fs::symlink("key", folder.path().join("link.eml")).unwrap();
        let page = Page {
            folder: folder.path().to_path_buf(),
            catalogue: CatalogueCopy::fixed(domain::Catalogue::default()),
        };
        assert!(page.read("a@b.example.eml").await.is_some());
        for name in [
            "key",
            "link.eml",
            "../key.eml",
            "..%2fkey.eml",
            ".eml",
            "x/y.eml",
            "none.eml",
        ] {
            assert!(page.read(name).await.is_none(), "{name}");
        }
    }
}
