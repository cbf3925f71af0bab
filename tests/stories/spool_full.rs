//! The spool is full: sign-ups are refused with 503 and a time to come back, never with a false 2xx;
//! unsubscribes have room of their own.

use anyhow::Result;
use support::{Letterbox, Resident, sign_up_form, unsubscribe_link};

#[test]
fn a_full_spool_refuses_sign_ups_and_loses_none_that_it_took() -> Result<()> {
    let mut letterbox = Letterbox::start_with(&["--spool-limit", "20000"])?;
    let web = letterbox.web();
    let jo = Resident::new("jo@example.org");
    jo.join(&letterbox)?;
    letterbox.wait_for_active(1)?;
    letterbox.send_issue("Bins", "Tuesday.")?;
    let link = unsubscribe_link(&letterbox.mailbox().wait_for(&jo.email, "Bins")?)?;
    let form = sign_up_form(&letterbox)?;

    letterbox.stop_postgres()?;
    let (mut taken, mut refused) = (0, 0);
    for number in 0..300 {
        let typed = form
            .clone()
            .with("email", &format!("r{number}@example.org"));
        let answer = web.post_form(&typed.action, &typed.pairs())?;
        match answer.status {
            303 => taken += 1,
            503 => {
                refused += 1;
                assert!(answer.header("retry-after").is_some());
                assert!(
                    answer
                        .header("content-type")
                        .is_some_and(|kind| kind.contains("html"))
                );
            }
            other => panic!("status {other}"),
        }
        if refused == 20 {
            break;
        }
    }
    assert!(
        taken >= 5 && refused == 20,
        "{taken} taken, {refused} refused"
    );
    let json = serde_json::json!({
        "email": "late@example.org", "newsletter": "council-news", "notice": form.field("notice"),
    });
    let answer = web.post_json("/subscriptions", &json)?;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    let answer = web.post_form(&link, &[("List-Unsubscribe", "One-Click")])?;
    assert_eq!(
        answer.status, 200,
        "stops have room of their own: {}",
        answer.body
    );

    // With more room, everything that was taken is there, and nothing else.
    letterbox.stop()?;
    letterbox.set_options(&[]);
    letterbox.resume()?;
    letterbox.wait_for_sql("SELECT count(*) FROM sign_up", &taken.to_string())?;
    letterbox.wait_for_active(0)?;
    Resident::new("late@example.org").sign_up(&letterbox)?;
    letterbox.mailbox().wait_for("late@example.org", "")?;
    Ok(())
}
