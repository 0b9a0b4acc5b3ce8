cd "$(git rev-parse --show-toplevel)/benches/peers"
for side in ours theirs ours theirs; do
  if [ $side = ours ]; then echo "npair: $(echo search | RAYON_NUM_THREADS=2 ../../target/release/similarity_peer top-k 60502 1000 --threads 2 | tail -1)"; else echo "faiss: $(echo search | python -B search.py 60502 1000 --threads 2 | tail -1)"; fi
done
