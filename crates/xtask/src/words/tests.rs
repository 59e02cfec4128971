//! Checks that READMEs of all registered systems have their sections in all languages, and that the page can show them.

use super::*;

impl Readme {
    /// The displayed formulas, which must be equal in all languages.
    fn formulas(&self) -> Vec<String> {
        self.sections.iter().flat_map(|(_, body)| fences(body, "math")).collect()
    }
}

/// Problems of a system's READMEs.
fn faults(folder: &str) -> Vec<String> {
    let readmes: Vec<_> = LANGUAGES.iter().map(|language| (language, read(folder, language))).collect();
    let mut faults = Vec::new();
    for (language, readme) in &readmes {
        match readme {
            Err(error) => faults.push(error.to_string()),
            Ok(readme) => {
                let name = format!("kernels/src/systems/{folder}/{}", language.file);
                if let Err(message) = page(readme, language) {
                    faults.push(format!("{name}: {message}"));
                }
                if readme.formulas().is_empty() {
                    faults.push(format!("{name}: no formula in a ```math block"));
                }
                if !readme.bibtex().is_some_and(|entry| entry.starts_with('@')) {
                    faults.push(format!("{name}: no BibTeX entry in a ```bibtex block"));
                }
            }
        }
    }
    if let [(_, Ok(first)), (language, Ok(other))] = readmes.as_slice()
        && (first.formulas(), first.bibtex()) != (other.formulas(), other.bibtex())
    {
        faults.push(format!(
            "kernels/src/systems/{folder}/{}: its formulas or BibTeX differ from README.md",
            language.file
        ));
    }
    faults
}

const GOOD: &str = "# hyena\n\nOne. Two. Three.\n\n## Formula\n\n```math\ny = x^2\n```\n\n## Complexity\n\nO(L)\n\n\
    ## What it gives up\n\nMuch.\n\n## Claims\n\nMore.\n\n## Source\n\n[a](https://arxiv.org/abs/1)\n\n\
    ```bibtex\n@a{b,\n}\n```\n\n## Limits\n\nFew.\n";

#[test]
fn a_readme_is_parsed() {
    let readme = parse(GOOD, &LANGUAGES[0]).unwrap();
    assert_eq!(readme.idea.trim(), "One. Two. Three.");
    assert_eq!(readme.formulas(), ["y = x^2"]);
    assert_eq!(readme.bibtex().unwrap(), "@a{b,\n}");
    let page = page(&readme, &LANGUAGES[0]).unwrap();
    let main = page["main"].as_str().unwrap();
    assert!(
        main.contains("<msup>") && main.contains("rel=\"noopener\">a</a>") && !main.contains("@a{"),
        "{main}"
    );
    assert_eq!(page["more"], "<h3>Limits</h3>\n<p>Few.</p>\n");
}

#[test]
fn a_missing_empty_or_misplaced_section_is_named() {
    for (from, to, told) in [
        ("## Claims\n\nMore.\n\n", "", "section 4 must be `## Claims`"),
        ("More.", "", "section 4 must be `## Claims`"),
        ("One. Two. Three.", "", "the idea"),
        ("# hyena", "hyena", "the title"),
        ("## Complexity", "## Cost", "not Cost"),
    ] {
        let error = parse(&GOOD.replace(from, to), &LANGUAGES[0]).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn unsupported_markup_is_an_error() {
    for (markdown, told) in [
        ("```math\n\\frac{a\n```", "LaTeX"),
        ("a <b>c</b>", "HTML"),
        ("[a](../hyena/README.md)", "not https"),
        ("[a](javascript:alert(1))", "not https"),
        ("    indented", "code block"),
    ] {
        let error = to_html(markdown, &LANGUAGES[0]).unwrap_err();
        assert!(error.contains(told), "{markdown}: {error}");
    }
}

#[test]
fn parameters_are_read_from_their_table() {
    let text = "| 参数 | 含义 |\n|---|---|\n| `order` | 阶数 |\n";
    let readme =
        Readme { idea: "一。二。".to_owned(), sections: vec![("参数".to_owned(), text.to_owned())] };
    let mut entry = json!({ "params": [{ "name": "order", "help": "Order" }] });
    translate(&mut entry, &readme, &LANGUAGES[1]).unwrap();
    assert_eq!((&entry["summary"], &entry["params"][0]["help"]), (&json!("一。"), &json!("阶数")));
    entry["params"][0]["name"] = json!("other");
    assert!(translate(&mut entry, &readme, &LANGUAGES[1]).unwrap_err().contains("`other`"));
}

#[test]
fn every_system_has_texts_in_every_language() {
    let mut checked = 0;
    let mut found = Vec::new();
    for info in kernels::infos() {
        found.extend(faults(&folder_of(info.id)));
        checked += 1;
    }
    assert_eq!(checked, kernels::systems().count());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn exactly_the_parameters_are_explained_in_every_language() {
    for info in kernels::infos() {
        for language in &LANGUAGES {
            let readme = read(&folder_of(info.id), language).unwrap();
            if language.params.is_none() {
                continue;
            }
            let explained: Vec<String> = readme.params(language).into_keys().collect();
            let mut known: Vec<&str> = info.params.iter().map(|param| param.name).collect();
            known.sort_unstable();
            assert_eq!(explained, known, "{}", info.id);
            assert!(!readme.idea.trim().is_empty(), "{}", info.id);
        }
    }
}
