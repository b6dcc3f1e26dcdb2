"""Writes `src/pictograph/tagging/taxonomy.json` and the tables of `docs/taxonomy.md` from what `scripts/taxonomy` says.

    python scripts/build_taxonomy.py            # write both
    python scripts/build_taxonomy.py --check    # exit 1 if either is not what would be written

Needs nothing but Python. The result is loaded and checked by `pictograph.tagging.taxonomy`, as at every start.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSION = "1"
"""Raise it with every change of labels, classes or rules: stored tags of another version are computed again."""

EXCLUSIVE = {
    "objects": "",
    "scenes": """
        indoor | outdoor
        urban | suburban | rural
        daytime | nighttime
        sunny | overcast | rainy
        spring season | summer season | autumn season | winter season
    """,
    "attributes": """
        dark | bright
        low-light | bright
        underexposed | overexposed
        high-contrast | low-contrast
        blurry | sharp
        low-resolution | high-resolution
        monochrome | colorful | muted-colors
        warm-toned | cool-toned
        natural-light | artificial-light
        portrait-orientation | landscape-orientation | square-format
        white-background | black-background
        top-down | low-angle | eye-level
        front-view | side-view | rear-view
        single-subject | multiple-subjects
        no-people | crowded
        clean | dirty
        ripe | rotten
    """,
}
"""Labels of which a picture gets one at most, the best."""

NOT_A_CUT_OUT = "border_white < 0.6 ~ 0.05"
"""A condition of every scene judged by classes: a refrigerator on white is a product photo, not a kitchen."""

ROOT = Path(__file__).parent.parent
TABLES = ROOT / "scripts/taxonomy"
TAXONOMY_FILE = ROOT / "src/pictograph/tagging/taxonomy.json"
DOCS_FILE = ROOT / "docs/taxonomy.md"
PREPOSITION = re.compile(r"(at|by|during|in|inside|on|through|under)\b")


def build() -> dict[str, Any]:
    """The taxonomy as it stands in the file."""
    labels = [*_objects(), *_scenes(), *_attributes()]
    _add_inherited_classes(labels)
    return {
        "version": VERSION,
        "exclusive": [
            {"category": category, "labels": _split(line, "|")}
            for category, lines in EXCLUSIVE.items()
            for line in lines.strip().splitlines()
        ],
        "labels": labels,
    }


def _objects() -> Iterator[dict[str, Any]]:
    for group, (name, parents, classes, phrases) in _rows("objects"):
        prompts = [f"a photo of {phrase}." for phrase in _split(phrases, ";")]
        prompts.append(f"a picture that shows {_split(phrases, ';')[0]}.")
        yield _label("objects", group, name, parents, prompts=prompts, classes=_class_indices(classes))


def _scenes() -> Iterator[dict[str, Any]]:
    rows = [(group, [*cells, "-"][:5]) for group, cells in _rows("scenes")]
    classes_of = {cells[0]: cells[2] for _, cells in rows}
    for group, (name, parents, classes, phrases, conditions) in rows:
        prompts = [_scene_prompt(phrase) for phrase in _split(phrases, ";")]
        prompts.append(f"a {name} scene.")
        same_as = classes.removeprefix("= ") if classes.startswith("= ") else None
        indices = _class_indices(classes_of[same_as] if same_as else classes)
        rules = _split(conditions, ",") if conditions != "-" else []
        label = _label("scenes", group, name, parents, prompts=prompts, classes=indices)
        label["same_classes_as"] = same_as
        label["conditions"] = [_condition(rule) for rule in [*rules, *([NOT_A_CUT_OUT] if classes != "-" else [])]]
        yield label


def _attributes() -> Iterator[dict[str, Any]]:
    for group, (name, parents, rule, phrases) in _rows("attributes"):
        label = _label("attributes", group, name, parents, prompts=[f"{phrase}." for phrase in _split(phrases, ";")])
        label["conditions"] = [_condition(part) for part in _split(rule, ",")] if rule != "-" else []
        yield label


def _rows(table: str) -> Iterator[tuple[str, list[str]]]:
    """(group, cells) of every line of a source table."""
    group = ""
    for line in (TABLES / f"{table}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            group = line.removeprefix("#").strip()
        elif line.strip():
            yield group, _split(line, "|")


def _split(text: str, mark: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split(mark)]


def _label(
    category: str, group: str, name: str, parents: str, *, prompts: list[str], classes: list[int] | None = None
) -> dict[str, Any]:
    return {
        "category": category,
        "name": name,
        "group": group,
        "parents": [] if parents == "-" else _split(parents, ","),
        "prompts": list(dict.fromkeys(prompts))[:4],
        "imagenet_classes": classes or [],
        "conditions": [],
    }


def _scene_prompt(phrase: str) -> str:
    return f"a photo taken {phrase}." if PREPOSITION.match(phrase) else f"a photo of {phrase}."


def _class_indices(text: str) -> list[int]:
    """`"7-9 12"` -> [7, 8, 9, 12]."""
    if text == "-":
        return []
    spans = [(span.split("-")[0], span.split("-")[-1]) for span in text.split()]
    return sorted({index for first, last in spans for index in range(int(first), int(last) + 1)})


def _condition(text: str) -> dict[str, Any]:
    """`"noise > 7 ~ 1"` -> {"measure": "noise", "side": "above", "at": 7.0, "width": 1.0}."""
    measure, sign, at, tilde, width = text.split()
    if sign not in "<>" or tilde != "~":
        raise ValueError(f"not a condition: {text!r}")
    return {"measure": measure, "side": "above" if sign == ">" else "below", "at": float(at), "width": float(width)}


def _add_inherited_classes(labels: list[dict[str, Any]]) -> None:
    """Gives every parent the classes of its children, so that no child can be likelier than its parent."""
    by_key = {(label["category"], label["name"]): label for label in labels}
    for label in labels:
        for ancestor in _ancestors(label, by_key):
            ancestor["imagenet_classes"] = sorted({*ancestor["imagenet_classes"], *label["imagenet_classes"]})
            if label["imagenet_classes"] and label["category"] == "scenes" and not ancestor["conditions"]:
                ancestor["conditions"] = [_condition(NOT_A_CUT_OUT)]
    for label in labels:
        same_as = label.pop("same_classes_as", None)
        if same_as:
            label["imagenet_classes"] = by_key[label["category"], same_as]["imagenet_classes"]


def _ancestors(label: dict[str, Any], by_key: dict[tuple[str, str], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for parent in label["parents"]:
        ancestor = by_key[label["category"], parent]
        yield ancestor
        yield from _ancestors(ancestor, by_key)


def taxonomy_text() -> str:
    """The content of `taxonomy.json`: one label a line, so that a change shows as one."""
    built = build()
    lines = ",\n".join(f"    {json.dumps(label)}" for label in built["labels"])
    sets = ",\n".join(f"    {json.dumps(rivals)}" for rivals in built["exclusive"])
    return f'{{\n  "version": "{VERSION}",\n  "exclusive": [\n{sets}\n  ],\n  "labels": [\n{lines}\n  ]\n}}\n'


def docs_text(old: str) -> str:
    """`docs/taxonomy.md` with the part between its two marks written again."""
    before, rest = old.split("<!-- generated: begin -->")
    after = rest.split("<!-- generated: end -->")[1]
    return f"{before}<!-- generated: begin -->\n{_tables()}<!-- generated: end -->{after}"


def _tables() -> str:
    labels = build()["labels"]
    return "".join(
        f"\n### {category.capitalize()}\n\n{_count_line(chosen)}\n\n{_table(chosen)}\n"
        for category in ("objects", "scenes", "attributes")
        if (chosen := [label for label in labels if label["category"] == category])
    )


def _count_line(labels: list[dict[str, Any]]) -> str:
    judged = sum(map(_is_judged, labels))
    return (
        f"{len(labels)} labels: the offline encoder judges {judged} and never assigns the other {len(labels) - judged}."
    )


def _is_judged(label: dict[str, Any]) -> bool:
    return bool(label["imagenet_classes"] or label["conditions"])


def _table(labels: list[dict[str, Any]]) -> str:
    groups = dict.fromkeys(label["group"] for label in labels)
    rows = ["| group | judged offline | not judged offline |", "| --- | --- | --- |"]
    for group in groups:
        members = [label for label in labels if label["group"] == group]
        judged = ", ".join(_described(label) for label in members if _is_judged(label))
        others = ", ".join(label["name"] for label in members if not _is_judged(label))
        rows.append(f"| {group} | {judged or '-'} | {others or '-'} |")
    return "\n".join(rows)


def _described(label: dict[str, Any]) -> str:
    """A label and what it is judged by: its classes by name if they are few, else their number."""
    classes = label["imagenet_classes"]
    name = f"**{label['name']}**"
    if label["category"] == "attributes":
        return name
    shown = "; ".join(_class_names()[index] for index in classes) if len(classes) <= 3 else f"{len(classes)} classes"
    return f"{name} ({shown})"


def _class_names() -> list[str]:
    """The words for the classes of ImageNet-1k, in their usual order."""
    lines = (TABLES / "imagenet_classes.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[1] for line in lines]


def main() -> int:
    """Writes, or with `--check` compares; returns the exit status."""
    wanted = {TAXONOMY_FILE: taxonomy_text(), DOCS_FILE: docs_text(DOCS_FILE.read_text(encoding="utf-8"))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'not up to date' if '--check' in sys.argv else 'written'}")
        if "--check" not in sys.argv:
            path.write_text(wanted[path], encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
