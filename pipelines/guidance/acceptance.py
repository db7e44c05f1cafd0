"""Which images are shown: each with the probability (p/m)^(1/T), p how likely people like it, m the greatest p that is
known of the model, and T the temperature.

An image that is not accepted is replaced by the next one that the model generates. So what is shown follows the model's own
distribution times p^(1/T) (m only saves tries), exactly and without any training (rejection sampling, von Neumann 1951;
Azadi et al., 2018, 1810.06758, choose among the images of a GAN in this way, by its discriminator). One in ten is shown as
it comes. By that mixture an image is shown 0.1 + 0.9 a / E times as often as the model generates it, a how likely it is
accepted and E the mean of that, and one over that is its weight: weighted by it, what was shown stands for what the model
generates (inverse propensity; the balance heuristic of Veach & Guibas, 1995). No weight is above ten.
"""

from __future__ import annotations

import numpy as np

PLAIN = 0.1  # share of what is shown that is not chosen


def acceptance(approval: np.ndarray, temperature: float, greatest: float) -> np.ndarray:
    """(n,) float64, 0..1, from (n,) float64 probabilities that people like each.

    greatest: above 0, the greatest such probability that is known of the model.
    """
    return np.minimum(approval / greatest, 1) ** (1 / temperature)


def weights(accepted: np.ndarray, mean: float) -> np.ndarray:
    """(n,) float64, above 0 and at most 10: how much each stands for, of what the model generates.

    accepted: (n,) float64, how likely each is accepted. mean: of that, over what the model generates.
    """
    return 1 / (PLAIN + (1 - PLAIN) * accepted / max(mean, 1e-12))
