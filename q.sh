# q.sh SCENE GT|- ARGS...   train, evaluate; small files to $OUT
scene=$1; gt=$2; shift 2
run=/tmp/runs/$(basename $OUT); mkdir -p $run
python3 -m milo.backend.cli --debug reconstruct $scene -o $run --device cuda "$@" 2>&1 | tr '\r' '\n' | grep -v '^ *$' | tail -n 15
g=(); [ $gt != - ] && g=(--gt $gt)
python3 -m milo.backend.cli --debug evaluate $run "${g[@]}" 2>&1 | tail -n 25
cp $run/run.json $run/evaluation.json $OUT/ ; ls -la $run; cp $run/pictures/*.jpg $OUT/ 2>/dev/null; tail -n 2 $run/metrics.jsonl; nvidia-smi --query-gpu=memory.used --format=csv
