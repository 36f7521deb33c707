//! Which warnings an answer shows: headers that grow without bound would break it.

/// Characters of all warnings, beyond which each is cut and the last are left out.
const MOST: usize = 4096;
/// Characters of a warning that is cut.
const MOST_EACH: usize = 256;

/// What is shown of some warnings: nothing of what is empty, or cannot be in a header.
pub(crate) fn shown<T: AsRef<str>>(warnings: &[T]) -> Vec<&str> {
    let fits = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
    let texts = warnings.iter().map(T::as_ref).filter(fits);
    if texts.clone().map(length).sum::<usize>() <= MOST {
        return texts.collect();
    }
    let (mut left, mut shown) = (MOST, Vec::new());
    for text in texts.map(beginning) {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(length(text));
        shown.push(text);
    }
    shown
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn beginning(text: &str) -> &str {
    text.char_indices().nth(MOST_EACH).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_warnings_are_shown_as_they_are() {
        let long = "ü".repeat(MOST - 1);
        assert_eq!(shown(&[long.as_str(), "a"]), [long.as_str(), "a"]);
        assert!(shown::<String>(&[]).is_empty());
    }

    #[test]
    fn what_no_header_can_hold_is_left_out() {
        assert_eq!(shown(&["", "a", "b\nc", "d\te", "\u{7f}"]), ["a"]);
    }

    #[test]
    fn many_are_cut_and_the_last_are_left_out() {
        let long = "ü".repeat(MOST);
        assert_eq!(shown(&[long.as_str(), "a"]), ["ü".repeat(MOST_EACH).as_str(), "a"]);
        let many: Vec<&str> = std::iter::repeat_n(long.as_str(), 100).collect();
        assert_eq!(shown(&many).len(), MOST / MOST_EACH);
    }
}
