"""What the parts agree on: trainer, metric, task, configuration, spec, streams, schedule."""
