//! A running role and its folder: what changes is taken, what is bad is refused, and it goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use domain::{KeyId, KeyState};
use link_token::LinkKeys;
use tokio::time::Instant;

use super::super::marks::{self, Mark};
use super::super::role_folders::read_unsubscribe;
use super::super::rotation::{RoleFolder, add_generation};
use super::super::watch::{AT_THE_LATEST, Seen, Settling, Watch};
use super::*;

/// A role that looks into its folder whenever it is told, at a time that it is told.
struct Role {
    watch: Watch,
    keys: LinkKeys,
    seen: Seen,
    now: Instant,
}

impl Role {
    fn new(installation: &Installation, settling: Settling) -> Self {
        let folder = installation.path(Holder::Unsubscribe);
        let keys = read_unsubscribe(&folder).unwrap();
        Self {
            watch: Watch {
                held: keys.changing(),
                read: |folder| Ok(read_unsubscribe(folder)?.changing()),
                settling,
                folder,
            },
            keys: keys.leave,
            seen: Seen::default(),
            now: Instant::now(),
        }
    }

    async fn looks_for(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.now += Duration::from_secs(1);
            self.watch.step(&mut self.seen, self.now).await;
        }
    }

    fn states(&self) -> Vec<(u16, KeyState)> {
        let states = self.keys.states().into_iter();
        states.map(|(KeyId(kid), state)| (kid, state)).collect()
    }
}

fn rotate(installation: &Installation) {
    let masters_folder = installation.path(Holder::Masters);
    add_generation(&masters_folder, &Other::than(9)).unwrap();
    let masters = masters::read(&masters_folder).unwrap();
    let folder = installation.path(Holder::Unsubscribe);
    let role = RoleFolder::open(&folder, &masters).unwrap();
    role.bring_up_to(&masters).unwrap();
}

#[tokio::test]
async fn what_changes_is_taken_in_time_and_by_those_who_verify_first() {
    use KeyState::{Compromised, Current, Retired};
    let installation = Installation::new();
    let mut verifies = Role::new(&installation, Settling::Short);
    let mut makes = Role::new(&installation, Settling::Long);
    rotate(&installation);
    for role in [&mut verifies, &mut makes] {
        role.looks_for(Duration::from_secs(3)).await;
    }
    assert_eq!(verifies.states(), [(1, Retired), (2, Current)]);
    assert_eq!(makes.states(), [(1, Current)], "not yet");
    makes
        .looks_for(AT_THE_LATEST.saturating_sub(Duration::from_secs(4)))
        .await;
    assert_eq!(makes.states(), [(1, Retired), (2, Current)]);

    marks::set(
        &installation.path(Holder::Unsubscribe),
        Mark::Compromised(1),
    )
    .unwrap();
    for role in [&mut verifies, &mut makes] {
        role.looks_for(AT_THE_LATEST.saturating_sub(Duration::from_secs(1)))
            .await;
        assert_eq!(role.states(), [(1, Compromised), (2, Current)]);
        assert_eq!(role.seen.refusal(), None);
    }
}

#[tokio::test]
async fn a_folder_that_is_bad_changes_nothing_and_is_spoken_of() {
    use KeyState::{Current, Retired};
    let installation = Installation::new();
    let mut role = Role::new(&installation, Settling::Short);
    rotate(&installation);
    role.looks_for(AT_THE_LATEST).await;
    let folder = installation.path(Holder::Unsubscribe);
    let newest = folder.join("link-leave-2.key");
    let kept = fs::read(&newest).unwrap();
    let private = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let third = folder.join("link-leave-3.key");
    let note = folder.join("note");
    // Each spoils the folder in a way of its own; links of key 2 have to go on whatever it is.
    let spoilt: [(&str, &dyn Fn()); 6] = [
        ("hexadecimal digits", &|| private(&third, b"half a key")),
        ("link key 2 is gone", &|| fs::remove_file(&newest).unwrap()),
        ("link key 2 is another one", &|| {
            private(&newest, &[&[b'a'; 64][..], b"\n"].concat());
        }),
        ("no key of unsubscribe", &|| private(&note, b"x")),
        ("chmod 600", &|| {
            fs::set_permissions(&newest, fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("chmod 700", &|| {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        }),
    ];
    for (words, spoil) in spoilt {
        spoil();
        role.looks_for(AT_THE_LATEST).await;
        let why = role.seen.refusal().unwrap_or_default();
        assert!(why.contains(words), "{words}: {why}");
        assert_eq!(role.states(), [(1, Retired), (2, Current)], "{words}");
        let _ = (fs::remove_file(&third), fs::remove_file(&note));
        private(&newest, &kept);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        role.looks_for(AT_THE_LATEST).await;
        assert_eq!(role.seen.refusal(), None, "{words}");
    }
}
