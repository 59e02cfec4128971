//! The npm package in `dist/npm`: the whole site with a `package.json`, as a tarball for `npm install`. Equal files
//! give equal bytes: it contains no time and no user name.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Outcome;
use crate::error::TaskError;
use crate::site::Files;

/// Name of the package and of the command that copies its files.
const NAME: &str = "crossover-race";

/// Folder in the site.
pub const PATH: &str = "npm/crossover-race.tgz";

/// Files that only hosts need.
const LEFT_OUT: [&str; 3] = ["_headers", "404.html", "404.js"];

/// The tarball of the site's files and the package's own files.
///
/// # Errors
/// If the archive can't be written, which can only happen for lack of memory.
pub fn tarball(site: &Files, own: Files) -> Outcome<Vec<u8>> {
    let mut files: Files = site
        .iter()
        .filter(|(path, _)| !LEFT_OUT.contains(&path.as_str()))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    files.extend(own);
    files.insert("package.json".to_owned(), description().into_bytes());
    archive(&files).map_err(TaskError::file("write", std::path::Path::new(PATH)))
}

/// The text of `package.json`. It is not made by a serialiser, since that would sort names: bundlers use the first
/// matching condition of `exports`, and `default` always matches, so it must be last.
fn description() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{{
  "name": "{NAME}",
  "version": "{version}",
  "description": "Races softmax attention against subquadratic sequence mixers in the browser",
  "license": "MIT OR Apache-2.0",
  "type": "module",
  "main": "./crossover.js",
  "types": "./crossover.d.ts",
  "exports": {{
    ".": {{
      "types": "./crossover.d.ts",
      "default": "./crossover.js"
    }},
    "./crossover.js": {{
      "types": "./crossover.d.ts",
      "default": "./crossover.js"
    }},
    "./package.json": "./package.json"
  }},
  "sideEffects": true,
  "bin": {{
    "{NAME}": "./copy.js"
  }}
}}
"#
    )
}

fn archive(files: &Files) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(if path == "copy.js" { 0o755 } else { 0o644 });
        header.set_mtime(0);
        // npm expects all files in a folder of this name.
        tar.append_data(&mut header, format!("package/{path}"), bytes.as_slice())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpacked(tarball: &[u8]) -> Files {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(tarball));
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
        });
        entries.collect()
    }

    #[test]
    fn the_package_contains_the_site_and_its_entry_points() {
        let site: Files = [("crossover.js", "a"), ("worker/x/w.wasm", "b"), ("_headers", "c")]
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .into();
        let own: Files = [("README.md".to_owned(), b"words".to_vec())].into();
        let first = tarball(&site, own.clone()).unwrap();
        let files = unpacked(&first);
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            ["package/README.md", "package/crossover.js", "package/package.json", "package/worker/x/w.wasm"]
        );
        let description: serde_json::Value = serde_json::from_slice(&files["package/package.json"]).unwrap();
        assert_eq!(description["exports"]["."]["default"], "./crossover.js");
        // Importing the module defines the element.
        assert_eq!(description["sideEffects"], true);
        assert_eq!(tarball(&site, own).unwrap(), first);
    }

    #[test]
    fn the_default_condition_is_last_in_each_entry() {
        let text = description();
        let exports = text.split_once("\"exports\"").unwrap().1;
        let entries: Vec<&str> = exports.split('}').filter(|entry| entry.contains("\"default\"")).collect();
        assert_eq!(entries.len(), 2);
        for entry in entries {
            let conditions: Vec<&str> = entry
                .lines()
                .filter_map(|line| line.trim().split_once(": \"./").map(|(name, _)| name))
                .collect();
            assert_eq!(conditions, ["\"types\"", "\"default\""], "{entry}");
        }
    }
}
