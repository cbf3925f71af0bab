//! F28: the disk of a worker's folder is full.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use anyhow::{Result, ensure};
use support::{DEADLINE, Field, FieldPlan, wait_until};

use crate::PATIENCE;

fn run(program: &str, words: &[&str]) -> Result<()> {
    let output = Command::new(program).args(words).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{program} {words:?}: {said}");
    Ok(())
}

/// Unmounts when dropped.
struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).output();
    }
}

#[test]
fn f28_a_folder_on_a_full_disk_is_refused_before_and_harmless_after() -> Result<()> {
    let mut field = Field::start(FieldPlan {
        residents: 200,
        connections: 2,
        ..FieldPlan::default()
    })?;
    let folder = field.roles.delivers[0].data();
    field.roles.delivers[0].stop()?;
    let place = folder.display().to_string();
    let owner = fs::metadata(&folder)?;
    fs::remove_dir_all(&folder)?;
    fs::create_dir(&folder)?;
    let options = format!("size=96m,mode=0700,uid={},gid={}", owner.uid(), owner.gid());
    run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &place])?;
    let mounted = Mounted(place.clone());

    // Full before the start: no journal, so not ready, and nothing is sent.
    let filler = folder.join("filler");
    let of = format!("of={}", filler.display());
    let _ = Command::new("dd")
        .args(["if=/dev/zero", &of, "bs=64k"])
        .output()?;
    let issue = field.hand_over("Bins")?;
    let refused = field.roles.delivers[0].run_to_its_end(&[])?;
    eprintln!(
        "figures: {:?} {}",
        refused.code,
        refused.err.lines().last().unwrap_or_default()
    );
    ensure!(refused.code != Some(0) && field.sink.taken() == 0);
    ensure!(
        refused.err.contains("space"),
        "refused for another reason: {}",
        refused.err
    );

    // Full after the start: the journal has its space.
    fs::remove_file(&filler)?;
    field
        .sink
        .set_slowness(std::time::Duration::from_millis(50));
    field.roles.delivers[0].resume()?;
    let _ = Command::new("dd")
        .args(["if=/dev/zero", &of, "bs=64k"])
        .output()?;
    wait_until("sending to go on", DEADLINE, || {
        Ok(field.sink.taken_of(issue) > 50)
    })?;
    field.wait_through(issue, PATIENCE)?;
    let tally = field.check(issue)?;
    ensure!(tally.accepted == field.residents(), "{tally:?}");
    field.roles.delivers[0].stop()?;
    drop(mounted);
    Ok(())
}
