"""Which way of drawing pictures a terminal has, as far as its environment tells; nothing is asked of the terminal."""

from collections.abc import Mapping

from retrieval.viewing.graphics import Protocol

_KITTY = frozenset({"ghostty", "kitty"})
_ITERM = frozenset({"iTerm.app", "WezTerm", "mintty", "rio", "Tabby"})
_SIXEL = ("foot", "mlterm", "yaft", "contour")
_FEW_COLOURS = frozenset({"Apple_Terminal"})
_NO_PICTURES = frozenset({"", "dumb", "linux", "vt100", "vt220"})


def in_tmux(environment: Mapping[str, str]) -> bool:
    """Return whether a multiplexer stands between us and the terminal: what it does not know it swallows."""
    return bool(environment.get("TMUX") or environment.get("STY")) or environment.get("TERM", "").startswith(
        ("screen", "tmux")
    )


def detect(environment: Mapping[str, str]) -> Protocol | None:
    """Return how to draw in the terminal that these variables describe; ``None`` where it can draw nothing.

    Inside tmux and screen, and wherever nothing better is known, these are half blocks of text.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if in_tmux(environment):
        return "blocks"
    if environment.get("KITTY_WINDOW_ID") or "kitty" in term or "ghostty" in term or program in _KITTY:
        return "kitty"
    if program in _ITERM or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if "sixel" in term or term.startswith(_SIXEL):
        return "sixel"
    return None if term in _NO_PICTURES else "blocks"


def has_many_colours(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal shows colours of 24 bits; nearly all do, and few say so."""
    return environment.get("TERM_PROGRAM") not in _FEW_COLOURS or environment.get("COLORTERM") == "truecolor"
