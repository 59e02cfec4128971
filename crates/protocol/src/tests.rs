//! The documented messages, whose JSON must not change without a new [`PROTOCOL_VERSION`], and refused messages.

use report::{Config, Environment, Report};
use serde_json::Value;

use super::*;

/// A request and its JSON, in both directions.
#[track_caller]
fn same_request(request: &Request, json: &str) {
    assert_eq!(serde_json::to_string(request).unwrap(), json);
    assert_eq!(&Request::parse(json).unwrap(), request);
}

#[track_caller]
fn same_event(event: &Event, json: &str) {
    assert_eq!(serde_json::to_string(event).unwrap(), json);
    assert_eq!(&Event::parse(json).unwrap(), event);
}

const CONFIG: &str = concat!(
    r#"{"systems":["attention","hyena"],"lengths":[256,512,1024,2048,4096,8192,16384],"width":256,"heads":4,"#,
    r#""batch":1,"causal":true,"level":"layer","backend":"auto","threads":"auto","budgetMs":120000.0,"seed":1}"#
);

/// A measured point of the report below.
macro_rules! point {
    ($length:literal) => {
        concat!(
            r#"{"length":"#,
            $length,
            r#","outcome":"ok","message":null,"medianMs":1.5,"q1Ms":1.25,"q3Ms":1.75,"minMs":1.0,"samples":15,"repeats":4,"#,
            r#""discarded":0,"deviceMs":null,"setupMs":2.0,"firstRunMs":3.0,"predictedMs":null,"flops":1000000.0,"#,
            r#""bytes":2000000.0,"peakBytes":3000000.0,"decodeStateBytes":4000000.0,"#,
            r#""verified":{"length":256,"maxAbs":1e-6,"maxRel":1e-7,"pass":true},"rooflineShare":null,"lowMs":1.375,"#,
            r#""highMs":1.625,"setUps":3,"versus":null,"neededMs":null}"#
        )
    };
}

const REPORT: &str = concat!(
    r#"{"schema":2,"config":{"systems":["toy"],"lengths":[256,512,1024],"width":256,"heads":4,"batch":1,"causal":true,"#,
    r#""level":"core","backend":"cpu","threads":2,"budgetMs":1000.0,"seed":7},"#,
    r#""environment":{"build":"0.1.0","host":"browser","agent":"","cores":2,"threads":2,"simd":"simd128","#,
    r#""isolated":true,"tickMs":0.005,"cpuMemoryBytes":1073741824.0,"gpu":null,"gpuMissing":"no adapter","roofline":null},"#,
    r#""startedAtMs":null,"status":"done","lanes":[{"system":"toy","title":"Toy","backend":"cpu","#,
    r#""params":{"bias":true,"gain":0.5,"mode":"fast","order":2},"causal":true,"#,
    r#""verification":{"length":160,"maxAbs":1e-6,"maxRel":null,"pass":true},"points":["#,
    point!(256),
    ",",
    point!(512),
    ",",
    point!(1024),
    r#"],"exponent":{"estimate":1.1,"low":1.0,"high":1.2,"log2ScaleMs":-13.5,"fromLength":256,"leading":null}}],"#,
    r#""crossovers":[],"warnings":[{"code":"drift","message":"drifted","lane":0}]}"#
);

fn report() -> Box<Report> {
    Box::new(Report::from_json(REPORT).unwrap())
}

#[test]
fn requests_are_as_documented() {
    let hello = Request::Hello { protocol: 1, variant: "simd".into() };
    same_request(&hello, r#"{"type":"hello","protocol":1,"variant":"simd"}"#);
    let race = Request::Race { id: 3, config: Box::default() };
    same_request(&race, &format!(r#"{{"type":"race","id":3,"config":{CONFIG}}}"#));
    let config = Config { mode: mixer::Task::Decode { tokens: 64 }, ..Config::default() };
    let race = Request::Race { id: 3, config: Box::new(config) };
    let decode = CONFIG.replace(r#""lengths""#, r#""mode":"decode","contexts""#);
    let decode = decode.replace(r#","width""#, r#","tokens":64,"width""#);
    same_request(&race, &format!(r#"{{"type":"race","id":3,"config":{decode}}}"#));
    same_request(&Request::Cancel { id: 3 }, r#"{"type":"cancel","id":3}"#);
    same_request(&Request::Visibility { hidden: true }, r#"{"type":"visibility","hidden":true}"#);
    let verify = Request::Verify { id: 4, backend: BackendName::Webgpu };
    same_request(&verify, r#"{"type":"verify","id":4,"backend":"webgpu"}"#);
    let encode = Request::EncodeLink { id: 5, report: report() };
    same_request(&encode, &format!(r#"{{"type":"encodeLink","id":5,"report":{REPORT}}}"#));
    let decode = Request::DecodeLink { id: 6, url: "#r=1".into() };
    same_request(&decode, r##"{"type":"decodeLink","id":6,"url":"#r=1"}"##);
    same_request(&Request::Ping { id: 7 }, r#"{"type":"ping","id":7}"#);
    same_request(&Request::LoseDevice, r#"{"type":"loseDevice"}"#);
}

#[test]
fn events_are_as_documented() {
    let ready =
        Event::Ready { protocol: 1, environment: Box::new(Environment::default()), systems: Vec::new() };
    same_event(
        &ready,
        concat!(
            r#"{"type":"ready","protocol":1,"environment":{"build":"","host":"","agent":"","cores":0,"threads":0,"#,
            r#""simd":"","isolated":false,"tickMs":0.0,"cpuMemoryBytes":0.0,"gpu":null,"gpuMissing":null,"roofline":null},"#,
            r#""systems":[]}"#
        ),
    );
    same_event(
        &Event::Report { id: 1, report: report() },
        &format!(r#"{{"type":"report","id":1,"report":{REPORT}}}"#),
    );
    let progress = Event::Progress {
        id: 1,
        fraction: 0.5,
        remaining_ms: 1200.0,
        lane: 2,
        length: 256,
        activity: "sampling".into(),
    };
    same_event(
        &progress,
        r#"{"type":"progress","id":1,"fraction":0.5,"remainingMs":1200.0,"lane":2,"length":256,"activity":"sampling"}"#,
    );
    let done = Event::Done { id: 1, report: report() };
    same_event(&done, &format!(r#"{{"type":"done","id":1,"report":{REPORT}}}"#));
    let result = VerifyResult {
        system: "hyena".into(),
        case: "core_o2".into(),
        level: "core".into(),
        backend: "cpu".into(),
        max_abs: Some(1e-6),
        max_rel: None,
        pass: true,
        tolerance: Tolerance { abs: 1e-5, rel: 1e-4 },
        unread: vec!["dropout".into()],
    };
    same_event(
        &Event::Verified { id: 4, result },
        concat!(
            r#"{"type":"verified","id":4,"result":{"system":"hyena","case":"core_o2","level":"core","backend":"cpu","#,
            r#""maxAbs":1e-6,"maxRel":null,"pass":true,"tolerance":{"abs":0.00001,"rel":0.0001},"unread":["dropout"]}}"#
        ),
    );
    let link = Event::Link { id: 5, fragment: "#r=1".into() };
    same_event(&link, r##"{"type":"link","id":5,"fragment":"#r=1"}"##);
    let linked = Event::Linked { id: 6, config: Box::default(), report: None };
    same_event(&linked, &format!(r#"{{"type":"linked","id":6,"config":{CONFIG},"report":null}}"#));
    let error = WireError { field: Some("heads".into()), ..WireError::new("invalid-field", "heads: no") };
    same_event(
        &Event::Error { id: Some(3), error },
        r#"{"type":"error","id":3,"error":{"code":"invalid-field","message":"heads: no","field":"heads"}}"#,
    );
    same_event(
        &Event::Error { id: None, error: WireError::new("panic", "gone") },
        r#"{"type":"error","id":null,"error":{"code":"panic","message":"gone"}}"#,
    );
    same_event(&Event::Pong { id: 7 }, r#"{"type":"pong","id":7}"#);
}

#[track_caller]
fn refused(json: &str, id: Option<u32>, code: &str, words: &str) {
    let refused = Request::parse(json).expect_err(json);
    assert_eq!((refused.id, refused.error.code()), (id, code), "{refused}");
    assert!(refused.to_string().contains(words), "{refused}");
}

#[test]
fn fault_26_strange_messages_are_refused_with_their_id() {
    refused("", None, "message-syntax", "EOF");
    refused("[1]", None, "message-syntax", "not a JSON object");
    refused("{}", None, "message-type", "no `type`; known types: hello, race");
    refused(r#"{"type":7}"#, None, "message-type", "no `type`");
    refused(
        r#"{"type":"constructor","id":2}"#,
        Some(2),
        "message-type",
        "unknown message type `constructor`",
    );
    refused(r#"{"type":"ping"}"#, None, "message-field", "missing field `id`");
    refused(r#"{"type":"ping","id":-1}"#, None, "message-field", "`ping` message");
    refused(r#"{"type":"ping","id":4294967296}"#, None, "message-field", "`ping` message");
    refused(r#"{"type":"ping","id":1,"__proto__":{}}"#, Some(1), "message-field", "__proto__");
    refused(r#"{"type":"race","id":1}"#, Some(1), "message-field", "missing field `config`");
    refused(r#"{"type":"race","config":{}}"#, None, "message-field", "missing field `id`");
    refused(r#"{"type":"race","id":1,"config":[]}"#, Some(1), "invalid-field", "config");
    refused(r#"{"type":"race","id":1,"config":{"heads":0}}"#, Some(1), "invalid-field", "heads: must be");
    refused(r#"{"type":"race","id":1,"config":{"tokens":9}}"#, Some(1), "other-mode", "mode \"decode\" only");
    refused(r#"{"type":"race","id":1,"config":{"widht":1}}"#, Some(1), "unknown-field", "widht");
    refused(r#"{"type":"encodeLink","id":1,"report":{}}"#, Some(1), "report-syntax", "missing field");
    refused(r#"{"type":"encodeLink","id":1}"#, Some(1), "message-field", "missing field `report`");
    refused(r#"{"type":"verify","id":1,"backend":"gpu"}"#, Some(1), "message-field", "gpu");
    refused(&"[".repeat(100_000), None, "message-syntax", "recursion");
    let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES));
    refused(&long, None, "message-too-large", "at most");
    assert_eq!(Event::parse(&long).unwrap_err().code(), "message-too-large");
    assert_eq!(Event::parse(r#"{"type":"ping","id":1}"#).unwrap_err().code(), "message-type");
    assert_eq!(Event::parse(r#"{"type":"pong"}"#).unwrap_err().code(), "message-field");
}

#[test]
fn missing_fields_are_refused_in_every_message() {
    let race = format!(r#"{{"type":"race","id":3,"config":{CONFIG}}}"#);
    let encode = format!(r#"{{"type":"encodeLink","id":5,"report":{REPORT}}}"#);
    for json in [
        r#"{"type":"hello","protocol":1,"variant":"simd"}"#,
        race.as_str(),
        r#"{"type":"visibility","hidden":true}"#,
        r#"{"type":"verify","id":4,"backend":"webgpu"}"#,
        encode.as_str(),
        r##"{"type":"decodeLink","id":6,"url":"#r=1"}"##,
    ] {
        let value: Value = serde_json::from_str(json).unwrap();
        for name in value.as_object().unwrap().keys() {
            let mut less = value.clone();
            less.as_object_mut().unwrap().remove(name);
            assert!(Request::parse(&less.to_string()).is_err(), "{name} of {json}");
        }
    }
}

#[test]
fn a_refusal_is_answered_with_code_and_field() {
    let refused = Request::parse(r#"{"type":"race","id":9,"config":{"width":100,"heads":3}}"#).unwrap_err();
    let Event::Error { id, error } = Event::from(&refused) else { panic!("an error") };
    assert_eq!((id, error.code.as_str(), error.field.as_deref()), (Some(9), "invalid-field", Some("heads")));
    assert!(error.message.contains("a divisor of the width (100), got 3"));
}

#[test]
fn errors_of_every_layer_travel_with_their_codes() {
    let invalid = mixer::MixerError::invalid("lengths", "smaller", 7);
    let lane = mixer::LaneError::from(invalid.clone());
    for error in [WireError::from(&invalid), WireError::from(&lane)] {
        assert_eq!((error.code.as_str(), error.field.as_deref()), ("invalid-field", Some("lengths")));
    }
    let lost = mixer::LaneError::DeviceLost { reason: "unplugged".into() };
    let error = WireError::from(&lost);
    assert_eq!((error.code.as_str(), error.field), ("device-lost", None));
    assert!(error.message.contains("unplugged"));
    let link = report::decode_link("#r=9abc").unwrap_err();
    assert_eq!(WireError::from(&link).code, "link-newer");
    let config = Config { heads: 0, ..Config::default() }.check().unwrap_err();
    assert_eq!(WireError::from(&config).field.as_deref(), Some("heads"));
}
