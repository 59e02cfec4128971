//! BibTeX entries of the systems in a race, selected from the bibliography of all systems.

/// The line before a system's entry. BibTeX treats text between entries as a comment.
const MARK: &str = "% system: ";

/// The entries of these systems, in the given order, each paper once. `all` is the output of `crossover systems
/// --bibtex`: for every system a line `% system: NAME` and its entry. Systems without an entry are omitted.
pub fn bibliography<'a>(all: &str, systems: impl IntoIterator<Item = &'a str>) -> String {
    let entries: Vec<(&str, &str)> = all
        .split(MARK)
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .map(|(name, entry)| (name.trim(), entry.trim()))
        .collect();
    let mut picked: Vec<&str> = Vec::new();
    for system in systems {
        for (_, entry) in entries.iter().filter(|(name, _)| *name == system) {
            if !picked.contains(entry) {
                picked.push(entry);
            }
        }
    }
    picked.iter().fold(String::new(), |text, entry| text + entry + "\n\n").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "% system: attention\n@inproceedings{a,\n  year = {2017}\n}\n\n% system: attention-naive\n\
                       @inproceedings{a,\n  year = {2017}\n}\n\n% system: hyena\n@inproceedings{h,\n}\n";

    #[test]
    fn picks_the_entries_of_the_race_and_each_paper_once() {
        let both = bibliography(ALL, ["hyena", "attention-naive", "attention", "hyena"]);
        assert_eq!(both, "@inproceedings{h,\n}\n\n@inproceedings{a,\n  year = {2017}\n}\n");
        assert_eq!(bibliography(ALL, ["toy"]), "\n");
        assert_eq!(bibliography("", ["hyena"]), "\n");
    }
}
