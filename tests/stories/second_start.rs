//! Stop and start again: the data is there. Two at once: the second is refused.

use std::time::{Duration, Instant};

use anyhow::Result;
use support::{Letterbox, Resident, unsubscribe_link};

#[test]
fn a_second_start_goes_on_with_the_data_and_old_links_work() -> Result<()> {
    let mut letterbox = Letterbox::start()?;
    let (jo, sam) = (
        Resident::new("jo@example.org"),
        Resident::new("sam@example.org"),
    );
    jo.join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    letterbox.send_issue("Before", "One.")?;
    let before = letterbox.mailbox().wait_for(&jo.email, "Before")?;
    sam.sign_up(&letterbox)?;
    let confirmation = letterbox.mailbox().wait_for(&sam.email, "")?;
    letterbox.stop()?;
    assert!(
        letterbox.postgres_pid().is_none(),
        "its PostgreSQL stops with it"
    );
    assert!(
        letterbox.web().get("/newsletters").is_err(),
        "nothing answers"
    );

    let start = Instant::now();
    letterbox.resume()?;
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "ready after {:?}",
        start.elapsed()
    );
    sam.press(
        &letterbox,
        &support::confirm_link(&confirmation)?,
        "/confirm/",
    )?;
    letterbox.wait_for_active(2)?;
    letterbox.send_issue("After", "Two.")?;
    letterbox.mailbox().wait_for(&jo.email, "After")?;
    letterbox.mailbox().wait_for(&sam.email, "After")?;
    let link = unsubscribe_link(&before)?;
    let answer = letterbox
        .web()
        .post_form(&link, &[("List-Unsubscribe", "One-Click")])?;
    assert_eq!(answer.status, 200);
    letterbox.wait_for_active(1)?;
    // Still one example newsletter, not two.
    assert_eq!(letterbox.sql("SELECT count(*) FROM newsletter")?, "1");
    Ok(())
}

#[test]
fn a_second_up_on_the_same_data_is_refused_and_harms_nothing() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let port = format!("127.0.0.1:{}", letterbox.port() + 10_000);
    let refused = letterbox.command(&["up", "--listen", &port])?;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(refused.err.trim_end().lines().count(), 1, "{}", refused.err);
    assert!(
        refused.err.contains("--data") && refused.err.contains("running"),
        "{}",
        refused.err
    );
    Resident::new("jo@example.org").join(&letterbox)?;
    letterbox.wait_for_active(1)
}

#[test]
fn a_taken_port_is_named() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let other = Letterbox::prepare(&[])?;
    let port = format!("127.0.0.1:{}", letterbox.port());
    let refused = other.command(&["up", "--listen", &port])?;
    assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
    assert_eq!(refused.err.trim_end().lines().count(), 1, "{}", refused.err);
    assert!(refused.err.contains(&port), "{}", refused.err);
    Ok(())
}
