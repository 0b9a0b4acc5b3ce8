# The shape of pictures kept or not: the same steps, network width and seeds. shape.sh NPAIR OUT
N=$1; O=$2; mkdir -p $O
one() { name=$1; data=$2; seed=$3; shift 3
  $N train --threads 1 --data $data --out $O/$name-$seed --seed $seed --set training.steps=400 --set training.eval_every=200 "$@" > $O/$name-$seed.txt 2>&1 || { tail -2 $O/$name-$seed.txt; return; }
  echo "$name seed $seed: $($N eval $O/$name-$seed --threads 1 --no-baselines 2>/dev/null | grep -E 'recall@1 ' | head -1)"; rm -rf $O/$name-$seed; }
for seed in 1 2; do
  one words-oblong words $seed
  one words-square words $seed --set images.size=32
  one trimmed-fit trimmed $seed
  one trimmed-middle trimmed $seed --set 'images.resize={short-side=32}'
  one trimmed-squeezed trimmed $seed --set 'images.resize="exact"'
done
