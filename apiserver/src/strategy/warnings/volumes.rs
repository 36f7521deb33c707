//! Volumes that do nothing any more, and files of volumes that lie over each other.

use mainstay_api::field::go_quote;

use super::quantity;
use crate::strategy::validate::At;

/// By field; the name is the one in the warning where it is another.
const DEAD: &[(&str, &str, &str)] = &[
    ("photonPersistentDisk", "", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "", "deprecated in v1.28, non-functional in v1.31+"),
];

/// The dead sources of a pod's volume or of a persistent volume.
pub(crate) fn dead(volume: &At<'_>, out: &mut Vec<String>) {
    for (field, shown, text) in DEAD {
        if volume.opt(field).is_some() {
            let name = if shown.is_empty() { field } else { shown };
            out.push(format!("{}: {text}", volume.path.child(name)));
        }
    }
}

/// All of a pod's volumes.
pub(super) fn all(spec: &At<'_>, out: &mut Vec<String>) {
    for volume in spec.get("volumes").items() {
        dead(&volume, out);
        if let Some(template) = volume.get("ephemeral").opt("volumeClaimTemplate") {
            claim(&template.get("spec"), out);
        }
    }
    spec.get("volumes").items().for_each(|volume| overlaps(&volume, out));
}

/// The spec of a claim.
pub(crate) fn claim(spec: &At<'_>, out: &mut Vec<String>) {
    for list in ["requests", "limits"] {
        quantity(&spec.get("resources").get(list), "storage", out);
    }
}

/// A file with what it is from.
#[derive(Clone, PartialEq)]
struct File {
    path: String,
    source: String,
}

impl File {
    fn shown(&self) -> String {
        match self.source.as_str() {
            "" => go_quote(&self.path),
            source => format!("{} ({source})", go_quote(&self.path)),
        }
    }

    /// One is the other, or lies under it.
    fn over(&self, other: &Self) -> bool {
        let (own, theirs) = (format!("{}/", self.path), format!("{}/", other.path));
        own.starts_with(&theirs) || theirs.starts_with(&own)
    }
}

fn overlaps(volume: &At<'_>, out: &mut Vec<String>) {
    let name = volume.get("name").str();
    for (field, key, what) in
        [("configMap", "name", "ConfigMap"), ("secret", "secretName", "Secret"), ("downwardAPI", "", "DownwardAPI")]
    {
        if let Some(source) = volume.opt(field) {
            let what =
                if key.is_empty() { what.to_owned() } else { format!("{what} {}", go_quote(source.get(key).str())) };
            tell(name, &what, files(&source, ""), &mut Vec::new(), out);
        }
    }
    let Some(projected) = volume.opt("projected") else { return };
    let mut seen = Vec::new();
    for source in projected.get("sources").items() {
        if source.is_empty() {
            out.push(format!("volume {} (Projected) has no sources provided", go_quote(name)));
        } else {
            tell(name, "Projected", projected_files(&source), &mut seen, out);
        }
    }
}

fn tell(volume: &str, what: &str, files: Vec<File>, seen: &mut Vec<File>, out: &mut Vec<String>) {
    for file in files {
        for other in seen.iter().filter(|other| !file.path.is_empty() && !other.path.is_empty() && file.over(other)) {
            out.push(format!(
                "volume {} ({what}): overlapping paths: {} with {}",
                go_quote(volume),
                file.shown(),
                other.shown()
            ));
        }
        seen.push(file);
    }
}

fn files(source: &At<'_>, shown: &str) -> Vec<File> {
    source.get("items").items().map(|item| file(&item.get("path"), shown)).collect()
}

fn file(path: &At<'_>, source: &str) -> File {
    File { path: path.str().trim_end_matches('/').to_owned(), source: source.to_owned() }
}

fn projected_files(source: &At<'_>) -> Vec<File> {
    let of = |field: &str, what: &str| -> Option<Vec<File>> {
        let part = source.opt(field)?;
        Some(files(&part, &format!("{what} {}", go_quote(part.get("name").str()))))
    };
    let one = |field: &str, what: &str| source.opt(field).map(|part| vec![file(&part.get("path"), what)]);
    let bundle = || {
        let part = source.opt("clusterTrustBundle")?;
        let name = part.opt("name").unwrap_or_else(|| part.get("signerName"));
        Some(vec![file(&part.get("path"), &format!("ClusterTrustBundle {}", go_quote(name.str())))])
    };
    of("configMap", "ConfigMap")
        .or_else(|| of("secret", "Secret"))
        .or_else(|| source.opt("downwardAPI").map(|part| files(&part, "DownwardAPI")))
        .or_else(|| one("serviceAccountToken", "ServiceAccountToken"))
        .or_else(bundle)
        .unwrap_or_default()
}
