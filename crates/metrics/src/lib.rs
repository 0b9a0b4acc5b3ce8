//! Scores of embeddings as the papers define them: recall@K, R-precision, MAP@R, VRF, kNN accuracy, NMI, pairwise F1.
