//! Media types of bodies and answers.

use super::Operation;

impl Operation<'_> {
    /// The types of body that are taken.
    pub(super) fn consumes(&self) -> &'static [&'static str] {
        match self.verb {
            "patch" if !self.row.is_custom() && !self.connects() => &[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ],
            _ if !self.row.is_custom() => &["*/*"],
            "patch" => &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"],
            _ => &["application/json", "application/yaml"],
        }
    }

    /// The types of answer that are given.
    pub(super) fn produces(&self) -> Vec<&'static str> {
        if self.connects() {
            return vec!["*/*"];
        }
        let mut media = vec!["application/json", "application/yaml"];
        if self.row.is_custom() {
            return media;
        }
        if self.is_text() {
            media.insert(0, "text/plain");
        }
        media.push("application/vnd.kubernetes.protobuf");
        if matches!(self.verb, "list" | "watch" | "watchlist") {
            media.extend(["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]);
        }
        media
    }
}
