//! Which examples form a batch: N-pair, tuplet, triplet and balanced samplers, and greedy negative class mining.
