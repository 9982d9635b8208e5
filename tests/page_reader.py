"""Reads the HTML pages that are written, and checks that they load nothing and run nothing."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "rect", "link"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] != ["style"] and data.strip():
            self.text.append(" ".join(data.split()))

    def check_private(self, text: str) -> None:
        """Make sure that nothing of the page asks the network or runs."""
        for _, attributes in self.elements:
            for name in ("src", "srcset", "poster", "action", "data"):
                assert attributes.get(name, "data:").startswith("data:")
            assert not any(name.startswith("on") for name in attributes)
        assert {tag for tag, _ in self.elements} & {"script", "link", "iframe", "object", "form", "base"} == set()
        assert "@import" not in text
        assert "url(" not in text
        (policy,) = (one["content"] for one in self.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
        assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]
