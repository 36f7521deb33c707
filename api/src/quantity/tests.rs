use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    Quantity::parse(text).unwrap().to_string()
}

#[test]
fn canonical_forms() {
    let cases = [
        ("0", "0"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1Ki", "1Ki"),
        ("512", "512"),
        ("0.5Ki", "512"),
        ("0.001Ki", "1024m"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("100e2", "10e3"),
        ("1e2", "100"),
        ("1E", "1E"),
        ("100E", "100E"),
        ("-1k", "-1k"),
        ("+1", "1"),
        ("1000k", "1M"),
        ("0.0000000001", "1n"),
        ("-0.0000000001", "-1n"),
        (".5", "500m"),
        ("5.", "5"),
        ("00012", "12"),
        ("9223372036854775807", "9223372036854775807"),
    ];
    for (given, wanted) in cases {
        assert_eq!(canonical(given), wanted, "{given}");
    }
}

#[test]
fn errors() {
    for text in ["", "x", "-", "1 ", "1.2.3", "1x", "1Gib "] {
        assert_eq!(Quantity::parse(text), Err(ParseError::Format), "{text}");
    }
    for text in ["1K", "1mm", "1ee3", "1i"] {
        assert_eq!(Quantity::parse(text), Err(ParseError::Suffix), "{text}");
    }
}

#[test]
fn arithmetic_keeps_the_form() {
    let one = Quantity::parse("1Gi").unwrap();
    let half = Quantity::parse("512Mi").unwrap();
    assert_eq!(one.add(half).to_string(), "1536Mi");
    assert_eq!(half.sub(one).to_string(), "-512Mi");
    assert_eq!(Quantity::zero().add(one).to_string(), "1Gi");
    assert_eq!(Quantity::parse("1m").unwrap().value(), 1);
    assert_eq!(Quantity::parse("1.0001").unwrap().milli_value(), 1001);
    assert!(Quantity::parse("1").unwrap() > Quantity::parse("999m").unwrap());
}

proptest! {
    #[test]
    fn canonical_form_is_a_fixed_point(
        text in "[+-]?[0-9]{1,15}(\\.[0-9]{0,9})?(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti|e3|E-2|e6)?"
    ) {
        let first = Quantity::parse(&text).unwrap();
        let again = Quantity::parse(&first.to_string()).unwrap();
        prop_assert_eq!(first, again);
        prop_assert_eq!(first.to_string(), again.to_string());
    }
}

#[test]
fn some_texts_stay_as_they_are_written() {
    let stored = |text: &str| Quantity::stored_text(&text.into()).unwrap();
    for text in ["+1", "1.125", "1E3", "01", "3Ki", "1500m", "128e6"] {
        assert_eq!(stored(text), text);
    }
    for (text, canonical) in [
        ("1000m", "1"),
        ("0.125", "125m"),
        ("1000000000", "1G"),
        ("1.5Gi", "1536Mi"),
        ("8192Ki", "8Mi"),
        (".5", "500m"),
    ] {
        assert_eq!(stored(text), canonical);
    }
}
