"""Pictures of a run: p50 and recall by scope, a line for each contestant."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.search.lines import Run

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "pictograph"  # the same lines give the same file
mpl.rcParams["svg.fonttype"] = "none"
OURS = ("pictograph", "pictograph-http", "pictograph-http-raw")


def draw(run: Run, folder: Path) -> list[str]:
    """Writes an SVG for each corpus; their names."""
    corpora = dict.fromkeys((result.data, result.size) for result in run.results)
    return [draw_corpus(run, data, size, folder) for data, size in corpora]


def draw_corpus(run: Run, data: str, size: int, folder: Path) -> str:
    """Two panels, one above the other in meaning: how long, and how right."""
    figure, (time_axes, recall_axes) = plt.subplots(1, 2, figsize=(12, 5), constrained_layout=True)
    corpus = {"data": data, "size": size, "kind": "mixed", "clients": 1}
    limit = min(run.values("limit", **corpus))
    for number, contestant in enumerate(run.values("contestant", **corpus)):
        results = sorted(run.of(contestant=contestant, limit=limit, **corpus), key=lambda r: r.scope or size)
        scopes = [result.scope or size for result in results]
        style = {
            "color": f"C{number % 10}",
            "marker": "os^vDPX*<>p"[number % 11],
            "linewidth": 2.5 if contestant in OURS else 1.2,
            "label": contestant,
        }
        time_axes.plot(scopes, [result.p50_ms for result in results], **style)
        recall_axes.plot(scopes, [result.recall for result in results], **style)
    for axes, title in ((time_axes, "p50, ms"), (recall_axes, f"recall of {limit}")):
        axes.set(xscale="log", xlabel="images in the folder; the last point is everything", title=title)
        axes.grid(visible=True, alpha=0.3)
    time_axes.set_yscale("log")
    recall_axes.set_ylim(-0.03, 1.03)
    recall_axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(f"{size:,} images, {data}, mixed questions, one client")
    name = f"{data}-{size}-scopes.svg"
    figure.savefig(folder / name, metadata={"Date": None})
    plt.close(figure)
    return name
