//! Where PostgreSQL's programs are on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::SettingsError;

/// The oldest release whose SQL we use.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// The newest installation that Debian's packages or the search path offer.
pub(super) fn find_installation() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major: u32 = entry.file_name().to_str()?.parse().ok()?;
            (major >= OLDEST_MAJOR && holds_server(&entry.path())).then(|| (major, entry.path()))
        });
    debian
        .max_by_key(|(major, _)| *major)
        .map(|(_, path)| path)
        .or_else(|| {
            ["/usr/local/pgsql", "/usr/local", "/usr"]
                .into_iter()
                .map(PathBuf::from)
                .find(|installation| holds_server(installation))
        })
}

fn holds_server(installation: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|program| installation.join("bin").join(program).is_file())
}

/// The installation that a `bin` folder named by the operator belongs to.
pub(super) fn installation_of(binaries: &Path) -> Result<PathBuf, SettingsError> {
    let refusal = || {
        SettingsError::new(format!(
            "--postgres-bin {} does not hold initdb, pg_ctl and postgres: name the folder that does, /usr/lib/postgresql/15/bin say",
            binaries.display()
        ))
    };
    let installation = binaries.parent().ok_or_else(refusal)?;
    if binaries.file_name().is_some_and(|name| name == "bin") && holds_server(installation) {
        Ok(installation.to_path_buf())
    } else {
        Err(refusal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_folder_of_programs_is_refused_by_name() {
        let refusal = installation_of(Path::new("/nowhere/bin"))
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("/nowhere/bin"), "{refusal}");
    }
}
