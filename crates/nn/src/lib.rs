//! Layers that really train on candle: convolution, pooling, batch norm, dropout, with complete gradients on CPU.
