//! Size budgets of downloads, checked on the compressed files that are shipped.

use crate::Outcome;
use crate::error::TaskError;

/// A file of the site with its sizes in bytes.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its path.
    pub path: String,
    /// Whether it was compressed at the highest level, as for visitors. Only such files have a budget.
    pub has_budget: bool,
    /// Uncompressed size.
    pub raw: usize,
    /// Compressed by gzip.
    pub gzip: Option<usize>,
    /// Compressed by Brotli.
    pub brotli: Option<usize>,
}

/// Budgets: prefix and extension of the path, and the Brotli size in kilobytes; the first matching line applies. Values
/// are just above the shipped sizes; the goals are 200 for the page's first module and 350 for the worker's.
const BUDGETS: [(&str, &str, usize); 6] = [
    ("page/", "/www_bg.wasm", 207),
    ("page/", "/split_rest.wasm", 247),
    ("page/", "/split_chinese.wasm", 18),
    // Code shared by the two split-off modules.
    ("page/", ".wasm", 5),
    ("worker/", "/worker_bg.wasm", 467),
    ("worker/", "/split_later.wasm", 443),
];

const KILOBYTE: usize = 1000;

/// Prints the sizes of the modules and checks them.
///
/// # Errors
/// [`TaskError::Budget`] with the oversized files.
pub fn check(files: &[Written]) -> Outcome {
    let mut over = Vec::new();
    println!("   {:<46} {:>8} {:>8} {:>8} {:>8}", "kB", "raw", "gzip", "brotli", "budget");
    for file in files.iter().filter(|file| file.has_budget) {
        let Some(budget) = budget(&file.path) else { continue };
        let brotli = file.brotli.unwrap_or(file.raw);
        let line = format!(
            "{:<46} {:>8.1} {:>8.1} {:>8.1} {budget:>8}",
            file.path,
            kilobytes(file.raw),
            kilobytes(file.gzip.unwrap_or(file.raw)),
            kilobytes(brotli)
        );
        println!("   {line}");
        if brotli > budget * KILOBYTE {
            over.push(format!("{} is {:.1} kB, {budget} are allowed", file.path, kilobytes(brotli)));
        }
    }
    if over.is_empty() { Ok(()) } else { Err(TaskError::Budget(over.join("; "))) }
}

fn budget(path: &str) -> Option<usize> {
    BUDGETS.into_iter().find_map(|(prefix, ending, budget)| {
        (path.starts_with(prefix) && path.ends_with(ending)).then_some(budget)
    })
}

/// Turns an exceeded budget into a warning, since the site is complete and can be tried and tested. Returns whether the
/// budget was met.
///
/// # Errors
/// All other errors of the build.
pub fn tolerate(built: Outcome) -> Outcome<bool> {
    match built {
        Ok(()) => Ok(true),
        Err(error @ TaskError::Budget(_)) => {
            eprintln!("xtask: {error}");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / KILOBYTE as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, brotli: usize) -> Written {
        Written {
            path: path.to_owned(),
            has_budget: true,
            raw: brotli * 3,
            gzip: Some(brotli * 2),
            brotli: Some(brotli),
        }
    }

    #[test]
    fn a_module_over_its_budget_is_named() {
        for (prefix, ending, budget) in BUDGETS {
            let path = if ending.starts_with('/') {
                format!("{prefix}ab{ending}")
            } else {
                format!("{prefix}ab/module{ending}")
            };
            assert!(check(&[file(&path, budget * KILOBYTE)]).is_ok());
            let error = check(&[file(&path, budget * KILOBYTE + 1)]).unwrap_err().to_string();
            assert!(error.contains(&path), "{error}");
        }
    }

    #[test]
    fn only_an_exceeded_budget_is_tolerated() {
        assert!(tolerate(Ok(())).unwrap());
        assert!(!tolerate(Err(TaskError::Budget("large".to_owned()))).unwrap());
        assert!(tolerate(Err(TaskError::NoSite)).is_err());
    }

    #[test]
    fn uncompressed_files_count_in_full() {
        let (_, _, budget) = BUDGETS[0];
        let raw = budget * KILOBYTE + 1;
        let raw = Written {
            path: "page/ab/www_bg.wasm".to_owned(),
            has_budget: true,
            raw,
            gzip: None,
            brotli: None,
        };
        assert!(check(std::slice::from_ref(&raw)).is_err());
        // Files compressed at a low level may be larger.
        assert!(check(&[Written { has_budget: false, ..raw }]).is_ok());
    }
}
