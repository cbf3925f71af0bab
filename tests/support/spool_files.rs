//! Reads a role's spool as `FORMATS.md` lays it out, and makes envelopes of it and of nothing: what a
//! broker may be given twice, or spoilt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The envelopes of every record that lies in this spool folder, in order.
///
/// # Errors
/// It is no spool.
pub fn envelopes(spool: &Path) -> Result<Vec<Vec<u8>>> {
    let id = spool_id(spool)?;
    let records = segments(spool)?
        .into_iter()
        .flat_map(|(_, records)| records);
    Ok(records.map(|body| [body, id.clone()].concat()).collect())
}

/// The segments of a spool, in order, and the bodies of the records in each.
fn segments(spool: &Path) -> Result<Vec<(PathBuf, Vec<Vec<u8>>)>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(spool)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.len() >= 20 && name.bytes().take(20).all(|byte| byte.is_ascii_digit()) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let bytes = fs::read(&path)?;
        let mut records = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            if length == 0 {
                break;
            }
            records.push(after.get(..length).context("a torn record")?.to_owned());
            rest = &after[length..];
        }
        found.push((path, records));
    }
    Ok(found)
}

/// The seq of the last record that a spool accepted. Finished segments may be gone; the newest one says
/// where it begins.
///
/// # Errors
/// It is no spool.
pub fn accepted(spool: &Path) -> Result<u64> {
    let mut last = 0;
    for (path, records) in segments(spool)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let first: u64 = name[..20].parse()?;
        last = last.max(first + records.len() as u64 - 1);
    }
    Ok(last)
}

/// The 16 bytes that name a spool, in hexadecimal digits in a file beside its segments.
///
/// # Errors
/// There are none.
pub fn spool_id(spool: &Path) -> Result<Vec<u8>> {
    let text = fs::read_to_string(spool.join("spool-id"))?;
    let id = data_encoding::HEXLOWER.decode(text.trim().as_bytes())?;
    ensure!(id.len() == 16, "a spool id of {} bytes", id.len());
    Ok(id)
}

/// A value of CBOR, as far as requests need it.
#[derive(Debug, Clone)]
pub enum Cbor<'a> {
    /// An unsigned number.
    Number(u64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// A map with text keys, written in the order given.
    Map(Vec<(&'a str, Cbor<'a>)>),
}

impl Cbor<'_> {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => head(out, 0, *number),
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(out, 3, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Map(entries) => {
                head(out, 5, entries.len() as u64);
                for (key, value) in entries {
                    Self::Text(key).write(out);
                    value.write(out);
                }
            }
        }
    }
}

fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    let bytes = number.to_be_bytes();
    let kind = major << 5;
    match number {
        0..24 => out.push(kind + bytes[7]),
        24..0x100 => out.extend_from_slice(&[kind + 24, bytes[7]]),
        0x100..0x1_0000 => out.extend_from_slice(&[kind + 25, bytes[6], bytes[7]]),
        0x1_0000..0x1_0000_0000 => {
            out.push(kind + 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(kind + 27);
            out.extend_from_slice(&bytes);
        }
    }
}

/// An envelope of a spool that nobody has, whose record says this. The keys of a record in
/// deterministic order are `v`, `seq`, `kind`, `payload`, `event_id`, `accepted_at`.
#[must_use]
pub fn forged(version: u64, seq: u64, kind: &str, payload: Vec<(&str, Cbor<'_>)>) -> Vec<u8> {
    let mut event = [0x5a; 16];
    event[8..].copy_from_slice(&seq.to_be_bytes());
    let record = Cbor::Map(vec![
        ("v", Cbor::Number(version)),
        ("seq", Cbor::Number(seq)),
        ("kind", Cbor::Text(kind)),
        ("payload", Cbor::Map(payload)),
        ("event_id", Cbor::Bytes(&event)),
        ("accepted_at", Cbor::Number(1_790_000_000_000)),
    ]);
    [record.encode(), vec![0xa5; 16]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_maps_are_as_rfc_8949_writes_them() {
        for (number, hex) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (1000, "1903e8"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
        ] {
            let bytes = Cbor::Number(number).encode();
            assert_eq!(data_encoding::HEXLOWER.encode(&bytes), hex);
        }
        let map = Cbor::Map(vec![("a", Cbor::Text("b")), ("c", Cbor::Bytes(&[1, 2]))]);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&map.encode()),
            "a261616162616342 0102".replace(' ', "")
        );
    }
}
