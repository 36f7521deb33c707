//! Which lines of two texts belong together, found as Kubernetes finds them: the longest run of equal lines first, then
//! the same before and after it. (The method of Ratcliff and Obershelp, as Python's difflib has it.)

use std::collections::HashMap;
use std::ops::Range;

/// How many lines, and pairs of equal lines, are looked at for each line of the texts. What is left then is compared from
/// its two ends only, so that no text takes more time than is due to its length.
const LOOKS: usize = 64;
/// From so many lines on, those of which there are more than one in a hundred do not begin a run.
const MANY: usize = 200;

/// A run of lines that both texts have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub old: usize,
    pub new: usize,
    pub len: usize,
}

/// A part of both texts.
type Part = (Range<usize>, Range<usize>);

struct Matcher<'a> {
    old: &'a [String],
    new: &'a [String],
    /// Where the new text has each line of the old one, but for those that it has too often.
    places: Vec<&'a [usize]>,
    looks: usize,
}

/// The runs that both texts have, in their order.
pub(super) fn runs(old: &[String], new: &[String]) -> Vec<Run> {
    let places = places(new);
    let of_old = old.iter().map(|line| places.get(line.as_str()).map_or(&[][..], Vec::as_slice)).collect();
    let mut matcher = Matcher { old, new, places: of_old, looks: LOOKS * (old.len() + new.len()) };
    let (mut parts, mut found) = (vec![(0..old.len(), 0..new.len())], Vec::new());
    while let Some(part) = parts.pop() {
        let (a, b) = part.clone();
        if a.is_empty() || b.is_empty() {
            continue;
        }
        let Some(run) = matcher.longest(&part) else {
            found.extend(matcher.ends(part).into_iter().filter(|run| run.len > 0));
            continue;
        };
        if run.len > 0 {
            parts.push((a.start..run.old, b.start..run.new));
            parts.push((run.old + run.len..a.end, run.new + run.len..b.end));
            found.push(run);
        }
    }
    found.sort_by_key(|run| run.old);
    found
}

fn places(new: &[String]) -> HashMap<&str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if new.len() >= MANY {
        places.retain(|_, list| list.len() <= new.len() / 100 + 1);
    }
    places
}

impl Matcher<'_> {
    /// The longest run of a part, of those the first; none if there is no time left to look for it.
    fn longest(&mut self, (a, b): &Part) -> Option<Run> {
        let mut best = Run { old: a.start, new: b.start, len: 0 };
        // Where runs of equal lines end that go on to the line before, with their lengths.
        let (mut before, mut now) = (Vec::<(usize, usize)>::new(), Vec::new());
        for at in a.clone() {
            let list = self.places[at];
            let list = &list[list.partition_point(|place| *place < b.start)..];
            let list = &list[..list.partition_point(|place| *place < b.end)];
            self.looks = self.looks.checked_sub(1 + list.len())?;
            let mut earlier = before.iter().peekable();
            for place in list {
                while earlier.next_if(|(end, _)| end + 1 < *place).is_some() {}
                let len = 1 + earlier.next_if(|(end, _)| end + 1 == *place).map_or(0, |(_, len)| *len);
                now.push((*place, len));
                if len > best.len {
                    best = Run { old: at + 1 - len, new: place + 1 - len, len };
                }
            }
            std::mem::swap(&mut before, &mut now);
            now.clear();
        }
        Some(self.grown(best, a, b))
    }

    /// A run with those equal lines around it that begin none.
    fn grown(&self, mut run: Run, a: &Range<usize>, b: &Range<usize>) -> Run {
        while run.old > a.start && run.new > b.start && self.old[run.old - 1] == self.new[run.new - 1] {
            run = Run { old: run.old - 1, new: run.new - 1, len: run.len + 1 };
        }
        while run.old + run.len < a.end
            && run.new + run.len < b.end
            && self.old[run.old + run.len] == self.new[run.new + run.len]
        {
            run.len += 1;
        }
        run
    }

    /// What a part begins and ends with in both texts.
    fn ends(&self, (a, b): Part) -> [Run; 2] {
        let head = self.grown(Run { old: a.start, new: b.start, len: 0 }, &a, &b);
        let (a, b) = (a.start + head.len..a.end, b.start + head.len..b.end);
        [head, self.grown(Run { old: a.end, new: b.end, len: 0 }, &a, &b)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn found(old: &str, new: &str) -> Vec<(usize, usize, usize)> {
        runs(&lines(old), &lines(new)).into_iter().map(|run| (run.old, run.new, run.len)).collect()
    }

    #[test]
    fn the_longest_run_is_found_first() {
        assert_eq!(found("a b x c d", "a b c d"), [(0, 0, 2), (3, 2, 2)]);
        assert_eq!(found("p a b c q", "a b c p x q"), [(1, 0, 3), (4, 5, 1)]);
        assert_eq!(found("a", "b"), []);
    }

    #[test]
    fn what_is_there_often_begins_no_run_but_belongs_to_one() {
        let text = |name: &str| [vec!["null".to_owned(); 150], lines(name), vec!["null".to_owned(); 150]].concat();
        let runs = runs(&text("x same"), &text("y same"));
        let expected = [Run { old: 0, new: 0, len: 150 }, Run { old: 151, new: 151, len: 151 }];
        assert_eq!(runs, expected);
        // After a line that only one of them has, those are out of step, and nothing begins a run of them.
        let longer = [vec!["y".to_owned()], text("z same")].concat();
        let runs = super::runs(&longer, &text("x same"));
        assert_eq!(runs, [Run { old: 152, new: 151, len: 151 }]);
    }

    #[test]
    fn texts_that_would_take_long_are_compared_from_their_ends() {
        let text = |name: &str| {
            let body = (0..60_000).map(|at| (at % 100).to_string());
            std::iter::once("first".to_owned()).chain(body).chain(lines(name)).chain(lines("last")).collect::<Vec<_>>()
        };
        let runs = runs(&text("x"), &text("y"));
        assert_eq!(runs, [Run { old: 0, new: 0, len: 60_001 }, Run { old: 60_002, new: 60_002, len: 1 }]);
    }
}
