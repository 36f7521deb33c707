//! In which form an answer goes out: media type, and whether as the object, its metadata, or a table.

use mainstay_api::status::{ApiResult, Status};

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Media {
    /// The `Content-Type` of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Yaml => YAML,
            Self::Protobuf => PROTOBUF,
        }
    }
}

/// What of an object is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The object itself.
    Object,
    /// A `Table`.
    Table,
    /// `PartialObjectMetadata`.
    Partial,
    /// `PartialObjectMetadataList`.
    PartialList,
}

/// The agreed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Encoding.
    pub media: Media,
    /// Shape.
    pub shape: Shape,
    /// `meta.k8s.io/v1beta1` was asked for instead of `v1`.
    pub beta: bool,
    /// Indented JSON.
    pub pretty: bool,
    /// The media type named `stream=watch`.
    pub stream: bool,
}

impl Form {
    /// Plain JSON.
    pub const JSON: Form = Form { media: Media::Json, shape: Shape::Object, beta: false, pretty: false, stream: false };
}

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What objects are served as.
pub const SERVED: [&str; 3] = [JSON, YAML, PROTOBUF];
/// What collections are served as.
pub const SERVED_LIST: [&str; 5] =
    [JSON, YAML, PROTOBUF, "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

struct Clause<'a> {
    media: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f32,
}

/// Clauses that are moved one by one, which takes the square of their number: nobody says so much in earnest.
const MOVED: usize = 64;

/// The clauses in the order in which they are tried: a clause moves before the one ahead of it while it is of a higher quality
/// or says more.
fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause> =
        accept.split(',').map(str::trim).filter(|part| !part.is_empty()).map(clause).collect();
    if clauses.len() > MOVED {
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        return clauses;
    }
    for end in 1..clauses.len() {
        for at in (1..=end).rev() {
            if !clauses[at].goes_before(&clauses[at - 1]) {
                break;
            }
            clauses.swap(at, at - 1);
        }
    }
    clauses
}

impl<'a> Clause<'a> {
    fn param(&self, key: &str) -> Option<&'a str> {
        self.params.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// How it has bytes written; none if it asks for what is not served.
    fn encoding(&self) -> Option<Media> {
        let stream = self.param("stream").unwrap_or_default();
        let served = matches!(stream, "" | "watch") && matches!(self.param("sv"), None | Some("" | "v1"));
        if !served {
            return None;
        }
        match self.media {
            "*" | "*/*" | "application/*" | JSON => Some(Media::Json),
            // Nobody streams YAML.
            YAML if stream.is_empty() => Some(Media::Yaml),
            PROTOBUF => Some(Media::Protobuf),
            _ => None,
        }
    }

    /// The kind that the answer is to become: its name, group and version.
    fn kind(&self) -> (Option<&'a str>, Option<&'a str>, Option<&'a str>) {
        (self.param("as"), self.param("g"), self.param("v"))
    }

    fn goes_before(&self, other: &Self) -> bool {
        let wild_type = |clause: &Self| clause.media.starts_with('*');
        let wild = |clause: &Self| clause.media.ends_with('*');
        self.quality > other.quality || !wild_type(self) && wild_type(other) || !wild(self) && wild(other)
    }
}

fn clause(text: &str) -> Clause<'_> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let params: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let quality = params.iter().find(|(key, _)| *key == "q").and_then(|(_, value)| value.parse().ok()).unwrap_or(1.0);
    Clause { media, params, quality }
}

/// Agrees on a form. `offered` is what the route serves; `custom` resources know no protobuf, and no router either.
///
/// # Errors
/// 406, worded by the router if no media type fits, by the encoder if a parameter does not.
pub fn negotiate(accept: Option<&str>, offered: &[&str], custom: bool) -> ApiResult<Form> {
    if !custom {
        routed(accept, offered)?;
    }
    agree(accept, custom)
}

/// Whether the router knows a way to what a client accepts.
///
/// # Errors
/// 406 in its words.
pub fn routed(accept: Option<&str>, offered: &[&str]) -> ApiResult<()> {
    let fits = |clause: &Clause| {
        clause.media == "*/*" || offered.iter().any(|media| media.split(';').next() == Some(clause.media))
    };
    if clauses(given(accept)).iter().any(fits) { Ok(()) } else { Err(route_not_acceptable(offered)) }
}

/// As what the resources of all groups are to be written in one document, if a client asks for that before it accepts
/// anything else.
pub fn aggregated(accept: Option<&str>) -> Option<Media> {
    let asked = |clause: &Clause| {
        let media = clause.encoding()?;
        match clause.kind() {
            (None, None, None) => Some(None),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(Some(media)),
            _ => None,
        }
    };
    clauses(given(accept)).iter().find_map(asked).flatten()
}

/// Agrees on a form of what has no other shape than its own.
///
/// # Errors
/// 406, worded by the encoder.
pub fn shapeless(accept: Option<&str>) -> ApiResult<Form> {
    let clauses = clauses(given(accept));
    let mut forms = clauses.iter().filter_map(|clause| form(clause, false));
    forms.find(|form| form.shape == Shape::Object).ok_or_else(|| Status::not_acceptable(&SERVED))
}

/// As what a page is told: as text (`None`), or as the object of a kind of `config.k8s.io`, in the version that is named.
///
/// # Errors
/// 406, worded by the encoder.
pub fn page<'a>(accept: Option<&'a str>, kind: &str) -> ApiResult<Option<(Media, &'a str)>> {
    const TOLD: [&str; 3] = [JSON, YAML, "text/plain"];
    let told = |clause: &Clause<'a>| match (clause.media, clause.kind()) {
        ("*" | "*/*" | "text/*" | "text/plain", (None, None, None)) => Some(None),
        (media, (Some(named), Some("config.k8s.io"), Some(version @ ("v1alpha1" | "v1beta1")))) if named == kind => {
            match media {
                "*" | "*/*" | "application/*" | JSON => Some(Some((Media::Json, version))),
                YAML => Some(Some((Media::Yaml, version))),
                _ => None,
            }
        }
        _ => None,
    };
    clauses(given(accept)).iter().find_map(told).ok_or_else(|| Status::not_acceptable(&TOLD))
}

/// Agrees on a form without the router.
///
/// # Errors
/// 406, worded by the encoder.
fn agree(accept: Option<&str>, custom: bool) -> ApiResult<Form> {
    let clauses = clauses(given(accept));
    clauses.iter().find_map(|clause| form(clause, custom)).ok_or_else(|| Status::not_acceptable(&SERVED))
}

/// Nothing at all accepts everything.
fn given(accept: Option<&str>) -> &str {
    accept.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("*/*")
}

/// The router's 406.
fn route_not_acceptable(offered: &[&str]) -> Status {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}", offered.join(", "));
    Status::failure(406, "NotAcceptable", message).with_empty_details()
}

fn form(clause: &Clause, custom: bool) -> Option<Form> {
    let media = clause.encoding()?;
    let (shape, beta) = match clause.kind() {
        (None, None, None) => (Shape::Object, false),
        (Some(kind), Some("meta.k8s.io"), Some(version @ ("v1" | "v1beta1"))) => (shape(kind)?, version == "v1beta1"),
        _ => return None,
    };
    // Tables are JSON or YAML; of custom objects, only the metadata has a protobuf form.
    let written = match shape {
        Shape::Partial | Shape::PartialList => true,
        Shape::Object => !custom,
        Shape::Table => false,
    };
    if media == Media::Protobuf && !written {
        return None;
    }
    let pretty = clause.param("pretty") == Some("1");
    Some(Form { media, shape, beta, pretty, stream: clause.param("stream") == Some("watch") })
}

fn shape(kind: &str) -> Option<Shape> {
    match kind {
        "Table" => Some(Shape::Table),
        "PartialObjectMetadata" => Some(Shape::Partial),
        "PartialObjectMetadataList" => Some(Shape::PartialList),
        _ => None,
    }
}

/// Whether JSON is to be indented: asked for in a word of Go's for true, or the client is a person's terminal or browser.
pub fn wants_pretty(query: &super::query::Query, user_agent: &str) -> bool {
    match query.text("pretty") {
        "" => ["curl", "Wget", "Mozilla/5.0"].iter().any(|browser| user_agent.starts_with(browser)),
        word => matches!(word, "1" | "t" | "T" | "true" | "TRUE" | "True"),
    }
}

/// The media type of a request body, without parameters.
///
/// # Errors
/// 415 if it is none of ours. No header at all means JSON.
pub fn body_media(content_type: Option<&str>, custom: bool) -> ApiResult<Media> {
    let Some(text) = content_type.filter(|text| !text.is_empty()) else { return Ok(Media::Json) };
    let unsupported = || Status::unsupported_media_type(&SERVED);
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let whole = |param: &str| param.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty());
    if parts.any(|param| !param.is_empty() && !whole(param)) {
        return Err(unsupported());
    }
    match media.to_ascii_lowercase().as_str() {
        JSON => Ok(Media::Json),
        YAML => Ok(Media::Yaml),
        PROTOBUF if !custom => Ok(Media::Protobuf),
        _ => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_gets_a_table() {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let form = negotiate(Some(accept), &SERVED_LIST, false).unwrap();
        assert_eq!((form.media, form.shape, form.beta), (Media::Json, Shape::Table, false));
    }

    #[test]
    fn what_nobody_serves_is_refused_by_the_router() {
        let error = negotiate(Some("application/*"), &SERVED, false).unwrap_err();
        assert!(error.message.starts_with("406: Not Acceptable\n\nAvailable representations: application/json, "));
        let error = negotiate(Some("application/json;as=Odd;v=v1;g=meta.k8s.io"), &SERVED, false).unwrap_err();
        assert!(error.message.starts_with("only the following media types are accepted"));
        for accept in [
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
            "application/json;stream=odd",
            "application/yaml;stream=watch",
            "application/json;sv=v2",
        ] {
            assert!(negotiate(Some(accept), &SERVED, false).is_err(), "{accept}");
        }
        assert!(negotiate(Some("application/json;sv=v1;stream="), &SERVED, false).is_ok());
    }

    #[test]
    fn quality_decides() {
        let media = |accept| negotiate(Some(accept), &SERVED, false).unwrap().media;
        assert_eq!(media("application/yaml;q=0.1,application/json;q=0.9"), Media::Json);
        assert_eq!(media("*/*;q=0.5,application/yaml;q=0.1"), Media::Yaml);
    }

    #[test]
    fn what_says_more_comes_first() {
        let media = |accept: &str| negotiate(Some(accept), &SERVED, false).unwrap().media;
        assert_eq!(media("*/*,application/yaml"), Media::Yaml);
        assert_eq!(media("application/*,application/yaml"), Media::Yaml);
        assert_eq!(media("application/yaml,application/json"), Media::Yaml);
        let long = format!("{}application/yaml;q=0.9,application/json", "text/html,".repeat(100_000));
        assert_eq!(media(&long), Media::Json);
    }

    #[test]
    fn people_read_indented_text() {
        let pretty = |query, agent| wants_pretty(&super::super::query::Query::parse(Some(query)), agent);
        assert!(pretty("pretty=true", "") && pretty("pretty=1", "") && pretty("pretty=", "curl/8.0"));
        assert!(pretty("", "Mozilla/5.0 (X11)") && pretty("", "Wget"));
        for odd in ["pretty=x", "pretty=false", "pretty=tRUE", "pretty=0"] {
            assert!(!pretty(odd, "curl/8.0"), "{odd}");
        }
        assert!(!pretty("", "kubectl/v1.36.0"));
    }

    #[test]
    fn custom_resources_have_no_router() {
        let error = negotiate(Some("text/html"), &SERVED, true).unwrap_err();
        assert!(error.message.starts_with("only the following media types are accepted"));
        assert_eq!(negotiate(Some("application/*"), &SERVED, true).unwrap().media, Media::Json);
    }

    #[test]
    fn malformed_content_types_are_refused() {
        for odd in ["application/json;a", "application/json;charset=", "application/json;=utf-8"] {
            assert!(body_media(Some(odd), false).is_err(), "{odd}");
        }
        assert_eq!(body_media(Some("application/json; charset=utf-8"), false).unwrap(), Media::Json);
    }

    #[test]
    fn discovery_is_aggregated_for_who_asks_for_that_first() {
        const ALL: &str = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let asked = |accept: &str| aggregated(Some(&accept.replace("ALL", ALL)));
        assert_eq!(asked("application/json;ALL,application/json"), Some(Media::Json));
        assert_eq!(asked("application/json;q=0.1,application/json;ALL;q=0.9"), Some(Media::Json));
        assert_eq!(asked("application/yaml;ALL"), Some(Media::Yaml));
        assert_eq!(asked("text/html,application/vnd.kubernetes.protobuf;ALL"), Some(Media::Protobuf));
        for other in [
            "",
            "application/json,application/json;ALL",
            "application/cbor;ALL",
            "application/json;as=APIGroupDiscoveryList;v=v2",
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        ] {
            assert_eq!(asked(other), None, "{other}");
        }
    }

    #[test]
    fn a_page_is_text_but_for_who_names_its_object() {
        let told = |accept: Option<&'static str>| page(accept, "Statusz").map_err(|status| status.code());
        for text in [None, Some(""), Some("*/*"), Some("text/plain"), Some("application/json;v=v1;g=x;as=Statusz,*/*")]
        {
            assert_eq!(told(text), Ok(None), "{text:?}");
        }
        let json = "application/json;v=v1beta1;g=config.k8s.io;as=Statusz";
        assert_eq!(told(Some(json)), Ok(Some((Media::Json, "v1beta1"))));
        let yaml = "application/yaml;g=config.k8s.io;v=v1alpha1;as=Statusz,text/plain";
        assert_eq!(told(Some(yaml)), Ok(Some((Media::Yaml, "v1alpha1"))));
        for odd in ["application/json", "application/json;v=v1beta1;g=config.k8s.io;as=Flagz", "application/xml"] {
            assert_eq!(told(Some(odd)), Err(406), "{odd}");
        }
    }

    #[test]
    fn what_has_one_shape_is_no_table() {
        assert!(shapeless(Some("application/json;as=Table;v=v1;g=meta.k8s.io")).is_err());
        let form = shapeless(Some("application/json;as=Table;v=v1;g=meta.k8s.io,application/yaml")).unwrap();
        assert_eq!((form.media, form.shape), (Media::Yaml, Shape::Object));
    }
}
