//! Networks that map images to embeddings, with Hub-style config.json and model.safetensors.
