/// The path of a field: `spec.containers[0].env[NAME]`.
///
/// The nil path, of an error about the object as a whole, prints as `<nil>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(Option<String>);

impl Path {
    /// A path of one name. Without a name Kubernetes takes it for an index that nothing has.
    #[must_use]
    pub fn new(name: &str) -> Path {
        let shown = if name.is_empty() { "[]" } else { name };
        Path(Some(shown.to_owned()))
    }

    /// The path of the object itself.
    #[must_use]
    pub fn nil() -> Path {
        Path(None)
    }

    /// Whether this is the path of the object itself.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        self.0.is_none()
    }

    /// The field `name` of this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Path {
        match &self.0 {
            None => Path::new(name),
            Some(parent) => {
                let mut path = String::with_capacity(parent.len() + 1 + name.len());
                path.push_str(parent);
                path.push('.');
                path.push_str(name);
                Path(Some(path))
            }
        }
    }

    /// The element at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Path {
        self.key(&index.to_string())
    }

    /// The element of a map at `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Path {
        let parent = self.0.as_deref().unwrap_or_default();
        Path(Some(format!("{parent}[{key}]")))
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("<nil>"))
    }
}
