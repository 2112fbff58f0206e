"""numpy's matrix product of all anchors with all rows, and nothing else: product.py STORE PAIRS. The yardstick."""
import sys

import numpy as np

from job import Job, Stages

# Of the shapes that were tried the fastest; small blocks pack the same rows again and again.
ANCHORS, ROWS = 8192, 32_768


def main(store, pairs):
    stage = Stages()
    with stage("read"):
        job = Job(store, pairs, "bands")
        anchors = np.ascontiguousarray(job.vectors[job.anchor])
    # Written once, so that the clock does not see the system hand out its pages.
    block = np.ones((ANCHORS, ROWS), np.float32)
    with stage("product"):
        for a in range(0, len(anchors), ANCHORS):
            some = anchors[a:a + ANCHORS]
            for r in range(0, len(job.vectors), ROWS):
                rows = job.vectors[r:r + ROWS]
                np.matmul(some, rows.T, out=block[:len(some), :len(rows)])
    stage.report("numpy")


main(*sys.argv[1:])
