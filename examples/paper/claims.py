"""One table of figures that could refute the paper's claims, from the JSON of figures.sh:
python examples/paper/claims.py [runs/paper/figures]

Lines of what was not made are left out. ± is a standard error over three seeds of the directions, of the angles over the
steps of a path. Each network was trained once: no number says how it varies from one training to another."""

import json
import math
import pathlib
import statistics
import sys

DECAYS, BATCHES, OPTIMIZERS = ["0", "0.0005"], [128, 1640], ["sgd", "adam"]


def read(folder, name):
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def read_seeds(folder, name):
    """The same result on the planes of all seeds of directions."""
    found = [read(folder, name + seed) for seed in ("", "-seed1", "-seed2")]
    return [one for one in found if one]


def mean(values):
    """A mean with its standard error, e.g. 0.376 ± 0.04; the mean has no more digits than the error lets it."""
    values = [value for value in values if value is not None and math.isfinite(value)]
    if not values:
        return ""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    if error == 0.0:
        return f"{statistics.fmean(values):.3g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{statistics.fmean(values):.{places}f} ± {error:.{places}f}"


def widths(curves):
    """The width along each of several lines; a bound where one of them does not rise within what was measured."""
    found = [width(curve["alpha"], curve["train"]["loss"]) for curve in curves]
    if None in found:
        return f"> {max(curves[0]['alpha']):g}"
    return mean(found)


def nearest(values, value):
    return min(range(len(values)), key=lambda i: abs(values[i] - value))


def risen(alpha, loss, at, step, rise):
    """Where the loss is `rise` above that at a place, on the way in a direction; None if it is not."""
    level, i = loss[at] + rise, at
    while 0 <= i + step < len(loss) and loss[i + step] is not None:
        low, high = loss[i], loss[i + step]
        if high >= level:
            return alpha[i] + (level - low) / (high - low) * (alpha[i + step] - alpha[i])
        i += step
    return None


def width(alpha, loss, rise=1.0):
    """How far along a line the loss is `rise` above that at α = 0, the mean of both sides; None if it never is."""
    places = [risen(alpha, loss, nearest(alpha, 0), step, rise) for step in (1, -1)]
    found = [abs(place) for place in places if place is not None]
    return statistics.fmean(found) if found else None


def beyond(alpha, loss, end, step, rise=1.0):
    """How far beyond an end of a line, away from the other, the loss is `rise` above that at the end; a bound where it is
    not within what was measured."""
    place = risen(alpha, loss, nearest(alpha, end), step, rise)
    if place is None:
        return f"> {abs(alpha[-1 if step > 0 else 0] - end):.2f}"
    return f"{abs(place - end):.2f}"


def neighbours(loss, j, i):
    for dj in (-1, 0, 1):
        for di in (-1, 0, 1):
            if (dj or di) and 0 <= j + dj < len(loss) and 0 <= i + di < len(loss[0]):
                yield j + dj, i + di


def whole(loss):
    return [[math.inf if value is None else value for value in row] for row in loss]


def minima(loss):
    """Points of the grid, but for its rim, that are lower than all eight around them."""
    loss = whole(loss)
    inner = [(j, i) for j in range(1, len(loss) - 1) for i in range(1, len(loss[0]) - 1)]
    return sum(all(loss[j][i] < loss[b][a] for b, a in neighbours(loss, j, i)) for j, i in inner)


def most_pieces(loss, levels=20):
    """The most connected pieces that a set of points below one level has, over levels even in log-loss."""
    loss = whole(loss)
    finite = [value for row in loss for value in row if math.isfinite(value)]
    low, high = math.log(min(finite)), math.log(max(finite))
    return max(pieces(loss, math.exp(low + (high - low) * k / levels)) for k in range(1, levels))


def pieces(loss, level):
    inside = {(j, i) for j, row in enumerate(loss) for i, value in enumerate(row) if value <= level}
    count = 0
    while inside:
        count += 1
        edge = [inside.pop()]
        while edge:
            for place in neighbours(loss, *edge.pop()):
                if place in inside:
                    inside.remove(place)
                    edge.append(place)
    return count


def flat(loss, rise=1.0):
    """The share of the points, in percent, whose loss is at most `rise` above the lowest."""
    points = [value for row in whole(loss) for value in row]
    return 100 * sum(value <= min(points) + rise for value in points) / len(points)


def gradient(surface, place):
    """The gradient of log-loss on a surface at a place, by central differences; None at its rim and beside holes."""
    x, y, loss = surface["x"], surface["y"], surface["loss"]
    i, j = nearest(x, place[0]), nearest(y, place[1])
    if not (0 < i < len(x) - 1 and 0 < j < len(y) - 1):
        return None
    around = [loss[j][i - 1], loss[j][i + 1], loss[j - 1][i], loss[j + 1][i]]
    if any(value is None or value <= 0 for value in around):
        return None
    left, right, below, above = map(math.log, around)
    return [(right - left) / (x[i + 1] - x[i - 1]), (above - below) / (y[j + 1] - y[j - 1])]


def angles(surface):
    """Angles in degrees between each step of the path and the way down on its plane, with the step's epoch. Steps that
    are shorter than half a cell of the grid are left out: the grid has no slope of that size."""
    path, found = surface["path"], []
    cell = [abs(surface[axis][1] - surface[axis][0]) for axis in "xy"]
    for before, after in zip(path, path[1:]):
        step = [after["x"] - before["x"], after["y"] - before["y"]]
        if max(abs(step[0]) / cell[0], abs(step[1]) / cell[1]) < 0.5:
            continue
        slope = gradient(surface, [(before["x"] + after["x"]) / 2, (before["y"] + after["y"]) / 2])
        lengths = math.hypot(*step) * math.hypot(*slope) if slope else 0
        if lengths > 0:
            cosine = -(step[0] * slope[0] + step[1] * slope[1]) / lengths
            found.append((after["step"], math.degrees(math.acos(max(-1, min(1, cosine))))))
    return found


def test_error(folder, run):
    """The error on all test images, as the run's manifest has it."""
    manifest = folder.parent / run / "manifest.json"
    error = json.loads(manifest.read_text()).get("test_error") if manifest.exists() else None
    return "" if error is None else f"{100 * error:.1f} %"


def ways():
    """The ways in which VGG-9 was trained, each with its name in files and in a table."""
    for optimizer in OPTIMIZERS:
        for decay in DECAYS:
            for batch in BATCHES:
                yield f"{optimizer}-{batch}-wd{decay}", f"VGG-9, {optimizer}, batch {batch}, wd {decay}"


def reliefs(folder, rows):
    """Figure 1: how much steeper is the surface without shortcuts? Three planes of figure 5 beside that of the picture."""
    compared = [{run["label"]: run for run in one["runs"]} for one in read_seeds(folder, "5-surfaces")]
    for network in ["resnet56-noshort", "resnet56"]:
        surface = read(folder, f"1-{network}")
        if surface:
            loss = [value for row in whole(surface["loss"]) for value in row]
            highest = [max(value for row in whole(one[network]["loss"]) for value in row) for one in compared]
            rows.append(
                [network, test_error(folder, network), f"{min(loss):.3g}", f"{max(loss):.3g}", mean(highest)]
            )


def lines(folder, rows):
    """Figure 2: which of the two minima looks flatter on the line between them, without normalization?"""
    for decay in DECAYS:
        line = read(folder, f"2-line-wd{decay}")
        if line:
            on = line["alpha"], line["train"]["loss"]
            barriers = [f"{line['barrier'][split]['height']:.3g}" for split in ("train", "test")]
            rows.append([f"SGD, wd {decay}", beyond(*on, 0, -1), beyond(*on, 1, 1), *barriers])


def batches(folder, rows):
    """Figures 2 and 3: does what looks flat follow the weight norm?"""
    for name, title in ways():
        raw, filtered = read(folder, f"3-slice-raw-{name}"), read(folder, f"3-slice-{name}")
        path = read(folder, f"8-{name}")
        if not (raw and filtered and path):
            continue
        rows.append(
            [
                title,
                test_error(folder, f"vgg9-{name}"),
                f"{path['norm'][-1]:.3g}",
                widths(raw["curves"]),
                widths(filtered["curves"]),
            ]
        )


def shapes(folder, rows):
    """Figures 4, 5 and 6: depth, width and shortcuts against how convex the surface is."""
    seen = set()
    for figure in ["4", "5", "6"]:
        planes = read_seeds(folder, f"{figure}-surfaces")
        for runs in zip(*(compared["runs"] for compared in planes)):
            label = runs[0]["label"]
            if label in seen:
                continue
            seen.add(label)
            rows.append(
                [
                    label,
                    test_error(folder, label),
                    mean([minima(run["loss"]) for run in runs]),
                    mean([most_pieces(run["loss"]) for run in runs]),
                    mean([flat(run["loss"]) for run in runs]) + " %",
                ]
            )


def ratios(found):
    """|λmin/λmax| at the points of a map; infinite where the loss is not finite."""
    points = [point["ratio"] for row in found["map"]["points"] for point in row]
    return [math.inf if ratio is None else ratio for ratio in points]


def share_above(values, limit):
    return sum(value > limit for value in values) / len(values)


def curvatures(folder, rows):
    """Figure 7: how much negative curvature is there beside the positive one, |λmin/λmax|?"""
    for network in ["resnet20", "resnet20-noshort", "resnet56", "resnet56-noshort"]:
        maps = read_seeds(folder, f"7-{network}")
        if maps:
            rows.append(
                [
                    network,
                    f"{maps[0]['ratio']:.3g}",
                    mean([100 * share_above(ratios(found), 0.05) for found in maps]) + " %",
                    mean([statistics.median(ratios(found)) for found in maps]),
                    f"{max(max(ratios(found)) for found in maps):.2g}",
                ]
            )


def paths(folder, rows):
    """Figures 8 and 9: what planes hold of a path, and which way it goes on its own."""
    for name, title in ways():
        planes, surface = read_seeds(folder, f"8-{name}"), read(folder, f"9-{name}")
        if not (planes and surface):
            continue
        path, found = planes[0], angles(surface)
        random = [plane["random"] for plane in planes]
        drop = max(path["steps"]) / 2
        rows.append(
            [
                title,
                f"{100 * sum(path['explained'][:2]):.1f} %",
                f"{100 * sum(path['explained_null'][:2]):.1f} %",
                mean([100 * plane["caught"] for plane in random]) + " %",
                f"{mean([abs(plane['cosine']) for plane in random])} "
                f"({random[0].get('expected_cosine_normalized', math.nan):.2g}; {random[0]['expected_cosine']:.2g})",
                mean([angle for step, angle in found if step <= drop]),
            ]
        )


TABLES = [
    (
        reliefs,
        ["network", "test error", "lowest loss", "highest loss", "highest loss, three planes"],
    ),
    (
        lines,
        ["line", "beyond small batches' minimum", "beyond large batches'", "barrier, train", "test"],
    ),
    (
        batches,
        [
            "minimum",
            "test error",
            "norm of the weights",
            "width without normalization",
            "width with filter normalization",
        ],
    ),
    (
        shapes,
        [
            "network",
            "test error",
            "local minima",
            "most pieces of a sub-level set",
            "share of the plane less than 1 above the lowest loss",
        ],
    ),
    (
        curvatures,
        ["network", "at the checkpoint", "above 0.05", "median", "highest"],
    ),
    (
        paths,
        [
            "run",
            "PC1+2",
            "a random walk",
            "a random plane",
            "\\|cosine\\| of its directions (expected; without normalization √(2/πn))",
            "degrees from the way down, before the first drop",
        ],
    ),
]


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "runs/paper/figures").resolve()
    if not any(folder.glob("[1-9]-*.json")):
        sys.exit(f"{folder}: no figure of figures.sh is there")
    for fill, head in TABLES:
        rows = []
        fill(folder, rows)
        if rows:
            print(f"{fill.__doc__}\n")
            for row in [head, ["---"] * len(head), *rows]:
                print("| " + " | ".join(map(str, row)) + " |")
            print()


if __name__ == "__main__":
    main()
