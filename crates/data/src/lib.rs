//! Images for metric learning: data sets, class-disjoint splits, transforms, prefetch and a built-in procedural glyph set.
