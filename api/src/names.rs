//! Names and other small strings: what is allowed, and Kubernetes' words when it is not.
//!
//! Each function returns the messages against a value; an empty list means that the value is good.

mod scan;

use scan::{is_dns_label, is_dns_subdomain, is_label_name};

/// The longest DNS label, in bytes.
pub const DNS_LABEL_MAX: usize = 63;
/// The longest DNS subdomain, in bytes.
pub const DNS_SUBDOMAIN_MAX: usize = 253;
/// The longest label value, in bytes.
pub const LABEL_VALUE_MAX: usize = 63;

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY_WORDS: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// The message about a pattern that a value does not match, with examples that do.
#[must_use]
pub fn regex_error(words: &str, pattern: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{pattern}')");
    }
    let quoted: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{pattern}')", quoted.join(" or "))
}

/// The message about a value of more than `max` characters.
#[must_use]
pub fn max_length_error(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn max_bytes_error(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// The message about an empty value.
#[must_use]
pub fn empty_error() -> &'static str {
    "must be non-empty"
}

/// The message about a number outside of `min..=max`.
#[must_use]
pub fn range_error(min: i64, max: i64) -> String {
    format!("must be between {min} and {max}, inclusive")
}

/// A label of DNS as RFC 1123 has it.
#[must_use]
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    const WORDS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
    let mut errors = too_long(value, DNS_LABEL_MAX);
    if !is_dns_label(value) {
        errors.push(if is_dns_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            regex_error(WORDS, DNS1123_LABEL, &["my-name", "123-abc"])
        });
    }
    errors
}

/// A domain name as RFC 1123 has it.
#[must_use]
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = too_long(value, DNS_SUBDOMAIN_MAX);
    errors.extend(subdomain_form(value));
    errors
}

/// The same as rules say it that Kubernetes generates from its types: they measure in bytes.
#[must_use]
pub fn is_long_name(value: &str) -> Vec<String> {
    let mut errors = unless(value.len() <= DNS_SUBDOMAIN_MAX, || max_bytes_error(DNS_SUBDOMAIN_MAX));
    errors.extend(subdomain_form(value));
    errors
}

fn subdomain_form(value: &str) -> Vec<String> {
    const WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
    unless(is_dns_subdomain(value), || regex_error(WORDS, DNS1123_SUBDOMAIN, &["example.com"]))
}

/// A domain name whose labels may contain underscores.
#[must_use]
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    const WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
    const PATTERN: &str = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
    let mut errors = too_long(value, DNS_SUBDOMAIN_MAX);
    if !value.split('.').all(scan::is_underscore_label) {
        errors.push(regex_error(WORDS, PATTERN, &["example.com"]));
    }
    errors
}

/// A label of DNS as RFC 1035 has it: does not start with a digit.
#[must_use]
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    const WORDS: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
    let mut errors = too_long(value, DNS_LABEL_MAX);
    if !is_dns_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        errors.push(regex_error(WORDS, DNS1035_LABEL, &["my-name", "abc-123"]));
    }
    errors
}

/// A domain name under `*.`.
#[must_use]
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    const WORDS: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
    let mut errors = too_long(value, DNS_SUBDOMAIN_MAX);
    if !value.strip_prefix("*.").is_some_and(is_dns_subdomain) {
        errors.push(regex_error(WORDS, &format!(r"\*\.{DNS1123_SUBDOMAIN}"), &["*.example.com"]));
    }
    errors
}

/// A label key: a name with an optional domain before a slash. Also the form of annotation keys (lowercased),
/// finalizers, resource names, taint keys, condition types.
#[must_use]
pub fn is_qualified_name(value: &str) -> Vec<String> {
    let hint = || regex_error(LABEL_KEY_WORDS, LABEL_KEY, &["MyName", "my.name", "123-abc"]);
    let mut errors = Vec::new();
    let parts: Vec<&str> = value.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            errors.extend(prefix_errors(prefix));
            name
        }
        _ => {
            let tail = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {tail}", hint())];
        }
    };
    if name.is_empty() {
        errors.push(format!("name part {}", empty_error()));
    } else if name.len() > LABEL_VALUE_MAX {
        errors.push(format!("name part {}", max_bytes_error(LABEL_VALUE_MAX)));
    }
    if !is_label_name(name) {
        errors.push(format!("name part {}", hint()));
    }
    errors
}

fn prefix_errors(prefix: &str) -> Vec<String> {
    if prefix.is_empty() {
        return vec![format!("prefix part {}", empty_error())];
    }
    is_long_name(prefix).into_iter().map(|error| format!("prefix part {error}")).collect()
}

/// A label value.
#[must_use]
pub fn is_label_value(value: &str) -> Vec<String> {
    const WORDS: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let mut errors = Vec::new();
    if value.len() > LABEL_VALUE_MAX {
        errors.push(max_bytes_error(LABEL_VALUE_MAX));
    }
    if !value.is_empty() && !is_label_name(value) {
        errors.push(regex_error(WORDS, &format!("({LABEL_KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// An identifier of C.
#[must_use]
pub fn is_c_identifier(value: &str) -> Vec<String> {
    const WORDS: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
    let good = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    unless(good, || regex_error(WORDS, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"]))
}

/// A port number of TCP or UDP.
#[must_use]
pub fn is_port_number(port: i64) -> Vec<String> {
    is_in_range(port, 1, 65535)
}

/// A number of `min..=max`.
#[must_use]
pub fn is_in_range(value: i64, min: i64, max: i64) -> Vec<String> {
    unless((min..=max).contains(&value), || range_error(min, max))
}

/// A user id of Unix.
#[must_use]
pub fn is_user_id(id: i64) -> Vec<String> {
    is_in_range(id, 0, i64::from(i32::MAX))
}

/// A group id of Unix.
#[must_use]
pub fn is_group_id(id: i64) -> Vec<String> {
    is_in_range(id, 0, i64::from(i32::MAX))
}

/// A name of a port (IANA service name).
#[must_use]
pub fn is_port_name(value: &str) -> Vec<String> {
    let mut errors = too_long(value, 15);
    if value.is_empty() || !value.bytes().all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit()) {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// A percentage, `12%`.
#[must_use]
pub fn is_percent(value: &str) -> Vec<String> {
    const WORDS: &str = "a valid percent string must be a numeric string followed by an ending '%'";
    let good =
        value.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    unless(good, || regex_error(WORDS, "[0-9]+%", &["1%", "93%"]))
}

/// A name of an HTTP header.
#[must_use]
pub fn is_http_header_name(value: &str) -> Vec<String> {
    const WORDS: &str = "a valid HTTP header must consist of alphanumeric characters or '-'";
    let good = !value.is_empty() && value.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric());
    unless(good, || regex_error(WORDS, "[-A-Za-z0-9]+", &["X-Header-Name"]))
}

/// A name of an environment variable: printable ASCII but `=`.
#[must_use]
pub fn is_env_var_name(value: &str) -> Vec<String> {
    const WORDS: &str =
        "a valid environment variable name must consist only of printable ASCII characters other than '='";
    if value.is_empty() {
        return vec![format!("environment variable name {}", empty_error())];
    }
    unless(value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'='), || WORDS.to_owned())
}

/// A name of an environment variable by the old, narrow rule.
#[must_use]
pub fn is_strict_env_var_name(value: &str) -> Vec<String> {
    const WORDS: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit";
    let good = !value.is_empty()
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && !value.starts_with(|c: char| c.is_ascii_digit());
    let mut errors = unless(good, || {
        regex_error(WORDS, "[-._a-zA-Z][-._a-zA-Z0-9]*", &["my.env-name", "MY_ENV.NAME", "MyEnvName1"])
    });
    errors.extend(parent_folder_error(value));
    errors
}

/// A key of a ConfigMap or Secret.
#[must_use]
pub fn is_config_map_key(value: &str) -> Vec<String> {
    const WORDS: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    let mut errors = too_long(value, DNS_SUBDOMAIN_MAX);
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        errors.push(regex_error(WORDS, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    errors.extend(parent_folder_error(value));
    errors
}

/// A name that is one segment of a URL path, as RBAC objects have it; `prefix` for generateName.
#[must_use]
pub fn is_path_segment(value: &str, prefix: bool) -> Vec<String> {
    if !prefix && (value == "." || value == "..") {
        return vec![format!("may not be '{value}'")];
    }
    ["/", "%"].iter().filter(|bad| value.contains(**bad)).map(|bad| format!("may not contain '{bad}'")).collect()
}

/// Why nothing can be stored under a name: what Kubernetes says before it looks for an object.
#[must_use]
pub fn key_error(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("Name parameter required.".to_owned());
    }
    let faults = is_path_segment(name, false);
    let invalid = || format!("Name parameter invalid: {}: {}", crate::field::go_quote(name), faults.join(";"));
    (!faults.is_empty()).then(invalid)
}

/// Applies a name rule to a generateName: a trailing dash is what the suffix will follow.
#[must_use]
pub fn mask_trailing_dash(name: &str) -> String {
    if name.len() > 1
        && name.ends_with('-')
        && let Some(head) = name.get(..name.len() - 2)
    {
        return format!("{head}a");
    }
    name.to_owned()
}

/// Whether this is the name of an iSCSI node: `iqn.…`, `eui.…` or `naa.…`.
#[must_use]
pub fn is_iscsi_name(value: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match value.get(..3) {
        Some("iqn") => is_iqn(value),
        Some("eui") => value.get(4..).is_some_and(|rest| digits(rest, 16)),
        Some("naa") => value.get(4..).is_some_and(|rest| digits(rest, 32)),
        _ => false,
    }
}

/// `iqn.2001-04.com.example:disk`.
fn is_iqn(value: &str) -> bool {
    let Some((head, target)) = value.split_once(':') else { return false };
    let mut parts = head.splitn(3, '.');
    let (scheme, month, authority) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let dated = month.len() == 7
        && month.bytes().enumerate().all(|(at, b)| if at == 4 { b == b'-' } else { b.is_ascii_digit() });
    let named = !authority.is_empty() && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let free = !target.is_empty() && !target.bytes().any(|b| b",;*&$| \t\r\n".contains(&b));
    scheme == Some("iqn") && dated && named && free
}

/// The name of a kernel parameter; its parts are joined with dots or slashes.
#[must_use]
pub fn is_sysctl_name(value: &str) -> Vec<String> {
    const PART: &str = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
    let good = value.len() <= DNS_SUBDOMAIN_MAX && value.split(['.', '/']).all(scan::is_sysctl_part);
    unless(good, || format!("must have at most {DNS_SUBDOMAIN_MAX} characters and match regex ^({PART}[\\./])*{PART}$"))
}

fn parent_folder_error(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ if value.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

fn too_long(value: &str, max: usize) -> Vec<String> {
    unless(value.len() <= max, || max_length_error(max))
}

fn unless(good: bool, error: impl FnOnce() -> String) -> Vec<String> {
    if good { Vec::new() } else { vec![error()] }
}

#[cfg(test)]
mod tests;
