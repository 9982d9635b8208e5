"""Pages that hold everything they show: they load nothing and run nothing, and every text on them is escaped."""

from pathlib import Path

from retrieval.present import visible

FOLDER = Path(__file__).parent
_LONGEST = 400


def page_of(template: Path, **values: object) -> str:
    """Return the page that a Jinja template makes of values; it may extend ``base.html`` and import ``tiles.html``.

    ``| visible`` makes control characters visible and cuts what is very long; ``is figure`` tells cells of numbers.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = _short
    environment.tests["figure"] = lambda cell: not any(letter.isalpha() for letter in cell)
    return environment.get_template(template.name).render(**values)


def clock(seconds: float) -> str:
    """Write seconds as ``1:02:03.4`` or ``2:03.4``: short, for reading only."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def _short(text: str) -> str:
    return visible(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")
