//! What `letterbox up` prints: one line a part as it gets ready, then where to look and what to try.

use std::io::{self, Write};
use std::path::Path;

use domain::{Language, Newsletter};

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
pub(crate) fn ready(settings: &UpSettings, data: &DataFolder, newsletter: Option<&Newsletter>) {
    let base = &settings.base_url;
    let local = format!("http://{}", settings.listen);
    line("");
    line(&format!("Ready: {base}"));
    line("");
    line(&format!("  Newsletters   {base}/newsletters"));
    if let Some(newsletter) = newsletter {
        line(&format!(
            "  Sign up       {base}/newsletters/{}",
            newsletter.slug
        ));
    }
    if settings.relay.is_none() {
        line(&format!(
            "  Caught mail   {local}/caught-mail   (no mail leaves this machine)"
        ));
    }
    line(&format!("  Metrics       {local}/metrics"));
    line("");
    match newsletter {
        Some(newsletter) => what_to_try(settings, data, newsletter),
        None => what_to_set_up(data),
    }
    line("");
    line("Ctrl-C stops everything. The next start goes on with the same data.");
}

/// The story, with the issue that ships with the program.
fn what_to_try(settings: &UpSettings, data: &DataFolder, newsletter: &Newsletter) {
    let (base, slug) = (&settings.base_url, &newsletter.slug);
    let welsh = if newsletter.languages.contains(&Language::Cy) {
        format!(
            " --welsh {}",
            quoted(&data.examples().join("first-issue.cy.md"))
        )
    } else {
        String::new()
    };
    line("Try next, in a browser or in another terminal:");
    line("  1. Sign up:");
    line(&format!(
        "       curl -d email=me@example.org -d newsletter={slug} -d notice=$(curl -s {base}/newsletters/{slug} | grep -om1 '[0-9a-f]\\{{64\\}}') {base}/subscriptions"
    ));
    if settings.relay.is_none() {
        line(&format!(
            "  2. Open http://{}/caught-mail, follow the link, press the button.",
            settings.listen
        ));
    } else {
        line("  2. Open the mail, follow the link, press the button.");
    }
    line("  3. Send an issue:");
    line(&format!(
        "       {} issue send {}{welsh} --newsletter {slug} --data {}",
        program(),
        quoted(&data.examples().join("first-issue.md")),
        quoted(data.root())
    ));
    line(
        "  4. Unsubscribe by the link at the bottom of the issue, then send another: it goes to nobody.",
    );
}

/// What is missing before anybody can sign up.
fn what_to_set_up(data: &DataFolder) {
    line(
        "Next, in another terminal: say who sends, and add a newsletter. Change these examples first:",
    );
    for (command, file) in [
        ("body set", "body.toml"),
        ("newsletter add", "newsletter.toml"),
    ] {
        line(&format!(
            "  {} {command} {} --data {}",
            program(),
            quoted(&data.examples().join(file)),
            quoted(data.root())
        ));
    }
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
