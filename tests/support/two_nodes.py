"""A Ray cluster on this machine, in a process of its own: a head without cores, two nodes with one.

Prints the address and the processes of the nodes' raylets, a line of JSON; a raylet's number on
standard input kills that node; the end of the input ends the cluster.
"""

from __future__ import annotations

import json
import sys
from typing import Any

STORE = 80 * 2**20
"""Bytes of shared memory that a node takes."""


def raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def main() -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
    known = {raylet(node): node for node in nodes}
    print(json.dumps({"address": cluster.address, "raylets": list(known)}), flush=True)
    for line in sys.stdin:
        cluster.remove_node(known.pop(int(line)), allow_graceful=False)
    cluster.shutdown()


if __name__ == "__main__":
    main()
