use crate::Element;

/// A buffer whose first value lies at the border of a cache line: a vector that crosses one is read twice.
pub struct Aligned<T> {
    data: Vec<T>,
    skip: usize,
    len: usize,
}

impl<T: Element> Aligned<T> {
    const LINE: usize = 64;

    /// Zeros.
    pub fn zeros(len: usize) -> Self {
        let mut new = Self { data: Vec::new(), skip: 0, len: 0 };
        new.grow(len);
        new.len = len;
        new
    }

    /// Room for `len` values; what it holds is left from its last use.
    pub fn room(&mut self, len: usize) -> &mut [T] {
        if self.data.len() < self.skip + len {
            self.grow(len);
        }
        self.len = len;
        self.values_mut()
    }

    /// The values.
    pub fn values(&self) -> &[T] {
        &self.data[self.skip..self.skip + self.len]
    }

    /// The values, to be written.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.data[self.skip..self.skip + self.len]
    }

    fn grow(&mut self, len: usize) {
        let most = Self::LINE / size_of::<T>();
        self.data = vec![T::ZERO; len + most];
        self.skip = self.data.as_ptr().align_offset(Self::LINE).min(most);
    }
}
