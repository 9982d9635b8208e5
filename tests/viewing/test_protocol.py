"""Which protocol a terminal's environment means."""

import pytest

from retrieval.viewing.protocol import detect, has_many_colours, in_tmux


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "3"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm"),  # from a Mac, over ssh
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "mlterm-256color"}, "sixel"),
        ({"TERM": "xterm-sixel"}, "sixel"),
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, "blocks"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, "blocks"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x,1,0", "KITTY_WINDOW_ID": "3"}, "blocks"),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, "blocks"),
        ({"TERM": "dumb"}, None),
        ({"TERM": "linux"}, None),
        ({}, None),
    ],
)
def test_the_protocol_is_told_by_the_environment(environment, protocol):
    assert detect(environment) == protocol


def test_multiplexers_are_known():
    assert in_tmux({"TMUX": "/tmp/x,1,0", "TERM": "xterm"})
    assert in_tmux({"TERM": "screen"})
    assert not in_tmux({"TERM": "xterm-kitty"})


def test_only_terminals_known_for_few_colours_get_few():
    assert has_many_colours({"TERM": "xterm-256color"})
    assert not has_many_colours({"TERM_PROGRAM": "Apple_Terminal"})
    assert has_many_colours({"TERM_PROGRAM": "Apple_Terminal", "COLORTERM": "truecolor"})
