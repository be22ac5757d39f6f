"""Five array programs of the literature, as a NumPy user writes them, unmodified: arrayexpr beside NumPy and Numba.

Each is one function on arrays. NumPy runs it as it is, `arrayexpr.kernel` traces it as it is, and Numba gets it twice:
as it is, by `njit`, and as the best loops that we know for it. All run in one process and on one core, in turns;
results are checked against NumPy's before anything is timed, and what a peer does not take is said.

    python -m benchmarks.literature
    python -m benchmarks.literature --programs hdiff,harris --seconds 2

- hdiff: horizontal diffusion of the COSMO weather model, flux-limited (Gysi et al., 2015; NPBench).
- harris: corners of an image (Harris and Stephens, 1988): Sobel's gradients, sums of products over 3 x 3, the response.
- nbody: gravity of all pairs with softening, as in the N-body of Mocz (2020): accelerations of n bodies.
- kmeans: squared distances of points from centroids, and the nearest one (Lloyd, 1982).
- heat: ten explicit time steps of the heat equation in three dimensions (NPBench, from Polybench's heat-3d).

The bar: no slower than the best of the others on any.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import interleaved, shown  # noqa: E402

STEPS = 10

# -- The programs -------------------------------------------------------------------------------


def hdiff(u: Any, coeff: Any, out: Any) -> None:
    lap = 4.0 * u[1:-1, 1:-1] - (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2])
    res = lap[1:, 1:-1] - lap[:-1, 1:-1]
    flx = np.where(res * (u[2:-1, 2:-2] - u[1:-2, 2:-2]) > 0, 0, res)
    res = lap[1:-1, 1:] - lap[1:-1, :-1]
    fly = np.where(res * (u[2:-2, 2:-1] - u[2:-2, 1:-2]) > 0, 0, res)
    out[...] = u[2:-2, 2:-2] - coeff * (flx[1:] - flx[:-1] + fly[:, 1:] - fly[:, :-1])


def harris(image: Any) -> Any:
    dx = image[:, 2:] - image[:, :-2]
    ix = (dx[:-2] + 2 * dx[1:-1] + dx[2:]) / 12
    dy = image[2:] - image[:-2]
    iy = (dy[:, :-2] + 2 * dy[:, 1:-1] + dy[:, 2:]) / 12

    def box(x: Any) -> Any:
        rows = x[:-2] + x[1:-1] + x[2:]
        return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]

    sxx, syy, sxy = box(ix * ix), box(iy * iy), box(ix * iy)
    trace = sxx + syy
    return sxx * syy - sxy * sxy - 0.04 * trace * trace


def nbody(x: Any, y: Any, z: Any, mass: Any, softening: float) -> Any:
    dx = x[None, :] - x[:, None]
    dy = y[None, :] - y[:, None]
    dz = z[None, :] - z[:, None]
    r2 = dx**2 + dy**2 + dz**2 + softening**2
    inv_r3 = mass / (r2 * np.sqrt(r2))
    return (dx * inv_r3).sum(axis=1), (dy * inv_r3).sum(axis=1), (dz * inv_r3).sum(axis=1)


def kmeans(points: Any, centroids: Any) -> Any:
    distances = ((points[:, None, :] - centroids[None, :, :]) ** 2).sum(axis=2)
    return np.argmin(distances, axis=1), distances


def heat(a: Any, b: Any) -> None:
    for _ in range(STEPS // 2):
        for u, v in ((a, b), (b, a)):
            v[1:-1, 1:-1, 1:-1] = (
                0.125 * (u[2:, 1:-1, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1])
                + 0.125 * (u[1:-1, 2:, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, :-2, 1:-1])
                + 0.125 * (u[1:-1, 1:-1, 2:] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, 1:-1, :-2])
                + u[1:-1, 1:-1, 1:-1]
            )


# -- As loops, the best that we know for Numba ----------------------------------------------------


def hdiff_loops(u: Any, coeff: Any, out: Any) -> None:
    ni, nj, nk = out.shape
    for i in range(2, ni + 2):
        for j in range(2, nj + 2):
            for k in range(nk):
                c = 4.0 * u[i, j, k] - (u[i + 1, j, k] + u[i - 1, j, k] + u[i, j + 1, k] + u[i, j - 1, k])
                e = 4.0 * u[i + 1, j, k] - (u[i + 2, j, k] + u[i, j, k] + u[i + 1, j + 1, k] + u[i + 1, j - 1, k])
                w = 4.0 * u[i - 1, j, k] - (u[i, j, k] + u[i - 2, j, k] + u[i - 1, j + 1, k] + u[i - 1, j - 1, k])
                n = 4.0 * u[i, j + 1, k] - (u[i + 1, j + 1, k] + u[i - 1, j + 1, k] + u[i, j + 2, k] + u[i, j, k])
                s = 4.0 * u[i, j - 1, k] - (u[i + 1, j - 1, k] + u[i - 1, j - 1, k] + u[i, j, k] + u[i, j - 2, k])
                fe = e - c
                fe = 0.0 if fe * (u[i + 1, j, k] - u[i, j, k]) > 0 else fe
                fw = c - w
                fw = 0.0 if fw * (u[i, j, k] - u[i - 1, j, k]) > 0 else fw
                fn = n - c
                fn = 0.0 if fn * (u[i, j + 1, k] - u[i, j, k]) > 0 else fn
                fs = c - s
                fs = 0.0 if fs * (u[i, j, k] - u[i, j - 1, k]) > 0 else fs
                out[i - 2, j - 2, k] = u[i, j, k] - coeff[i - 2, j - 2, k] * (fe - fw + fn - fs)


def harris_loops(image: Any) -> Any:
    rows, columns = image.shape
    out = np.empty((rows - 4, columns - 4))
    # Three rows of each product, and their sums over three rows.
    pxx, pyy, pxy = np.empty((3, columns - 2)), np.empty((3, columns - 2)), np.empty((3, columns - 2))
    cxx, cyy, cxy = np.empty(columns - 2), np.empty(columns - 2), np.empty(columns - 2)
    for i in range(rows - 2):
        m = i % 3
        for j in range(columns - 2):
            ix = ((image[i, j + 2] - image[i, j]) + 2 * (image[i + 1, j + 2] - image[i + 1, j])
                  + (image[i + 2, j + 2] - image[i + 2, j])) / 12  # fmt: skip
            iy = ((image[i + 2, j] - image[i, j]) + 2 * (image[i + 2, j + 1] - image[i, j + 1])
                  + (image[i + 2, j + 2] - image[i, j + 2])) / 12  # fmt: skip
            pxx[m, j], pyy[m, j], pxy[m, j] = ix * ix, iy * iy, ix * iy
        if i < 2:
            continue
        for j in range(columns - 2):
            cxx[j] = pxx[0, j] + pxx[1, j] + pxx[2, j]
            cyy[j] = pyy[0, j] + pyy[1, j] + pyy[2, j]
            cxy[j] = pxy[0, j] + pxy[1, j] + pxy[2, j]
        for j in range(columns - 4):
            sxx = cxx[j] + cxx[j + 1] + cxx[j + 2]
            syy = cyy[j] + cyy[j + 1] + cyy[j + 2]
            sxy = cxy[j] + cxy[j + 1] + cxy[j + 2]
            trace = sxx + syy
            out[i - 2, j] = sxx * syy - sxy * sxy - 0.04 * trace * trace
    return out


def nbody_loops(x: Any, y: Any, z: Any, mass: Any, softening: float) -> Any:
    n = len(x)
    ax, ay, az = np.zeros(n), np.zeros(n), np.zeros(n)
    # Eight bodies at a time, each an accumulator: vectors, though sums are not reassociated.
    for first in range(0, n, 64):
        last = min(first + 64, n)
        for j in range(n):
            for i in range(first, last):
                dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
                r2 = dx * dx + dy * dy + dz * dz + softening * softening
                inv_r3 = mass[j] / (r2 * np.sqrt(r2))
                ax[i] += dx * inv_r3
                ay[i] += dy * inv_r3
                az[i] += dz * inv_r3
    return ax, ay, az


def kmeans_loops(points: Any, centroids: Any) -> Any:
    n, d = points.shape
    k = len(centroids)
    turned = centroids.T.copy()
    distances = np.zeros((n, k))
    nearest = np.empty(n, np.int64)
    for i in range(n):
        row = distances[i]
        for f in range(d):
            p = points[i, f]
            for c in range(k):
                t = p - turned[f, c]
                row[c] += t * t
        best = 0
        for c in range(1, k):
            if row[c] < row[best]:
                best = c
        nearest[i] = best
    return nearest, distances


def heat_loops(a: Any, b: Any) -> None:
    n, m, o = a.shape
    for t in range(STEPS):
        u, v = (a, b) if t % 2 == 0 else (b, a)
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                for k in range(1, o - 1):
                    c = 2.0 * u[i, j, k]
                    v[i, j, k] = (
                        0.125 * (u[i + 1, j, k] - c + u[i - 1, j, k])
                        + 0.125 * (u[i, j + 1, k] - c + u[i, j - 1, k])
                        + 0.125 * (u[i, j, k + 1] - c + u[i, j, k - 1])
                        + u[i, j, k]
                    )


# -- Their data -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Literature:
    """A program: its text, its loops, the arrays of a problem, and which of those it assigns."""

    function: Callable[..., Any]
    loops: Callable[..., Any]
    arguments: Callable[[Any, float], tuple[Any, ...]]
    assigned: tuple[int, ...] = ()


def _hdiff_arrays(rng: Any, scale: float) -> tuple[Any, ...]:
    n = max(8, round(256 * scale))
    return rng.random((n + 4, n + 4, 80)), rng.random((n, n, 80)), np.zeros((n, n, 80))


def _bodies(rng: Any, scale: float) -> tuple[Any, ...]:
    n = max(16, round(2000 * scale))
    return (*rng.normal(size=(3, n)), rng.random(n), 0.1)


def _heat_arrays(rng: Any, scale: float) -> tuple[Any, ...]:
    n = max(6, round(160 * scale))
    a = rng.random((n, n, n))
    return a, a.copy()


PROGRAMS = {
    "hdiff": Literature(hdiff, hdiff_loops, _hdiff_arrays, (2,)),
    "harris": Literature(
        harris, harris_loops, lambda rng, s: (rng.random((max(16, round(2048 * s)), max(16, round(2048 * s)))),)
    ),
    "nbody": Literature(nbody, nbody_loops, _bodies),
    "kmeans": Literature(
        kmeans, kmeans_loops, lambda rng, s: (rng.random((max(50, round(100_000 * s)), 16)), rng.random((32, 16)))
    ),
    "heat": Literature(heat, heat_loops, _heat_arrays, (0, 1)),
}


def results(program: Literature, function: Callable[..., Any], scale: float = 1.0) -> list[Any]:
    """What a form of a program gives and leaves in its arrays, of a problem that is always the same."""
    arguments = program.arguments(np.random.default_rng(0), scale)
    returned = function(*arguments)
    given = [] if returned is None else list(returned) if isinstance(returned, tuple) else [returned]
    return [*given, *(arguments[k] for k in program.assigned)]


def wrong(got: list[Any], expected: list[Any]) -> str:
    """What differs from NumPy's, beyond the rounding of sums in another order; empty where nothing does."""
    for k, (x, y) in enumerate(zip(got, expected, strict=True)):
        if x.shape != y.shape or not np.allclose(x, y, rtol=1e-11, atol=1e-12):
            return f"result {k} is wrong"
    return ""


def forms(program: Literature) -> dict[str, Any]:
    """The forms of a program, by name; the reason instead where one is not to be had."""
    import arrayexpr

    found: dict[str, Any] = {
        "numpy": program.function,
        "arrayexpr": arrayexpr.kernel(program.function, threads=1, wait=True),
    }
    try:
        import numba
    except ImportError:
        return {**found, "numba": "not installed", "numba loops": "not installed"}
    found["numba"] = numba.njit(program.function, error_model="numpy")
    found["numba loops"] = numba.njit(program.loops, error_model="numpy")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default=",".join(PROGRAMS), help="names, with commas between")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each form of each program (default 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the lengths of the axes (default 1)")
    options = parser.parse_args()
    print(
        f"{'program':<10}{'numpy':>12}{'numba':>12}{'numba loops':>14}{'arrayexpr':>12}{'the best of them to ours':>27}"
    )
    for name in options.programs.split(","):
        program = PROGRAMS[name]
        expected = results(program, program.function, options.scale)
        calls: dict[str, Any] = {}
        notes = []
        for form, function in forms(program).items():
            fault = function
            if not isinstance(function, str):
                try:
                    fault = wrong(results(program, function, options.scale), expected)
                except Exception as error:
                    # Whatever a peer raises, it does not take the program.
                    fault = f"not taken: {type(error).__name__}"
            if fault:
                notes.append(f"{form}: {fault}")
                continue
            arguments = program.arguments(np.random.default_rng(0), options.scale)
            calls[form] = lambda function=function, arguments=arguments: function(*arguments)
        once = {form: timing.median for form, timing in interleaved(calls, rounds=2, at_least=0.0).items()}
        rounds = max(3, min(50, round(options.seconds / max(once.values()))))
        times = {form: timing.median for form, timing in interleaved(calls, rounds=rounds, at_least=1e-3).items()}
        cells = [
            shown(times[form]) if form in times else "-" for form in ("numpy", "numba", "numba loops", "arrayexpr")
        ]
        best = min((t for form, t in times.items() if form != "arrayexpr"), default=float("nan"))
        ratio = f"{best / times['arrayexpr']:.2f}" if "arrayexpr" in times else "-"
        print(f"{name:<10}{cells[0]:>12}{cells[1]:>12}{cells[2]:>14}{cells[3]:>12}{ratio:>27}", flush=True)
        for note in notes:
            print(f"    {note}")


if __name__ == "__main__":
    main()
