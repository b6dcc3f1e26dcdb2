"""Writes the background pictures (`src/pictograph/assets/background`) from the photographs in `examples/photos`.

    python scripts/build_background.py

Every photograph is made smaller and saved again; its credit is copied, because the licences ask for it. JPEG bytes
depend on the version of Pillow: other bytes make other background vectors in spaces made afterwards, never in old ones.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples" / "photos"
TARGET = ROOT / "src" / "pictograph" / "assets" / "background"
CREDITS = "CREDITS.md"
MANIFEST = "MANIFEST.json"
SHORT_SIDE_PX = 384
"""The widest input of the SigLIP 2 models that docs/siglip.md names."""
QUALITY = 64
INTRODUCTION = f"""# Credits for the background photographs

Vectors of these photographs tell a new space what is ordinary in it (docs/siglip.md). They are **not** covered by
Pictograph's own Apache-2.0 licence: each keeps the licence in its row below. All are in the public domain, CC0, or
Creative Commons Attribution (CC BY), which asks you to keep the credit when you pass them on.

Changes made here to every photograph: scaled down to {SHORT_SIDE_PX} pixels on the short side where it was larger,
saved again as JPEG, metadata removed. Changes made before that by the project a photograph was taken from are noted in
the last column. No photographer or project listed here endorses Pictograph.

"""


def main() -> None:
    """Replaces the folder."""
    shutil.rmtree(TARGET, ignore_errors=True)
    names = [path.relative_to(PHOTOS) for path in sorted(PHOTOS.rglob("*.jpg"))]
    for name in names:
        (TARGET / name).parent.mkdir(parents=True, exist_ok=True)
        smaller(PHOTOS / name).save(TARGET / name, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    manifest = {str(name): hashlib.sha256((TARGET / name).read_bytes()).hexdigest() for name in names}
    (TARGET / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    credits_of_photos = (PHOTOS / CREDITS).read_text(encoding="utf-8")
    table = credits_of_photos[credits_of_photos.index("| File |") :]
    (TARGET / CREDITS).write_text(INTRODUCTION + table, encoding="utf-8")
    print(f"{len(names)} pictures, {sum((TARGET / name).stat().st_size for name in names):,} bytes")


def smaller(path: Path) -> Image.Image:
    """The picture in RGB, its short side at most SHORT_SIDE_PX."""
    image = Image.open(path).convert("RGB")
    factor = min(1.0, SHORT_SIDE_PX / min(image.size))
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
