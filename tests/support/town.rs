//! A town of residents who have all signed up and confirmed: made once by the real program, kept below
//! the target folder, and copied for each story that wants many recipients and looks at other things.
//!
//! It is made anew when anything changes that it depends on: migrations, keys, or how addresses are sealed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::{
    BadSink, Ended, PostgresNode, Roles, RolesPlan, Seed, confirm_link, notice_of, now, repository,
    sign_up_by_json, wait_until,
};

/// What the town depends on, besides its size.
const DEPENDS_ON: [&str; 5] = [
    "migrations",
    "crates/letterbox/src/keys",
    "crates/address-seal/src",
    "crates/address-open/src",
    "crates/link-token/src",
];
/// Sign-ups and confirmations at a time.
const CLERKS: usize = 8;
const PATIENCE: Duration = Duration::from_mins(10);
/// A town is used for so long.
const KEPT: Duration = Duration::from_hours(24);

/// Residents of `council-news`: `r0@example.org` and so on, all confirmed.
#[derive(Debug, Clone)]
pub struct Town {
    folder: PathBuf,
    residents: usize,
}

impl Town {
    /// A town of so many residents, from the shelf or new.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn of(residents: usize) -> Result<Self> {
        let shelf = shelf()?;
        fs::create_dir_all(&shelf)?;
        let town = Self {
            folder: shelf.join(format!("{residents}-{}", hash()?)),
            residents,
        };
        // One at a time, of all processes: the second finds it there.
        let door = town.door()?;
        door.lock()?;
        if !town.is_fresh() {
            town.make().context("making a town")?;
        }
        Ok(town)
    }

    /// What is locked while a town is copied, by many, or made, by one.
    fn door(&self) -> Result<File> {
        Ok(File::create(
            shelf()?.join(format!("{}.lock", self.residents)),
        )?)
    }

    fn is_fresh(&self) -> bool {
        let made = fs::metadata(self.folder.join("keys")).and_then(|keys| keys.modified());
        made.is_ok_and(|at| now().duration_since(at).is_ok_and(|age| age < KEPT))
    }

    fn make(&self) -> Result<()> {
        let sink = BadSink::start()?;
        sink.keep_messages(true);
        let mut roles = Roles::start(RolesPlan {
            smtp: Some(sink.url()),
            ..RolesPlan::default()
        })?;
        let notice = notice_of(&roles)?;
        self.at_a_time(|number| {
            let answer = sign_up_by_json(&roles.web(), &notice, &address(number))?;
            ensure!(answer.status == 202, "{}: {}", answer.status, answer.body);
            Ok(())
        })?;
        wait_until("all confirmations", PATIENCE, || {
            Ok(sink.taken() >= self.residents)
        })?;
        let links: Vec<String> = sink
            .entries()
            .into_iter()
            .filter(crate::Entry::is_taken)
            .filter_map(|entry| entry.message?.bytes)
            .map(|bytes| confirm_link(&crate::Mail::parse(Path::new("confirmation"), bytes)?))
            .collect::<Result<_>>()?;
        self.at_a_time(|number| {
            let answer = roles
                .web()
                .post_form(&links[number], &[("button", "confirm")])?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            Ok(())
        })?;
        let active = "SELECT count(*) FROM subscription WHERE state = 1";
        wait_until("all to be active", PATIENCE, || {
            Ok(roles.sql(active)? == self.residents.to_string())
        })?;
        roles.wait_for_sql("SELECT count(*) FROM outbox", "0")?;
        for role in roles.all_mut() {
            role.stop()?;
        }
        roles.sql("VACUUM ANALYZE")?;
        roles.postgres.stop()?;
        self.put_away(&roles)
    }

    /// Does something for every resident, some at a time.
    fn at_a_time(&self, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
        std::thread::scope(|scope| {
            let clerks: Vec<_> = (0..CLERKS)
                .map(|first| {
                    let work = &work;
                    scope.spawn(move || (first..self.residents).step_by(CLERKS).try_for_each(work))
                })
                .collect();
            clerks
                .into_iter()
                .try_for_each(|clerk| clerk.join().unwrap_or_else(|_| anyhow::bail!("a panic")))
        })
    }

    fn put_away(&self, roles: &Roles) -> Result<()> {
        let begun = self.folder.with_extension("begun");
        for old in [&begun, &self.folder] {
            if old.exists() {
                fs::remove_dir_all(old)?;
            }
        }
        fs::create_dir(&begun)?;
        let own = ["keys", "intake-1", "unsubscribe-1", "deliver-1"];
        for name in own {
            copy(&roles.folder().join(name), &begun.join(name))?;
        }
        copy(&roles.postgres.data(), &begun.join("postgres"))?;
        Ok(fs::rename(&begun, &self.folder)?)
    }

    /// An installation with these residents, its database running and no role yet.
    ///
    /// # Errors
    /// A step fails.
    pub fn prepare(&self, plan: RolesPlan) -> Result<Roles> {
        let roles = self.copied(plan.clone())?;
        // For a program that is newer than the town.
        if roles.migrate()?.ok().is_ok() {
            return Ok(roles);
        }
        // The town was made by a program of another history: by a step of development, say.
        drop(roles);
        {
            let door = self.door()?;
            door.lock()?;
            if self.folder.exists() {
                fs::remove_dir_all(&self.folder)?;
            }
        }
        let roles = Self::of(self.residents)?.copied(plan)?;
        roles.migrate()?.ok()?;
        Ok(roles)
    }

    fn copied(&self, plan: RolesPlan) -> Result<Roles> {
        let door = self.door()?;
        door.lock_shared()?;
        let postgres = PostgresNode::start_on_copy(&self.folder.join("postgres"), plan.postgres)?;
        let roles = Roles::around(postgres, plan)?;
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if name != "postgres" {
                copy(&self.folder.join(&name), &roles.folder().join(&name))?;
            }
        }
        Ok(roles)
    }

    /// An installation with these residents, running.
    ///
    /// # Errors
    /// A part does not become ready.
    pub fn start(&self, plan: RolesPlan) -> Result<Roles> {
        let mut roles = self.prepare(plan)?;
        roles.start_all()?;
        Ok(roles)
    }

    /// How many live there.
    #[must_use]
    pub const fn residents(&self) -> usize {
        self.residents
    }

    /// Some of them, no one twice.
    #[must_use]
    pub fn some(&self, number: usize, seed: &mut Seed) -> Vec<String> {
        let mut all: Vec<usize> = (0..self.residents).collect();
        seed.shuffle(&mut all);
        all.into_iter().take(number).map(address).collect()
    }
}

fn address(number: usize) -> String {
    format!("r{number}@example.org")
}

/// Beside the program under test, so that it goes with what was built.
fn shelf() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("no target folder")?;
    Ok(target.join("letterbox-towns"))
}

/// Of all that the town depends on.
fn hash() -> Result<String> {
    let mut hash = Sha256::new();
    for folder in DEPENDS_ON {
        let mut files: Vec<PathBuf> = fs::read_dir(repository().join(folder))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            hash.update(fs::read(file)?);
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()[..8]))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).output()?;
    Ended::from(copied).ok()?;
    Ok(())
}
