//! What the query of a log asks for.

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::time::{self, Layout};

use super::{Pairs, flags};
use crate::rest::query::Query;

/// The options of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogOptions<'q> {
    switches: Pairs,
    since_seconds: Option<i64>,
    /// A time; empty: the beginning of all time.
    since_time: Option<&'q str>,
    tail_lines: Option<i64>,
    limit_bytes: Option<i64>,
    /// One of the two streams is asked for.
    picks_stream: bool,
}

impl<'q> LogOptions<'q> {
    /// Reads them from a query, whose first fault is told.
    ///
    /// # Errors
    /// 400 in the words of Go's `strconv` and `time`.
    pub(super) fn read(query: &'q Query) -> ApiResult<Self> {
        Ok(Self {
            switches: flags(query, &["follow", "previous", "timestamps"]),
            since_seconds: query.int("sinceSeconds")?,
            since_time: since_time(query)?,
            tail_lines: query.int("tailLines")?,
            limit_bytes: query.int("limitBytes")?,
            picks_stream: query.get("stream").is_some(),
        })
    }

    /// What is wrong with them.
    pub(super) fn errors(&self) -> ErrorList {
        let mut errors = ErrorList::new();
        let mut at_least = |name: &str, value: Option<i64>, least: i64, text: &str| {
            if let Some(value) = value.filter(|value| *value < least) {
                errors.push(Error::invalid(&Path::new(name), value, text));
            }
        };
        at_least("tailLines", self.tail_lines, 0, "must be greater than or equal to 0");
        at_least("limitBytes", self.limit_bytes, 1, "must be greater than 0");
        if self.since_seconds.is_some() && self.since_time.is_some() {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.push(Error::forbidden(&Path::new(""), why));
        } else {
            at_least("sinceSeconds", self.since_seconds, 1, "must be greater than 0");
        }
        if self.picks_stream {
            errors.push(Error::forbidden(&Path::new("stream"), "may not be specified"));
        }
        errors
    }

    /// The same for the agent.
    pub(super) fn into_pairs(self) -> Pairs {
        let mut pairs = self.switches;
        let numbers =
            [("sinceSeconds", self.since_seconds), ("tailLines", self.tail_lines), ("limitBytes", self.limit_bytes)];
        pairs.extend(numbers.into_iter().filter_map(|(name, value)| Some((name, value?.to_string()))));
        let time = self.since_time.filter(|time| !time.is_empty());
        pairs.extend(time.map(|time| ("sinceTime", time.to_owned())));
        pairs
    }
}

/// Old clients write a time that they do not mean as JSON has it.
fn since_time(query: &Query) -> ApiResult<Option<&str>> {
    match query.get("sinceTime") {
        None => Ok(None),
        Some("" | "null") => Ok(Some("")),
        Some(text) => {
            time::parse(text, Layout::Seconds).map_err(Status::bad_request)?;
            Ok(Some(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(query: &str) -> Vec<String> {
        LogOptions::read(&Query::parse(Some(query))).unwrap().errors().iter().map(Error::body).collect()
    }

    #[test]
    fn log_options_are_judged() {
        assert_eq!(errors("limitBytes=0"), ["Invalid value: 0: must be greater than 0"]);
        assert_eq!(errors("stream=Odd"), ["Forbidden: may not be specified"]);
        assert!(errors("tailLines=0&follow=true&sinceSeconds=5").is_empty());
        let both = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
        for time in ["2026-01-01T00:00:00Z", "null", ""] {
            assert_eq!(errors(&format!("sinceSeconds=0&sinceTime={time}")), [both], "{time}");
        }
        let query = Query::parse(Some("sinceSeconds=1&sinceTime="));
        assert_eq!(LogOptions::read(&query).unwrap().errors()[0].field, "[]");
    }

    #[test]
    fn the_first_option_that_cannot_be_read_is_told() {
        let why = |query| LogOptions::read(&Query::parse(Some(query))).unwrap_err().message.into_owned();
        let number = "strconv.ParseInt: parsing \"x\": invalid syntax";
        assert_eq!(why("tailLines=y&sinceSeconds=x"), number);
        assert!(why("tailLines=x&sinceTime=y").starts_with("parsing time \"y\""));
    }

    #[test]
    fn the_agent_reads_what_was_understood() {
        let pairs = |query| LogOptions::read(&Query::parse(Some(query))).unwrap().into_pairs();
        let pair = |name, value: &str| (name, value.to_owned());
        assert_eq!(
            pairs("follow=yes&previous=False&timestamps&tailLines=%2B5&tailLines=7&odd=1"),
            [pair("follow", "true"), pair("timestamps", "true"), pair("tailLines", "5")]
        );
        assert!(pairs("sinceTime=null&follow=0").is_empty());
        let time = "2026-01-01T00:00:00Z";
        assert_eq!(pairs("sinceTime=2026-01-01T00:00:00Z"), [pair("sinceTime", time)]);
    }
}
