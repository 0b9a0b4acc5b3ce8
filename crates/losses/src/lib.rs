//! Deep metric learning losses on candle: N-pair-mc, N-pair-ovo, triplets, tuplets, contrastive, NCA, softmax.
