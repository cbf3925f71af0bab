//! Issues that are not sent: each refusal names the place to fix, and nobody is mailed.

use anyhow::{Context as _, Result};
use support::{Letterbox, Resident};

/// What is wrong, what the refusal must name, and the file; `~` is a line end, `HEAD` a good head.
const BAD_ISSUES: &str = "
    empty | line 1 |
    no head | line 1 | Hello
    an open head | --- | ---~subject: Bins~
    no subject | subject | ---~preheader: When~---~Hello
    an empty subject | subject | ---~subject:~---~Hello
    a long subject | subject | ---~subject: LONG~---~Hello
    an unknown key | line 3 | ---~subject: Bins~sender: me~---~Hello
    a key twice | line 3 | ---~subject: Bins~subject: More~---~Hello
    no text | text | HEAD
    an image without a description | line 6 | HEAD~![](https://council.example/a.png)~
    an empty link | line 6 | HEAD~[](https://council.example/)~
    a script | line 6 | HEAD~<script>alert(1)</script>~
    an unsafe link | line 6 | HEAD~[x](javascript:alert(1))~
    too much | long | HEAD~LONG LONG LONG LONG LONG LONG LONG LONG~
";

#[test]
fn each_bad_issue_is_refused_with_the_place_to_fix() -> Result<()> {
    let letterbox = Letterbox::start()?;
    Resident::new("jo@example.org").join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    let [_, welsh] = letterbox.issue_files("Fine", "Fine.")?;
    for row in BAD_ISSUES.lines().filter(|row| !row.is_empty()) {
        let mut cells = row.splitn(3, '|').map(str::trim);
        let mut cell = || cells.next().context("no cell");
        let (name, part, text) = (cell()?, cell()?, cell()?);
        let text = text
            .replace("HEAD", "---~subject: Bins~preheader: When~---~")
            .replace("LONG", &"Lorem ipsum dolor. ".repeat(2_000))
            .replace('~', "\n");
        let file = letterbox.write("bad.md", &text)?;
        let words = [
            "issue",
            "send",
            &file,
            "--welsh",
            &welsh,
            "--newsletter",
            "council-news",
        ];
        let refused = letterbox.command(&words)?;
        assert_eq!(refused.code, Some(2), "{name}: {refused:?}");
        assert!(refused.err.contains(part), "{name} said: {}", refused.err);
        assert!(
            refused.err.lines().count() <= 8,
            "{name} said: {}",
            refused.err
        );
    }
    assert_eq!(letterbox.sql("SELECT count(*) FROM issue")?, "0");
    assert_eq!(letterbox.mailbox().all()?.len(), 1, "the confirmation only");
    Ok(())
}

#[test]
fn an_issue_for_nobody_we_know_or_without_its_welsh_is_refused_in_one_line() -> Result<()> {
    let letterbox = Letterbox::start()?;
    letterbox.issue_files("Fine", "Fine.")?;
    for words in [
        "issue send issue.md --welsh issue.cy.md --newsletter no-such-news",
        "issue send issue.md --welsh issue.cy.md --newsletter ../etc",
        "issue send issue.md --newsletter council-news",
        "issue send nowhere.md --welsh issue.cy.md --newsletter council-news",
        "issue send issue.md --welsh nowhere.md --newsletter council-news",
        "issue status 77",
    ] {
        let refused = letterbox.command(&words.split(' ').collect::<Vec<_>>())?;
        assert_eq!(refused.code, Some(2), "{words}: {refused:?}");
        assert_eq!(
            refused.err.trim_end().lines().count(),
            1,
            "{words} said: {}",
            refused.err
        );
    }
    assert_eq!(letterbox.sql("SELECT count(*) FROM issue")?, "0");
    Ok(())
}
