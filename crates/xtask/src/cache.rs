//! Cache of results that depend only on the bytes of their input, under `target/site-cache` by their hash.

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
        // The lengths distinguish ("ab", "c") from ("a", "bc").
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    data_encoding::HEXLOWER.encode(&digest.finalize())
}

/// The part of a hash in file names: 48 bits, ample for the few dozen files of a site.
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Folder of the cache.
fn folder() -> PathBuf {
    root().join("target/site-cache")
}

/// The bytes cached under `key`. If there are none, computes them by `make` and caches them.
///
/// # Errors
/// Those of `make`, or [`TaskError::File`].
pub fn bytes(key: &str, make: impl FnOnce() -> Outcome<Vec<u8>>) -> Outcome<Vec<u8>> {
    let path = folder().join(key);
    if let Ok(kept) = fs::read(&path) {
        return Ok(kept);
    }
    let made = make()?;
    write(&path, &made)?;
    Ok(made)
}

/// The folder cached under `key`; `make` fills it if it does not exist.
///
/// # Errors
/// Those of `make`, or [`TaskError::File`].
pub fn directory(key: &str, make: impl FnOnce(&Path) -> Outcome) -> Outcome<PathBuf> {
    let path = folder().join(key);
    if path.is_dir() {
        return Ok(path);
    }
    // Built in a temporary folder and renamed, so that an interrupted build leaves no incomplete folder.
    let draft = folder().join(format!("{key}.draft"));
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(TaskError::file("remove", &draft))?;
    }
    fs::create_dir_all(&draft).map_err(TaskError::file("create", &draft))?;
    make(&draft)?;
    fs::rename(&draft, &path).map_err(TaskError::file("create", &path))?;
    Ok(path)
}

/// Writes a file atomically, and creates its folder.
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
