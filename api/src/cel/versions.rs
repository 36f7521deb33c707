//! Semantic versions, read as Kubernetes' library reads them and refused in its words.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Val;
use super::outcome::{Outcome, fail};
use crate::field::go_quote;
use crate::numbers::parse_uint;

/// Three numbers, and what follows them.
type Version = (u64, u64, u64, String);

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    let number = |number: u64| Ok(Val::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    Some(match (name, values) {
        ("semver" | "isSemver", [Val::Text(text), lax @ ..]) => {
            let lax = matches!(lax, [Val::Bool(true)]);
            let found = if lax { lenient(text) } else { version(text) };
            match (name, found) {
                ("isSemver", found) => Ok(Val::Bool(found.is_ok())),
                (_, found) => found.map_or_else(fail, |found| Ok(Val::Semver(Arc::new(found)))),
            }
        }
        ("major", [Val::Semver(own)]) => number(own.0),
        ("minor", [Val::Semver(own)]) => number(own.1),
        ("patch", [Val::Semver(own)]) => number(own.2),
        ("isGreaterThan", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Bool(compare(a, b).is_gt())),
        ("isLessThan", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Bool(compare(a, b).is_lt())),
        ("compareTo", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Int(compare(a, b) as i64)),
        _ => return None,
    })
}

/// A version that may begin with a `v`, lack its last numbers and have zeros before them.
fn lenient(text: &str) -> Result<Version, String> {
    let mut parts: Vec<String> = text.strip_prefix('v').unwrap_or(text).splitn(3, '.').map(without_zeros).collect();
    if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        return Err("short version cannot contain PreRelease/Build meta data".to_owned());
    }
    parts.resize(3, "0".to_owned());
    version(&parts.join("."))
}

fn without_zeros(part: &str) -> String {
    let short = part.trim_start_matches('0');
    if part.len() < 2 {
        part.to_owned()
    } else if short.starts_with(|c: char| c.is_ascii_digit()) {
        short.to_owned()
    } else {
        format!("0{short}")
    }
}

fn version(text: &str) -> Result<Version, String> {
    if text.is_empty() {
        return Err("Version string empty".to_owned());
    }
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let [major, minor, rest] = parts[..] else { return Err("No Major.Minor.Patch elements found".to_owned()) };
    let (major, minor) = (number("major", major)?, number("minor", minor)?);
    let (own, build) = rest.split_once('+').map_or((rest, None), |(own, build)| (own, Some(build)));
    let (patch, before) = own.split_once('-').map_or((own, None), |(patch, before)| (patch, Some(before)));
    let patch = number("patch", patch)?;
    before.into_iter().flat_map(|list| list.split('.')).try_for_each(prerelease)?;
    build.into_iter().flat_map(|list| list.split('.')).try_for_each(metadata)?;
    let suffix = rest.find(['-', '+']).map_or("", |at| &rest[at..]);
    Ok((major, minor, patch, suffix.to_owned()))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn leads_with_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

fn number(which: &str, text: &str) -> Result<u64, String> {
    let shown = go_quote(text);
    if !is_number(text) {
        return Err(format!("Invalid character(s) found in {which} number {shown}"));
    }
    if leads_with_zero(text) {
        let (first, rest) = which.split_at(1);
        return Err(format!("{}{rest} number must not contain leading zeroes {shown}", first.to_uppercase()));
    }
    parse_uint(text)
}

fn prerelease(part: &str) -> Result<(), String> {
    match part {
        "" => Err("Prerelease is empty".to_owned()),
        _ if is_number(part) && leads_with_zero(part) => {
            Err(format!("Numeric PreRelease version must not contain leading zeroes {}", go_quote(part)))
        }
        _ if is_number(part) => parse_uint(part).map(drop),
        _ if is_word(part) => Ok(()),
        _ => Err(format!("Invalid character(s) found in prerelease {}", go_quote(part))),
    }
}

fn metadata(part: &str) -> Result<(), String> {
    match part {
        "" => Err("Build meta data is empty".to_owned()),
        _ if is_word(part) => Ok(()),
        _ => Err(format!("Invalid character(s) found in build meta data {}", go_quote(part))),
    }
}

/// Order of versions: what comes before a release is told by the parts after a dash, numbers first.
pub(super) fn compare(a: &Version, b: &Version) -> Ordering {
    let parts = |version: &Version| -> Vec<String> {
        let own = version.3.split('+').next().unwrap_or_default();
        own.strip_prefix('-').into_iter().flat_map(|list| list.split('.')).map(str::to_owned).collect()
    };
    let (left, right) = (parts(a), parts(b));
    (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then_with(|| match (left.is_empty(), right.is_empty()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => {
            let first = left.iter().zip(&right).map(|(a, b)| compare_parts(a, b)).find(|order| order.is_ne());
            first.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
    })
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    let number = |part: &str| part.parse::<u64>().ok().filter(|_| is_number(part));
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{holds, run};

    #[test]
    fn texts_that_are_no_versions_are_told_in_the_library_s_words() {
        for (text, why) in [
            ("", "Version string empty"),
            ("1.2", "No Major.Minor.Patch elements found"),
            ("v1.2.3", "Invalid character(s) found in major number \"v1\""),
            ("1.02.3", "Minor number must not contain leading zeroes \"02\""),
            ("1.2.x", "Invalid character(s) found in patch number \"x\""),
            ("1..3", "strconv.ParseUint: parsing \"\": invalid syntax"),
            ("1.2.3-", "Prerelease is empty"),
            ("1.2.3-01", "Numeric PreRelease version must not contain leading zeroes \"01\""),
            ("1.2.3+a_b", "Invalid character(s) found in build meta data \"a_b\""),
        ] {
            assert_eq!(run("semver(x).major() == 1", json!(text)).unwrap_err(), why);
        }
        let short = run("semver(x, true).major() == 1", json!("1.2-a")).unwrap_err();
        assert_eq!(short, "short version cannot contain PreRelease/Build meta data");
    }

    #[test]
    fn versions_have_an_order() {
        holds("semver('1.2.3-rc.2').isLessThan(semver('1.2.3-rc.10'))", json!(0));
        holds(
            "semver('1.2.3-1').isLessThan(semver('1.2.3-a')) && semver('1.2.3-a').isLessThan(semver('1.2.3'))",
            json!(0),
        );
        holds("semver('1.2.3-a').isLessThan(semver('1.2.3-a.1')) && semver('1.2.3+a') == semver('1.2.3+b')", json!(0));
        holds("semver('v01.2', true).compareTo(semver('1.2.0')) == 0 && semver('1.0.00', true).patch() == 0", json!(0));
    }
}
