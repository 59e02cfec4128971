//! The WGSL in the module: stripped by the build, with unchanged meaning and line numbers.

#![expect(clippy::unwrap_used, reason = "a test that cannot get at its input has failed")]

#[path = "../build/strip.rs"]
mod strip;

use std::path::{Path, PathBuf};

use strip::strip;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "wgsl") {
            found.push(path);
        }
    }
    found
}

#[test]
fn comments_and_blanks_are_stripped_and_lines_kept() {
    let source = "// What it is.\nfn f(a: f32, b: u32) -> f32 { // why\n\n    let x = a - -2. + f32(b << 1u);\n    return x;\n}\n";
    let expected = "\nfn f(a:f32,b:u32)->f32{\n\nlet x=a- -2.+f32(b<<1u);\nreturn x;\n}\n";
    assert_eq!(strip(source), expected);
    assert_eq!(strip("var<workgroup> a: array<u32, 4>;"), "var<workgroup>a:array<u32,4>;\n");
    assert_eq!(strip("if (a < b && c > -d) { i++; }"), "if(a<b&&c> -d){i++;}\n");
}

/// Characters that are neither blank nor in comments, line by line: the order of tokens without separators.
fn ink(source: &str) -> Vec<String> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().split_whitespace().collect();
    source.lines().map(code).collect()
}

#[test]
fn every_file_keeps_its_tokens_on_their_lines() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 40, "{}", files.len());
    let (mut before, mut after) = (0, 0);
    for path in files {
        let source = std::fs::read_to_string(&path).unwrap();
        // `strip` supports line comments only.
        assert!(!source.contains("/*"), "{}", path.display());
        let stripped = strip(&source);
        assert_eq!(ink(&stripped), ink(&source), "{}", path.display());
        assert!(!stripped.contains("  ") && !stripped.contains("//"), "{}", path.display());
        before += source.len();
        after += stripped.len();
    }
    assert!(after < before * 3 / 4, "{before} bytes became {after}");
}
