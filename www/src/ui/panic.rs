//! A panic of the page leaves its module unusable. What is left to do is to say so, with text to copy and a way on.

use super::{hooks, language};

/// Shows panics in the element that `index.html` keeps for them.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.to_string();
        web_sys::console::error_1(&message.as_str().into());
        let Some(place) = hooks::element("panic") else { return };
        if let Some(title) = hooks::element("panic-title") {
            title.set_text_content(Some(language::chosen().panic_title));
        }
        if let Some(text) = hooks::element("panic-text") {
            text.set_text_content(Some(&message));
        }
        let _ = place.remove_attribute("hidden");
    }));
}
