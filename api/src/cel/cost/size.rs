//! Sizes of values, as far as they are known.

/// A size that nothing bounds, and the largest cost.
pub(super) const UNBOUNDED: f64 = 1.844_674_407_370_955_2e19;

/// How large a value is at the least and at the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub least: f64,
    pub most: f64,
}

impl Size {
    pub const ENDLESS: Self = Self { least: 0.0, most: UNBOUNDED };

    pub fn exactly(size: f64) -> Self {
        Self { least: size, most: size }
    }

    pub fn at_most(most: f64) -> Self {
        Self { least: 0.0, most }
    }

    #[expect(clippy::cast_precision_loss, reason = "what an expression spells is short")]
    pub fn count(count: usize) -> Self {
        Self::exactly(count as f64)
    }

    pub fn plus(self, other: Self) -> Self {
        Self { least: bounded(self.least + other.least), most: bounded(self.most + other.most) }
    }

    pub fn times(self, other: Self) -> Self {
        Self { least: bounded(self.least * other.least), most: bounded(self.most * other.most) }
    }

    /// What both sizes lie in.
    pub fn or(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    /// The cost of going through the value at so much for each part.
    pub fn at(self, each: f64) -> f64 {
        bounded((self.most * each).ceil())
    }

    /// The cost of something that is done for each part.
    pub fn times_cost(self, cost: f64) -> f64 {
        bounded(self.most * cost)
    }
}

fn bounded(number: f64) -> f64 {
    number.min(UNBOUNDED)
}
