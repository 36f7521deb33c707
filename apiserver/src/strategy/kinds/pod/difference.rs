//! The lines in which two texts differ, as `diff -u` shows them without the names of files.

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
        while let Some(next) = changed.next_if(|next| next - last <= 2 * AROUND) {
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
    let range = |lines: &[usize]| format!("{},{}", lines.first().map_or(0, |at| at + 1), lines.len());
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

/// A shortest way from the old lines to the new, by the longest common subsequence.
fn steps(old: &[String], new: &[String]) -> Vec<Step> {
    let width = new.len() + 1;
    let mut longest = vec![0usize; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            longest[a * width + b] = if old[a] == new[b] {
                longest[(a + 1) * width + b + 1] + 1
            } else {
                longest[(a + 1) * width + b].max(longest[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b, mut out) = (0, 0, Vec::new());
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            out.push(Step::Both(a, b));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || a < old.len() && longest[(a + 1) * width + b] >= longest[a * width + b + 1] {
            out.push(Step::Old(a));
            a += 1;
        } else {
            out.push(Step::New(b));
            b += 1;
        }
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
    }
}
