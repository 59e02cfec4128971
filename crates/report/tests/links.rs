//! Links of released versions stay readable for ever: every file `tests/fixtures/*.link` decodes to the JSON beside it.
//! New fixtures are written by `BLESS=1 cargo test -p report --test links` where the JSON is there and the link is not;
//! an existing link is never changed.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use report::{Config, Linked, Report, decode_link, encode_config_link, encode_link};

fn fixtures(extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

#[test]
fn every_link_of_every_version_is_read_as_it_was() {
    let links = fixtures("link");
    assert!(links.len() >= 3, "{links:?}");
    for path in links {
        let link = std::fs::read_to_string(&path).unwrap();
        let json = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let name = path.display();
        match decode_link(&link).unwrap_or_else(|error| panic!("{name}: {error}")) {
            Linked::Config(config) => assert_eq!(config, Config::from_json(&json).unwrap(), "{name}"),
            Linked::Report(report) => {
                assert_eq!(*report, Report::from_json(&json).unwrap(), "{name}");
                // The current encoder keeps what the link says, whatever its version.
                assert_eq!(decode_link(&encode_link(&report).unwrap()), Ok(Linked::Report(report)), "{name}");
            }
        }
    }
}

#[test]
fn the_current_encoder_writes_the_newest_fixtures() {
    for path in fixtures("json") {
        let link_path = path.with_extension("link");
        if std::env::var_os("BLESS").is_none() || link_path.exists() {
            continue;
        }
        let json = std::fs::read_to_string(&path).unwrap();
        let link = if path.to_string_lossy().contains("config") {
            encode_config_link(&Config::from_json(&json).unwrap()).unwrap()
        } else {
            let link = encode_link(&Report::from_json(&json).unwrap()).unwrap();
            // What a link holds is rounded: the JSON beside it is what is read.
            let Linked::Report(report) = decode_link(&link).unwrap() else { panic!("a report") };
            std::fs::write(&path, serde_json::to_string_pretty(&report).unwrap() + "\n").unwrap();
            link
        };
        std::fs::write(link_path, link + "\n").unwrap();
    }
    for path in fixtures("link") {
        // Version 1 is the newest.
        let link = std::fs::read_to_string(&path).unwrap();
        let again = match decode_link(&link).unwrap() {
            Linked::Config(config) => encode_config_link(&config).unwrap(),
            Linked::Report(report) => encode_link(&report).unwrap(),
        };
        assert_eq!(again, link.trim_end(), "{}", path.display());
    }
}
