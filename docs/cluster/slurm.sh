#!/bin/bash
# A grid as a Slurm array: one part per task, all in one store on a shared file system.
# Submit it again after a time limit, a failed node or more seeds: what is done is skipped, what was
# stopped goes on from its last checkpoint.
#SBATCH --job-name=textbench
#SBATCH --array=0-15
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@300
set -u
parts=$((SLURM_ARRAY_TASK_MAX - SLURM_ARRAY_TASK_MIN + 1))
# `exec`, so that Slurm's SIGTERM reaches textbench, which lets its workers write checkpoints.
exec textbench run --config grid.toml --results /shared/results \
  --shard "$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))/$parts" \
  --jobs "$SLURM_CPUS_PER_TASK" --time-budget 11h45m --timeout 30m --memory 6GB --retry 1
