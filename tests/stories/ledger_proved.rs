//! The unsubscribe ledger as an operator and a data protection officer see it: a receipt is looked up, all
//! is verified here and from an export elsewhere, and whatever somebody changes is named (LED-02).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use support::{
    DEADLINE, Roles, RolesPlan, addresses, all_join, text_of, unsubscribe_link, wait_until,
};

const READERS: usize = 6;

struct Ledger {
    roles: Roles,
    receipts: Vec<String>,
}

/// The receipt on a page or in a line of text: 26 letters and digits.
fn receipt_of(text: &str) -> Option<String> {
    let is_one = |word: &&str| {
        word.len() == 26
            && word
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
    };
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find(is_one)
        .map(str::to_owned)
}

impl Ledger {
    /// Six residents who leave while no worker runs, and the worker afterwards.
    fn of_six() -> Result<Self> {
        let mut roles = Roles::start(RolesPlan::default())?;
        let emails = addresses("reader", READERS);
        all_join(&roles, &emails)?;
        roles.wait_for_active(READERS)?;
        roles.send_issue("Bins", "Tuesday.")?;
        let (web, mailbox) = (roles.web(), roles.mailbox());
        roles.delivers[0].stop()?;
        let mut receipts = Vec::new();
        for email in &emails {
            let link = unsubscribe_link(&mailbox.wait_for(email, "Bins")?)?;
            let done = web.post_form(&link, &[("List-Unsubscribe", "One-Click")])?;
            ensure!(done.status == 200, "{}", done.body);
            let text = text_of(&done.body);
            receipts.push(receipt_of(&text).with_context(|| format!("no receipt: {text}"))?);
        }
        let mut ledger = Self { roles, receipts };
        let early = ledger.words(&["ledger", "prove", &ledger.receipts[0]])?;
        ensure!(early.contains("accepted, not yet recorded"), "{early}");
        ledger.roles.delivers[0].resume()?;
        let covered = "SELECT coalesce(max(seq), 0) FROM ledger_checkpoint";
        // The first is signed at once, the next a minute later.
        wait_until("a checkpoint over all", DEADLINE * 2, || {
            Ok(ledger.roles.sql(covered)? == READERS.to_string())
        })?;
        Ok(ledger)
    }

    fn words(&self, words: &[&str]) -> Result<String> {
        self.roles.command(words)?.ok()
    }

    fn outside(&self) -> PathBuf {
        self.roles.delivers[0].data().join("checkpoints.jsonl")
    }

    /// Verifies; what it says, or what is wrong.
    fn verify(&self, more: &[&str]) -> Result<Result<String, String>> {
        let keys = self.roles.keys().join("deliver").display().to_string();
        let outside = self.outside().display().to_string();
        let words = [
            "ledger",
            "verify",
            "--keys",
            &keys,
            "--checkpoints",
            &outside,
        ];
        let ended = self.roles.command(&[&words, more].concat())?;
        match ended.code {
            Some(0) => Ok(Ok(ended.out)),
            Some(1) => Ok(Err(ended.err)),
            other => anyhow::bail!("exit {other:?}: {}{}", ended.out, ended.err),
        }
    }

    fn as_superuser(&self, what: &str) -> Result<()> {
        self.roles.sql(&format!(
            "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_is_append_only;
             ALTER TABLE ledger_checkpoint DISABLE TRIGGER checkpoints_are_append_only;
             {what}"
        ))?;
        Ok(())
    }
}

#[test]
fn a_receipt_is_proved_and_each_change_is_named() -> Result<()> {
    let ledger = Ledger::of_six()?;
    let keys = ledger.roles.keys().join("deliver").display().to_string();
    for receipt in &ledger.receipts {
        let typed = receipt.to_lowercase();
        let said = ledger.words(&["ledger", "prove", &typed, "--keys", &keys])?;
        ensure!(
            said.contains("one_click, stopped, by the subscriber"),
            "{said}"
        );
        ensure!(said.contains("and the key is the body's"), "{said}");
    }
    let wrong = ledger.roles.command(&["ledger", "prove", "ABC"])?;
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    let whole = ledger.verify(&[])?.map_err(anyhow::Error::msg)?;
    ensure!(whole.contains("6 entries"), "{whole}");
    ensure!(whole.contains("prove it up to entry 6"), "{whole}");

    // The same from an export, on a machine that has nothing else.
    let export = ledger.words(&["ledger", "export"])?;
    assert_eq!(
        export
            .lines()
            .filter(|line| line.contains("\"entry\""))
            .count(),
        READERS
    );
    let file = ledger.roles.folder().join("export.jsonl");
    let shown = file.display().to_string();
    fs::write(&file, &export)?;
    let whole = ledger.verify(&["--export", &shown])?;
    ensure!(whole.is_ok(), "{whole:?}");
    let third = export
        .lines()
        .position(|line| line.contains("\"entry\":\"910103"))
        .context("no third entry")?;
    let without: Vec<&str> = export
        .lines()
        .enumerate()
        .filter_map(|(number, line)| (number != third).then_some(line))
        .collect();
    fs::write(&file, without.join("\n"))?;
    let said = ledger.verify(&["--export", &shown])?.unwrap_err();
    ensure!(said.contains("changed at entry 3 (line"), "{said}");

    // In the database itself, by somebody who may do everything there.
    ledger.as_superuser("UPDATE ledger_entry SET occurred_ms = occurred_ms + 1 WHERE seq = 2")?;
    let said = ledger.verify(&[])?.unwrap_err();
    ensure!(said.contains("changed at entry 2"), "{said}");
    ledger.as_superuser(
        "CREATE TRIGGER again BEFORE UPDATE ON ledger_entry
             FOR EACH ROW EXECUTE FUNCTION chain_ledger_entry();
         DO $$ DECLARE place bigint; BEGIN
             FOR place IN SELECT seq FROM ledger_entry ORDER BY seq LOOP
                 UPDATE ledger_entry SET leaf = NULL WHERE seq = place;
             END LOOP;
         END $$;
         UPDATE ledger_head SET h = (SELECT h FROM ledger_entry WHERE seq = 6);
         DELETE FROM ledger_checkpoint",
    )?;
    let inside = ledger.words(&["ledger", "verify", "--keys", &keys])?;
    ensure!(inside.contains("prove it up to entry 0"), "{inside}");
    let said = ledger.verify(&[])?.unwrap_err();
    ensure!(
        said.contains("made anew"),
        "what lies outside says so: {said}"
    );
    Ok(())
}
