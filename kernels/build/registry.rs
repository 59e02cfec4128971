//! The registry of systems, made of the `mod` lines of `src/systems/mod.rs` in their order: a system is one folder and one
//! such line, and its definition is the static of its module's name in capitals.

use std::fmt::Write as _;

/// Systems of the race that the page opens with: their code is in the worker's first module, that of further systems in
/// the module that is loaded when a race asks for one of them.
const FIRST: [&str; 3] = ["attention", "attention_naive", "hyena"];

/// Two statics, since whatever refers to one of them brings the code of all its systems into its module.
pub fn registry(modules: &str) -> String {
    let (mut first, mut lazy, mut conditions) = (String::new(), String::new(), String::new());
    for line in modules.lines() {
        if line.starts_with("#[cfg(") {
            conditions.push_str(line);
        } else if let Some(module) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            let list = if FIRST.contains(&module) { &mut first } else { &mut lazy };
            // Writing to a string cannot fail.
            let _ = writeln!(list, "    {conditions} &crate::systems::{module}::{},", module.to_uppercase());
            conditions.clear();
        }
    }
    format!("static FIRST: &[&Definition] = &[\n{first}];\n\nstatic LAZY: &[&Definition] = &[\n{lazy}];\n")
}
