//! Two processes that were given one folder, one port, or the wrong database: the second is refused
//! with a line that says what to change, and the first goes on.

use anyhow::Result;
use support::{Ended, Resident, Roles, RolesPlan};

/// Runs one more process of this role on the folder of the first, to its end.
fn second_of(roles: &Roles, role: &str) -> Result<Ended> {
    // Its own ports and the first one's folder.
    let second = roles.process(role, 1)?;
    second.run_to_its_end(&[])
}

fn one_line(ended: &Ended) -> &str {
    let lines: Vec<&str> = ended
        .err
        .lines()
        .filter(|line| line.starts_with("letterbox: "))
        .collect();
    assert_eq!(lines.len(), 1, "{}", ended.err);
    lines[0]
}

#[test]
fn a_second_process_on_a_folder_in_use_is_refused() -> Result<()> {
    let mut roles = Roles::start(RolesPlan::default())?;
    for role in ["intake", "unsubscribe", "deliver"] {
        let refused = second_of(&roles, role)?;
        assert_eq!(refused.code, Some(2), "{role}: {refused:?}");
        let line = one_line(&refused);
        assert!(
            line.contains("--data") && line.contains(&format!("{role}-1")),
            "{line}"
        );
    }
    // And by a port that the first one has.
    let ports = format!("127.0.0.1:{}", roles.intakes[0].port());
    let other = roles.process("intake", 2)?;
    let refused = other.run_to_its_end(&[("--listen", &ports)])?;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(one_line(&refused).contains(&ports), "{}", refused.err);
    for role in roles.all_mut() {
        assert!(role.runs()?, "{} goes on", role.name);
    }
    Resident::new("jo@example.org").join(&roles)?;
    roles.wait_for_active(1)
}
