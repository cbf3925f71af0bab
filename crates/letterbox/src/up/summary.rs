//! What `letterbox up` prints: one line a part as it gets ready, then where to look and what to try.

use std::io::{self, Write};
use std::path::Path;

use crate::data_folder::DataFolder;
use crate::up::settings::UpSettings;

/// One line for a part that is ready.
pub(crate) fn part(name: &str, detail: &str) {
    line(&format!("  {name:<12} ready  {detail}"));
}

/// Prints a line; a closed standard output ends nothing.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// The addresses to open and the next commands.
pub(crate) fn ready(settings: &UpSettings, data: &DataFolder, slug: Option<&str>) {
    let base = &settings.base_url;
    let local = format!("http://{}", settings.listen);
    line("");
    line(&format!("Ready: {base}"));
    line("");
    line(&format!("  Newsletters   {base}/newsletters"));
    if let Some(slug) = slug {
        line(&format!("  Sign up       {base}/newsletters/{slug}"));
    }
    if settings.smtp.is_none() {
        line(&format!(
            "  Caught mail   {local}/caught-mail   (no mail leaves this machine)"
        ));
    }
    line(&format!("  Metrics       {local}/metrics"));
    line("");
    let program = program();
    let data_option = format!("--data {}", quoted(data.root()));
    let examples = data.examples();
    match slug {
        Some(slug) => {
            line("Try next, in a browser or in another terminal:");
            line("  1. Sign up:");
            line(&format!(
                "       curl -d email=me@example.org -d newsletter={slug} -d notice=$(curl -s {base}/newsletters/{slug} | grep -om1 '[0-9a-f]\\{{64\\}}') {base}/subscriptions"
            ));
            if settings.smtp.is_none() {
                line(&format!(
                    "  2. Open {local}/caught-mail, follow the link, press the button."
                ));
            } else {
                line("  2. Open the mail, follow the link, press the button.");
            }
            line("  3. Send an issue:");
            line(&format!(
                "       {program} issue send {} --welsh {} --newsletter {slug} {data_option}",
                quoted(&examples.join("first-issue.md")),
                quoted(&examples.join("first-issue.cy.md"))
            ));
            line(
                "  4. Unsubscribe by the link at the bottom of the issue, then send another: it goes to nobody.",
            );
        }
        None => {
            line(
                "Next, in another terminal: say who sends, and add a newsletter. Change these examples first:",
            );
            line(&format!(
                "  {program} body set {} {data_option}",
                quoted(&examples.join("body.toml"))
            ));
            line(&format!(
                "  {program} newsletter add {} {data_option}",
                quoted(&examples.join("newsletter.toml"))
            ));
        }
    }
    line("");
    line("Ctrl-C stops everything. The next start goes on with the same data.");
}

/// How to call this program again.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "letterbox".to_owned(), |path| quoted(&path))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte);
    if text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted_for_a_shell() {
        assert_eq!(
            quoted(Path::new("/var/lib/letterbox")),
            "/var/lib/letterbox"
        );
        assert_eq!(quoted(Path::new("/tmp/it's here")), r"'/tmp/it'\''s here'");
    }
}
