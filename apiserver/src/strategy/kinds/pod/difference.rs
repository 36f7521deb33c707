//! The lines in which two texts differ, as `diff -u` shows them without the names of files.

use super::matching::{self, Run};

/// Lines of agreement around a difference.
const AROUND: usize = 3;

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Both(usize, usize),
    Old(usize),
    New(usize),
}

/// The differences of two lists of lines; empty if there are none.
pub(super) fn unified(old: &[String], new: &[String]) -> String {
    let steps = steps(old, new);
    let changed: Vec<usize> =
        steps.iter().enumerate().filter(|(_, step)| !matches!(step, Step::Both(..))).map(|(at, _)| at).collect();
    let mut out = String::new();
    let mut changed = changed.into_iter().peekable();
    while let Some(first) = changed.next() {
        let mut last = first;
        while let Some(next) = changed.next_if(|next| next - last <= 2 * AROUND + 1) {
            last = next;
        }
        let hunk = &steps[first.saturating_sub(AROUND)..(last + AROUND + 1).min(steps.len())];
        write_hunk(hunk, old, new, &mut out);
    }
    out
}

fn write_hunk(hunk: &[Step], old: &[String], new: &[String], out: &mut String) {
    let of_old: Vec<usize> = hunk
        .iter()
        .filter_map(|step| match step {
            Step::Both(at, _) | Step::Old(at) => Some(*at),
            Step::New(_) => None,
        })
        .collect();
    let of_new: Vec<usize> = hunk
        .iter()
        .filter_map(|step| match step {
            Step::Both(_, at) | Step::New(at) => Some(*at),
            Step::Old(_) => None,
        })
        .collect();
    let range = |lines: &[usize]| match lines {
        [] => "0,0".to_owned(),
        [one] => (one + 1).to_string(),
        [first, ..] => format!("{},{}", first + 1, lines.len()),
    };
    out.push_str(&format!("@@ -{} +{} @@\n", range(&of_old), range(&of_new)));
    for step in hunk {
        let (mark, line) = match step {
            Step::Both(at, _) => (' ', &old[*at]),
            Step::Old(at) => ('-', &old[*at]),
            Step::New(at) => ('+', &new[*at]),
        };
        out.push(mark);
        out.push_str(line);
        out.push('\n');
    }
}

/// The way from the old lines to the new: between what both have, the old ones go before the new ones come.
fn steps(old: &[String], new: &[String]) -> Vec<Step> {
    let (mut a, mut b, mut out) = (0, 0, Vec::new());
    let end = Run { old: old.len(), new: new.len(), len: 0 };
    for run in matching::runs(old, new).into_iter().chain([end]) {
        out.extend((a..run.old).map(Step::Old));
        out.extend((b..run.new).map(Step::New));
        out.extend((0..run.len).map(|at| Step::Both(run.old + at, run.new + at)));
        (a, b) = (run.old + run.len, run.new + run.len);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_with_its_surroundings() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let shown = unified(&lines("a b c d e f g"), &lines("a b X d e f g"));
        assert_eq!(shown, "@@ -1,6 +1,6 @@\n a\n b\n-c\n+X\n d\n e\n f\n");
        assert_eq!(unified(&lines("a b"), &lines("a b")), "");
        assert_eq!(unified(&lines("a"), &lines("a b")), "@@ -1 +1,2 @@\n a\n+b\n");
    }

    #[test]
    fn differences_are_shown_together_if_no_line_between_them_is_left_out() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let shown = |between: &str| {
            let text = |mark: &str| lines(&format!("{mark} {between} {mark}"));
            unified(&text("x"), &text("y")).matches("@@ -").count()
        };
        assert_eq!(shown("1 2 3 4 5 6"), 1);
        assert_eq!(shown("1 2 3 4 5 6 7"), 2);
    }
}
