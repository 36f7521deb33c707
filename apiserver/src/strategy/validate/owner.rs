/// Whose spec it is: a template leaves more open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// A pod of this name.
    Pod(&'a str),
    /// A template of pods.
    Template,
}
