//! The worker module's variants. A browser loads the best variant that it supports; `www/js` makes the choice.

use std::fmt;

/// A variant of the worker module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// Without SIMD.
    Plain,
    /// 128-bit SIMD, supported by all current browsers.
    Simd128,
    /// 128-bit SIMD with fused multiply-add.
    RelaxedSimd,
    /// SIMD and shared memory, for isolated pages.
    #[value(name = "threads-simd128")]
    Threads,
    /// All features.
    #[value(name = "threads-relaxed-simd")]
    ThreadsRelaxed,
}

/// All variants, from the fewest features to the most.
pub const ALL: [Variant; 5] =
    [Variant::Plain, Variant::Simd128, Variant::RelaxedSimd, Variant::Threads, Variant::ThreadsRelaxed];

/// The largest variant, to which the size budget applies.
pub const LARGEST: Variant = Variant::ThreadsRelaxed;

/// The variant whose lazy module is the largest.
pub const LARGEST_LAZY: Variant = Variant::Plain;

/// Size limit of shared memory, which must be stated at its creation. Browsers reserve two gibibytes without error.
const MAX_SHARED_BYTES: u64 = 2 << 30;

/// Flags of the modules that visitors download. They reduce the size: a panic traps immediately, without code for its
/// message and location.
const COMMON: [&str; 3] = ["-Zunstable-options", "-Cpanic=immediate-abort", "-Zlocation-detail=none"];

/// Linker flag of modules to be split: keeps the relocations, from which the splitting tool finds dependencies.
const SPLIT: &str = "-Clink-arg=--emit-relocs";

/// Compiler flag of modules that stay whole: they call their own code where a split module would load it.
const WHOLE: &str = "--cfg=no_split";

/// [`COMMON`] with the flag for splitting or for a whole module.
fn common(split: bool) -> Vec<String> {
    COMMON.iter().copied().chain([if split { SPLIT } else { WHOLE }]).map(str::to_owned).collect()
}

/// Flags of the page module. Leptos erases the types of its views: there is one copy of the code that builds, shows and
/// updates an element, instead of one per type of view.
pub fn page_rustflags(split: bool) -> Vec<String> {
    let mut flags = common(split);
    flags.push("--cfg=erase_components".to_owned());
    flags
}

impl Variant {
    /// Its name in the site and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Simd128 => "simd128",
            Self::RelaxedSimd => "relaxed-simd",
            Self::Threads => "threads-simd128",
            Self::ThreadsRelaxed => "threads-relaxed-simd",
        }
    }

    /// Whether its memory is shared between threads.
    pub const fn threaded(self) -> bool {
        matches!(self, Self::Threads | Self::ThreadsRelaxed)
    }

    /// Whether it uses relaxed SIMD.
    pub const fn relaxed(self) -> bool {
        matches!(self, Self::RelaxedSimd | Self::ThreadsRelaxed)
    }

    /// Features of the worker crate.
    pub fn features(self) -> Vec<&'static str> {
        let mut features = Vec::new();
        if self != Self::Plain {
            features.push("simd");
        }
        if self.threaded() {
            features.push("threads");
        }
        if self.relaxed() {
            features.push("relaxed-simd");
        }
        features
    }

    /// Compiler flags.
    ///
    /// Since rust-lang/rust#147225 the compiler no longer adds the linker's arguments for shared memory and
    /// thread-local storage by itself, and since #156174 it no longer exports the heap's base; wasm-bindgen's thread
    /// transformation needs them all.
    pub fn rustflags(self, split: bool) -> Vec<String> {
        let mut target = Vec::new();
        if self.threaded() {
            target.extend(["+atomics", "+bulk-memory"]);
        }
        if self != Self::Plain {
            target.push("+simd128");
        }
        if self.relaxed() {
            target.push("+relaxed-simd");
        }
        // LLVM's default order of instructions puts all loads of a matrix product's inner step before its multiply-adds,
        // for which no x86 browser has registers; in the source's order they alternate. docs/performance.md has figures.
        let mut flags = common(split);
        flags.push("-Cllvm-args=-pre-RA-sched=source".to_owned());
        if !target.is_empty() {
            flags.push(format!("-Ctarget-feature={}", target.join(",")));
        }
        if self.threaded() {
            flags.extend(
                [
                    "--shared-memory",
                    &format!("--max-memory={MAX_SHARED_BYTES}"),
                    "--export=__heap_base",
                    "--export=__wasm_init_tls",
                    "--export=__tls_size",
                    "--export=__tls_align",
                    "--export=__tls_base",
                ]
                .map(|argument| format!("-Clink-arg={argument}")),
            );
        }
        flags
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_has_the_features_of_its_name() {
        for variant in ALL {
            let flags = variant.rustflags(true).join(" ");
            assert!(flags.contains(SPLIT) && !flags.contains(WHOLE), "{variant}");
            let whole = variant.rustflags(false).join(" ");
            assert!(whole.contains(WHOLE) && !whole.contains(SPLIT), "{variant}");
            assert!(flags.contains("-pre-RA-sched=source"), "{variant}");
            assert!(flags.contains("-Cpanic=immediate-abort"), "{variant}");
            assert_eq!(flags.contains("+atomics"), variant.threaded(), "{variant}");
            assert_eq!(flags.contains("--shared-memory"), variant.threaded(), "{variant}");
            assert_eq!(flags.contains("+relaxed-simd"), variant.relaxed(), "{variant}");
            assert_eq!(flags.contains("+simd128"), variant != Variant::Plain, "{variant}");
            assert_eq!(variant.features().contains(&"threads"), variant.threaded(), "{variant}");
        }
    }
}
