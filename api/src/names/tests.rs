use super::*;

#[test]
fn dns_names() {
    assert!(is_dns1123_label("a-1").is_empty());
    assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(
        is_dns1123_label("-a"),
        [
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ]
    );
    assert_eq!(
        is_dns1123_subdomain("A"),
        [
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ]
    );
    assert_eq!(is_dns1123_subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
    assert_eq!(is_dns1035_label("1a").len(), 1);
    assert!(is_wildcard_dns1123_subdomain("*.a.b").is_empty());
    assert_eq!(is_wildcard_dns1123_subdomain("*.*.com").len(), 1);
}

#[test]
fn qualified_names() {
    assert!(is_qualified_name("a.b/C_d").is_empty());
    assert_eq!(is_qualified_name("/a"), ["prefix part must be non-empty"]);
    assert_eq!(is_qualified_name("")[0], "name part must be non-empty");
    assert_eq!(is_qualified_name("").len(), 2);
    assert!(is_qualified_name("a/b/c")[0].starts_with("a valid label key must consist"));
    assert!(is_qualified_name("UP.io/a")[0].starts_with("prefix part a lowercase RFC 1123 subdomain"));
    let long = format!("{}/a", "a".repeat(254));
    assert_eq!(is_qualified_name(&long), ["prefix part must be no more than 253 bytes"]);
    assert_eq!(is_label_value(&"x".repeat(64)), ["must be no more than 63 bytes"]);
    assert!(is_label_value("").is_empty());
}

#[test]
fn small_strings() {
    assert_eq!(is_port_name("a--b"), ["must not contain consecutive hyphens"]);
    assert_eq!(is_port_number(0), ["must be between 1 and 65535, inclusive"]);
    assert_eq!(is_config_map_key(".."), ["must not be '..'"]);
    assert_eq!(is_path_segment("a/b", false), ["may not contain '/'"]);
    assert_eq!(is_path_segment("..", false), ["may not be '..'"]);
    assert_eq!(key_error("a"), None);
    assert_eq!(key_error("").unwrap(), "Name parameter required.");
    assert_eq!(key_error("a/%").unwrap(), r#"Name parameter invalid: "a/%": may not contain '/';may not contain '%'"#);
    assert!(is_percent("10%").is_empty());
    assert_eq!(mask_trailing_dash("ab-"), "aa");
    assert_eq!(mask_trailing_dash("ab--"), "aba");
    assert_eq!(mask_trailing_dash("ab"), "ab");
}
