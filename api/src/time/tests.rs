use super::*;

#[test]
fn round_trip() {
    let time = parse("2024-03-01T10:20:30+02:00", Layout::Seconds).unwrap();
    assert_eq!(seconds(time), "2024-03-01T08:20:30Z");
    assert_eq!(micros(time), "2024-03-01T08:20:30.000000Z");
    assert_eq!(read("2024-03-01T08:20:30.000000Z"), Some(time));
}

#[test]
fn errors_read_as_go_says_them() {
    let error = |text| parse(text, Layout::Seconds).unwrap_err();
    assert_eq!(error("x"), r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#);
    assert_eq!(error("2024-13-01T00:00:00Z"), r#"parsing time "2024-13-01T00:00:00Z": month out of range"#);
    assert_eq!(error("2024-01-01T00:00:00Zx"), r#"parsing time "2024-01-01T00:00:00Zx": extra text: "x""#);
    assert_eq!(
        parse("2024-01-01", Layout::Micros).unwrap_err(),
        r#"parsing time "2024-01-01" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "" as "T""#
    );
}
