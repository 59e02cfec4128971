//! Compressed copies of files for servers.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Outcome;
use crate::cache;
use crate::error::TaskError;

/// Smaller files gain nothing from compression: they fit one packet.
const SMALLEST: usize = 512;

/// Compression effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Brotli quality 11, gzip level 9: seconds per megabyte.
    Best,
    /// Brotli quality 1, gzip level 1: for files that must exist compressed, at any size.
    Fast,
}

impl Level {
    const fn brotli(self) -> i32 {
        match self {
            Self::Best => 11,
            Self::Fast => 1,
        }
    }

    fn gzip(self) -> Compression {
        match self {
            Self::Best => Compression::best(),
            Self::Fast => Compression::fast(),
        }
    }
}

/// Compressed copies of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Compressed by Brotli.
    pub brotli: Vec<u8>,
    /// Compressed by gzip.
    pub gzip: Vec<u8>,
}

/// Compresses a file; returns `None` if its format is already compressed or it is too small.
///
/// # Errors
/// Those of the cache.
pub fn both(path: &str, bytes: &[u8], level: Level) -> Outcome<Option<Compressed>> {
    let worthwhile =
        [".html", ".js", ".css", ".json", ".wasm", ".svg", ".ts", ".txt", ".webmanifest", ".safetensors"];
    if bytes.len() < SMALLEST || !worthwhile.iter().any(|ending| path.ends_with(ending)) {
        return Ok(None);
    }
    let hash = cache::hash(&[bytes]);
    let mark = if level == Level::Best { "" } else { "-fast" };
    let brotli = cache::bytes(&format!("{hash}{mark}.br"), || brotli(bytes, level).map_err(failed(path)))?;
    let gzip = cache::bytes(&format!("{hash}{mark}.gz"), || gzip(bytes, level).map_err(failed(path)))?;
    Ok(Some(Compressed { brotli, gzip }))
}

fn failed(path: &str) -> impl FnOnce(std::io::Error) -> TaskError {
    TaskError::file("compress", std::path::Path::new(path))
}

fn brotli(bytes: &[u8], level: Level) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: level.brotli(), lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut output, &parameters)?;
    Ok(output)
}

fn gzip(bytes: &[u8], level: Level) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), level.gzip());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn compressed_files_decompress_to_their_content() {
        let text = "attention ".repeat(300).into_bytes();
        for level in [Level::Best, Level::Fast] {
            let mut plain = Vec::new();
            brotli::Decompressor::new(&*brotli(&text, level).unwrap(), 4096).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, text);
            plain.clear();
            flate2::read::GzDecoder::new(&*gzip(&text, level).unwrap()).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, text);
        }
    }

    #[test]
    fn small_and_compressed_files_are_not_compressed() {
        assert_eq!(both("a.js", b"short", Level::Best).unwrap(), None);
        assert_eq!(both("a.png", &[7; 4096], Level::Best).unwrap(), None);
    }
}
