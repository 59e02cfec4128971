//! The registry of systems, made of the `mod` lines of `src/systems/mod.rs` in their order: a system is one folder and one
//! such line, and its definition is the static of its module's name in capitals.

use std::fmt::Write as _;

/// Systems of the race that the page opens with: their code is in the worker's first module, that of further systems in
/// the module that is loaded when a race asks for one of them.
const FIRST: [&str; 3] = ["attention", "attention_naive", "hyena"];

/// Two statics, since whatever refers to one of them brings the code of all its systems into its module.
pub fn registry(modules: &str) -> String {
    let mut lists: [[String; 2]; 2] = Default::default();
    let mut conditions = String::new();
    for line in modules.lines() {
        if line.starts_with("#[cfg(") {
            conditions.push_str(line);
        } else if let Some(module) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            let [systems, trials] = &mut lists[usize::from(!FIRST.contains(&module))];
            // Writing to a string cannot fail.
            let _ =
                writeln!(systems, "    {conditions} &crate::systems::{module}::{},", module.to_uppercase());
            let _ = writeln!(trials, "    {conditions} &crate::systems::{module}::trials::TRIALS,");
            conditions.clear();
        }
    }
    let mut registry = String::new();
    for (name, [systems, trials]) in ["FIRST", "LAZY"].into_iter().zip(&lists) {
        let _ = writeln!(registry, "static {name}: &[&System] = &[\n{systems}];\n");
        let _ = writeln!(registry, "#[cfg(any(test, feature = \"trials\"))]");
        let _ = writeln!(registry, "static {name}_TRIALS: &[&crate::trials::Trials] = &[\n{trials}];\n");
    }
    registry
}
