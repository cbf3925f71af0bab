//! The program dies and its spool's last file is not as it left it: a torn tail, a flipped byte. What is
//! intact is applied, the rest is not invented, and the spool goes on.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use support::{Letterbox, Resident};

/// The newest segment of the sign-ups' spool, and where its records begin (`FORMATS.md`, Spool).
fn newest_segment(letterbox: &Letterbox) -> Result<(PathBuf, Vec<usize>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(letterbox.data().join("spool/intake"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name.len() >= 20 && name.bytes().take(20).all(|byte| byte.is_ascii_digit())
    });
    paths.sort();
    let path = paths.pop().context("no segment")?;
    let bytes = fs::read(&path)?;
    let mut starts = vec![0];
    loop {
        let at = *starts.last().context("empty")?;
        let head = bytes.get(at..at + 4).context("no end of the records")?;
        let length = u32::from_be_bytes(head.try_into()?) as usize;
        if length == 0 {
            break;
        }
        starts.push(at + 8 + length);
    }
    Ok((path, starts))
}

/// Ten residents sign up while the database is away; then everything dies.
fn died_with_ten_in_the_spool() -> Result<Letterbox> {
    let mut letterbox = Letterbox::start()?;
    letterbox.stop_postgres()?;
    for number in 0..10 {
        Resident::new(&format!("r{number}@example.org")).sign_up(&letterbox)?;
    }
    letterbox.kill()?;
    Ok(letterbox)
}

#[test]
fn an_untouched_spool_loses_nothing() -> Result<()> {
    let mut letterbox = died_with_ten_in_the_spool()?;
    letterbox.resume()?;
    letterbox.wait_for_sql("SELECT count(*) FROM sign_up", "10")?;
    for number in 0..10 {
        letterbox
            .mailbox()
            .wait_for(&format!("r{number}@example.org"), "")?;
    }
    Ok(())
}

#[test]
fn a_torn_tail_is_cut_and_the_rest_is_applied() -> Result<()> {
    let mut letterbox = died_with_ten_in_the_spool()?;
    let (path, starts) = newest_segment(&letterbox)?;
    assert_eq!(starts.len(), 11, "ten records in {}", path.display());
    // As if the power had gone while the tenth was written.
    let mut bytes = fs::read(&path)?;
    let middle = usize::midpoint(starts[9], starts[10]);
    bytes[middle..].fill(0);
    fs::write(&path, &bytes)?;
    letterbox.resume()?;
    letterbox.wait_for_sql("SELECT count(*) FROM sign_up", "9")?;
    // Whoever comes next is not in the way of what was torn.
    Resident::new("r9@example.org").sign_up(&letterbox)?;
    letterbox.wait_for_sql("SELECT count(*) FROM sign_up", "10")?;
    letterbox.mailbox().wait_for("r9@example.org", "")?;
    Ok(())
}

#[test]
fn a_shortened_file_is_a_torn_tail() -> Result<()> {
    let mut letterbox = died_with_ten_in_the_spool()?;
    let (path, starts) = newest_segment(&letterbox)?;
    let file = fs::File::options().write(true).open(&path)?;
    file.set_len(u64::try_from(starts[8] + 5)?)?;
    letterbox.resume()?;
    letterbox.wait_for_sql("SELECT count(*) FROM sign_up", "8")?;
    Resident::new("next@example.org").join(&letterbox)?;
    letterbox.wait_for_active(1)
}

#[test]
fn a_flipped_byte_costs_its_own_record_only() -> Result<()> {
    let mut letterbox = died_with_ten_in_the_spool()?;
    let (path, starts) = newest_segment(&letterbox)?;
    let mut bytes = fs::read(&path)?;
    bytes[usize::midpoint(starts[4], starts[5])] ^= 0x20;
    fs::write(&path, &bytes)?;
    letterbox.resume()?;
    letterbox.wait_for_sql("SELECT count(*) FROM sign_up", "9")?;
    // The mark passes the damaged one: it is a tombstone, not a hole.
    letterbox.wait_for_sql("SELECT applied_upto FROM spool WHERE NOT holds_stops", "10")?;
    Resident::new("next@example.org").join(&letterbox)?;
    letterbox.wait_for_active(1)
}
