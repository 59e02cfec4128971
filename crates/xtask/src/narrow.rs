//! Tests where `usize` has 32 bits, as in browsers: the costs of all systems, computed by a wasm module, and the unit
//! tests of crates with size arithmetic.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::counts::Counts;
use crate::error::TaskError;
use crate::run::{find, probe, program, read, root, run, run_teed};
use crate::toolchain::{self, TARGET};
use crate::{Outcome, install, step, wasm};

/// A target with 32-bit addresses that this machine runs natively.
const NARROW: &str = "i686-unknown-linux-gnu";

/// Crates whose unit tests run there: those with size arithmetic, none of which depends on a browser, a GPU or a clock.
const CRATES: [&str; 4] = ["mixer", "kernels", "race", "report"];

/// Debian's package of a C library and a linker for [`NARROW`].
pub const PACKAGE: &str = "gcc-multilib";

/// Whether this machine can run [`NARROW`].
pub const RUNS: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// JavaScript that prints the exports of the module.
const SCRIPT: &str = "
const { instance } = await WebAssembly.instantiate(require('node:fs').readFileSync(process.argv[1]));
const { memory, costs_start, costs_len } = instance.exports;
const [start, length] = [costs_start() >>> 0, costs_len() >>> 0];
process.stdout.write(new Uint8Array(memory.buffer, start, length));
";

/// Smallest number of lines per system: two levels, two forms, several lengths, widths and batches.
const LEAST_LINES: usize = 100;

/// Checks that the costs of a wasm build equal the native costs. Counts as one test.
///
/// # Errors
/// If the costs could not be computed.
pub fn costs() -> Outcome<Counts> {
    step("costs where addresses have 32 bits");
    if find("node").is_none() {
        install::apt("Node.js", &["nodejs"])?;
    }
    let toolchain = toolchain::find_or_install()?;
    let folder = wasm::target();
    let target = folder.to_string_lossy();
    let exports = ["costs_start", "costs_len"].map(|name| format!("-Clink-arg=--export={name}"));
    let build = ["build", "--quiet", "--package", "kernels", "--bin", "costs", "--target-dir", &target];
    run(toolchain.cargo(&build, &exports))?;
    let module = folder.join(TARGET).join("debug/costs.wasm");
    let script = format!(
        "(async () => {{{SCRIPT}}})().catch((error) => {{ console.error(error); process.exit(1); }})"
    );
    let narrow = read(program("node", &["-e", &script, &module.to_string_lossy()]))?;
    let wide = read(program("cargo", &["run", "--quiet", "--package", "kernels", "--bin", "costs"]))?;
    Ok(match compare(&wide, &narrow, systems()?) {
        Ok(lines) => {
            println!("   {lines} costs are equal");
            Counts { passed: 1, ..Counts::default() }
        }
        Err(why) => {
            println!("   {why}");
            Counts { failed: 1, ..Counts::default() }
        }
    })
}

/// The number of equal lines, or a description of the difference or of missing lines.
fn compare(wide: &str, narrow: &str, systems: usize) -> Result<usize, String> {
    let named: BTreeSet<_> = wide.lines().filter_map(|line| line.split_once(' ')).map(|(id, _)| id).collect();
    if named.is_empty() || named.len() != systems {
        return Err(format!("costs of {} systems, but {systems} have a folder", named.len()));
    }
    let lines: Vec<_> = wide.lines().collect();
    for id in named {
        let own = |line: &&&str| {
            line.split_once(' ').is_some_and(|(name, rest)| name == id && rest.contains("flops"))
        };
        let count = lines.iter().filter(own).count();
        if count < LEAST_LINES {
            return Err(format!("only {count} costs of {id}"));
        }
    }
    let mut differing = lines.iter().zip(narrow.lines()).filter(|(wide, narrow)| *wide != narrow);
    if let Some((wide, narrow)) = differing.next() {
        let more = differing.count();
        return Err(format!("{} costs differ; 64 bits:\n   {wide}\n   32 bits:\n   {narrow}", more + 1));
    }
    if lines.len() != narrow.lines().count() {
        return Err(format!(
            "{} costs, but {} where addresses have 32 bits",
            lines.len(),
            narrow.lines().count()
        ));
    }
    Ok(lines.len())
}

/// Number of systems' folders, which are those with a README.
fn systems() -> Outcome<usize> {
    let folder = root().join("kernels/src/systems");
    let entries = fs::read_dir(&folder).map_err(TaskError::file("read", &folder))?;
    Ok(entries.flatten().filter(|entry| entry.path().join("README.md").is_file()).count())
}

/// Runs the unit tests of crates with size arithmetic with 32-bit addresses.
///
/// # Errors
/// [`TaskError::Missing`] with the commands that install missing packages.
pub fn tests() -> Outcome<Counts> {
    step("tests where addresses have 32 bits");
    if !RUNS {
        println!("   skipped: only Linux on x86-64 runs them");
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    if !can_link() {
        install::apt("a 32-bit C library", &[PACKAGE])?;
    }
    let toolchain = toolchain::find_or_install()?;
    let target = root().join("target/32-bit");
    let target = target.to_string_lossy();
    let mut args = vec!["test", "--lib", "--no-fail-fast", "--target-dir", &target];
    args.extend(CRATES.iter().flat_map(|name| ["--package", name]));
    let (output, succeeded) = run_teed(toolchain.cargo_for(NARROW, "std,panic_unwind,test", &args))?;
    let counts = Counts::from_cargo_test(&output);
    Ok(counts.or_failed(succeeded && counts.passed > 0))
}

/// Whether the C compiler finds its start-up code for 32 bits.
pub fn can_link() -> bool {
    probe("gcc", &["-m32", "-print-file-name=crt1.o"]).is_some_and(|path| Path::new(&path).is_file())
        && probe("gcc", &["-m32", "-print-libgcc-file-name"]).is_some_and(|path| Path::new(&path).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(id: &str, flops: u64) -> String {
        let line = |length| format!("{id} core length {length}: flops {flops}\n");
        (0..LEAST_LINES).map(line).collect::<Vec<_>>().concat()
    }

    #[test]
    fn equal_costs_of_every_system_pass() {
        let text = lines("a", 1) + &lines("b", 2);
        assert_eq!(compare(&text, &text, 2), Ok(2 * LEAST_LINES));
    }

    #[test]
    fn a_wrapped_cost_a_missing_system_and_an_empty_comparison_fail() {
        let wide = lines("a", 1 << 32);
        assert!(compare(&wide, &lines("a", 0), 1).is_err_and(|why| why.contains("100 costs differ")));
        assert!(compare(&wide, &wide, 2).is_err_and(|why| why.contains("1 systems, but 2")));
        assert!(compare("", "", 0).is_err());
        assert!(systems().unwrap() >= 14);
        let short = wide.lines().take(3).collect::<Vec<_>>().join("\n");
        assert!(compare(&short, &short, 1).is_err_and(|why| why.contains("only 3")));
        assert!(compare(&wide, &short, 1).is_err());
    }
}
