//! Which of a container's streams a request wants.

use super::query::Query;

/// Which of a container's streams are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

impl Streams {
    pub fn of(query: &Query) -> Streams {
        let either = |long: &str, short: &str| query.flag(long) || query.flag(short);
        let tty = query.flag("tty");
        Streams {
            stdin: either("stdin", "input"),
            stdout: either("stdout", "output"),
            stderr: either("stderr", "error") && !tty,
            tty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_no_separate_errors() {
        let streams = Streams::of(&Query::parse("stdin=1&stdout=1&stderr=1&tty=1"));
        assert_eq!(streams, Streams { stdin: true, stdout: true, stderr: false, tty: true });
        assert!(Streams::of(&Query::parse("output=1&error=1")).stderr);
    }
}
