"""Under what licence the images of a source come, where the source itself settles that."""

from __future__ import annotations

from pipelines.settings.schema import Params
from pipelines.sources.base import Source

OWN = "as its owner says, whom Genloop cannot ask"

KNOWN = {
    "digits": "CC BY 4.0 (Alpaydin & Kaynak 1998, UCI Machine Learning Repository)",
    "glyphs": "pictures of the fonts that come with matplotlib, whose licences lie beside them",
}
OF_KERAS = {
    "mnist": "CC BY-SA 3.0 (LeCun & Cortes)",
    "fashion_mnist": "MIT (Zalando SE)",
    "cifar10": "none stated (Krizhevsky 2009)",
}


def of(source: Source) -> str:
    return OF_KERAS.get(getattr(source, "name", ""), OWN) if source.type == "keras" else KNOWN.get(source.type, OWN)


def named(params: Params) -> list[tuple[str, str]]:
    """(source, licence) of each of `sources`, in their order; the source as rows name it."""
    return [(f"{source.type}-{number}", of(source)) for number, source in enumerate(params.sources)]
