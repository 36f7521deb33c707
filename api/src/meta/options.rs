//! The options that every write takes.

use crate::field::{Error, ErrorList, Path};

const FIELD_MANAGER_MAX: usize = 128;

/// `fieldManager`: at most 128 bytes, printable.
#[must_use]
pub fn validate_field_manager(manager: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if manager.len() > FIELD_MANAGER_MAX {
        errors.push(Error::too_long(path, 128));
    }
    for (position, c) in manager.char_indices() {
        if !crate::field::is_printable(c) {
            let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(c));
            errors.push(Error::invalid(path, manager, detail));
        }
    }
    errors
}

/// The field manager of a write that names none: the first word of the user agent, as far as it is printable and not too long.
#[must_use]
pub fn manager_of_user_agent(user_agent: &str) -> String {
    let mut manager = String::new();
    let word = user_agent.split('/').next().unwrap_or_default();
    for c in word.chars().filter(|c| crate::field::is_printable(*c)) {
        if manager.len() + c.len_utf8() > FIELD_MANAGER_MAX {
            break;
        }
        manager.push(c);
    }
    if manager.is_empty() { "unknown".to_owned() } else { manager }
}

/// `dryRun`: nothing but `All`.
#[must_use]
pub fn validate_dry_run(values: &[&str], path: &Path) -> ErrorList {
    if values.iter().all(|value| *value == "All") {
        return ErrorList::new();
    }
    vec![Error::not_supported(path, values.to_vec(), &["All"])]
}

/// `fieldValidation`: how strictly the body is read.
#[must_use]
pub fn validate_field_validation(value: &str, path: &Path) -> ErrorList {
    const ALLOWED: [&str; 4] = ["", "Ignore", "Strict", "Warn"];
    if ALLOWED.contains(&value) { ErrorList::new() } else { vec![Error::not_supported(path, value, &ALLOWED)] }
}
