"""Freezes what scikit-learn's LDA makes of a small store: python lda.py > lda.json

The solver "eigen" takes covariances over all rows, as miner does ("svd" divides by rows - classes), but does not take the
mean away, which is done here.
"""

import json

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

draw = np.random.default_rng(7)
y = np.repeat([0, 1, 2, 3], [5, 9, 7, 6])
centres = draw.normal(size=(4, 5)) * 2
# Exact in f32, as the store holds them.
x = np.float64(np.float32(centres[y] + draw.normal(size=(len(y), 5)) @ draw.normal(size=(5, 5))))
lda = LinearDiscriminantAnalysis(solver="eigen").fit(x, y)
transformed = ((x - x.mean(0)) @ lda.scalings_)[:, :3]
print(json.dumps({"x": x.tolist(), "y": y.tolist(), "transformed": transformed.tolist()}))
