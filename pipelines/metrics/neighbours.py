"""Exact nearest neighbours in feature space: what precision, recall, density, coverage and memorisation count.

All distances between two sets come from products of matrices, which are fast in float32 but tell only between which bounds a
distance lies. The few pairs that the bounds leave in doubt are decided by float64 differences. So every answer is the one that
float64 differences give for all pairs, ties and rows that occur twice included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, TypeVar

from pipelines.core.lazy import np
from pipelines.core.limits import cores

TILE = 1280  # rows on either side of one product: its result stays in the processor's cache
DENSE = 1 / 16  # share of a product's pairs in doubt above which a product in float64 costs less than single distances
HELD = 2**22  # candidates for nearest neighbours that are held before all but the nearest are dropped
GAPS = 2**17  # numbers in the float64 differences held at once
MODERATE = 40  # binary exponents of numbers whose squares are far from the ends of float32

# Which row, which other row, least and most of their `nearness`.
Pairs = tuple["np.ndarray", "np.ndarray", "np.ndarray", "np.ndarray"]
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Membership:
    """Which rows lie in which balls. The ball about a row reaches to its k-th nearest other row, and its border belongs to it.

    generated_in_real: (len(ks), n) int64, in how many balls of real rows each generated row lies.
    real_in_generated: (len(ks), m) bool, whether each real row lies in the ball of any generated row.
    real_reached: (len(ks), m) bool, whether any generated row lies in the ball of each real row.
    """

    generated_in_real: np.ndarray
    real_in_generated: np.ndarray
    real_reached: np.ndarray


@dataclass(frozen=True)
class Tile:
    """Some rows of a set, ready for products.

    rows: (n, d), the set. numbers: (b,) int64, which of them. centred: (b, d) float32 or float64, what they are from `centre`.
    slack: (b,) the same type; a product errs on the nearness of x and y by no more than the slack of x and that of y.
    upper: (b,) the same type, slack - |centred|²/2.
    """

    rows: np.ndarray
    numbers: np.ndarray
    centre: np.ndarray
    centred: np.ndarray
    slack: np.ndarray
    upper: np.ndarray


def nearest(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of (n, d) points is nearest to each row of (q, d) queries, the first of several, (q,) int64; how far, (q,) float64.

    Raises:
        ValueError: sets that are not (n, d) float32 or float64, empty, not finite, or of different widths.
    """
    (queries, points), unit = prepare(queries=queries, points=points)
    numbers, near = k_nearest(queries, 1, points)
    return numbers[:, 0], np.sqrt(np.abs(2 * near[:, 0])) * unit


def membership(generated: np.ndarray, real: np.ndarray, ks: Sequence[int]) -> Membership:
    """Which rows lie in which balls, for each k, of (n, d) generated and (m, d) real rows.

    Raises:
        ValueError: sets that are not (n, d) float32 or float64, not finite, too small for a k, or of different widths.
    """
    (generated, real), _ = prepare(generated=generated, real=real)
    of_generated, of_real = nearness_of_neighbours(generated, ks), nearness_of_neighbours(real, ks)
    generated_in_real = np.zeros((len(ks), len(generated)), dtype=np.int64)
    real_in_generated, real_reached = np.zeros((2, len(ks), len(real)), dtype=bool)

    def count(pair: tuple[Tile, Tile]) -> list[tuple[Any, ...]]:
        x, y = pair
        inside = compare(x, y, [*of_real[:, None, y.numbers], *of_generated[:, x.numbers, None]])
        by_k = zip(inside[: len(ks)], inside[len(ks) :], strict=True)
        return [(np.count_nonzero(real, axis=1), generated.any(axis=0), real.any(axis=0)) for real, generated in by_k]

    centre = (generated.mean(axis=0, dtype=np.float64) + real.mean(axis=0, dtype=np.float64)) / 2
    pairs = list(product(tiles(generated, centre), tiles(real, centre)))
    for (x, y), counted in zip(pairs, parallel_map(count, pairs), strict=True):
        for k, (counts, held, reached) in enumerate(counted):
            generated_in_real[k, x.numbers] += counts
            real_in_generated[k, y.numbers] |= held
            real_reached[k, y.numbers] |= reached
    return Membership(generated_in_real, real_in_generated, real_reached)


def prepare(**sets: np.ndarray) -> tuple[list[np.ndarray], float]:
    """The sets in a unit, a power of two, in which float32 holds their squares; and that unit."""
    largest = 0.0
    for name, points in sets.items():
        if points.ndim != 2 or not points.size or points.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} have shape {points.shape} and type {points.dtype}; expected (n, d) float32 or float64")
        ends = np.abs([points.min(), points.max()])
        if not np.isfinite(ends).all():
            raise ValueError(f"{name} hold numbers that are not finite; expected none")
        largest = max(largest, float(ends.max()))
    widths = {name: points.shape[1] for name, points in sets.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"sets of different widths cannot be compared: {widths}")
    exponent = int(np.frexp(largest)[1])
    if abs(exponent) <= MODERATE:
        return list(sets.values()), 1.0
    return [np.ldexp(points.astype(np.float64), -exponent) for points in sets.values()], float(np.ldexp(1.0, exponent))


def nearness_of_neighbours(points: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """(len(ks), n) float64: nearness of each row and its k-th nearest other row."""
    if not ks or not 1 <= min(ks) <= max(ks) < len(points):
        raise ValueError(f"{len(points)} rows do not have neighbours {list(ks)}; expected some from 1 to {len(points) - 1}")
    kept = few_copies(points, max(ks) + 1)
    near = np.zeros((len(ks), len(points)))
    near[:, kept] = k_nearest(points if kept.all() else points[kept], max(ks))[1].T[np.array(ks) - 1]
    return near


def few_copies(points: np.ndarray, most: int) -> np.ndarray:
    """(n,) bool: which rows have fewer than `most` equal ones before them.

    The others are at no distance from `most` rows and change nobody's distances. Thousands of them, as a collapsed model makes,
    would all be in doubt about each other.
    """
    _, group, counts = np.unique(np.vecdot(points, points), return_inverse=True, return_counts=True)
    kept, copies = np.ones(len(points), dtype=bool), Counter[bytes]()
    for number in np.flatnonzero(counts[group] > most):
        copies[row := points[number].tobytes()] += 1
        kept[number] = copies[row] <= most
    return kept


def k_nearest(a: np.ndarray, k: int, b: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of b for each row of a: (n, k) int64, which, nearest first, and (n, k) float64, their nearness.

    Without b, the nearest other rows of a; then each product serves its rows and its columns.
    """
    others = a if b is None else b
    columns = tiles(others, others.mean(axis=0, dtype=np.float64), k)
    rows = columns if b is None else tiles(a, columns[0].centre)
    limit = np.full(len(a), -np.inf)  # the k-th nearest is at least as near; known after the first product of a row
    found: list[list[Pairs]] = [[] for _ in rows]

    def search(pair: tuple[int, int]) -> list[tuple[int, Pairs]]:
        """Of two tiles' pairs those that may be among a row's nearest, under the tile that they are for."""
        x, y = rows[pair[0]], columns[pair[1]]
        fresh = limit[x.numbers[0]] == -np.inf
        for s, t, high in products(x, y):
            if x is y:
                np.fill_diagonal(high, -np.inf)
            if fresh:
                limit[x.numbers] = np.partition(high - 2 * t.slack, -k, axis=1)[:, -k] - 2 * s.slack
            p, q, least, most = bounds(s, t, high, high >= limit[x.numbers, None].astype(high.dtype))
            more = [(pair[0], (p, y.numbers[q], least, most))]
            if b is None and x is not y:
                p, q, least, most = bounds(s, t, high, high >= limit[y.numbers].astype(high.dtype))
                more.append((pair[1], (q, x.numbers[p], least, most)))
            if sum(len(pairs[0]) for _, pairs in more) <= DENSE * high.size:
                break
        return more

    def keep_nearest(row: int) -> None:
        """Keep the nearest k of each row, of what was found for a tile."""
        numbers = rows[row].numbers
        i, j, least, most = (np.concatenate(parts) for parts in zip(*found[row], strict=True))
        order = np.lexsort((-least, i))
        kept = most >= least[order][np.searchsorted(i[order], np.arange(len(numbers))) + k - 1][i]
        i, j = i[kept], j[kept]
        near = nearness(a, numbers[i], others, j)
        order = np.lexsort((j, -near, i))
        chosen = order[np.add.outer(np.searchsorted(i[order], np.arange(len(numbers))), np.arange(k)).ravel()]
        found[row] = [(i[chosen], j[chosen], near[chosen], near[chosen])]
        limit[numbers] = near[chosen][k - 1 :: k]

    first = [(row, row if b is None else 0) for row in range(len(rows))]
    rest = combinations(range(len(rows)), 2) if b is None else product(range(len(rows)), range(1, len(columns)))
    for pairs in first, rest:
        for more in parallel_map(search, pairs):
            for row, candidates in more:
                found[row].append(candidates)
            if sum(len(candidates[0]) for some in found for candidates in some) > max(HELD, 4 * k * len(a)):
                list(parallel_map(keep_nearest, [row for row, some in enumerate(found) if len(some) > 1]))
    list(parallel_map(keep_nearest, range(len(rows))))
    numbers, near = np.empty((len(a), k), dtype=np.int64), np.empty((len(a), k))
    for x, [(_, j, value, _)] in zip(rows, found, strict=True):
        numbers[x.numbers], near[x.numbers] = j.reshape(-1, k), value.reshape(-1, k)
    return numbers, near


def compare(x: Tile, y: Tile, limits: list[np.ndarray]) -> list[np.ndarray]:
    """(p, q) bool for each (p, 1) or (q,) float64 limit: whether rows of x and y are at least as near."""
    for s, t, high in products(x, y):
        near = [high >= limit.astype(high.dtype) for limit in limits]
        doubts = []
        for limit, mask in zip(limits, near, strict=True):
            p, q, least, _ = bounds(s, t, high, mask)
            doubtful = least < np.broadcast_to(limit, mask.shape)[p, q]
            doubts.append((p[doubtful], q[doubtful]))
        if sum(len(p) for p, _ in doubts) <= DENSE * high.size:
            break
    for limit, mask, (p, q) in zip(limits, near, doubts, strict=True):
        exact = nearness(x.rows, x.numbers[p], y.rows, y.numbers[q])
        mask[p, q] = exact >= np.broadcast_to(limit, mask.shape)[p, q]
    return near


def products(x: Tile, y: Tile) -> Iterator[tuple[Tile, Tile, np.ndarray]]:
    """The tiles in float32, then in float64, with (p, q) their nearness or up to twice their slack above it."""
    for dtype in np.float32, np.float64:
        s, t = (z if z.centred.dtype == dtype else tile(z.rows, z.numbers, z.centre, dtype) for z in (x, y))
        high = s.centred @ t.centred.T
        high += s.upper[:, None]
        high += t.upper
        yield s, t, high


def bounds(s: Tile, t: Tile, high: np.ndarray, chosen: np.ndarray) -> Pairs:
    p, q = np.unravel_index(np.flatnonzero(chosen), chosen.shape)
    most = high[p, q].astype(np.float64)
    return p, q, most - 2 * (s.slack[p] + t.slack[q]), most


def tiles(rows: np.ndarray, centre: np.ndarray, k: int = 1) -> list[Tile]:
    """Each of more than k rows from all over the set, so that also in sorted rows a tile shows about how far neighbours are."""
    step = min(-(-len(rows) // TILE), max(1, len(rows) // (k + 1)))
    return list(parallel_map(lambda start: tile(rows, np.arange(start, len(rows), step), centre, np.float32), range(step)))


def tile(rows: np.ndarray, numbers: np.ndarray, centre: np.ndarray, dtype: type[np.floating]) -> Tile:
    """In any order, a sum of d products errs by d roundings of |x||y| <= (|x|² + |y|²)/2 at most (Higham, 2002, section 3.1).

    Those of rows, norms and limits are fewer than 32 more. On top come those of float64 differences, and what is too small for
    the type.
    """
    width = rows.shape[1]
    wide = rows[numbers] - centre
    halves = np.vecdot(wide, wide) / 2
    rounding = float(np.finfo(dtype).eps + 2 * np.finfo(np.float64).eps)
    slack = (width + 32) * rounding * halves + width * float(np.finfo(dtype).tiny)
    return Tile(rows, numbers, centre, wide.astype(dtype), slack.astype(dtype), (slack - halves).astype(dtype))


def nearness(a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(p,) float64: -|x - y|²/2 of rows i of a and j of b. A product of matrices comes to it, and the half costs no digit."""
    near = np.empty(len(i))
    size = max(1, GAPS // a.shape[1])
    for start in range(0, len(i), size):
        gaps = np.subtract(a[i[start : start + size]], b[j[start : start + size]], dtype=np.float64)
        near[start : start + size] = np.vecdot(gaps, gaps) / -2
    return near


def parallel_map(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """`function` of each task, in order, a core for each: cores that share one product of this size wait for each other."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(function, tasks)
