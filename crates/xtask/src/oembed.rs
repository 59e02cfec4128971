//! The site's oEmbed description (oembed.com, version 1.0), a static file that describes the default race.

use serde_json::json;

/// Its name in the site.
pub const PATH: &str = "oembed.json";

/// Default size of the frame in pixels, for hosts that set none.
const WIDTH: u32 = 760;
const HEIGHT: u32 = 820;

/// The description. `address` is the site's address; without one, addresses are relative to the description.
pub fn description(address: Option<&str>) -> String {
    let site =
        address.map_or_else(|| "./".to_owned(), |address| format!("{}/", address.trim_end_matches('/')));
    let source = escaped(&format!("{site}embed.html"));
    let html = format!(
        "<iframe src=\"{source}\" title=\"Crossover\" width=\"{WIDTH}\" height=\"{HEIGHT}\" style=\"border: 0; max-width: 100%\" \
         loading=\"lazy\" allow=\"cross-origin-isolated; screen-wake-lock; clipboard-write\"></iframe>"
    );
    let value = json!({
        "version": "1.0",
        "type": "rich",
        "provider_name": "Crossover",
        "provider_url": site,
        "title": "Crossover: where does attention lose?",
        "width": WIDTH,
        "height": HEIGHT,
        "html": html,
    });
    format!("{value:#}\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_complete_and_frames_the_site() {
        let value: serde_json::Value =
            serde_json::from_str(&description(Some("https://example.org/a\"b"))).unwrap();
        for field in ["version", "type", "html", "width", "height"] {
            assert!(!value[field].is_null(), "{field}");
        }
        let html = value["html"].as_str().unwrap();
        assert!(html.contains("src=\"https://example.org/a&quot;b/embed.html\""), "{html}");
        assert!(description(None).contains("./embed.html"));
    }
}
