"""Images a second to `domain` features, against the same network in PyTorch, on the same cores and images, in one run.

    python -m benchmarks.features

10,000 images of 28x28 grey; both in float32, in batches of 256, taking turns. PyTorch runs in the faster of its two layouts of
memory, without gradients.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import peers
from pipelines.core import backend

COUNT, SIDE, BATCH, ROUNDS = 10_000, 28, 256, 5

PEER = """
import json, sys, time
import numpy as np, torch
from torch import nn
images, rounds, batch = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
widths = (16, 32, 64)
layers, channels = [], images.shape[-1]
for i, width in enumerate(widths):
    for stride in ((2, 1) if i else (1,)):
        layers += [nn.Conv2d(channels, width, 3, stride, padding=1), nn.ReLU()]
        channels = width
side = images.shape[1] // 4 // 3
layers += [nn.AvgPool2d(side, ceil_mode=True), nn.Flatten()]
with torch.inference_mode():
    body = nn.Sequential(*layers)
    flat = body(torch.zeros(1, images.shape[-1], *images.shape[1:3])).shape[1]
    vector, logits = nn.Sequential(nn.Linear(flat, 64), nn.ReLU()), nn.Linear(64, 10)
    best = 0.0
    for layout in (torch.contiguous_format, torch.channels_last):
        body.to(memory_format=layout)
        for _ in range(rounds):
            start = time.perf_counter()
            for first in range(0, len(images), batch):
                x = torch.from_numpy(images[first : first + batch]).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1
                seen = vector(body(x.contiguous(memory_format=layout)))
                seen.numpy(), logits(seen).numpy()
            best = max(best, len(images) / (time.perf_counter() - start))
print(json.dumps(best))
"""


def main() -> None:
    backend.load()
    from pipelines.features.base import ExtractorSettings
    from pipelines.features.domain import Domain

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (COUNT, SIDE, SIDE, 1), dtype=np.uint8)
    extractor = Domain.fit(images[:512], random.integers(0, 10, 512).astype(np.int32), 10, ExtractorSettings(steps=1, seed=0))
    extractor.extract(images[:BATCH])
    peers.python()
    ours = theirs = 0.0
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", images)
        for _ in range(2):
            for _ in range(ROUNDS):
                start = time.perf_counter()
                extractor.extract(images)
                ours = max(ours, COUNT / (time.perf_counter() - start))
            theirs = max(theirs, peers.run(PEER, str(Path(folder) / "images.npy"), str(ROUNDS), str(BATCH)))
    print(f"genloop {ours:,.0f} images/s, PyTorch {theirs:,.0f} images/s (best of {2 * ROUNDS}): {ours / theirs:.2f} times")


if __name__ == "__main__":
    main()
