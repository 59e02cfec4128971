//! Work that depends only on the bytes of its input, kept under `target/site-cache` by their hash.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::error::TaskError;
use crate::run::root;

/// Hash of bytes, in hexadecimal.
pub fn hash(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    data_encoding::HEXLOWER.encode(&digest.finalize())
}

/// The part of a hash that goes into file names: 48 bits, ample for the few dozen files of a site.
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Folder of the cache.
fn folder() -> PathBuf {
    root().join("target/site-cache")
}

/// The bytes kept under `key`, or those that `make` gives, kept from then on.
///
/// # Errors
/// What `make` answers, or [`TaskError::File`].
pub fn bytes(key: &str, make: impl FnOnce() -> Outcome<Vec<u8>>) -> Outcome<Vec<u8>> {
    let path = folder().join(key);
    if let Ok(kept) = fs::read(&path) {
        return Ok(kept);
    }
    let made = make()?;
    write(&path, &made)?;
    Ok(made)
}

/// A folder kept under `key`, filled by `make` if it is not there yet.
///
/// # Errors
/// What `make` answers, or [`TaskError::File`].
pub fn directory(key: &str, make: impl FnOnce(&Path) -> Outcome) -> Outcome<PathBuf> {
    let path = folder().join(key);
    if path.is_dir() {
        return Ok(path);
    }
    // Made aside and moved, so that an interrupted build leaves no half of it.
    let draft = folder().join(format!("{key}.draft"));
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(TaskError::file("remove", &draft))?;
    }
    fs::create_dir_all(&draft).map_err(TaskError::file("create", &draft))?;
    make(&draft)?;
    fs::rename(&draft, &path).map_err(TaskError::file("create", &path))?;
    Ok(path)
}

/// Writes a file, making its folder and replacing it at once.
///
/// # Errors
/// [`TaskError::File`].
pub fn write(path: &Path, bytes: &[u8]) -> Outcome {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(TaskError::file("create", parent))?;
    }
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).map_err(TaskError::file("write", &draft))?;
    fs::rename(&draft, path).map_err(TaskError::file("write", path))
}
