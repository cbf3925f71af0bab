//! Keys on disk: one file each, 0600, in folders 0700; one line of lower-case hex.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `key_file` | every key file there is, and which folder holds which |
//! | `marks` | files that say something of a generation and hold no key |
//! | `key_folder` | reading such a folder, strictly, and writing one |
//! | `ledger_key` | the key that signs the ledger: made for folders that have none |
//! | `dkim` | keys of signatures: PEM files beside these |
//! | `masters` | the masters: of an embedded installation, or in `DIR/masters` |
//! | `split` | a folder for each role, with its share of what the masters give |
//! | `rotation` | link keys that change while roles use them |
//! | `watch` | a running role takes what changed in its folder |
//! | `role_folders` | a role reads its own |
//! | `description` | what `keys show` says |
//!
//! | in a folder | what | masters | intake | unsubscribe | deliver |
//! | --- | --- | --- | --- | --- | --- |
//! | `body-id` | 16 bytes that keep this body's keys and codes apart from any other's | yes | yes | yes | yes |
//! | `form-stamp.key` | makes an `Idempotency-Key` into an `event_id` | yes | yes | | |
//! | `sealing-N.public` | seals under key id N | all | newest | | all |
//! | `sealing-N.key` | opens what is sealed under key id N | all | | | all |
//! | `link-N.key` | master of link generation N | all | | | |
//! | `link-leave-N.key` | unsubscribe, undo, "not me" | | | all | all |
//! | `link-join-N.key` | confirmations | | all | | all |
//! | `link-rights-N.key` | rights of the data subject | | all | | all |
//! | `verp-N.key` | return paths | | | | all |
//! | `address-N.key` | address master of generation N | all | | | |
//! | `address-index-N.key` | finds a known address | | | | newest |
//! | `address-suppression-N.key` | recognises an erased address; nested | | | | all |
//! | `address-row-N.key` | row MAC | | | | newest |
//! | `address-message-id-N.key` | Message-ID | | | | newest |
//! | `link-N.compromised` | others may know link generation N | any | any | any | any |
//! | `link-N.incomplete` | link generation N is being written, and not used yet | any | any | any | any |
//! | `ledger.key` | signs the unsubscribe ledger's checkpoints; Ed25519 seed | yes | | | yes |
//! | `dkim-SELECTOR.key` | signs mail; PEM, and none needs to be there | any | | | any |
//!
//! The largest N makes, all verify and open. A role's folder holds exactly its column: no master, and
//! nothing from which another role's key can be had.

pub(crate) mod description;
pub(crate) mod dkim;
mod key_file;
mod key_folder;
pub(crate) mod ledger_key;
mod marks;
pub(crate) mod masters;
pub(crate) mod role_folders;
pub(crate) mod rotation;
pub(crate) mod split;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

pub(crate) use masters::Masters;
