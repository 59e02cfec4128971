//! Configurations: whatever is read survives its own JSON and its link.
#![no_main]

use libfuzzer_sys::fuzz_target;
use report::{Config, Linked};

fuzz_target!(|text: &str| {
    let Ok(config) = Config::from_json(text) else { return };
    let json = serde_json::to_string(&config).expect("a configuration is JSON");
    assert_eq!(Config::from_json(&json).as_ref(), Ok(&config));
    let link = report::encode_config_link(&config).expect("a checked configuration has a link");
    assert_eq!(report::decode_link(&link), Ok(Linked::Config(config)));
});
